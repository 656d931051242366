import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { makeMembership, type Membership } from "../../src/voting/membership.ts";
import { type Effect, VotingNode, type VotingOptions } from "../../src/voting/node.ts";
import type { NextRoster } from "../../src/voting/roster.ts";
import { type Council, council } from "./support.ts";
import { MemoryVoteStore } from "./memory_store.ts";

/** Seven who may be members, the first five of whom are, and links among those that are not cut off. */
export class Network {
  readonly council: Council = council(7, 5);
  readonly first: Membership;
  readonly stores: MemoryVoteStore[] = this.council.signers.map(() => new MemoryVoteStore());
  readonly nodes: VotingNode[];
  readonly cut = new Set<number>();
  readonly effects: Effect[][] = this.council.signers.map(() => []);
  #waiting: { readonly from: PartyId; readonly to: PartyId; readonly bytes: Bytes }[] = [];

  constructor(options: Partial<VotingOptions> = {}) {
    const { voters, quorum, faults } = this.roster([1, 2, 3, 4, 5]);
    this.first = makeMembership({ cluster: "demo", epoch: 1, voters, quorum, faults });
    this.nodes = this.stores.map((_, i) => this.#made(i + 1, options));
  }

  /** A roster of some of the seven. */
  roster(members: readonly number[], quorum = members.length - 1): NextRoster {
    const voters = members.map((member) => {
      const { name, key } = this.council.membership.voters[member - 1]!;
      return { name, key: key.publicKey };
    });
    return { voters, quorum, faults: 0 };
  }

  node(member: number): VotingNode {
    return this.nodes[member - 1]!;
  }

  /** A process that begins again from its store. */
  restart(member: number, options: Partial<VotingOptions> = {}): VotingNode {
    this.nodes[member - 1] = this.#made(member, options);
    this.does(member, (node) => node.resume(0));
    return this.node(member);
  }

  /** What a node does, and what follows everywhere. */
  does(member: number, action: (node: VotingNode) => Effect[]): Effect[] {
    const effects = this.#take(member, action);
    this.#settle();
    return effects;
  }

  /** Every two that have a link compare. */
  compare(rounds = 2): void {
    for (let round = 0; round < rounds; round++) {
      for (let from = 1; from <= 7; from++) {
        for (let to = 1; to <= 7; to++) {
          if (from !== to) this.#take(from, (node) => node.digestFor(partyId(to)));
        }
      }
      this.#settle();
    }
  }

  #made(member: number, options: Partial<VotingOptions>): VotingNode {
    const { signers } = this.council;
    return new VotingNode({
      membership: this.first,
      self: partyId(member),
      peers: new Map(signers.map(({ publicKey }, i) => [partyId(i + 1), publicKey])),
      sign: (message) => signers[member - 1]!.sign(message),
      store: this.stores[member - 1]!,
      ...options,
    });
  }

  #take(member: number, action: (node: VotingNode) => Effect[]): Effect[] {
    const effects = action(this.node(member));
    this.effects[member - 1]!.push(...effects);
    for (const effect of effects) {
      if (effect.kind === "send") {
        this.#waiting.push({ from: partyId(member), to: effect.to, bytes: effect.bytes });
      }
    }
    return effects;
  }

  #settle(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { from, to, bytes } = next;
      if (!this.cut.has(from) && !this.cut.has(to)) this.#take(to, (node) => node.receive(from, bytes, 0));
    }
  }
}
