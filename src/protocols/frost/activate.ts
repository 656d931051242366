/**
 * The end that key generation and refresh have in common: a share becomes PENDING on disk, the members exchange their parts of
 * the certificate, and the share becomes ACTIVE.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import type { Bytes } from "../../base/bytes.ts";
import { decode, encode } from "../../base/codec.ts";
import { CheaterError } from "../../base/errors.ts";
import { type Endorsement, endorsementCodec } from "../dkg/messages.ts";
import type { KeyState } from "../dkg/stored_key.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import { compute, exchange, persist, type Round, type Session, type Step } from "../protocol.ts";
import { encodeFrostCertificate, endorseFrost, frostEndorsementFault } from "./certificate.ts";
import { encodeFrostStoredKey, type FrostStoredKey } from "./stored_key.ts";
import type { FrostSuite } from "./suite.ts";

/**
 * The last round. It needs no echo: what it says of the others is inside the signature, and a party that gets a wrong
 * endorsement stays PENDING and can be given the right one later.
 */
export function certifyRound({ group }: FrostSuite): Round<Endorsement, never> {
  return { number: 3, name: "certify", broadcast: endorsementCodec(group), echo: "none" };
}

/** Endorses a new share and stores it as PENDING, together with the endorsement that nobody has seen yet. */
export function* storePending(
  session: Session,
  made: Pick<FrostStoredKey, "keyName" | "share" | "origin" | "transcript">,
): Generator<Step, FrostStoredKey, unknown> {
  const { share, transcript } = made;
  const { record } = share;
  const { id: sid } = session;
  // The proof's nonce would give the share away if the generator failed: it is hedged with the share.
  const rng = hedgedRng(session, share);
  const endorsement = yield* compute(
    () => endorseFrost({ record, sid, transcript }, share, (message) => session.sign(message), rng),
    undefined,
  );
  const key: FrostStoredKey = {
    ...made,
    sid,
    endorsement: encode(endorsementCodec(record.suite.group), endorsement),
  };
  using bytes = encodeFrostStoredKey(key);
  yield* persist({
    kind: "key-pending",
    keyId: record.keyId,
    epoch: record.epoch,
    name: made.keyName,
    key: bytes,
  });
  return key;
}

/**
 * Collects the endorsements of the key's own session, also in a later run, and stores the key as ACTIVE.
 *
 * @returns the certificate.
 * @throws CheaterError that names those whose endorsement fails.
 */
export function* certify(
  session: Session,
  key: FrostStoredKey,
  state: KeyState,
): Generator<Step, Bytes, unknown> {
  const { share: { record }, sid, origin, transcript } = key;
  const { group } = record.suite;
  const round = certifyRound(record.suite);
  const own = decode(endorsementCodec(group), key.endorsement);

  const peers = yield* exchange(round, { broadcast: own });
  const faults = new Map<PartyId, string>();
  for (const [party, endorsement] of peers.broadcast) {
    const fault = yield* compute(
      (given: Endorsement) =>
        frostEndorsementFault(
          { record, sid, transcript },
          party,
          given,
          (message, signature) => session.verify(party, message, signature),
        ),
      endorsement,
    );
    if (fault !== undefined) faults.set(party, fault);
  }
  blameFaults(round, faults);

  const endorsements = record.members.map((member) => peers.broadcast.get(member.index) ?? own);
  const certificate = encodeFrostCertificate(group, { sid, origin, transcript, endorsements });
  if (state === "pending") {
    yield* persist({ kind: "key-active", keyId: record.keyId, epoch: record.epoch, certificate });
  }
  return certificate;
}

/** Blames everybody in the map. */
export function blameFaults(round: Pick<Round, "number">, faults: ReadonlyMap<PartyId, string>): void {
  if (faults.size === 0) return;
  throw new CheaterError({
    code: "CHEATED",
    round: round.number,
    culprits: [...faults.keys()],
    what: [...new Set(faults.values())].join("; or "),
  });
}
