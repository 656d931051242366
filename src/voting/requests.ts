/**
 * Requests of operators to a voting node: which approval a ballot stands for, whether a proposal is the one that is known, and why one
 * is refused, in words (VOTING 1).
 *
 * @module
 */

import { type Bytes, hex } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { type Approval, approvalCore } from "./approval.ts";
import { approvalOf } from "./proposal.ts";
import type { Transaction } from "./transactions.ts";
import { decodeValue, formatValue, ROSTER_PREFIX } from "./value.ts";
import type { Question } from "./vote.ts";

/**
 * The approval of a ballot that was proposed or voted for.
 *
 * @param ballots of a transaction. @param prefix the first digits of one.
 * @throws UsageError BALLOT_UNKNOWN
 */
export function approvalAt(
  ballots: Transaction["ballots"],
  { cluster, txId, prefix }: { readonly cluster: string; readonly txId: string; readonly prefix: string },
): Approval {
  const found = [...ballots]
    .filter(([ballot]) => ballot.startsWith(prefix.toLowerCase()))
    .flatMap(([, { value }]) => approvalOf({ cluster, txId, value }) ?? [])
    .filter(({ kind }) => kind === "approve");
  const [approval, second] = found;
  if (approval !== undefined && second === undefined) return approval;
  throw new UsageError(
    "BALLOT_UNKNOWN",
    second === undefined
      ? `no proposal in ${txId} has a ballot that begins with ${prefix}`
      : `${found.length} proposals in ${txId} have ballots that begin with ${prefix}: write more of it`,
  );
}

/** Throws unless an approval can be proposed in a cluster. @throws UsageError USAGE */
export function requireProposable(
  { txId, cluster, kind, notBefore, notAfter }: Approval,
  { cluster: own, lifetimeMs }: { readonly cluster: string; readonly lifetimeMs: number },
): void {
  const fault = txId.startsWith(ROSTER_PREFIX)
    ? `names that begin with ${ROSTER_PREFIX} are reserved`
    : cluster !== own
    ? `an approval for ${cluster} is not proposed in ${own}`
    : kind !== "approve"
    ? "what is proposed is an approval: whoever is against it votes for its rejection"
    : notAfter - notBefore > lifetimeMs
    ? `an approval is open for at most ${lifetimeMs / 1000} s: found ${(notAfter - notBefore) / 1000n} s`
    : undefined;
  if (fault !== undefined) throw new UsageError("USAGE", fault);
}

/** Throws unless a request for a transaction that is known asks for what somebody asked for before. @throws UsageError TX_CONFLICT */
export function requireSame({ txId, ballots }: Transaction, question: Question, approval: Approval): void {
  const { cluster } = question;
  const core = hex(approvalCore(approval));
  const cores = [...ballots].map(([ballot, { value }]) => {
    const known = approvalOf({ cluster, txId, value });
    return known === undefined ? ballot : hex(approvalCore(known));
  });
  if (cores.includes(core)) return;
  throw new UsageError(
    "TX_CONFLICT",
    `${txId} is the name of another request: it is ${cores[0]}, and this one is ${core}`,
  );
}

/** Why nothing is cast in a transaction any more. */
export function expired(txId: string, limit: number): UsageError {
  return new UsageError(
    "TX_EXPIRED",
    `votes in ${txId} ended at ${new Date(limit).toISOString()}: ask again under another name`,
  );
}

/** When an approval ends: milliseconds since 1970; undefined for all other values. */
export function notAfterOf(question: Question): number | undefined {
  const approval = approvalOf(question);
  return approval === undefined ? undefined : Number(approval.notAfter);
}

/** An encoded value for people. */
export function shown(value: Bytes): string {
  return formatValue(decodeValue(value));
}
