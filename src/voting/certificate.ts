/**
 * Quorum certificates: a value that enough members voted for, and their votes (VOTING 4). Anyone who knows the membership can check
 * one; that a voter also voted for something else takes nothing from it.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { type Codec, DecodeError, list, map, struct } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import { type Membership, voterAt, VOTERS_MAX } from "./membership.ts";
import {
  ballotOf,
  isUnder,
  type Question,
  QUESTION_FIELDS,
  signatureCodec,
  type Vote,
  votedMessage,
  voterCodec,
} from "./vote.ts";

/** A decision that anyone can check. */
export interface QuorumCertificate extends Question {
  /** At least q votes on this value, ascending by voter. */
  readonly votes: readonly { readonly voter: PartyId; readonly signature: Bytes }[];
}

/**
 * A certificate of votes for one ballot, if they are enough.
 *
 * @param votes that were checked, all on one ballot; of each voter the first counts.
 */
export function certificateOf(membership: Membership, votes: readonly Vote[]): QuorumCertificate | undefined {
  const [first] = votes;
  if (first === undefined) return undefined;
  const ballot = ballotOf(first);
  const byVoter = new Map<PartyId, Bytes>();
  for (const vote of votes) {
    invariant(equal(ballotOf(vote), ballot), "a certificate is made of votes on one ballot");
    if (!byVoter.has(vote.voter)) byVoter.set(vote.voter, vote.signature);
  }
  if (byVoter.size < membership.quorum) return undefined;
  const { cluster, epoch, membershipHash, txId, value } = first;
  const counted = [...byVoter].map(([voter, signature]) => ({ voter, signature }));
  return { cluster, epoch, membershipHash, txId, value, votes: counted.sort((a, b) => a.voter - b.voter) };
}

/** Why a certificate decides nothing under a membership, in words; undefined where it is valid. A function of the two alone. */
export function certificateFault(membership: Membership, certificate: QuorumCertificate): string | undefined {
  if (!isUnder(membership, certificate)) return "it is of another membership";
  const { votes } = certificate;
  if (votes.length < membership.quorum) {
    return `it has ${votes.length} votes, and ${membership.quorum} decide`;
  }
  if (!isAscending(votes)) return "a voter is counted twice, or out of order";
  const ballot = ballotOf(certificate);
  for (const { voter, signature } of votes) {
    const known = voterAt(membership, voter);
    if (known === undefined) return `voter ${voter} is no member`;
    if (!known.key.verify(votedMessage(ballot, voter), signature)) {
      return `the vote of ${known.name} does not verify`;
    }
  }
  return undefined;
}

function isAscending(votes: QuorumCertificate["votes"]): boolean {
  return votes.every(({ voter }, i) => i === 0 || voter > (votes[i - 1]?.voter ?? 0));
}

/** A certificate. */
export const certificateCodec: Codec<QuorumCertificate> = map(
  struct({
    ...QUESTION_FIELDS,
    votes: list(struct({ voter: voterCodec, signature: signatureCodec }), VOTERS_MAX),
  }),
  (certificate: QuorumCertificate) => certificate,
  (certificate) => {
    if (!isAscending(certificate.votes)) throw new DecodeError("voters are listed ascending, each once");
    return certificate;
  },
);
