/**
 * Compact certificates (VOTING 9): one Ed25519 signature that the members make together over what was decided, for whoever has a key of
 * theirs and does not want to know the members. The votes stay the authority.
 *
 * @module
 */

import { type Bytes, concat, u32, u8, utf8 } from "../base/bytes.ts";
import { ed25519Verifier } from "../base/crypto.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { ballotOf, type Question } from "./vote.ts";

/** `H("vote/decision"; clusterId, epoch, membershipHash, ballot)`. */
export function decisionHash(question: Question): Bytes {
  const { cluster, epoch, membershipHash } = question;
  return hash(Tag.voteDecision, utf8(cluster), u32(epoch), membershipHash, ballotOf(question));
}

/** What is signed: `"quorate/v1/vote/decision" ‖ 0x00 ‖` {@linkcode decisionHash}; no other bytes of this package begin so. */
export function decisionStatement(question: Question): Bytes {
  return concat(utf8("quorate/v1/vote/decision"), u8(0), decisionHash(question));
}

/** Whether a compact certificate is one of this decision. @param publicKey 32 bytes. */
export function verifyCompact(publicKey: Bytes, question: Question, signature: Bytes): boolean {
  return ed25519Verifier(publicKey)?.verify(decisionStatement(question), signature) ?? false;
}
