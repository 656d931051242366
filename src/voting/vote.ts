/**
 * Ballots and votes (VOTING 2). A ballot is what is voted for; nothing that honest members might choose differently is in it.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, u16, u32, utf8 } from "../base/bytes.ts";
import { bytes, type Codec, DecodeError, fixed, map, struct, text, U16, U32 } from "../base/codec.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { type Membership, voterAt } from "./membership.ts";
import { decodeValue, TX_ID_BYTES_MAX, txIdFault, VALUE_BYTES_MAX } from "./value.ts";

/** What is voted for. */
export interface Question {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Epoch of the membership. */
  readonly epoch: number;
  /** {@linkcode Membership.hash}. */
  readonly membershipHash: Bytes;
  /** Name of the transaction. */
  readonly txId: string;
  /** An encoded value. */
  readonly value: Bytes;
}

/** A signed vote. */
export interface Vote extends Question {
  /** Who voted: index in the membership. */
  readonly voter: PartyId;
  /** Ed25519 over `H("vote/vote"; ballot, u16 voter)`. */
  readonly signature: Bytes;
}

/** What is wrong with a vote: it is of another membership, which is nobody's fault, or its signature does not verify. */
export type VoteFault = "MEMBERSHIP_MISMATCH" | "SIGNATURE";

/** The question of a transaction and a value under a membership. */
export function questionOf({ cluster, epoch, hash }: Membership, txId: string, value: Bytes): Question {
  return { cluster, epoch, membershipHash: hash, txId, value };
}

/** `H("vote/ballot"; clusterId, u32 epoch, membershipHash, txId, value)`: two votes are for the same iff it is equal. */
export function ballotOf(question: Question): Bytes {
  const known = ballots.get(question);
  if (known !== undefined) return known;
  const { cluster, epoch, membershipHash, txId, value } = question;
  const ballot = hash(Tag.voteBallot, utf8(cluster), u32(epoch), membershipHash, utf8(txId), value);
  ballots.set(question, ballot);
  return ballot;
}

/** Ballots of questions, votes and certificates that are there: nobody changes one, and each is asked for many times. */
const ballots = new WeakMap<Question, Bytes>();

/** What a vote's signature is over. */
export function votedMessage(ballot: Bytes, voter: PartyId): Bytes {
  return hash(Tag.voteVote, ballot, u16(voter));
}

/** Signs a vote. The lock on the ballot is on disk before. @param sign the voter's vote key. */
export function signVote(question: Question, voter: PartyId, sign: (message: Bytes) => Bytes): Vote {
  return { ...question, voter, signature: sign(votedMessage(ballotOf(question), voter)) };
}

/**
 * Checks a vote. The membership comes first: a vote under another one says nothing about its signature, and whoever relays it has
 * done nothing wrong.
 */
export function voteFault(membership: Membership, vote: Vote): VoteFault | undefined {
  if (!isUnder(membership, vote)) return "MEMBERSHIP_MISMATCH";
  const voter = voterAt(membership, vote.voter);
  if (voter === undefined) return "MEMBERSHIP_MISMATCH";
  return voter.key.verify(votedMessage(ballotOf(vote), vote.voter), vote.signature) ? undefined : "SIGNATURE";
}

/** Whether a question is asked under exactly this membership. */
export function isUnder(membership: Membership, { cluster, epoch, membershipHash }: Question): boolean {
  return cluster === membership.cluster && epoch === membership.epoch &&
    equal(membershipHash, membership.hash);
}

/** The name of a transaction. */
export const txIdCodec: Codec<string> = map(text(TX_ID_BYTES_MAX), (txId: string) => txId, (txId) => {
  const fault = txIdFault(txId);
  if (fault !== undefined) throw new DecodeError(fault);
  return txId;
});

const valueCodec: Codec<Bytes> = map(bytes(VALUE_BYTES_MAX), (value: Bytes) => value, (value) => {
  decodeValue(value);
  return value;
});

const SIGNATURE_BYTES = 64;

/** Fields of a question. */
export const QUESTION_FIELDS = {
  cluster: text(64),
  epoch: U32,
  membershipHash: fixed(32),
  txId: txIdCodec,
  value: valueCodec,
};

/** An index in a membership. */
export const voterCodec: Codec<PartyId> = map(U16, (voter: PartyId) => voter as number, (index) => {
  if (index === 0) throw new DecodeError("a voter of index 0");
  return index as PartyId;
});

/** A signature. */
export const signatureCodec: Codec<Bytes> = fixed(SIGNATURE_BYTES);

/** A vote. */
export const voteCodec: Codec<Vote> = struct({
  ...QUESTION_FIELDS,
  voter: voterCodec,
  signature: signatureCodec,
});
