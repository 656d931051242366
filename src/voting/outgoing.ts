/**
 * What one call of a voting node leads to: items for peers, gathered into as few envelopes as they take, and what is told to the caller.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import { gossipCodec, ITEMS_MAX, signGossip } from "./gossip.ts";
import { encodeItem, type Item } from "./items.ts";
import { type Membership, voterAt } from "./membership.ts";

/** Bytes of items in one envelope; a larger item travels alone. */
export const ENVELOPE_BYTES_MAX: number = 256 * 1024;

/** An encoded envelope for a member. */
export interface Sending {
  /** See `Effect`. */
  readonly kind: "send";
  /** For whom. */
  readonly to: PartyId;
  /** The envelope. */
  readonly bytes: Bytes;
}

/** Items on their way to peers. */
export class Outgoing {
  readonly #items = new Map<PartyId, Bytes[]>();

  /** Whether there is nothing to send. */
  get isEmpty(): boolean {
    return this.#items.size === 0;
  }

  /** To all of these. @returns bytes to each. */
  add(peers: Iterable<PartyId>, items: readonly Item[]): number {
    const encoded = items.map(encodeItem);
    for (const peer of encoded.length === 0 ? [] : peers) {
      const waiting = this.#items.get(peer) ?? [];
      for (const item of encoded) waiting.push(item);
      this.#items.set(peer, waiting);
    }
    return encoded.reduce((sum, { length }) => sum + length, 0);
  }

  /** What is to be sent, signed. */
  seal(
    { membership, self, sign }: {
      readonly membership: Membership;
      readonly self: PartyId;
      readonly sign: (message: Bytes) => Bytes;
    },
  ): Sending[] {
    return [...this.#items].flatMap(([to, items]) => {
      invariant(voterAt(membership, to) !== undefined, "gossip goes to members");
      return batchesOf(items).map((batch): Sending => {
        const envelope = signGossip(membership, { from: self, to, items: batch }, sign);
        return { kind: "send", to, bytes: encode(gossipCodec, envelope) };
      });
    });
  }
}

/** Items in envelopes that a link takes. */
function batchesOf(items: readonly Bytes[]): Bytes[][] {
  const batches: Bytes[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const item of items) {
    if (size + item.length > ENVELOPE_BYTES_MAX || batches.at(-1)?.length === ITEMS_MAX) {
      batches.push([]);
      size = 0;
    }
    batches.at(-1)?.push(item);
    size += item.length;
  }
  return batches;
}
