/**
 * Proposals (VOTING 1, 3): an approval that somebody asks the members to vote for. The value carries everything, so that there is
 * nothing left to equivocate about; the proposer's name is beside it, and changes no ballot.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, u16 } from "../base/bytes.ts";
import { type Codec, DecodeError, struct } from "../base/codec.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { type Approval, decodeApproval } from "./approval.ts";
import { type Membership, voterAt } from "./membership.ts";
import { decodeValue } from "./value.ts";
import { ballotOf, isUnder, type Question, QUESTION_FIELDS, signatureCodec, voterCodec } from "./vote.ts";

/** An approval that a member asks for. */
export interface Proposal extends Question {
  /** Who asks. */
  readonly proposer: PartyId;
  /** Ed25519 of the proposer over `H("vote/proposal"; ballot, u16 proposer)`: whoever passes it on cannot change who asks. */
  readonly signature: Bytes;
}

/** Signs a proposal. @param sign the proposer's vote key. */
export function signProposal(
  question: Question,
  proposer: PartyId,
  sign: (message: Bytes) => Bytes,
): Proposal {
  return { ...question, proposer, signature: sign(proposedMessage(question, proposer)) };
}

/** What is wrong with a proposal: it is of another membership, which is nobody's fault, or nobody could have signed it so. */
export function proposalFault(
  membership: Membership,
  proposal: Proposal,
): "MEMBERSHIP_MISMATCH" | "INVALID" | undefined {
  if (!isUnder(membership, proposal)) return "MEMBERSHIP_MISMATCH";
  const proposer = voterAt(membership, proposal.proposer);
  if (proposer === undefined) return "MEMBERSHIP_MISMATCH";
  if (approvalOf(proposal)?.kind !== "approve") return "INVALID";
  const message = proposedMessage(proposal, proposal.proposer);
  return proposer.key.verify(message, proposal.signature) ? undefined : "INVALID";
}

/** The approval that a question is about; undefined where its value is another one, or names another cluster or transaction. */
export function approvalOf(
  { cluster, txId, value }: Pick<Question, "cluster" | "txId" | "value">,
): Approval | undefined {
  try {
    const decoded = decodeValue(value);
    if (decoded.schema !== "approval") return undefined;
    const approval = decodeApproval(decoded.bytes);
    return approval.cluster === cluster && approval.txId === txId ? approval : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

function proposedMessage(question: Question, proposer: PartyId): Bytes {
  return hash(Tag.voteProposal, ballotOf(question), u16(proposer));
}

/** A proposal. */
export const proposalCodec: Codec<Proposal> = struct({
  ...QUESTION_FIELDS,
  proposer: voterCodec,
  signature: signatureCodec,
});
