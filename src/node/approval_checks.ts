/**
 * What a party checks before it answers a request to sign what was approved, in this order (VOTING 8.2): each check fails with a code
 * of its own and a sentence that names the check, the node, and the two values. A function of what it is given, without a clock.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { type Code, UsageError } from "../base/errors.ts";
import { formatPath } from "../protocols/ecdsa/derive.ts";
import { type Approval, approvalCore, approvalHash, decodeApproval } from "../voting/approval.ts";
import { certificateFault, type QuorumCertificate } from "../voting/certificate.ts";
import { type Membership, voterAt } from "../voting/membership.ts";
import { decodeValue } from "../voting/value.ts";
import { ballotOf } from "../voting/vote.ts";
import { type ApprovalKey, approvedDigest } from "./approval_key.ts";
import { formatWindow, isInWindow, type PolicyConfig } from "./policy_config.ts";

/** How the node is. */
export interface NodeCondition {
  /** Since when signing is paused: milliseconds since 1970. */
  readonly pausedSince: number | undefined;
  /** Why nothing more can be recorded, in words. */
  readonly unwritable: string | undefined;
  /** Why this node does not vote, as `SAFETY_VIOLATION`. */
  readonly alarm: string | undefined;
  /** This node's clock less the median of its peers'; undefined where no peer is there. */
  readonly clockOffsetMs: number | undefined;
}

/** What is checked, and against what. */
export interface ApprovalCheck {
  /** Name of the node that checks. */
  readonly node: string;
  /** How it is. */
  readonly condition: NodeCondition;
  /** Who votes now. */
  readonly membership: Membership;
  /** What came with the request. */
  readonly certificate: QuorumCertificate;
  /** The decision that this node has of the transaction itself. */
  readonly held: QuorumCertificate | undefined;
  /** The active key of an id here. */
  readonly keyOf: (keyId: Bytes) => ApprovalKey | undefined;
  /** What the session is to sign; undefined where this node asks others to. */
  readonly digest: Bytes | undefined;
  /** Who is to sign: indices, ascending; undefined where that is chosen after the checks. */
  readonly signers: readonly PartyId[] | undefined;
  /** Whether a pair of this party is banned. */
  readonly burned: (key: ApprovalKey, peer: PartyId) => boolean;
  /** Why nothing is signed with these together, in words: one of them is banned, or their signatures have failed too often. */
  readonly barred: (key: ApprovalKey, signers: readonly PartyId[]) => string | undefined;
  /** All times that are known, the own one among them: milliseconds since 1970. */
  readonly clocks: readonly bigint[];
  /** What this party signs. */
  readonly policy: PolicyConfig;
  /** Names of all members of whom this node holds a valid vote for the ballot. */
  readonly voters: readonly string[];
  /** Names of members whose vote key is not the one that this party knows them by. */
  readonly strangers: readonly string[];
  /** Who proposed it, where that is known. */
  readonly proposer: string | undefined;
  /** The approval of a transaction that this one takes the place of. */
  readonly superseded: (txId: string) => Approval | undefined;
}

/** An approval that may be signed here. */
export interface CheckedApproval {
  /** What was approved. */
  readonly approval: Approval;
  /** By which vote. */
  readonly ballot: Bytes;
  /** See {@linkcode approvalCore}. */
  readonly core: Bytes;
  /** See {@linkcode approvalHash}. */
  readonly approvalHash: Bytes;
  /** What stands for the input: see {@linkcode approvedDigest}. */
  readonly digest: Bytes;
  /** The key. */
  readonly key: ApprovalKey;
  /** The latest time that anybody was seen to have. */
  readonly time: bigint;
}

/**
 * All checks but the one of the lock, which is in the transaction that sets it.
 *
 * @throws UsageError with the code of the check that fails.
 */
export function checkApproval(check: ApprovalCheck): CheckedApproval {
  const refuse = refusalOf(check.node);
  checkNode(check, refuse);
  checkCertificate(check, refuse);
  const approval = checkValue(check, refuse);
  const key = checkKey(check, approval, refuse);
  const digest = checkDigest(check, approval, key, refuse);
  const time = checkTime({ ...check, approval });
  checkSigners(check, key, refuse);
  checkPayload(check, approval, key, time, refuse);
  checkVoters(check, refuse);
  checkSuperseded(check, approval, refuse);
  return {
    approval,
    ballot: ballotOf(check.certificate),
    core: approvalCore(approval),
    approvalHash: approvalHash(approval),
    digest,
    key,
    time,
  };
}

/**
 * Check 6, again whenever another clock is known. @returns the latest time.
 *
 * @throws UsageError APPROVAL_EXPIRED
 */
export function checkTime(
  { node, clocks, policy, approval }: Pick<ApprovalCheck, "node" | "clocks" | "policy"> & {
    readonly approval: Approval;
  },
): bigint {
  const refuse = refusalOf(node);
  const { notBefore, notAfter } = approval;
  const time = clocks.reduce((latest, clock) => clock > latest ? clock : latest, 0n);
  const lifetimeMs = Number(notAfter - notBefore);
  if (lifetimeMs > policy.maxLifetimeMs) {
    refuse(
      6,
      "APPROVAL_EXPIRED",
      `the approval lasts ${lifetimeMs / 1000} s, and at most ${
        policy.maxLifetimeMs / 1000
      } s are allowed here`,
    );
  }
  if (time < notBefore) {
    refuse(6, "APPROVAL_EXPIRED", `the approval begins at ${dateOf(notBefore)}, and it is ${dateOf(time)}`);
  }
  if (time + BigInt(policy.sessionLimitMs) > notAfter) {
    refuse(
      6,
      "APPROVAL_EXPIRED",
      `the approval ends at ${dateOf(notAfter)}, and a session that begins at ${dateOf(time)} may take ${
        policy.sessionLimitMs / 1000
      } s`,
    );
  }
  return time;
}

/**
 * Whether a node approves a proposal by itself: its policy names the proposer and allows the payload (VOTING 1).
 *
 * @param check `approval` decoded from a proposal whose signature was checked.
 */
export function approvesByItself(
  check: Pick<ApprovalCheck, "node" | "keyOf" | "clocks" | "policy"> & {
    readonly approval: Approval;
    readonly proposer: string;
  },
): boolean {
  const { approval, policy, proposer } = check;
  if (approval.kind !== "approve" || !policy.autoApprove.includes(proposer)) return false;
  const refuse = refusalOf(check.node);
  try {
    const key = checkKey(check, approval, refuse);
    checkDigest({ ...check, digest: undefined }, approval, key, refuse);
    checkPayload(check, approval, key, checkTime(check), refuse);
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** Names of the checks, by their numbers. */
export const CHECK_NAMES = {
  1: "node",
  2: "certificate",
  3: "value",
  4: "key",
  5: "digest",
  6: "time",
  7: "signers",
  8: "policy",
  9: "supersedes",
} as const;

type Refuse = (check: keyof typeof CHECK_NAMES, code: Code, why: string) => never;

function refusalOf(node: string): Refuse {
  return (check, code, why) => {
    throw new UsageError(code, `check ${check} (${CHECK_NAMES[check]}) at ${node}: ${why}`, { party: node });
  };
}

function checkNode({ condition, policy }: ApprovalCheck, refuse: Refuse): void {
  const { pausedSince, unwritable, alarm, clockOffsetMs } = condition;
  if (pausedSince !== undefined) {
    refuse(
      1,
      "SIGNING_PAUSED",
      `signing is paused since ${dateOf(BigInt(pausedSince))}, and would have to go on`,
    );
  }
  if (unwritable !== undefined) refuse(1, "OUTBOX_FULL", `nothing can be recorded: ${unwritable}`);
  if (alarm !== undefined) {
    refuse(1, "VOTING_STOPPED", `this node has stopped: ${alarm}; an operator has to look`);
  }
  if (clockOffsetMs !== undefined && Math.abs(clockOffsetMs) > policy.maxOffsetMs) {
    refuse(
      1,
      "CLOCK_OFFSET",
      `the clock here is ${clockOffsetMs / 1000} s from those of the others, and at most ${
        policy.maxOffsetMs / 1000
      } s are allowed`,
    );
  }
}

function checkCertificate({ membership, certificate, held }: ApprovalCheck, refuse: Refuse): void {
  const fault = certificateFault(membership, certificate);
  if (fault !== undefined) {
    const mine = `epoch ${membership.epoch}, ${short(membership.hash)}`;
    const theirs = `epoch ${certificate.epoch}, ${short(certificate.membershipHash)}`;
    refuse(
      2,
      "CERTIFICATE_INVALID",
      `${fault} (members there: ${theirs}; here: ${mine})`,
    );
  }
  const [ballot, other] = [ballotOf(certificate), held === undefined ? undefined : ballotOf(held)];
  if (other !== undefined && !equal(ballot, other)) {
    refuse(
      2,
      "CERTIFICATE_INVALID",
      `${certificate.txId} is decided here for the ballot ${short(other)}, and this certificate is for ${
        short(ballot)
      }`,
    );
  }
}

function checkValue({ certificate, membership }: ApprovalCheck, refuse: Refuse): Approval {
  const value = decodeValue(certificate.value);
  if (value.schema !== "approval") {
    refuse(
      3,
      "APPROVAL_INVALID",
      `what was decided is of the schema ${value.schema}, and an approval is signed`,
    );
  }
  let approval: Approval;
  try {
    approval = decodeApproval((value as { readonly bytes: Bytes }).bytes);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return refuse(3, "APPROVAL_INVALID", `what was decided cannot be read as an approval: ${error.message}`);
  }
  if (approval.txId !== certificate.txId) {
    refuse(
      3,
      "APPROVAL_INVALID",
      `the approval is for ${approval.txId}, and the vote was on ${certificate.txId}`,
    );
  }
  if (approval.cluster !== membership.cluster) {
    refuse(
      3,
      "APPROVAL_INVALID",
      `the approval is for ${approval.cluster}, and this is ${membership.cluster}`,
    );
  }
  if (approval.kind !== "approve") {
    refuse(
      3,
      "APPROVAL_INVALID",
      `the decision is to ${approval.kind} ${approval.txId}, and only approve is signed`,
    );
  }
  return approval;
}

function checkKey({ keyOf }: Pick<ApprovalCheck, "keyOf">, approval: Approval, refuse: Refuse): ApprovalKey {
  const key = keyOf(approval.keyId);
  if (key === undefined) {
    return refuse(
      4,
      "APPROVAL_KEY",
      `the approval is for the key ${short(approval.keyId)}, of which no share is active here`,
    );
  }
  if (!equal(key.keyId, approval.keyId)) {
    refuse(
      4,
      "APPROVAL_KEY",
      `the approval is for the key ${short(approval.keyId)}, and here is ${short(key.keyId)}`,
    );
  }
  if (!equal(key.publicKey, approval.publicKey)) {
    refuse(
      4,
      "APPROVAL_KEY",
      `the approval names the public key ${short(approval.publicKey)}, and ${key.name} has ${
        short(key.publicKey)
      }`,
    );
  }
  if (!equal(key.policyHash, approval.policyHash)) {
    refuse(
      4,
      "APPROVAL_KEY",
      `the approval is for the members and policy ${short(approval.policyHash)}, and ${key.name} has ${
        short(key.policyHash)
      } since a reshare: propose it again`,
    );
  }
  if (key.scheme !== approval.scheme) {
    refuse(4, "APPROVAL_KEY", `the approval is for ${approval.scheme}, and ${key.name} signs ${key.scheme}`);
  }
  if (key.purpose !== "approved-signing") {
    refuse(
      4,
      "APPROVAL_KEY",
      `${key.name} is a key for ${key.purpose}, and only one for approved-signing is used`,
    );
  }
  return key;
}

function checkDigest(
  { digest, policy }: Pick<ApprovalCheck, "digest" | "policy">,
  approval: Approval,
  key: ApprovalKey,
  refuse: Refuse,
): Bytes {
  const own = approvedDigest(approval);
  if (digest !== undefined && !equal(digest, own)) {
    refuse(
      5,
      "APPROVAL_DIGEST",
      `the session is to sign ${short(digest)}, and what was approved is ${short(own)}`,
    );
  }
  const { path } = approval;
  const allowed = policy.paths === undefined ||
    policy.paths.some((prefix) => prefix.every((step, i) => path[i] === step));
  if (!allowed) {
    const known = policy.paths?.map(formatPath).join(", ");
    refuse(
      5,
      "APPROVAL_DIGEST",
      `the approval is for the child ${formatPath(path)}, and allowed are those below ${known}`,
    );
  }
  const fault = key.pathFault(path);
  if (fault !== undefined) refuse(5, "APPROVAL_DIGEST", fault);
  return own;
}

function checkSigners(
  { signers, burned, barred, node }: ApprovalCheck,
  key: ApprovalKey,
  refuse: Refuse,
): void {
  if (signers === undefined) return;
  const nameOf = (party: PartyId) => key.members.find(({ index }) => index === party)?.name;
  const names = signers.map((party) => nameOf(party) ?? `party ${party}`).join(", ");
  const stranger = signers.find((party) => nameOf(party) === undefined);
  if (stranger !== undefined) {
    refuse(7, "APPROVAL_SIGNERS", `party ${stranger} is to sign, and has no share of ${key.name}`);
  }
  const quorum = key.quorum(signers);
  if (
    quorum === undefined || quorum.length !== signers.length ||
    quorum.some((party, i) => party !== signers[i])
  ) {
    refuse(
      7,
      "APPROVAL_SIGNERS",
      `${names} are to sign, and ${
        quorum === undefined ? "are too few" : `${quorum.map(nameOf).join(", ")} of them would`
      } for the policy of ${key.name}`,
    );
  }
  const banned = signers.find((party) => nameOf(party) !== node && burned(key, party));
  if (banned !== undefined) {
    refuse(
      7,
      "APPROVAL_SIGNERS",
      `${nameOf(banned)} is to sign, and the pair with it is banned: refresh ${key.name}`,
    );
  }
  const why = barred(key, signers);
  if (why !== undefined) refuse(7, "APPROVAL_SIGNERS", `${names} are to sign, and ${why}`);
}

function checkPayload(
  { policy }: Pick<ApprovalCheck, "policy">,
  approval: Approval,
  key: ApprovalKey,
  time: bigint,
  refuse: Refuse,
): void {
  const no = (why: string) => refuse(8, "APPROVAL_POLICY", why);
  if (policy.keys !== undefined && !policy.keys.includes(key.name)) {
    no(`the key is ${key.name}, and allowed here are ${policy.keys.join(", ") || "none"}`);
  }
  if (approval.mode === "digest" && !policy.allowDigest) {
    no("a digest is to be signed, and only messages are signed here (policy.allow_digest is false)");
  }
  if (policy.messageBytesMax !== undefined && approval.input.length > policy.messageBytesMax) {
    no(
      `the message has ${approval.input.length} bytes, and at most ${policy.messageBytesMax} are allowed here`,
    );
  }
  if (!isInWindow(policy, Number(time))) {
    no(`it is ${dateOf(time)}, and signing is allowed here on ${formatWindow(policy)}`);
  }
}

function checkVoters(
  { policy, voters, strangers, proposer, certificate, membership }: ApprovalCheck,
  refuse: Refuse,
): void {
  const no = (why: string) => refuse(8, "APPROVAL_POLICY", why);
  const certified = certificate.votes.map(({ voter }) => voterAt(membership, voter)?.name ?? "");
  const all = [...new Set([...certified, ...voters])];
  const { approvers } = policy;
  // The policy names those whose keys this party has; who votes under such a name is what the members have decided.
  const counted = approvers === undefined
    ? all
    : all.filter((name) => approvers.names.includes(name) && !strangers.includes(name));
  if (approvers !== undefined && counted.length < approvers.atLeast) {
    no(
      `of ${approvers.names.join(", ")} at least ${approvers.atLeast} must approve, and ${
        counted.join(", ") || "nobody"
      } did`,
    );
  }
  // Each vote key counts once, so that the proposer is one person whatever else it signed.
  if (policy.twoPersons && counted.length < 2) {
    no(
      `two persons must approve, and ${counted.join(", ") || "nobody"} did${
        proposer === undefined ? "" : `, on a proposal of ${proposer}`
      }`,
    );
  }
}

function checkSuperseded({ superseded, policy }: ApprovalCheck, approval: Approval, refuse: Refuse): void {
  if (approval.supersedes === "") return;
  const former = superseded(approval.supersedes);
  if (former === undefined) {
    return refuse(
      9,
      "APPROVAL_SUPERSEDED",
      `${approval.txId} takes the place of ${approval.supersedes}, of which nobody here knows until when it could be signed`,
    );
  }
  const earliest = former.notAfter + 2n * BigInt(policy.maxOffsetMs);
  if (approval.notBefore < earliest) {
    refuse(
      9,
      "APPROVAL_SUPERSEDED",
      `${approval.supersedes} may be signed until ${
        dateOf(former.notAfter)
      }, so that ${approval.txId} may begin at ${dateOf(earliest)}, and it begins at ${
        dateOf(approval.notBefore)
      }`,
    );
  }
}

/** A time for people; one that no date has is shown as it is. */
function dateOf(time: bigint): string {
  return time > 8_640_000_000_000_000n ? `${time} ms` : new Date(Number(time)).toISOString();
}

function short(bytes: Bytes): string {
  return bytes.length <= 8 ? hex(bytes) : `${hex(bytes).slice(0, 16)}…`;
}
