/**
 * What operators ask of signing on approval: signatures, and a stop at once.
 *
 * @module
 */

import { z } from "zod";
import type { Bytes } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { Log } from "../telemetry/log.ts";
import type { Approvals, ApprovalState } from "./approvals.ts";
import type { PartyAudit } from "./audit.ts";
import type { CompactCertificate } from "./compact_certificates.ts";
import type { OperatorCall, OperatorRoute, OperatorRoutes } from "./operator_server.ts";

/** How the signature of an approval stands, as it is shown. */
export interface SigningReport {
  /** Name of the transaction. */
  readonly txId: string;
  /** See {@linkcode ApprovalState.state}. */
  readonly state: ApprovalState["state"];
  /** See {@linkcode ApprovalState.outcome}. */
  readonly outcome: ApprovalState["outcome"];
  /** Name of the key at this node; null where it has no share of it. */
  readonly key: string | null;
  /** Why it was not signed the last time; null where it was. */
  readonly reason: string | null;
  /** Who did not sign, and why. */
  readonly refusals: readonly { readonly node: string; readonly code: string; readonly reason: string }[];
}

/** A signature with how it stands. */
export interface SignatureReport extends SigningReport {
  /** DER for ECDSA, 64 bytes otherwise; null where there is none. */
  readonly signature: Bytes | null;
  /** 64 bytes; null where there is none. */
  readonly compact: Bytes | null;
}

/** A compact certificate of a decision, and what it is a signature of. */
export interface CompactReport extends CompactCertificate {
  /** Name of the transaction. */
  readonly txId: string;
  /** Name of the key. */
  readonly key: string;
}

/** Whether signing and voting are paused. */
export interface PauseReport {
  /** Since when nothing is signed, as ISO time; null where it goes on. */
  readonly pausedSince: string | null;
  /** Since when no vote is cast; null where it goes on. */
  readonly votingPausedSince: string | null;
}

/** What is needed to serve. */
export interface ApprovalRoutesOptions {
  /** Signs. */
  readonly approvals: Approvals;
  /** Where pauses are recorded. */
  readonly audit: PartyAudit;
  /** Where lines go. */
  readonly log: Log;
}

/** Paths of the operator API. */
export function approvalRoutes({ approvals, audit, log }: ApprovalRoutesOptions): OperatorRoutes {
  const paused = (): PauseReport => ({
    pausedSince: timeOf(approvals.pausedSince),
    votingPausedSince: timeOf(approvals.locks.votingPausedSince),
  });
  return new Map<string, OperatorRoute>([
    ["POST /v1/approvals/signature", { streams: true, serve: (call) => signature(approvals, call) }],
    ["POST /v1/approvals/adopt", {
      serve: ({ input }) => {
        const { txId, signature } = parsed(ADOPT, input);
        approvals.adopt(txId, signature);
        return reportOf(approvals, txId);
      },
    }],
    ["POST /v1/approvals/certify", { streams: true, serve: ({ input }) => certify(approvals, input) }],
    ["GET /v1/approvals/pause", { serve: paused }],
    ["POST /v1/approvals/pause", {
      serve: ({ input, operator }) => {
        const { reason, voting } = parsed(PAUSE, input);
        approvals.pause();
        if (voting === true) approvals.locks.pauseVoting();
        note("paused", voting === true ? "signing and voting" : "signing", { reason, operator });
        return paused();
      },
    }],
    ["POST /v1/approvals/resume", {
      serve: ({ input, operator }) => {
        const { reason } = parsed(RESUME, input);
        approvals.resume();
        note("resumed", "signing and voting", { reason, operator });
        return paused();
      },
    }],
  ]);

  function note(
    type: "paused" | "resumed",
    what: string,
    { reason, operator }: { readonly reason: string | undefined; readonly operator: string },
  ): void {
    const text = `${what} by operator ${operator}${reason === undefined ? "" : `: ${reason}`}`;
    audit.note({ type, outcome: "ok", details: { reason: text } });
    log.write("warn", `${type}: ${text}`, {
      code: type === "paused" ? "SIGNING_PAUSED" : "SIGNING_RESUMED",
    });
  }
}

function timeOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** How the signature of a transaction stands; undefined where it asks for none, or nobody has approved it yet. */
export function signingReport(approvals: Approvals, txId: string): SigningReport | undefined {
  const found = approvals.state(txId);
  if (found === undefined) return undefined;
  const { state, outcome, key, reason, refusals } = found;
  return {
    txId,
    state,
    outcome,
    key: key ?? null,
    reason: reason ?? null,
    refusals: refusals.map(({ node, code, reason }) => ({ node, code, reason })),
  };
}

async function signature(approvals: Approvals, { input, signal }: OperatorCall): Promise<SignatureReport> {
  const { txId, waitMs } = parsed(WANTED, input);
  if (waitMs > 0) await approvals.settled(txId, waitMs, signal);
  return reportOf(approvals, txId);
}

function reportOf(approvals: Approvals, txId: string): SignatureReport {
  const report = signingReport(approvals, txId);
  if (report === undefined) {
    throw new UsageError("TX_UNDECIDED", `no approval of a signature under the name ${txId} is decided here`);
  }
  const made = approvals.signature(txId);
  return { ...report, signature: made?.signature ?? null, compact: made?.compact ?? null };
}

async function certify(approvals: Approvals, input: unknown): Promise<CompactReport> {
  const { txId, key } = parsed(CERTIFY, input);
  return { txId, key, ...await approvals.certify(txId, key) };
}

const TX_ID = z.string().min(1).max(128);
const WANTED = z.strictObject({ txId: TX_ID, waitMs: z.number().min(0).max(3_600_000).default(0) });
const ADOPT = z.strictObject({ txId: TX_ID, signature: z.instanceof(Uint8Array) as z.ZodType<Bytes> });
const CERTIFY = z.strictObject({ txId: TX_ID, key: z.string().min(1).max(128) });
const RESUME = z.strictObject({ reason: z.string().max(256).optional() });
const PAUSE = RESUME.extend({ voting: z.boolean().optional() });

function parsed<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new UsageError(
    "USAGE",
    `the request has no valid ${issue?.path.join(".") || "form"}: ${issue?.message}`,
  );
}
