/**
 * Reshare: the same key for other members, or under another policy (SPEC 2.10). Members of the old policy who satisfy it deal
 * their parts of the key to the new members; whoever is in neither has no part in it.
 *
 * Participants are the new members, and those old members that are named beside them. Of the participants that have a share, the
 * old policy's smallest solution deals. New members learn the key from all of those at once: at least one of them is honest, or
 * the key would be lost anyway. The old epoch stays usable until everybody's signature on the new one is here. A run that finds
 * the same PENDING epoch at every participant, or one that some have certified already, exchanges its endorsements again.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal, hex, utf8 } from "../../base/bytes.ts";
import { type Codec, encode } from "../../base/codec.ts";
import { invariant, TransportError, UsageError } from "../../base/errors.ts";
import { type Scalar, secp256k1 } from "../../math/curve.ts";
import { type AccessTree, checkPolicy, formatPolicy, leavesOf, qualified } from "../../primitives/access.ts";
import { type Endorsed, isOriginOf, originOf } from "../dkg/certificate.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import { checkMembers, type Member, policyHashOf, type PublicKeyRecord } from "../key_share.ts";
import {
  compute,
  type Definition,
  exchange,
  peersOf,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
  type Step,
} from "../protocol.ts";
import { blameFaults, certifyEpoch, type EpochResult, storePending } from "./certify.ts";
import {
  activeShare,
  encodeHeld,
  endorsedOf,
  epochDigest,
  findHeld,
  type HeldEpoch,
  recordOfStored,
  type Way,
  wayOf,
} from "./held.ts";
import { type Opening, type ReshareCommitment, type ReshareOpening, reshareRounds } from "./messages.ts";
import {
  combine,
  commitTo,
  type DealContext,
  dealersOf,
  dealingFault,
  dealOwn,
  memberOf,
  type OwnDealing,
  transcriptOf,
  weighted,
} from "./steps.ts";

/** What a party must know to take part. Equal at all participants but for `self`, `held` and `publicKey`. */
export interface ReshareInput {
  /** What people call the key. */
  readonly keyName: string;
  /** This party. */
  readonly self: PartyId;
  /** Who may sign together from now on. */
  readonly policy: AccessTree;
  /** One per leaf, ascending by index, with the identity keys of the roster. All of them take part. */
  readonly members: readonly Member[];
  /** Old members that take part and are no members any more, ascending by index. */
  readonly witnesses: readonly Member[];
  /** All parties that this one knows, with their identity keys: the key that new members are told of must have these. */
  readonly roster: readonly Member[];
  /** What this party has stored of the key, ascending by epoch. The secrets in it stay the caller's. */
  readonly held: readonly HeldEpoch[];
  /** The public key that this party expects, encoded. Default: the one that those who have shares tell. */
  readonly publicKey?: Bytes;
  /** Accepts a policy that one party alone satisfies. Default: refused. */
  readonly allowSingle?: boolean;
  /** Name of the party that has the key alone until now, where it is imported. Default: nobody may have it alone. */
  readonly owner?: string;
}

/**
 * Reshare. Its rounds are commit, open and deal, certify; a completion has the last one only.
 *
 * @source SPEC 2.10
 */
export const reshare: Definition<ReshareInput, EpochResult> = {
  name: "reshare",
  version: 1,
  proposal,
  offer: ({ held }) => encodeHeld(held),
  unsettled(input, _self, offers) {
    wayFor(input, offers);
    return { mine: [], others: [] };
  },
  // Which curve it is, new members learn from the offers; the sizes of the messages are the same on all.
  rounds() {
    const { commit, open, certify } = reshareRounds(secp256k1);
    return [commit, open, certify] as Round[];
  },
  run,
};

function* run(session: Session, input: ReshareInput): Protocol<EpochResult> {
  const participants = participantsOf(input);
  invariant(
    session.self === input.self && participants.length === session.parties.length &&
      participants.every((party, k) => party === session.parties[k]),
    "the session has other parties than the reshare",
  );
  const way = wayFor(input, session.offers);
  invariant(way !== undefined, "a session has the offers of all");
  if (way.kind === "deal") return yield* attempt(session, input, way);
  const found = findHeld(input.held, way.digest);
  invariant(found !== undefined, "an epoch is completed that is not stored here");
  const { state, key } = found;
  const record = recordOfStored(key);
  const { certify: round } = reshareRounds(record.curve);
  const certificate = yield* certifyEpoch(session, { key, pending: state === "pending", round });
  const share = "share" in key ? { ...key.share, share: key.share.share.clone() } : undefined;
  return { record, share, certificate, outcome: "completed" };
}

/** A new epoch, from the commitments to the certificate. */
function* attempt(
  session: Session,
  input: ReshareInput,
  way: Way & { readonly kind: "deal" },
): Generator<Step, EpochResult, unknown> {
  const { id: sid, self, parties } = session;
  const { commit: R1, open: R2, certify: R3 } = reshareRounds(way.curve);
  const active = way.holders.includes(self) ? activeShare(input.held) : undefined;
  const rng = active === undefined ? session.rng : hedgedRng(session, active.share);

  // Round 1: holders say what is dealt on, dealers commit.
  let own: OwnDealing | undefined;
  let first: ReshareCommitment = { statement: undefined, commitment: undefined };
  if (active !== undefined) {
    const statement = endorsedOf(active);
    const context = contextOf(input, session, way, statement);
    const c_i = dealersOf(statement.record, way.holders)?.coefficients.get(self);
    if (c_i !== undefined) {
      own = yield* compute(() => dealOwn(context, weighted(active.share, c_i), rng), undefined);
    }
    first = { statement, commitment: own === undefined ? undefined : commitTo(context, self, own.opening) };
  }
  const committed = new Map((yield* exchange(R1, { broadcast: first })).broadcast).set(self, first);
  const stated = statementOf(input, way, committed);
  const context = contextOf(input, session, way, stated);
  blameFaults(R1, commitmentFaults(context, committed));

  // Round 2: dealers open, and deal to the new members.
  const second: ReshareOpening = { opening: own?.opening };
  const dealt = yield* exchange(R2, {
    broadcast: second,
    direct: new Map(peersOf(session).map((party) => [party, { share: own?.shares.get(party) }])),
  });
  const opened = new Map(dealt.broadcast).set(self, second);
  const faults = new Map<PartyId, string>();
  for (const [party, { opening }] of dealt.broadcast) {
    const share = dealt.direct.get(party)?.share;
    const commitment = committed.get(party)?.commitment ?? EMPTY;
    const fault = opening === undefined || !context.constants.has(party)
      ? (opening === undefined) === context.constants.has(party) ? NOT_ITS_PART : undefined
      : yield* compute(dealingFault, { context, dealer: party, dealt: { commitment, opening, share } });
    if (fault !== undefined) faults.set(party, fault);
  }
  blameFaults(R2, faults);

  const openings = new Map<PartyId, Opening>();
  const shares = new Map<PartyId, Scalar>();
  for (const dealer of context.constants.keys()) {
    openings.set(dealer, opened.get(dealer)?.opening as Opening);
    const share = dealer === self ? own?.shares.get(self) : dealt.direct.get(dealer)?.share;
    if (share !== undefined) shares.set(dealer, share);
  }
  const isMember = memberOf(context, self) !== undefined;
  const { record, share } = yield* compute(
    () => combine(context, openings, isMember ? { present: undefined, dealt: shares } : undefined),
    undefined,
  );
  let done = false;
  try {
    const key = yield* storePending(session, {
      keyName: input.keyName,
      record,
      share,
      transcript: transcriptOf(
        sid,
        parties.map((party) =>
          encode(R1.broadcast as Codec<ReshareCommitment>, committed.get(party) ?? first)
        ),
        parties.map((party) => encode(R2.broadcast as Codec<ReshareOpening>, opened.get(party) ?? second)),
      ),
      lineage: { origin: originOf(stated), parent: way.base, witnesses: input.witnesses },
    });
    const certificate = yield* certifyEpoch(session, { key, pending: true, round: R3 });
    done = true;
    return {
      record,
      share: share === undefined ? undefined : { record, self, share },
      certificate,
      outcome: "dealt",
    };
  } finally {
    if (!done) share?.[Symbol.dispose]();
  }
}

const NOT_ITS_PART = "it deals without being asked to, or does not deal although it is";

function contextOf(
  { policy, members }: ReshareInput,
  { id: sid, self }: Session,
  way: Way & { readonly kind: "deal" },
  { record: base }: Endorsed,
): DealContext {
  const dealers = dealersOf(base, way.holders);
  invariant(dealers !== undefined, "that the holders satisfy the policy was checked");
  const { constants } = dealers;
  return { kind: "reshare", sid, base, epoch: way.epoch, policy, members, constants, self };
}

/**
 * The epoch that is dealt on, as all who have a share of it state it: that it is the one that they offered binds them to each
 * other.
 *
 * @throws CheaterError that names those who state something else; UsageError NOT_QUALIFIED; TransportError PEER_REFUSED where
 * a new member cannot accept the key.
 */
function statementOf(
  input: ReshareInput,
  way: Way & { readonly kind: "deal" },
  committed: ReadonlyMap<PartyId, ReshareCommitment>,
): Endorsed {
  const faults = new Map<PartyId, string>();
  for (const [party, { statement }] of committed) {
    const isHolder = way.holders.includes(party);
    const isOffered = statement === undefined
      ? !isHolder
      : isHolder && equal(epochDigest(statement), way.digest) && isOfWay(statement, way);
    if (!isOffered) faults.set(party, "it states another key than it has offered");
  }
  blameFaults({ number: 1 }, faults);
  const stated = committed.get(way.holders[0] as PartyId)?.statement;
  invariant(stated !== undefined, "somebody holds the epoch that is dealt on");
  if (!way.holders.includes(input.self)) refuseUnknown(input, way, stated);
  requireQualified(input, way, stated);
  return stated;
}

function isOfWay({ record }: Endorsed, { keyId, curve, base }: Way & { readonly kind: "deal" }): boolean {
  return equal(record.keyId, keyId) && record.curve.id === curve.id && record.epoch === base;
}

/**
 * What a new member can check of a key that others tell it of: that the key id is the hash of the public key, that its members
 * have the identity keys of the roster, and that it is the one that the operator expects, where one is named.
 */
function refuseUnknown(input: ReshareInput, way: Way & { readonly kind: "deal" }, stated: Endorsed): void {
  const { record } = stated;
  const encoded = record.curve.encodePoint(record.publicKey);
  const isPinned = ({ index, name, identity }: Member) =>
    input.roster.some((known) =>
      known.index === index && known.name === name && equal(known.identity, identity)
    );
  const stranger = record.members.find((member) => !isPinned(member));
  const why = !isOriginOf(originOf(stated), record)
    ? "has a key id that is not its own"
    : stranger !== undefined
    ? `has a member ${stranger.name} whose identity key is not the one in the configuration`
    : !isOwnedAsAgreed(input, record)
    ? "is one that a single party can use alone: key import is for those, and names it"
    : input.publicKey !== undefined && !equal(encoded, input.publicKey)
    ? `is ${hex(encoded)}, not ${hex(input.publicKey)}`
    : undefined;
  if (why === undefined) return;
  const names = way.holders.map((party) => nameOf(input, party)).join(", ");
  throw new TransportError("PEER_REFUSED", `the key ${input.keyName} of ${names} ${why}`, {
    parties: way.holders,
  });
}

/**
 * Whoever had a key alone knows all of it for ever, and whoever makes one up can claim the name of another: a new member takes it
 * only where it agreed to import it from that party. The policy of the key itself is that of an import that is repeated.
 */
function isOwnedAsAgreed(input: ReshareInput, { policy, members }: PublicKeyRecord): boolean {
  const alone = leavesOf(policy).filter((name) => qualified(policy, new Set([name])));
  if (input.owner === undefined) return alone.length === 0;
  return (policy.kind === "leaf" && policy.name === input.owner) ||
    equal(policyHashOf({ policy, members }), policyHashOf(input));
}

function requireQualified(
  input: ReshareInput,
  way: Way & { readonly kind: "deal" },
  { record }: Endorsed,
): void {
  if (dealersOf(record, way.holders) !== undefined) return;
  const names = way.holders.map((party) => nameOf(input, party)).join(", ");
  throw new UsageError(
    "NOT_QUALIFIED",
    `of those who take part only ${names} ${
      way.holders.length === 1 ? "has a share" : "have shares"
    } of ${input.keyName}, and its policy is ${
      formatPolicy(record.policy)
    }: name more of its members as dealers, at all parties`,
  );
}

/** Those who deal have committed, and nobody else has. */
function commitmentFaults(
  { constants }: DealContext,
  committed: ReadonlyMap<PartyId, ReshareCommitment>,
): Map<PartyId, string> {
  const faults = new Map<PartyId, string>();
  for (const [party, { commitment }] of committed) {
    if (constants.has(party) !== (commitment !== undefined)) faults.set(party, NOT_ITS_PART);
  }
  return faults;
}

/** What the offers say is to be done. @throws UsageError where they show that the session cannot run. */
function wayFor(input: ReshareInput, offers: ReadonlyMap<PartyId, Bytes>): Way | undefined {
  const isMember = (party: PartyId) => input.members.some(({ index }) => index === party);
  const way = wayOf({
    keyName: input.keyName,
    participants: participantsOf(input),
    offers,
    isWanted: (digest) => isOfReshare(findHeld(input.held, digest)?.key, input),
    joins: isMember,
    nameOf: (party) => nameOf(input, party),
  });
  const active = activeShare(input.held);
  if (way?.kind === "deal" && active !== undefined && way.holders.includes(input.self)) {
    requireQualified(input, way, endorsedOf(active));
  }
  return way;
}

/** Whether an epoch is what this session is to make, with the parties that its certificate needs. */
function isOfReshare(key: HeldEpoch["key"] | undefined, input: ReshareInput): boolean {
  if (key?.lineage === undefined) return false;
  const { witnesses } = key.lineage;
  return equal(policyHashOf(recordOfStored(key)), policyHashOf(input)) &&
    witnesses.length === input.witnesses.length &&
    witnesses.every(({ index }, k) => index === input.witnesses[k]?.index);
}

function participantsOf({ members, witnesses }: ReshareInput): PartyId[] {
  return [...members, ...witnesses].map(({ index }) => index).sort((a, b) => a - b);
}

function nameOf({ roster }: ReshareInput, party: PartyId): string {
  return roster.find((member) => member.index === party)?.name ?? `party ${party}`;
}

/**
 * Checks the input and says what must be equal at all participants. Key and epoch are in the offers, which the session id binds:
 * new members do not know them yet.
 */
function proposal(input: ReshareInput): Proposal {
  const { keyName, policy, members, witnesses, self } = input;
  checkPolicy(policy, input.allowSingle === undefined ? {} : { allowSingle: input.allowSingle });
  checkMembers(policy, members);
  const participants = participantsOf(input);
  invariant(new Set(participants).size === participants.length, "nobody is a member and a witness");
  if (!participants.includes(self)) {
    throw new UsageError(
      "NOT_A_MEMBER",
      `this party is neither in the new policy of ${keyName}, ${formatPolicy(policy)}, nor named as a dealer`,
    );
  }
  return {
    // For people: what is bound is policyHash.
    params: [{ name: "policy", value: utf8(formatPolicy(policy).slice(0, 200)) }],
    policyHash: policyHashOf(input),
    keyId: EMPTY,
    epoch: 0,
    participants,
    payload: [
      { name: "key name", value: utf8(keyName) },
      { name: "purpose", value: utf8(input.owner === undefined ? "reshare" : `import from ${input.owner}`) },
      { name: "leaving dealers", value: utf8(witnesses.map(({ name }) => name).join(", ").slice(0, 1000)) },
    ],
  };
}
