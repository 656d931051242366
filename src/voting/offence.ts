/**
 * Offences, and proofs of them that verify without a node (VOTING 5). No honest member can be framed: a double vote is two signatures of
 * its subject, and a vote whose signature is wrong is the offence of whoever passed it on, never of the voter that it names.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, compare, EMPTY, equal, u16, u32, u8, utf8 } from "../base/bytes.ts";
import { type Codec, decode, DecodeError, encode, map, struct, U16, U8 } from "../base/codec.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { gossipCodec, type GossipEnvelope, isGossipValid } from "./gossip.ts";
import type { Membership } from "./membership.ts";
import { ballotOf, isUnder, type Vote, voteCodec, voteFault } from "./vote.ts";

/** Kinds of offence, with their numbers in encodings. */
export const OFFENCES = { "double-vote": 1, "invalid-signature": 2 } as const;

/** What proves an offence. */
export type OffenceProof =
  /** Two valid votes of one voter on different ballots of one transaction, the lower ballot first. */
  | { readonly kind: "double-vote"; readonly votes: readonly [Vote, Vote] }
  /** An envelope with an item that is no vote, or a vote under the same membership whose signature is wrong. */
  | { readonly kind: "invalid-signature"; readonly envelope: GossipEnvelope; readonly item: number };

/** An offence. */
export interface Offence {
  /** The identity of the offence, whatever proves it: equal at all honest members. */
  readonly id: Bytes;
  /** Its kind. */
  readonly kind: OffenceProof["kind"];
  /** Who did it. */
  readonly subject: PartyId;
  /** In which transaction; empty for invalid signatures. */
  readonly txId: string;
}

/** Kind of the item that is a vote. */
export const VOTE_ITEM = 1;

/** Under the membership of which epoch a proof is to be checked. */
export function epochOf(proof: OffenceProof): number {
  return proof.kind === "double-vote" ? proof.votes[0].epoch : proof.envelope.epoch;
}

/** A vote as an item of gossip. */
export function voteItem(vote: Vote): Bytes {
  return encode(struct({ kind: U8, vote: voteCodec }), { kind: VOTE_ITEM, vote });
}

/** The proof of two votes; undefined where they are no double vote. Both were checked. */
export function doubleVote(a: Vote, b: Vote): OffenceProof | undefined {
  const order = compare(ballotOf(a), ballotOf(b));
  if (order === 0 || a.voter !== b.voter || a.txId !== b.txId || !isSameMembership(a, b)) return undefined;
  return { kind: "double-vote", votes: order < 0 ? [a, b] : [b, a] };
}

/**
 * `H("vote/offence"; u8 kind, clusterId, u32 epoch, membershipHash, txId, u16 subject, envelope)`.
 *
 * @param of `kind`: the number of its kind; `envelope`: the hash of the envelope that proves it, or empty.
 */
export function offenceId(
  { cluster, epoch, hash: membershipHash }: Membership,
  { kind, subject, txId, envelope }: {
    readonly kind: number;
    readonly subject: PartyId;
    readonly txId: string;
    readonly envelope: Bytes;
  },
): Bytes {
  return hash(
    Tag.voteOffence,
    u8(kind),
    utf8(cluster),
    u32(epoch),
    membershipHash,
    utf8(txId),
    u16(subject),
    envelope,
  );
}

/**
 * Checks a proof under a membership, with nothing else.
 *
 * @returns the offence; undefined where nothing is proven.
 */
export function verifyOffence(membership: Membership, proof: OffenceProof): Offence | undefined {
  return proof.kind === "double-vote"
    ? verifyDoubleVote(membership, proof.votes)
    : verifyInvalid(membership, proof);
}

function verifyDoubleVote(membership: Membership, [a, b]: readonly [Vote, Vote]): Offence | undefined {
  if (voteFault(membership, a) !== undefined || voteFault(membership, b) !== undefined) return undefined;
  const proven = doubleVote(a, b);
  if (proven?.kind !== "double-vote" || proven.votes[0] !== a) return undefined;
  return offence(membership, "double-vote", a.voter, a.txId, EMPTY);
}

function verifyInvalid(
  membership: Membership,
  { envelope, item }: OffenceProof & { readonly kind: "invalid-signature" },
): Offence | undefined {
  const content = envelope.items[item];
  if (content === undefined || !isGossipValid(membership, envelope) || !isInvalidVote(membership, content)) {
    return undefined;
  }
  const name = hash(Tag.voteEnvelope, encode(gossipCodec, envelope));
  return offence(membership, "invalid-signature", envelope.from, "", name);
}

/** A vote item that does not decode, or is of this very membership and is not signed by its voter. */
function isInvalidVote(membership: Membership, content: Bytes): boolean {
  if (content[0] !== VOTE_ITEM) return false;
  try {
    const vote = decode(voteCodec, content.subarray(1));
    return isUnder(membership, vote) && voteFault(membership, vote) === "SIGNATURE";
  } catch (error) {
    if (error instanceof DecodeError) return true;
    throw error;
  }
}

function isSameMembership(a: Vote, b: Vote): boolean {
  return a.cluster === b.cluster && a.epoch === b.epoch && equal(a.membershipHash, b.membershipHash);
}

function offence(
  membership: Membership,
  kind: OffenceProof["kind"],
  subject: PartyId,
  txId: string,
  envelope: Bytes,
): Offence {
  return {
    id: offenceId(membership, { kind: OFFENCES[kind], subject, txId, envelope }),
    kind,
    subject,
    txId,
  };
}

const doubleVoteCodec = struct({ first: voteCodec, second: voteCodec });
const invalidCodec = struct({ envelope: gossipCodec, item: U16 });

/** A proof: its kind, and what proves it. */
export const offenceCodec: Codec<OffenceProof> = {
  sizeMax: 1 + Math.max(doubleVoteCodec.sizeMax, invalidCodec.sizeMax),
  write(out, proof) {
    U8.write(out, OFFENCES[proof.kind]);
    if (proof.kind === "double-vote") {
      doubleVoteCodec.write(out, { first: proof.votes[0], second: proof.votes[1] });
    } else invalidCodec.write(out, proof);
  },
  read(input) {
    const kind = kindCodec.read(input);
    if (kind === "invalid-signature") return { kind, ...invalidCodec.read(input) };
    const { first, second } = doubleVoteCodec.read(input);
    return { kind, votes: [first, second] };
  },
};

const kindCodec: Codec<OffenceProof["kind"]> = map(
  U8,
  (kind: OffenceProof["kind"]): number => OFFENCES[kind],
  (number) => {
    const known = Object.entries(OFFENCES).find(([, value]) => value === number);
    if (known === undefined) throw new DecodeError("an offence of an unknown kind");
    return known[0] as OffenceProof["kind"];
  },
);
