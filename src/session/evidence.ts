/**
 * Evidence that a third party can check with nothing but the roster.
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { decode, DecodeError } from "../base/codec.ts";
import type { Ed25519Verifier } from "../base/crypto.ts";
import { type Envelope, openEnvelope, verifyEnvelope } from "./envelope.ts";
import { entryOf, openCodec, proposalHash, verifyEntry } from "./messages.ts";
import type { Roster } from "./roster.ts";

/** Signed messages of a culprit, as they were received. */
export interface Evidence {
  /** The session's id; for `open` the hash of the proposal, which is what there is before an id. */
  /** The session in which they were sent. */
  readonly sid: SessionId;
  /** Name of its protocol. */
  readonly protocol: string;
  /** Who signed them. */
  readonly culprit: PartyId;
  /**
   * `equivocation`: two different envelopes for one place, conclusive by itself. `message`: everything up to what failed a
   * check of the protocol; the signatures prove who sent it, the check has to be repeated. `open`: the same for an OPEN.
   */
  readonly kind: "equivocation" | "message" | "open";
  /** The envelopes; whether they carry an echo is not written in them. */
  readonly envelopes: readonly { readonly raw: Bytes; readonly hasEcho: boolean }[];
}

/** True iff every message was signed by the culprit in that session and, for equivocation, two of them conflict. */
export function verifyEvidence(evidence: Evidence, roster: Roster): boolean {
  const verifier = roster.parties[evidence.culprit - 1]?.identity;
  if (verifier === undefined) return false;
  if (evidence.kind === "open") return verifyOpenEvidence(evidence, verifier);
  const opened: Envelope[] = [];
  for (const { raw, hasEcho } of evidence.envelopes) {
    try {
      const envelope = openEnvelope(raw, hasEcho);
      if (envelope.from !== evidence.culprit) return false;
      if (!verifyEnvelope(verifier, evidence.sid, evidence.protocol, envelope)) return false;
      opened.push(envelope);
    } catch (error) {
      if (error instanceof DecodeError) return false;
      throw error;
    }
  }
  if (evidence.kind === "message") return opened.length > 0;
  const [a, b] = opened;
  return opened.length === 2 && a !== undefined && b !== undefined && conflicts(a, b);
}

function verifyOpenEvidence(
  { culprit, protocol, sid, envelopes }: Evidence,
  verifier: Ed25519Verifier,
): boolean {
  try {
    return envelopes.length > 0 && envelopes.every(({ raw }) => {
      const open = decode(openCodec, raw);
      return open.proposal.protocol === protocol && equal(proposalHash(open.proposal), sid) &&
        verifyEntry(verifier, culprit, sid, entryOf(open));
    });
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

/** Two envelopes for one place that say different things. Another signature over the same content is no conflict. */
export function conflicts(a: Envelope, b: Envelope): boolean {
  return a.from === b.from && a.round === b.round && a.to === b.to &&
    !(equal(a.body, b.body) && equal(a.echo, b.echo));
}
