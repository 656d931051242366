/**
 * The parties agree on a random value that none of them could choose (SPEC 5): commit, open, confirm.
 *
 * Uniform if one party is honest and the protocol completes; unpredictable until the first opening. There is no fairness:
 * the party that opens last sees the value first and can leave, so an abort is worth one bit of bias to it. Do not retry
 * silently, and keep the record of who left.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal, utf8 } from "../base/bytes.ts";
import { fixed, struct } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { commit, COMMITMENT_BYTES, opens } from "../primitives/commitment.ts";
import { hash, xof } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import {
  blame,
  type Definition,
  exchange,
  type Fact,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
} from "./protocol.ts";

/** What a party must know to take part in {@linkcode agreeRandom}. */
export interface AgreeRandomInput {
  /** Length of the value: 128 to 65536, a multiple of 8. */
  readonly bits: number;
  /** Ascending, self included. */
  readonly participants: readonly PartyId[];
}

/** What a party must know to take part in {@linkcode agreeNonce}. */
export interface AgreeNonceInput {
  /** Ascending, self included. */
  readonly participants: readonly PartyId[];
}

/** The smallest length in bits. */
export const AGREE_BITS_MIN = 128;
/** The largest length in bits. */
export const AGREE_BITS_MAX = 65536;

const openingCodec = struct({ r: fixed(32), s: fixed(COMMITMENT_BYTES) });
const commitmentCodec = struct({ commitment: fixed(COMMITMENT_BYTES) });
const confirmationCodec = struct({ confirmation: fixed(32) });

const R1: Round<{ readonly commitment: Bytes }, never> = {
  number: 1,
  name: "commit",
  broadcast: commitmentCodec,
  echo: "next",
};
const R2: Round<{ readonly r: Bytes; readonly s: Bytes }, never> = {
  number: 2,
  name: "open",
  broadcast: openingCodec,
  echo: "none",
};
const R3: Round<{ readonly confirmation: Bytes }, never> = {
  number: 3,
  name: "confirm",
  broadcast: confirmationCodec,
  echo: "none",
};
const NONCE: Round<{ readonly r: Bytes }, never> = {
  number: 1,
  name: "contribute",
  broadcast: struct({ r: fixed(32) }),
  echo: "own",
};

/**
 * A random value of `bits` bits, the same at every party.
 *
 * @source SPEC 5, MP
 * @example
 * ```ts
 * import { partyId } from "../base/brands.ts";
 * import { seededRng } from "../base/rng.ts";
 * import { agreeRandom } from "./agree_random.ts";
 * import { runLocally } from "./local.ts";
 * const participants = [partyId(1), partyId(2)];
 * const outcomes = runLocally(participants, (s) => agreeRandom.run(s, { bits: 256, participants }), {
 *   rng: seededRng("example"),
 * });
 * const values = [...outcomes.values()].map((o) => o.ok ? o.value.toHex() : "");
 * if (values[0] !== values[1] || values[0]?.length !== 64) throw new Error("no agreement");
 * ```
 */
export const agreeRandom: Definition<AgreeRandomInput, Bytes> = {
  name: "agree-random",
  version: 1,
  proposal({ bits, participants }) {
    if (bits < AGREE_BITS_MIN || bits > AGREE_BITS_MAX || bits % 8 !== 0) {
      throw new UsageError(
        "USAGE",
        `bits is a multiple of 8 from ${AGREE_BITS_MIN} to ${AGREE_BITS_MAX}: found ${bits}`,
      );
    }
    return proposalOf(participants, [{ name: "number of bits", value: utf8(String(bits)) }]);
  },
  rounds: () => [R1, R2, R3] as Round[],
  *run(session: Session, { bits }: AgreeRandomInput): Protocol<Bytes> {
    const { id: sid, self } = session;
    const opening = { r: session.rng.bytes(32), s: session.rng.bytes(COMMITMENT_BYTES) };
    const commitmentTo = (party: PartyId, { r, s }: typeof opening) =>
      ({ tag: Tag.agreeCommit, sid, party, message: r, salt: s }) as const;

    const commitments = yield* exchange(R1, {
      broadcast: { commitment: commit(commitmentTo(self, opening)) },
    });
    const openings = yield* exchange(R2, { broadcast: opening });
    blame(R2, openings.broadcast, "its opening is not what it committed to", (j, m) => {
      const committed = commitments.broadcast.get(j);
      return committed === undefined || !opens(committed.commitment, commitmentTo(j, m));
    });

    const contributions = session.parties.map((j) => (openings.broadcast.get(j) ?? opening).r);
    const out = xof(bits / 8, Tag.agreeOut, sid, ...contributions);
    const confirmation = hash(Tag.agreeOk, sid, out);
    const confirmations = yield* exchange(R3, { broadcast: { confirmation } });
    blame(
      R3,
      confirmations.broadcast,
      "it confirms another value",
      (_j, m) => !equal(m.confirmation, confirmation),
    );
    return out;
  },
};

/**
 * A value that is fresh, and nothing more: 32 bytes that never occurred before if one party is honest. **Not random**: there
 * is no commitment, so the party that speaks last chooses among as many values as it can hash. For session ids and nonces
 * only; whoever needs a random value uses {@linkcode agreeRandom}.
 *
 * @source SPEC 5, weak
 */
export const agreeNonce: Definition<AgreeNonceInput, Bytes> = {
  name: "agree-nonce",
  version: 1,
  proposal: ({ participants }) => proposalOf(participants, []),
  rounds: () => [NONCE] as Round[],
  *run(session: Session): Protocol<Bytes> {
    const r = session.rng.bytes(32);
    const peers = yield* exchange(NONCE, { broadcast: { r } });
    return hash(
      Tag.agreeNonce,
      session.id,
      ...session.parties.map((j) => (peers.broadcast.get(j) ?? { r }).r),
    );
  },
};

function proposalOf(participants: readonly PartyId[], payload: readonly Fact[]): Proposal {
  if (participants.length < 2) {
    throw new UsageError("USAGE", `at least two parties agree on a value: found ${participants.length}`);
  }
  return { params: [], policyHash: new Uint8Array(32), keyId: EMPTY, epoch: 0, participants, payload };
}
