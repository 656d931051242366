/**
 * The messages around a session: OPEN and READY of round 0, SESSION_REFUSED, ABORT and DONE (WIRE.md 3, 4).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { sessionId } from "../base/brands.ts";
import { type Bytes, equal, hex, u16, u32, utf8 } from "../base/bytes.ts";
import {
  BOOL,
  bytes,
  type Codec,
  encode,
  fixed,
  list,
  struct,
  text,
  U16,
  U32,
  type ValueOf,
} from "../base/codec.ts";
import type { Ed25519Verifier } from "../base/crypto.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { Fact } from "../protocols/protocol.ts";
import { SessionLimits } from "./limits.ts";

const factCodec: Codec<Fact> = struct({ name: text(64), value: bytes(1024) });
const factsCodec: Codec<readonly Fact[]> = list(factCodec, 32);
const partiesCodec: Codec<readonly number[]> = list(U16, SessionLimits.participantsMax);

/** What is about to be done, with everything that is compared in round 0 (WIRE.md 3). */
export interface WireProposal {
  readonly protocol: string;
  readonly version: number;
  readonly params: readonly Fact[];
  readonly rosterHash: Bytes;
  readonly policyHash: Bytes;
  /** 32 bytes, or none during key generation. */
  readonly keyId: Bytes;
  readonly epoch: number;
  /** Ascending indices. */
  readonly participants: readonly number[];
  readonly payload: readonly Fact[];
  /** 32 bytes; zero for a command-line run. */
  readonly request: Bytes;
}

const proposalCodec: Codec<WireProposal> = struct({
  protocol: text(64),
  version: U16,
  params: factsCodec,
  rosterHash: fixed(32),
  policyHash: fixed(32),
  keyId: bytes(32),
  epoch: U32,
  participants: partiesCodec,
  payload: factsCodec,
  request: fixed(32),
});

/** A party's announcement that it is about to run a session. */
export interface OpenMessage {
  readonly proposal: WireProposal;
  /** What this party brings (`Definition.offer`). */
  readonly offer: Bytes;
  /** What its operator typed: for messages, not compared. */
  readonly command: string;
  /** True where the session serves another one, so that it is no sign of another wish (`Definition.auxiliary`). */
  readonly auxiliary: boolean;
  readonly nonce: Bytes;
  readonly signature: Bytes;
}

/** OPEN. */
export const openCodec: Codec<OpenMessage> = struct({
  proposal: proposalCodec,
  offer: bytes(2560),
  command: text(256),
  auxiliary: BOOL,
  nonce: fixed(32),
  signature: fixed(64),
});

const readyEntryCodec = struct({ nonce: fixed(32), offerHash: fixed(32), signature: fixed(64) });

/** What one participant's OPEN said, as the sender of READY saw it, with the signature that proves it. */
export type ReadyEntry = ValueOf<typeof readyEntryCodec>;

/** READY: proof that a party saw the same OPENs as everybody. */
export interface ReadyMessage {
  readonly prop: Bytes;
  /** Ascending by index. */
  readonly entries: readonly ReadyEntry[];
  readonly signature: Bytes;
}

const readyEntriesCodec: Codec<readonly ReadyEntry[]> = list(readyEntryCodec, SessionLimits.participantsMax);

/** READY. */
export const readyCodec: Codec<ReadyMessage> = struct({
  prop: fixed(32),
  entries: readyEntriesCodec,
  signature: fixed(64),
});

/** Why a party leaves round 0. The nonces say which attempt: a refusal that comes late ends no later one. */
export interface RefusedMessage {
  /** The sender's proposal, and the nonce of its OPEN. */
  readonly prop: Bytes;
  readonly nonce: Bytes;
  /** The proposal it disagrees with and the nonce of that OPEN, or the same again where the reason is another. */
  readonly otherProp: Bytes;
  readonly otherNonce: Bytes;
  /** Indices of the parties concerned: whose proposal it disagrees with, or who did not answer. */
  readonly parties: readonly number[];
  readonly code: string;
  /** Which field differs, in words. */
  readonly field: string;
  /** The sender's value and the other one, shortened for people. */
  readonly ours: string;
  readonly theirs: string;
  readonly ourCommand: string;
}

/** SESSION_REFUSED. */
export const refusedCodec: Codec<RefusedMessage> = struct({
  prop: fixed(32),
  nonce: fixed(32),
  otherProp: fixed(32),
  otherNonce: fixed(32),
  parties: partiesCodec,
  code: text(64),
  field: text(64),
  ours: text(512),
  theirs: text(512),
  ourCommand: text(256),
});

/** The word of its sender that a session is over; it blames nobody by itself. */
export interface AbortMessage {
  readonly sid: Bytes;
  readonly code: string;
  /** Indices of the parties concerned. */
  readonly parties: readonly number[];
  readonly text: string;
  /** Signed envelopes. */
  readonly evidence: readonly Bytes[];
}

/** ABORT. */
export const abortCodec: Codec<AbortMessage> = struct({
  sid: fixed(32),
  code: text(64),
  parties: partiesCodec,
  text: text(1024),
  evidence: list(bytes(SessionLimits.abortBytesMax), SessionLimits.participantsMax),
});

/** DONE: the sender has its result. */
export const doneCodec: Codec<{ readonly sid: Bytes }> = struct({ sid: fixed(32) });

/** `prop = H("proposal"; proto, version, params, cfgHash, keyId, epoch, participants, payloadHash, request)`. */
export function proposalHash(proposal: WireProposal): Bytes {
  return hash(
    Tag.proposal,
    utf8(proposal.protocol),
    u16(proposal.version),
    encode(factsCodec, proposal.params),
    hash(Tag.config, proposal.rosterHash, proposal.policyHash),
    proposal.keyId,
    u32(proposal.epoch),
    encode(partiesCodec, proposal.participants),
    hash(Tag.payload, encode(factsCodec, proposal.payload)),
    proposal.request,
  );
}

/** What stands for an offer in OPEN signatures and READY. */
export function offerHashOf(offer: Bytes): Bytes {
  return hash(Tag.offer, offer);
}

/** What an OPEN signature covers. The offer is inside: it is compared by READY and bound in the session id. */
export function openDigest(from: number, prop: Bytes, said: Pick<ReadyEntry, "nonce" | "offerHash">): Bytes {
  return hash(Tag.open, u16(from), prop, said.nonce, said.offerHash);
}

/** What a READY says of an OPEN. */
export function entryOf(open: OpenMessage): ReadyEntry {
  return { nonce: open.nonce, offerHash: offerHashOf(open.offer), signature: open.signature };
}

/** True iff the two say the same. Signatures are not compared: both are checked, and one signer can make many. */
export function sameEntry(a: ReadyEntry | undefined, b: ReadyEntry | undefined): boolean {
  return a !== undefined && b !== undefined && equal(a.nonce, b.nonce) && equal(a.offerHash, b.offerHash);
}

/** True iff the party signed an OPEN that says this. */
export function verifyEntry(
  verifier: Ed25519Verifier,
  from: number,
  prop: Bytes,
  entry: ReadyEntry,
): boolean {
  return verifier.verify(openDigest(from, prop, entry), entry.signature);
}

/** What a READY signature covers. */
export function readyDigest(from: number, prop: Bytes, entries: readonly ReadyEntry[]): Bytes {
  return hash(Tag.ready, u16(from), prop, encode(readyEntriesCodec, entries));
}

/** `sid = H("sid"; prop, nonce_1..nonce_m, offer_1..offer_m)`, ascending by index. */
export function sessionIdOf(prop: Bytes, opens: readonly OpenMessage[]): SessionId {
  return sessionId(
    hash(Tag.sid, prop, ...opens.map((open) => open.nonce), ...opens.map((open) => open.offer)),
  );
}

/** A field in which two proposals differ, with both values for people. */
export interface Difference {
  readonly field: string;
  readonly ours: string;
  readonly theirs: string;
}

/** The first field in which two different proposals differ, in the order in which an operator would look. */
export function firstDifference(
  ours: WireProposal,
  theirs: WireProposal,
  nameOf: (index: PartyId) => string,
): Difference {
  const names = (parties: readonly number[]) => parties.map((party) => nameOf(party as PartyId)).join(",");
  const rows: [string, string, string][] = [
    ["protocol", ours.protocol, theirs.protocol],
    ["protocol version", String(ours.version), String(theirs.version)],
    ["roster", hex(ours.rosterHash), hex(theirs.rosterHash)],
    ["set of participants", names(ours.participants), names(theirs.participants)],
    ...factRows(ours.params, theirs.params),
    ["key", hex(ours.keyId), hex(theirs.keyId)],
    ["epoch", String(ours.epoch), String(theirs.epoch)],
    ["policy", hex(ours.policyHash), hex(theirs.policyHash)],
    ...factRows(ours.payload, theirs.payload),
    ["request", hex(ours.request), hex(theirs.request)],
  ];
  const [field, a, b] = rows.find(([, a, b]) => a !== b) ??
    ["order of its facts", hex(proposalHash(ours)), hex(proposalHash(theirs))];
  return { field: printable(field, 64), ours: shorten(a), theirs: shorten(b) };
}

/**
 * A text that a peer sent or that goes to one: at most so many bytes of UTF-8, and no character that a terminal or a log
 * could take for a command.
 */
export function printable(value: string, bytesMax: number): string {
  const clean = value.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
  if (utf8(clean).length <= bytesMax) return clean;
  let out = "";
  let size = utf8("…").length;
  for (const character of clean) {
    size += utf8(character).length;
    if (size > bytesMax) break;
    out += character;
  }
  return `${out}…`;
}

function factRows(ours: readonly Fact[], theirs: readonly Fact[]): [string, string, string][] {
  const names = new Set([...ours, ...theirs].map((fact) => fact.name));
  const show = (facts: readonly Fact[], name: string) => {
    const fact = facts.find((candidate) => candidate.name === name);
    return fact === undefined ? "nothing" : readable(fact.value);
  };
  return [...names].map((name) => [name, show(ours, name), show(theirs, name)]);
}

/** Short printable ASCII as it is, everything else in hexadecimal. */
function readable(value: Bytes): string {
  const printable = value.length > 0 && value.length <= 200 &&
    value.every((byte) => byte >= 0x20 && byte < 0x7f);
  return printable ? new TextDecoder().decode(value) : hex(value);
}

function shorten(value: string): string {
  if (/^[0-9a-f]{32,}$/.test(value)) return `${value.slice(0, 16)}…`;
  return printable(value, 200);
}
