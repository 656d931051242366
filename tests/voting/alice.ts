import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { decodeItem, encodeItem, type Item } from "../../src/voting/items.ts";
import { type Effect, VotingNode, type VotingOptions } from "../../src/voting/node.ts";
import type { Value } from "../../src/voting/value.ts";
import { type Council, council } from "./support.ts";
import { MemoryVoteStore } from "./memory_store.ts";

export const FORTY_TWO: Value = { schema: "integer", integer: 42n };
export const FORTY_THREE: Value = { schema: "integer", integer: 43n };

/** Alice, with the others' keys at hand. */
export class Alice {
  readonly council: Council;
  readonly store = new MemoryVoteStore();
  options: Partial<VotingOptions>;
  node: VotingNode;

  constructor(n = 5, quorum = 4, options: Partial<VotingOptions> = {}) {
    this.council = council(n, quorum);
    this.options = options;
    this.node = this.restart();
  }

  restart(): VotingNode {
    const { membership, signers } = this.council;
    const sign = (message: Bytes) => signers[0]!.sign(message);
    return this.node = new VotingNode({
      membership,
      self: partyId(1),
      sign,
      store: this.store,
      ...this.options,
    });
  }

  /** What a member sends. */
  envelope(from: number, items: readonly Item[], change: object = {}): Bytes {
    const { membership, signers } = this.council;
    const content = { from: partyId(from), to: partyId(1), items: items.map(encodeItem), ...change };
    return encode(
      gossipCodec,
      signGossip(membership, content, (message) => signers[from - 1]!.sign(message)),
    );
  }

  hears(from: number, ...items: Item[]): Effect[] {
    return this.hearsAt(0, from, ...items);
  }

  hearsAt(now: number, from: number, ...items: Item[]): Effect[] {
    return this.node.receive(partyId(from), this.envelope(from, items), now);
  }

  vote(voter: number, value = 42n, txId = "tx_001"): Item {
    return { kind: "vote", vote: this.council.vote(voter, value, txId) };
  }
}

/** Kinds of effects, and of items in what is sent. */
export function kinds(effects: readonly Effect[]): string[] {
  return effects.map((effect) =>
    effect.kind === "send"
      ? `send ${
        decode(gossipCodec, effect.bytes).items.map((item) => decodeItem(item).kind).join(",")
      } to ${effect.to}`
      : effect.kind
  );
}

export function refused(action: () => unknown, code: string): void {
  assert.throws(action, (error: unknown) => error instanceof UsageError && error.code === code);
}

/** Kinds of what is stored. */
export function stored(alice: Alice): string[] {
  return alice.store.records.map(({ kind }) => kind);
}
