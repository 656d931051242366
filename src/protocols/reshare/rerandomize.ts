/**
 * Turns a pair state into a new one without new oblivious transfers (SPEC 2.9): both sides permute the leaves of every tree and
 * hash them under a coin that both contribute to. Whoever had either state, but was not there when the coin was thrown, knows
 * nothing of the other one. It does not heal a banned pair: what was learnt of Δ shifts along.
 *
 * The idea of refreshing oblivious-transfer seeds with a joint coin is that of the Beaver-style refresh in DKLs23 implementations.
 *
 * @module
 */

import type { PartyId, SessionId } from "../../base/brands.ts";
import { type Bytes, erase, u16, u32, u8 } from "../../base/bytes.ts";
import { hash, preparedHash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { LEAF_BYTES, LEAVES, SEED_BYTES, TREES } from "../ecdsa/params.ts";
import { pairSessionId, PairState } from "../ecdsa/pair_state.ts";

/** What both sides know of one re-randomisation. */
export interface CoinToss {
  /** The session of the refresh. */
  readonly sid: SessionId;
  /** The new epoch. */
  readonly epoch: number;
  /** κ: secret. */
  readonly coin: Bytes;
}

/** κ = H("pair/coin"; sid, min, max, k_min, k_max). */
export function coinOf(
  sid: SessionId,
  own: { readonly party: PartyId; readonly value: Bytes },
  theirs: { readonly party: PartyId; readonly value: Bytes },
): Bytes {
  const [low, high] = own.party < theirs.party ? [own, theirs] : [theirs, own];
  return hash(Tag.pairCoin, sid, u16(low.party), u16(high.party), low.value, high.value);
}

/** The new state of the pair. The caller owns it; the old one stays as it is. @source SPEC 2.9 */
export function rerandomized(state: PairState, toss: CoinToss): PairState {
  const { keyId, self, peer, zeroSeed, receiveLeaves, sendLeaves, delta } = state.expose();
  const { sid, epoch, coin } = toss;
  const receivePsid = pairSessionId({ sid, keyId, epoch, receiver: self, sender: peer });
  const sendPsid = pairSessionId({ sid, keyId, epoch, receiver: peer, sender: self });
  const min = Math.min(self, peer), max = Math.max(self, peer);
  const sent = shifted(sendLeaves, sendPsid, toss);
  const newDelta = new Uint8Array(TREES);
  for (let y = 0; y < TREES; y++) {
    newDelta[y] = (delta[y] as number) ^ (sent.shifts[y] as number); // Δ'_y = Δ_y ⊕ p_y
    const at = (y * LEAVES + (newDelta[y] as number)) * SEED_BYTES;
    sent.leaves.fill(0, at, at + SEED_BYTES);
  }
  return new PairState({
    keyId,
    epoch,
    self,
    peer,
    psidLow: self < peer ? receivePsid : sendPsid,
    psidHigh: self < peer ? sendPsid : receivePsid,
    zeroSeed: hash(Tag.pairZeroSeedRefresh, coin, u32(epoch), u16(min), u16(max), zeroSeed),
    receiveLeaves: shifted(receiveLeaves, receivePsid, toss).leaves,
    delta: newDelta,
    sendLeaves: sent.leaves,
  });
}

/** `H("pair/rerand-ok"; κ, epoch', psid'_{min→max}, psid'_{max→min}, H("pair/zseed-ok"; z'))`: equal iff both sides agree. */
export function confirmationOf(state: PairState, { epoch, coin }: CoinToss): Bytes {
  const { psidLow, psidHigh, zeroSeed } = state.expose();
  return hash(
    Tag.pairRerandomizedOk,
    coin,
    u32(epoch),
    psidLow,
    psidHigh,
    hash(Tag.pairZeroSeedOk, zeroSeed),
  );
}

/** The leaf that was at z comes to z ⊕ p_y, hashed. What was at Δ_y is unknown: what stands in its new place is erased after. */
function shifted(
  leaves: Bytes,
  psid: Bytes,
  { epoch, coin }: CoinToss,
): { readonly leaves: Bytes; readonly shifts: readonly number[] } {
  const pattern = xof(TREES, Tag.pairOtShift, coin, psid);
  const shifts = Array.from(pattern, (byte) => byte % LEAVES);
  const out = new Uint8Array(LEAF_BYTES);
  // new leaf at z ⊕ p_y = H("pair/ot-refresh"; κ, u32 epoch', psid', u16 y, u8 z ⊕ p_y, old leaf_z)
  const old = new Uint8Array(SEED_BYTES);
  const prepared = preparedHash(Tag.pairOtRefresh, coin, u32(epoch), psid, u16(0), u8(0), old);
  const [, , , tree, place, leaf] = prepared.parts as [Bytes, Bytes, Bytes, Bytes, Bytes, Bytes];
  for (let y = 0; y < TREES; y++) {
    tree.set(u16(y));
    for (let z = 0; z < LEAVES; z++) {
      const from = (y * LEAVES + z) * SEED_BYTES;
      const to = z ^ (shifts[y] as number);
      place[0] = to;
      leaf.set(leaves.subarray(from, from + SEED_BYTES));
      out.set(prepared.digest(), (y * LEAVES + to) * SEED_BYTES);
    }
  }
  erase(...prepared.parts);
  erase(pattern);
  return { leaves: out, shifts };
}
