/**
 * What a session says when it ends: to its peers as little as they need, to its caller in names.
 *
 * @module
 */

import type { SessionId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { CheaterError, type Code, CODES, QuorateError, TransportError } from "../base/errors.ts";
import { TO_ALL } from "./envelope.ts";
import type { Evidence } from "./evidence.ts";
import { SessionLimits } from "./limits.ts";
import { abortCodec, printable } from "./messages.ts";
import type { Roster } from "./roster.ts";

/** What leaves this party of an error: a code, the parties concerned, and the meaning of the code. */
export interface Farewell {
  readonly code: Code | "ECHO_MISMATCH";
  /** Indices, at most as many as a session has participants. */
  readonly parties: readonly number[];
  /** For people, at most 1024 bytes. */
  readonly text: string;
}

/**
 * What peers are told of an error. Only the meaning of the code leaves this party, and nothing at all about our own state: a
 * peer must not learn that an oblivious-transfer check failed (SPEC 2.7), nor what our disk does.
 */
export function farewellOf(error: QuorateError, roster: Roster): Farewell {
  const quiet = error.code === "PAIR_BURNED" || error.code === "INVARIANT" ||
    error.code.startsWith("STORE_") ||
    error.code === "SHARE_ROLLBACK";
  const code: Code = quiet ? "CANCELLED" : error.code;
  const parties = quiet ? [] : partiesOf(error);
  const names = parties.map((party) => roster.nameOf(party)).join(", ");
  const text = names === "" ? CODES[code].meaning : `${names}: ${CODES[code].meaning}`;
  return { code, parties, text: printable(text, ABORT_TEXT_MAX) };
}

/** Encodes an ABORT with as many of the envelopes as fit. */
export function encodeAbort(sid: SessionId, farewell: Farewell, envelopes: readonly Bytes[]): Bytes {
  const evidence: Bytes[] = [];
  let size = 0;
  for (const raw of envelopes) {
    if (evidence.length === SessionLimits.participantsMax) break;
    if (size + raw.length > SessionLimits.abortBytesMax - ABORT_HEAD_MAX) continue;
    size += raw.length;
    evidence.push(raw);
  }
  return encode(abortCodec, { sid, ...farewell, evidence });
}

/** The envelopes that prove an equivocation to the others. A direct message is never shown to a third party. */
export function shownEnvelopes(evidence: readonly Evidence[]): Bytes[] {
  return evidence.flatMap(({ kind, envelopes }) =>
    kind === "equivocation" && envelopes.every(({ raw }) => raw[3] === TO_ALL && raw[4] === TO_ALL)
      ? envelopes.map(({ raw }) => raw)
      : []
  );
}

/** A code that a peer sent, if it is one of ours. */
export function knownCode(code: string): Code | "UNKNOWN" {
  return Object.hasOwn(CODES, code) ? code as Code : "UNKNOWN";
}

/** The same error with names in place of indices. */
export function withNames(error: CheaterError, roster: Roster): CheaterError {
  if (error.culprits.length === 0) return error;
  const names = error.culprits.map((culprit) => roster.nameOf(culprit)).join(", ");
  const { code, round, culprits, what, cause } = error;
  return new CheaterError({ code, round, culprits, what, names, cause });
}

/** After the last round of signing was released, every failure is this. */
export function unknownOutcome(error: QuorateError): TransportError {
  return new TransportError(
    "OUTCOME_UNKNOWN",
    `a valid signature may exist, because the last round was sent (${error.message}): sign the same message again, and put no other in its place`,
    {
      cause: error,
      parties: error instanceof TransportError ? error.parties : [],
      ...(error.party === undefined ? {} : { party: error.party }),
    },
  );
}

/** Why a session ends whose pairs could not be mended. Blame and its evidence belong to the session that failed. */
export function mendFailure(error: Error): QuorateError {
  if (error instanceof QuorateError && !(error instanceof CheaterError)) return error;
  const why = error instanceof CheaterError ? ` (${error.message})` : "";
  return new TransportError(
    "PAIR_MISSING",
    `what this session needs could not be set up${why}: see the log, then run the command again`,
    { cause: error, parties: error instanceof CheaterError ? error.culprits : [] },
  );
}

function partiesOf(error: QuorateError): readonly number[] {
  if (error instanceof CheaterError) return error.culprits;
  return error instanceof TransportError ? error.parties : [];
}

const ABORT_TEXT_MAX = 1024;
/** Everything in an ABORT beside its envelopes. */
const ABORT_HEAD_MAX = 4096;
