/**
 * What the signers of an approved payload tell each other outside sessions (VOTING 8.3): an invitation to a session, a refusal of
 * one, a question how a transaction stands, and the answer, with the signature where there is one.
 *
 * Nothing in these messages is believed: a certificate and a signature verify by themselves, and a refusal is the word of its sender.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import {
  bytes,
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  struct,
  text,
  U8,
} from "../base/codec.ts";
import { partyCodec } from "../protocols/key_share.ts";
import { APPROVED_BYTES_MAX } from "../voting/approval.ts";
import { certificateCodec, type QuorumCertificate } from "../voting/certificate.ts";
import { VOTERS_MAX } from "../voting/membership.ts";
import { TX_ID_BYTES_MAX } from "../voting/value.ts";
import type { SignState } from "./sign_locks.ts";

/** One message. */
export type ApprovalMessage =
  | Invitation
  | CertifyRequest
  /** The sender does not take part in what it was invited to. */
  | {
    readonly kind: "refused";
    /** Of the invitation. */
    readonly request: Bytes;
    /** Name of the transaction. */
    readonly txId: string;
    /** Why: one of the stable codes. */
    readonly code: string;
    /** Why, in one sentence. */
    readonly reason: string;
  }
  /** How does this stand at you? */
  | ({ readonly kind: "ask" } & TxPlace)
  /** This is how it stands here. */
  | (
    & {
      readonly kind: "told";
      /** How far it is at the sender. */
      readonly state: SignState | "none";
      /** Empty where it has none. */
      readonly signature: Bytes;
    }
    & TxPlace
  );

/** Somebody asks for a session. */
export interface Invitation {
  /** Which message. */
  readonly kind: "invite";
  /** 32 bytes that are part of the session's proposal: no attempt is taken for another. */
  readonly request: Bytes;
  /** What decided. */
  readonly certificate: QuorumCertificate;
  /** Who is to sign, ascending. */
  readonly signers: readonly PartyId[];
  /** What stands for what is to be signed. */
  readonly digest: Bytes;
  /** The approval whose place it takes, encoded; empty for none. */
  readonly superseded: Bytes;
}

/** Somebody asks for a compact certificate of what was decided. */
export interface CertifyRequest extends TxPlace {
  /** Which message. */
  readonly kind: "certify";
  /** 32 bytes that are part of the session's proposal. */
  readonly request: Bytes;
  /** What was decided. */
  readonly ballot: Bytes;
  /** Who is to sign, ascending. */
  readonly signers: readonly PartyId[];
}

/** Which transaction under which key. */
export interface TxPlace {
  /** Id of the key. */
  readonly keyId: Bytes;
  /** Name of the transaction. */
  readonly txId: string;
}

/** Encodes a message: a kind, and what belongs to it. */
export function encodeApprovalMessage(message: ApprovalMessage): Bytes {
  return encode(CODECS[message.kind] as Codec<unknown>, message);
}

/** Reads a message. @throws DecodeError */
export function decodeApprovalMessage(encoded: Bytes): ApprovalMessage {
  const kind = KINDS[(encoded[0] ?? 0) - 1];
  if (kind === undefined) throw new DecodeError("a message about approvals of an unknown kind");
  return decode(CODECS[kind] as Codec<ApprovalMessage>, encoded);
}

const KINDS = ["invite", "refused", "ask", "told", "certify"] as const;
const STATES = ["none", "prepared", "failed", "released", "signed", "superseded"] as const;

function kindOf<K extends typeof KINDS[number]>(kind: K): Codec<K> {
  const number = KINDS.indexOf(kind) + 1;
  return map(U8, () => number, (found) => {
    if (found !== number) throw new DecodeError("a message about approvals of another kind");
    return kind;
  });
}

const place = { keyId: fixed(32), txId: text(TX_ID_BYTES_MAX) };

const CODECS = {
  invite: struct({
    kind: kindOf("invite"),
    request: fixed(32),
    certificate: certificateCodec,
    signers: list(partyCodec, VOTERS_MAX),
    digest: fixed(32),
    superseded: bytes(APPROVED_BYTES_MAX + 16 * 1024),
  }),
  refused: struct({
    kind: kindOf("refused"),
    request: fixed(32),
    txId: text(TX_ID_BYTES_MAX),
    code: text(64),
    reason: text(1024),
  }),
  ask: struct({ kind: kindOf("ask"), ...place }),
  certify: struct({
    kind: kindOf("certify"),
    request: fixed(32),
    ...place,
    ballot: fixed(32),
    signers: list(partyCodec, VOTERS_MAX),
  }),
  told: struct({
    kind: kindOf("told"),
    ...place,
    state: map(U8, (state: typeof STATES[number]) => STATES.indexOf(state), (number) => {
      const state = STATES[number];
      if (state === undefined) throw new DecodeError("a state of an unknown number");
      return state;
    }),
    signature: bytes(64),
  }),
};
