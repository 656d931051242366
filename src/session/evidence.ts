/**
 * Evidence that a third party can check with nothing but the roster.
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { type Envelope, openEnvelope, verifyEnvelope } from "./envelope.ts";
import type { Roster } from "./roster.ts";

/** Signed envelopes of a culprit, as they were received. */
export interface Evidence {
  readonly sid: SessionId;
  readonly protocol: string;
  readonly culprit: PartyId;
  /**
   * `equivocation`: two different envelopes for one place, conclusive by itself. `message`: what failed a check of the
   * protocol; the signature proves who sent it, the check has to be repeated.
   */
  readonly kind: "equivocation" | "message";
  readonly envelopes: readonly { readonly raw: Bytes; readonly hasEcho: boolean }[];
}

/** True iff every envelope was signed by the culprit in that session and, for equivocation, two of them conflict. */
export function verifyEvidence(evidence: Evidence, roster: Roster): boolean {
  const opened: Envelope[] = [];
  const verifier = roster.get(evidence.culprit).identity;
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

/** Two envelopes for one place that say different things. Another signature over the same content is no conflict. */
export function conflicts(a: Envelope, b: Envelope): boolean {
  return a.from === b.from && a.round === b.round && a.to === b.to &&
    !(equal(a.body, b.body) && equal(a.echo, b.echo));
}
