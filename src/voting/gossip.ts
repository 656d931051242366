/**
 * The envelope in which members send each other votes, certificates and the like (VOTING 3). It is signed by the peer that sends it,
 * so that a stranger can see who passed on what.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, u16, u32, utf8 } from "../base/bytes.ts";
import { bytes, type Codec, fixed, list, struct, text, U32 } from "../base/codec.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { type Membership, voterAt } from "./membership.ts";
import { signatureCodec, voterCodec } from "./vote.ts";

/** Items under a signature. */
export interface GossipEnvelope {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Epoch of the membership. */
  readonly epoch: number;
  /** {@linkcode Membership.hash}. */
  readonly membershipHash: Bytes;
  /** Who sends it. */
  readonly from: PartyId;
  /** To whom. */
  readonly to: PartyId;
  /** Encoded items; each begins with its kind. */
  readonly items: readonly Bytes[];
  /** Ed25519 of the sender. */
  readonly signature: Bytes;
}

/** Most items in an envelope. */
export const ITEMS_MAX = 256;
/** Longest envelope of a member, but for one that holds a single proof: with it as evidence, that proof is an item. */
export const ENVELOPE_RECEIVED_MAX: number = 260 * 1024;
/** Longest item, in bytes: a proof that holds an envelope. */
export const ITEM_BYTES_MAX: number = ENVELOPE_RECEIVED_MAX + 1024;

/** Signs items for one peer. */
export function signGossip(
  { cluster, epoch, hash: membershipHash }: Membership,
  input: Pick<GossipEnvelope, "from" | "to" | "items">,
  sign: (message: Bytes) => Bytes,
): GossipEnvelope {
  const envelope = { cluster, epoch, membershipHash, ...input };
  return { ...envelope, signature: sign(gossipMessage(envelope)) };
}

/** Whether an envelope is of this membership and signed by its sender. */
export function isGossipValid(membership: Membership, envelope: GossipEnvelope): boolean {
  const { cluster, epoch, membershipHash, from, signature } = envelope;
  return cluster === membership.cluster && epoch === membership.epoch &&
    equal(membershipHash, membership.hash) &&
    voterAt(membership, from)?.key.verify(gossipMessage(envelope), signature) === true;
}

/** `H("vote/gossip"; clusterId, u32 epoch, membershipHash, u16 from, u16 to, items)`. */
function gossipMessage(envelope: Omit<GossipEnvelope, "signature">): Bytes {
  const { cluster, epoch, membershipHash, from, to, items } = envelope;
  return hash(Tag.voteGossip, utf8(cluster), u32(epoch), membershipHash, u16(from), u16(to), ...items);
}

/** An envelope. */
export const gossipCodec: Codec<GossipEnvelope> = struct({
  cluster: text(64),
  epoch: U32,
  membershipHash: fixed(32),
  from: voterCodec,
  to: voterCodec,
  items: list(bytes(ITEM_BYTES_MAX), ITEMS_MAX),
  signature: signatureCodec,
});
