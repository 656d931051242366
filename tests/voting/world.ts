/**
 * Voting nodes in a simulated network: messages are lost, delayed, repeated and reordered, links are cut, nodes crash and come back with
 * what their stores have, and some members equivocate. Everything follows from a seed.
 */

import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, hex } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { type Rng, seededRng } from "../../src/base/rng.ts";
import { certificateCodec, certificateFault } from "../../src/voting/certificate.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { type Effect, VotingNode } from "../../src/voting/node.ts";
import { offenceCodec, verifyOffence, voteItem } from "../../src/voting/offence.ts";
import type { VoteRecord, VoteStore } from "../../src/voting/store.ts";
import { ballotOf } from "../../src/voting/vote.ts";
import { type Council, council } from "./support.ts";

/** A store in memory, and the moment at which its node dies. */
export class MemoryVoteStore implements VoteStore {
  readonly records: VoteRecord[] = [];
  /** After so many more commits the process ends: before the write, or just after it. */
  dies: { commits: number; readonly after: boolean } | undefined;

  load(): Iterable<VoteRecord> {
    return [...this.records];
  }

  commit(records: readonly VoteRecord[]): void {
    const now = this.dies !== undefined && --this.dies.commits < 0;
    if (now && this.dies?.after !== true) throw new Died();
    this.records.push(...records);
    if (now) throw new Died();
  }
}

/** The process of a node has ended. */
class Died extends Error {}

interface Message {
  readonly from: PartyId;
  readonly to: PartyId;
  readonly bytes: Bytes;
}

/** How bad it is. */
export interface Weather {
  readonly n: number;
  readonly quorum: number;
  /** Members that vote twice, and tell different members different things. */
  readonly equivocators: number;
  readonly transactions: number;
  /** Of 256 messages, so many are lost, and so many arrive twice. */
  readonly lost: number;
  readonly doubled: number;
  /** Of 256 steps, so many end with a crash. */
  readonly crashes: number;
  /** Steps before everything is repaired. */
  readonly steps: number;
}

const STORM = { transactions: 4, lost: 40, doubled: 30, crashes: 20, steps: 120 } as const;

/** As many equivocators as each quorum is safe with, and none. */
export const WEATHERS: readonly Weather[] = [
  { n: 4, quorum: 3, equivocators: 1, ...STORM },
  { n: 5, quorum: 4, equivocators: 2, ...STORM },
  { n: 7, quorum: 5, equivocators: 2, ...STORM },
  { n: 5, quorum: 4, equivocators: 0, ...STORM },
];

/** One run. */
export class World {
  readonly council: Council;
  readonly stores: MemoryVoteStore[];
  /** Those that run. */
  readonly nodes: (VotingNode | undefined)[];
  readonly effects: Effect[] = [];
  readonly #weather: Weather;
  readonly #rng: Rng;
  #messages: Message[] = [];
  /** Sides of a partition; 0 everywhere where there is none. */
  #sides: number[];
  #now = 0;

  constructor(seed: string, weather: Weather) {
    this.#weather = weather;
    this.#rng = seededRng(seed);
    this.council = council(weather.n, weather.quorum, { faults: 0 });
    this.stores = Array.from({ length: weather.n }, () => new MemoryVoteStore());
    this.nodes = [];
    this.stores.forEach((_, i) => this.nodes[i] = this.#start(i));
    this.#sides = this.stores.map(() => 0);
  }

  /** Indices of members that keep to the rules, from 0. */
  get honest(): number[] {
    return this.stores.map((_, i) => i).filter((i) => i >= this.#weather.equivocators);
  }

  /** Bad weather, then good weather until nothing changes any more; then everything is checked. */
  run(): void {
    const { steps, transactions, lost, doubled, crashes } = this.#weather;
    for (let step = 0; step < steps; step++) {
      this.#now += this.#draw(1000);
      if (this.#draw(16) === 0) this.#sides = this.stores.map(() => this.#draw(2));
      if (this.#draw(256) < crashes) {
        this.stores[this.#draw(this.stores.length)]!.dies = {
          commits: this.#draw(3),
          after: this.#draw(2) === 0,
        };
      }
      this.nodes.forEach((node, i) => {
        if (node === undefined && this.#draw(4) === 0) this.nodes[i] = this.#start(i);
      });
      this.#voteSomewhere(`tx_${this.#draw(transactions)}`);
      for (let count = this.#draw(8); count > 0 && this.#messages.length > 0; count--) {
        const [message] = this.#messages.splice(this.#draw(this.#messages.length), 1) as [Message];
        const isCut = this.#sides[message.from - 1] !== this.#sides[message.to - 1];
        if (isCut || this.#draw(256) < lost) continue;
        if (this.#draw(256) < doubled) this.#messages.push(message);
        this.#deliver(message);
      }
    }
    this.#heal();
    this.check();
  }

  /** What may never be, and what must be once everybody can reach everybody. */
  check(): void {
    const { membership } = this.council;
    const honest = this.honest.map((i) => this.nodes[i] as VotingNode);
    const names = new Set(honest.flatMap((_, k) => this.#names(this.honest[k] as number)));
    for (const txId of names) {
      const decided = honest.map((node) => node.certificate(txId));
      const ballots = new Set(decided.filter((one) => one !== undefined).map((one) => hex(ballotOf(one))));
      assert.ok(ballots.size <= 1, `two decisions for ${txId}`);
      for (const certificate of decided) {
        if (certificate === undefined) continue;
        const again = decode(certificateCodec, encode(certificateCodec, certificate));
        assert.equal(certificateFault(membership, again), undefined);
      }
      if (ballots.size === 1) {
        assert.ok(decided.every((one) => one !== undefined), `${txId} is decided at some only`);
      }
    }
    // Of invalid signatures each keeps the first few that it sees.
    const doubleVotes = honest.map((node) =>
      node.offences.filter(({ kind }) => kind === "double-vote").map(({ id }) => hex(id)).sort()
    );
    for (const list of doubleVotes) {
      assert.deepEqual(list, doubleVotes[0], "all know of the same double votes");
    }
    for (const node of honest) {
      assert.equal(node.alarm, undefined);
      for (const { subject, proof } of node.offences) {
        const again = decode(offenceCodec, encode(offenceCodec, proof));
        assert.equal(verifyOffence(membership, again)?.subject, subject);
        assert.ok(subject <= this.#weather.equivocators, `honest member ${subject} is blamed`);
      }
    }
    for (const i of this.honest) this.#votedOnce(i);
  }

  /** Ballots that a member has ever signed, by transaction: in the stores of all. */
  #votedOnce(member: number): void {
    const ballots = new Map<string, Set<string>>();
    for (const { records } of this.stores) {
      for (const record of records) {
        if (record.kind !== "vote" || record.vote.voter !== member + 1) continue;
        const { txId } = record.vote;
        ballots.set(txId, (ballots.get(txId) ?? new Set()).add(hex(ballotOf(record.vote))));
      }
    }
    for (const [txId, seen] of ballots) {
      assert.equal(seen.size, 1, `member ${member + 1} voted twice in ${txId}`);
    }
  }

  #names(i: number): string[] {
    return this.stores[i]!.records.flatMap((record) =>
      record.kind === "vote"
        ? [record.vote.txId]
        : record.kind === "decision"
        ? [record.certificate.txId]
        : []
    );
  }

  #voteSomewhere(txId: string): void {
    const voter = this.#draw(this.stores.length);
    if (voter < this.#weather.equivocators) return this.#equivocate(voter, txId);
    const node = this.nodes[voter];
    if (node === undefined) return;
    // Mostly alike, so that there are decisions, and sometimes not.
    const integer = this.#draw(8) === 0 ? 43n : 42n;
    this.#at(voter, () => {
      try {
        return node.cast(txId, { schema: "integer", integer }, this.#now);
      } catch (error) {
        if (error instanceof Died) throw error;
        return [];
      }
    });
  }

  /** Another value to each member, sometimes a vote in the name of another one. */
  #equivocate(voter: number, txId: string): void {
    const { membership, signers, vote } = this.council;
    for (let to = 0; to < this.stores.length; to++) {
      if (to === voter || this.#draw(3) === 0) continue;
      const forges = this.#draw(8) === 0;
      const claimed = forges ? this.#draw(this.stores.length) + 1 : voter + 1;
      const made = { ...vote(voter + 1, BigInt(41 + this.#draw(3)), txId), voter: partyId(claimed) };
      const envelope = signGossip(
        membership,
        { from: partyId(voter + 1), to: partyId(to + 1), items: [voteItem(made)] },
        (message) => signers[voter]!.sign(message),
      );
      this.#messages.push({
        from: partyId(voter + 1),
        to: partyId(to + 1),
        bytes: encode(gossipCodec, envelope),
      });
    }
  }

  #deliver({ from, to, bytes }: Message): void {
    const node = this.nodes[to - 1];
    if (node === undefined || to <= this.#weather.equivocators) return;
    this.#at(to - 1, () => node.receive(from, bytes, this.#now));
  }

  /** Runs a node; where it dies, nothing that it wanted to send leaves. */
  #at(i: number, work: () => Effect[]): boolean {
    try {
      this.#carryOut(i, work());
      return true;
    } catch (error) {
      if (!(error instanceof Died)) throw error;
      this.stores[i]!.dies = undefined;
      this.nodes[i] = undefined;
      return false;
    }
  }

  #carryOut(i: number, effects: readonly Effect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind === "send") {
        this.#messages.push({ from: partyId(i + 1), to: effect.to, bytes: effect.bytes });
      }
      if (effect.kind === "close" && i >= this.#weather.equivocators) {
        assert.ok(effect.peer <= this.#weather.equivocators, `an honest peer was cut off: ${effect.why}`);
      }
    }
  }

  /** Everybody is up, nothing is lost, and digests are exchanged until nothing is sent any more. */
  #heal(): void {
    this.#sides = this.stores.map(() => 0);
    for (const store of this.stores) store.dies = undefined;
    this.nodes.forEach((node, i) => this.nodes[i] = node ?? this.#start(i));
    for (let round = 0; round < 3; round++) {
      for (const i of this.honest) {
        for (const j of this.honest) {
          if (i !== j) this.#at(i, () => (this.nodes[i] as VotingNode).digestFor(partyId(j + 1)));
        }
      }
      while (this.#messages.length > 0) this.#deliver(this.#messages.shift() as Message);
    }
  }

  /** Starts a node from its store; undefined where it dies while it looks at it. */
  #start(i: number): VotingNode | undefined {
    const { membership, signers } = this.council;
    const node = new VotingNode({
      membership,
      self: partyId(i + 1),
      sign: (message) => signers[i]!.sign(message),
      store: this.stores[i]!,
    });
    return this.#at(i, () => node.resume(this.#now)) ? node : undefined;
  }

  /** A number below `limit`. */
  #draw(limit: number): number {
    const [a, b] = this.#rng.bytes(2) as unknown as [number, number];
    return Math.floor((a * 256 + b) / 65536 * limit);
  }
}
