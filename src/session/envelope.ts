/**
 * Signed envelopes: what carries a protocol message, and what makes blame transferable (WIRE.md 4).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, concat, copy, EMPTY, u16, u32, u8, utf8 } from "../base/bytes.ts";
import { DecodeError, Reader } from "../base/codec.ts";
import type { Ed25519Signer, Ed25519Verifier } from "../base/crypto.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";

/** In `to`: a broadcast. */
export const TO_ALL = 0;

/** An echo message of a round with `echo: "own"` has the round's number with this bit set. */
export const ECHO_ROUND_BIT = 0x80;

/** The fields of an envelope. */
export interface Envelope {
  readonly round: number;
  readonly from: PartyId;
  /** Index of the receiver, or {@linkcode TO_ALL}. */
  readonly to: number;
  /** 32 bytes, or none. */
  readonly echo: Bytes;
  readonly body: Bytes;
  readonly signature: Bytes;
}

/** Bytes of an envelope beside its body and echo. */
export const ENVELOPE_OVERHEAD = 1 + 2 + 2 + 4 + 64;

/** What an envelope's signature covers. */
export function envelopeDigest(
  sid: SessionId,
  protocol: string,
  envelope: Omit<Envelope, "signature">,
): Bytes {
  return hash(
    Tag.envelope,
    sid,
    utf8(protocol),
    u8(envelope.round),
    u16(envelope.from),
    u16(envelope.to),
    envelope.echo,
    hash(Tag.message, envelope.body),
  );
}

/** Signs and encodes. */
export function sealEnvelope(
  signer: Ed25519Signer,
  sid: SessionId,
  protocol: string,
  fields: Omit<Envelope, "signature">,
): Bytes {
  const signature = signer.sign(envelopeDigest(sid, protocol, fields));
  return concat(
    u8(fields.round),
    u16(fields.from),
    u16(fields.to),
    fields.echo,
    u32(fields.body.length),
    fields.body,
    signature,
  );
}

/** The first fields, readable before it is known whether an echo follows. @throws DecodeError */
export function envelopeHead(
  raw: Bytes,
): { readonly round: number; readonly from: number; readonly to: number } {
  const input = new Reader(raw.subarray(0, 5));
  return { round: input.number(1, "round"), from: input.number(2, "from"), to: input.number(2, "to") };
}

/** Decodes an envelope of a round that does, or does not, carry an echo. @throws DecodeError */
export function openEnvelope(raw: Bytes, hasEcho: boolean): Envelope {
  const input = new Reader(raw);
  const round = input.number(1, "round");
  const from = input.number(2, "from") as PartyId;
  const to = input.number(2, "to");
  const echo = hasEcho ? input.take(32, "echo") : EMPTY;
  const length = input.number(4, "length");
  const body = input.take(length, "body");
  const signature = input.take(64, "signature");
  if (input.left !== 0) throw new DecodeError(`${input.left} trailing bytes`);
  return { round, from, to, echo, body: copy(body), signature };
}

/** True iff the sender signed exactly this envelope in this session. */
export function verifyEnvelope(
  verifier: Ed25519Verifier,
  sid: SessionId,
  protocol: string,
  envelope: Envelope,
): boolean {
  return verifier.verify(envelopeDigest(sid, protocol, envelope), envelope.signature);
}

/** `E = H("echo"; sid, u8 round, m_1..m_n)` over the broadcast bodies, ascending by index. */
export function echoHash(sid: SessionId, round: number, bodies: readonly Bytes[]): Bytes {
  return hash(Tag.echo, sid, u8(round), ...bodies);
}
