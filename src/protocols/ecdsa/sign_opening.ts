/**
 * What signers compare before they sign: the payload, and the pair states (SPEC 2.6).
 *
 * A party knows the tags of its own pairs only, so the tags travel in the offers of round 0 and the session id binds them.
 * Two honest parties whose states differ, after a crash for instance, would burn each other: a difference is mended.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, concat, equal, u16, utf8 } from "../../base/bytes.ts";
import { invariant, TransportError, UsageError } from "../../base/errors.ts";
import type { Scalar } from "../../math/curve.ts";
import {
  admitClocks,
  boundFacts,
  type BoundSigning,
  CLOCK_BYTES,
  clockOffer,
  requireBound,
} from "../bound.ts";
import { type KeyShare, policyHashOf } from "../key_share.ts";
import type { Proposal, Unsettled } from "../protocol.ts";
import type { PairState } from "./pair_state.ts";
import type { SymSuite } from "./params.ts";

/** What a party must know to sign. Equal at all signers but for `share`, `pairs` and `burned`. */
export interface SignInput {
  /** This party's share of the key. */
  readonly share: KeyShare;
  /** The active set A, ascending: whom the policy's solution names (`quorumOf`). */
  readonly signers: readonly PartyId[];
  /** c_i of every signer: `Σ c_i·x_i` is the key. */
  readonly coefficients: ReadonlyMap<PartyId, Scalar>;
  /** 32 bytes. */
  readonly digest: Bytes;
  /** Who gets the signature, ascending. Default: all signers. */
  readonly receivers?: readonly PartyId[];
  /** Whether s is at most half the order. Default: yes, on both curves. */
  readonly lowS?: boolean;
  /** δ of a derived key: the signature is one of Q + δ·G. Default: 0. */
  readonly tweak?: Scalar;
  /** How people write the derivation, for a sentence where signers differ in it; the tweak is what counts. Default: `m`. */
  readonly path?: string;
  /** Default: `"aes"`. */
  readonly sym?: SymSuite;
  /** What approved this, where the key has a purpose. */
  readonly bound?: BoundSigning;
  /** The state of a pair at the moment of the call: it may be mended while the session opens. */
  readonly pairs: (peer: PartyId) => PairState | undefined;
  /** Whether the pair is banned in this epoch. */
  readonly burned: (peer: PartyId) => boolean;
}

/** Who gets the signature. */
export function receiversOf(input: SignInput): readonly PartyId[] {
  return input.receivers ?? input.signers;
}

/**
 * What is compared in round 0.
 *
 * @throws UsageError where the input cannot be signed with, or a pair of this party is burned.
 */
export function signProposal(input: SignInput): Proposal {
  checkInput(input);
  const { record } = input.share;
  const tweak = input.tweak ?? 0n as Scalar;
  return {
    params: [
      { name: "curve", value: utf8(record.curve.name) },
      { name: "symmetric suite", value: utf8(input.sym ?? "aes") },
    ],
    policyHash: policyHashOf(record),
    keyId: record.keyId,
    epoch: record.epoch,
    participants: input.signers,
    payload: [
      { name: "message digest", value: input.digest },
      { name: "derivation path", value: utf8((input.path ?? "m").slice(0, PATH_CHARACTERS_SHOWN)) },
      { name: "key derivation", value: record.curve.encodeScalar(tweak) },
      { name: "signers", value: concat(...input.signers.map(u16)) },
      { name: "receivers", value: concat(...receiversOf(input).map(u16)) },
      { name: "low s", value: utf8(input.lowS === false ? "no" : "yes") },
      ...boundFacts(input.bound),
    ],
  };
}

/** The first 16 bytes of the pair's tag with every other signer, ascending; zeros where there is no state. Then the clock. */
export function signOffer(input: SignInput): Bytes {
  return concat(
    ...others(input.signers, input.share.self).map((peer) => ownTag(input, peer)),
    ...clockOffer(input.bound),
  );
}

/**
 * Which pairs must be set up anew, seen from the offers that arrived.
 *
 * @throws UsageError PAIR_BURNED where a pair of this party is banned; TransportError where an offer is malformed.
 */
export function unsettledPairs(
  input: SignInput,
  self: PartyId,
  offers: ReadonlyMap<PartyId, Bytes>,
): Unsettled {
  refuseBurned(input);
  const mine: PartyId[] = [], elsewhere: (readonly [PartyId, PartyId])[] = [];
  for (const [party, offer] of offers) {
    const clock = input.bound === undefined ? 0 : CLOCK_BYTES;
    if (offer.length !== TAG_BYTES * (input.signers.length - 1) + clock) {
      throw new TransportError("PEER_REFUSED", `party ${party} opens the session with malformed pair tags`, {
        parties: [party],
      });
    }
  }
  admitClocks(input.bound, offers);
  for (const i of input.signers) {
    for (const j of input.signers) {
      const left = offers.get(i), right = offers.get(j);
      if (i >= j || left === undefined || right === undefined) continue;
      const tag = tagIn(input.signers, i, left, j);
      if (equal(tag, tagIn(input.signers, j, right, i)) && !equal(tag, ABSENT)) continue;
      if (i === self) mine.push(j);
      else if (j === self) mine.push(i);
      else elsewhere.push([i, j]);
    }
  }
  return { mine, others: elsewhere };
}

/**
 * The state of a pair as it is now, if it is the one that round 0 was about.
 *
 * @throws UsageError PAIR_BURNED; TransportError PAIR_MISSING where it is gone or another one by now.
 */
export function livePair(input: SignInput, peer: PartyId, offers: ReadonlyMap<PartyId, Bytes>): PairState {
  refuseBurned(input, [peer]);
  const { record, self } = input.share;
  const state = input.pairs(peer);
  const offer = offers.get(self);
  const offered = offer === undefined ? ABSENT : tagIn(input.signers, self, offer, peer);
  if (state === undefined || !equal(offered, shorten(state.tag))) {
    throw new TransportError(
      "PAIR_MISSING",
      `the pair with ${nameOf(input, peer)} was set up anew while the session ran: sign again`,
      { parties: [peer], party: nameOf(input, peer) },
    );
  }
  const place = { keyId: record.keyId, epoch: record.epoch, self, peer };
  invariant(state.belongsTo(place), "a pair state belongs to the key, epoch and parties that use it");
  return state;
}

/**
 * Refuses to go on where a pair of this party is banned by now.
 *
 * @param peers default: all other signers.
 * @throws UsageError PAIR_BURNED
 */
export function refuseBurned(
  input: SignInput,
  peers: readonly PartyId[] = others(input.signers, input.share.self),
): void {
  for (const peer of peers) {
    if (!input.burned(peer)) continue;
    throw new UsageError(
      "PAIR_BURNED",
      `the pair with ${
        nameOf(input, peer)
      } is banned after a failed check: refresh the key, or sign with others`,
      { party: nameOf(input, peer) },
    );
  }
}

function checkInput(input: SignInput): void {
  const { signers, coefficients, digest, share } = input;
  const members = new Set(share.record.members.map(({ index }) => index));
  const receivers = receiversOf(input);
  const wrong = digest.length !== 32
    ? `a digest has 32 bytes: found ${digest.length}`
    : signers.length < 2
    ? "at least two parties sign"
    : !ascending(signers) || !signers.every((party) => members.has(party))
    ? "the signers are members of the key, ascending, each once"
    : !signers.includes(share.self)
    ? "this party is not among the signers"
    : coefficients.size !== signers.length ||
        !signers.every((party) => (coefficients.get(party) ?? 0n) !== 0n)
    ? "every signer has a coefficient other than 0, and nobody else has one"
    : receivers.length === 0 || !ascending(receivers) || !receivers.every((party) => signers.includes(party))
    ? "the receivers are signers, ascending, each once, at least one"
    : undefined;
  if (wrong !== undefined) throw new UsageError("USAGE", wrong);
  requireBound(share.record, input.bound);
  refuseBurned(input);
}

function nameOf(input: SignInput, party: PartyId): string {
  return input.share.record.members.find(({ index }) => index === party)?.name ?? `party ${party}`;
}

function ascending(parties: readonly PartyId[]): boolean {
  return parties.every((party, i) => i === 0 || party > (parties[i - 1] as PartyId));
}

function others(signers: readonly PartyId[], self: PartyId): PartyId[] {
  return signers.filter((party) => party !== self);
}

function ownTag(input: SignInput, peer: PartyId): Bytes {
  const state = input.pairs(peer);
  return state === undefined ? ABSENT : shorten(state.tag);
}

/** The tag for `peer` in the offer of `party`. */
function tagIn(signers: readonly PartyId[], party: PartyId, offer: Bytes, peer: PartyId): Bytes {
  const place = others(signers, party).indexOf(peer);
  return offer.slice(place * TAG_BYTES, (place + 1) * TAG_BYTES);
}

function shorten(tag: Bytes): Bytes {
  return tag.slice(0, TAG_BYTES);
}

// Half a hash is enough to notice a difference between honest parties, and 64 signers stay below the 1 KB of an offer.
const TAG_BYTES = 16;
// What is left out of a longer path differs in the tweak.
const PATH_CHARACTERS_SHOWN = 1000;
const ABSENT: Bytes = new Uint8Array(TAG_BYTES);
