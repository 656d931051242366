/**
 * Parties that vote, over meshes on loopback with a proxy between every two of them, each with a store on disk. Some are not run
 * here: the test speaks for them with their keys.
 *
 * @module
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, hex } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import type { Ed25519Signer } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { LedgerVoteStore } from "../../src/node/vote_store.ts";
import { type VotingEvent, VotingService } from "../../src/node/voting.ts";
import type { LinkEvent, Links } from "../../src/session/links.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import { Switchboard } from "../../src/transport/switchboard.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { encodeItem, type Item } from "../../src/voting/items.ts";
import { makeMembership, type Membership } from "../../src/voting/membership.ts";
import { encodeValue, type Value } from "../../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../../src/voting/vote.ts";
import { Cluster, pause, QUICK } from "./cluster.ts";

/** What stands in for a party's file, so that it can fail. */
export type LedgerLike = Pick<Ledger, "find" | "transact">;

/** How voters are set up. */
export interface VotersOptions {
  readonly members?: number;
  readonly quorum?: number;
  /** Those for whom the test speaks. */
  readonly actors?: readonly number[];
  /** Replaces a voter's file. */
  readonly ledger?: (voter: number, ledger: Ledger) => LedgerLike;
  /** Records of voter 1 that may wait. */
  readonly outboxLimit?: number;
  readonly digestMs?: number;
}

/** A voter that can be stopped and started again on the same disk. */
export class Voter implements Disposable {
  readonly events: VotingEvent[] = [];
  readonly id: PartyId;
  readonly #voters: Voters;
  readonly #links: Links;
  readonly #up = new Map<PartyId, Bytes>();
  #hears: ((event: LinkEvent) => void | Promise<void>) | undefined;
  #running: { service: VotingService; ledger: Ledger; outbox: Outbox } | undefined;
  #life = 0;

  constructor(voters: Voters, id: PartyId, links: Links) {
    this.id = id;
    this.#voters = voters;
    this.#links = links;
    links.listen((event) => {
      if (event.kind === "up") this.#up.set(event.peer, event.bootId);
      if (event.kind === "down") this.#up.delete(event.peer);
      return this.#hears?.(event);
    });
    this.start();
  }

  get service(): VotingService {
    if (this.#running === undefined) throw new Error(`voter ${this.id} is down`);
    return this.#running.service;
  }

  get outbox(): Outbox {
    return (this.#running as { outbox: Outbox }).outbox;
  }

  get isUp(): boolean {
    return this.#running !== undefined;
  }

  /** Begins from what is on disk. */
  start(): void {
    const { membership, options, directoryOf, identityOf } = this.#voters;
    const ledger = Ledger.open({
      directory: directoryOf(this.id),
      owner: { cluster: membership.cluster, party: String(this.id), index: this.id },
      sealing: { kind: "key", key: new Secret(new Uint8Array(32)) },
      rng: systemRng,
    });
    const life = ++this.#life;
    const own = options.ledger?.(this.id, ledger) ?? ledger;
    const seen: LedgerLike = {
      find: (...args) => own.find(...args),
      transact: (work) => {
        // What a process that is killed had not written is lost.
        if (life !== this.#life) throw new UsageError("STORE_UNWRITABLE", "the process is gone");
        return own.transact(work);
      },
    };
    const outbox = new Outbox(seen, {
      cluster: membership.cluster,
      stream: String(this.id),
      ...(options.outboxLimit === undefined || this.id !== 1 ? {} : { limit: options.outboxLimit }),
    });
    const identity = identityOf(this.id);
    const peers = new Map(membership.voters.map(({ index, key }) => [index, key.publicKey]));
    const service = new VotingService({
      config: { membership, peers, ttlMs: 3_600_000, digestMs: options.digestMs ?? 100, silenceMs: 60_000 },
      self: this.id,
      sign: (message) => identity.sign(message),
      store: new LedgerVoteStore({ ledger: seen, outbox, membershipAt: () => membership, now: Date.now }),
      links: {
        ...this.#links,
        self: this.id,
        // What a process that is gone had still to send is lost.
        send: (peer, frame) => this.#life === life && this.isUp && this.#links.send(peer, frame),
        listen: (receiver) => this.#hears = receiver,
      },
      rosters: { ...this.#links, self: this.id, send: () => false, listen: () => {} },
      rng: systemRng,
      now: Date.now,
      on: (event) => this.events.push(event),
    });
    this.#running = { service, ledger, outbox };
    for (const [peer, bootId] of this.#up) void this.#hears?.({ kind: "up", peer, bootId });
  }

  /** Ends as a process that is killed. */
  kill(): void {
    const running = this.#running;
    this.#life++;
    this.#running = undefined;
    this.#hears = undefined;
    running?.service[Symbol.dispose]();
    running?.ledger[Symbol.dispose]();
  }

  restart(): void {
    this.kill();
    this.start();
  }

  [Symbol.dispose](): void {
    this.kill();
  }
}

/** Voters on a cluster. */
export class Voters {
  readonly cluster: Cluster;
  readonly membership: Membership;
  readonly options: VotersOptions;
  readonly #root: string;
  readonly #voters = new Map<number, Voter>();
  readonly #actors = new Map<number, Links>();
  readonly identityOf: (id: PartyId) => Ed25519Signer;
  readonly directoryOf: (id: PartyId) => string;

  private constructor(cluster: Cluster, options: VotersOptions, boards: ReadonlyMap<PartyId, Switchboard>) {
    const { members = 5, quorum = 4, actors = [] } = options;
    this.cluster = cluster;
    this.options = options;
    this.#root = Deno.makeTempDirSync({ prefix: "quorate-voters-" });
    this.directoryOf = (id) => `${this.#root}/${id}`;
    this.identityOf = (id) => cluster.world.identities.get(id) as Ed25519Signer;
    this.membership = makeMembership({
      cluster: "demo",
      epoch: 0,
      quorum,
      voters: cluster.world.roster.parties.map(({ name, identity }) => ({ name, key: identity.publicKey })),
    });
    for (let i = 1; i <= members; i++) {
      const id = partyId(i);
      const links = (boards.get(id) as Switchboard).channel(NodeMessageType.VOTE);
      if (actors.includes(i)) {
        links.listen(() => {});
        this.#actors.set(i, links);
        continue;
      }
      Deno.mkdirSync(this.directoryOf(id), { mode: 0o700 });
      this.#voters.set(i, new Voter(this, id, links));
    }
  }

  /** Starts everybody, runs the test, stops everybody. */
  static async run(options: VotersOptions, test: (voters: Voters) => Promise<void>): Promise<void> {
    const boards = new Map<PartyId, Switchboard>();
    const wrap = (party: PartyId, links: Links) => {
      const board = new Switchboard(links);
      boards.set(party, board);
      return board.rest;
    };
    await Cluster.run({ parties: options.members ?? 5, limits: QUICK, wrap }, async (cluster) => {
      const voters = new Voters(cluster, options, boards);
      try {
        await cluster.linked();
        await test(voters);
      } finally {
        for (const voter of voters.#voters.values()) voter.kill();
        Deno.removeSync(voters.#root, { recursive: true });
      }
    });
  }

  /** Those who run here. */
  get honest(): readonly Voter[] {
    return [...this.#voters.values()];
  }

  voter(i: number): Voter {
    return this.#voters.get(i) as Voter;
  }

  /** Votes as an operator does. */
  cast(i: number, txId: string, value: bigint): void {
    this.voter(i).service.cast(txId, integer(value));
  }

  /** A vote of a member's key, whoever asks for it. */
  vote(i: number, txId: string, value: bigint, membership: Membership = this.membership): Vote {
    const identity = this.identityOf(partyId(i));
    return signVote(
      questionOf(membership, txId, encodeValue(integer(value))),
      partyId(i),
      (message) => identity.sign(message),
    );
  }

  /** An actor sends items to a voter, in an envelope of its own. */
  say(actor: number, to: number, items: readonly Item[], change: { readonly from?: number } = {}): void {
    this.sayRaw(actor, to, items.map(encodeItem), change);
  }

  /** The same with encoded items. */
  sayRaw(
    actor: number,
    to: number,
    items: readonly Bytes[],
    { from = actor }: { readonly from?: number } = {},
  ): void {
    const identity = this.identityOf(partyId(actor));
    const envelope = signGossip(
      this.membership,
      { from: partyId(from), to: partyId(to), items },
      (message) => identity.sign(message),
    );
    const sent = this.#actors.get(actor)?.send(partyId(to), {
      type: NodeMessageType.VOTE,
      session: new Uint8Array(16),
      payload: encode(gossipCodec, envelope),
    });
    if (sent !== true) throw new Error(`${actor} cannot reach ${to}`);
  }

  /** Waits until all of these have decided a value. */
  async decided(txId: string, value: bigint, ...who: number[]): Promise<void> {
    const voters = who.length > 0 ? who.map((i) => this.voter(i)) : this.honest.filter(({ isUp }) => isUp);
    await this.cluster.until(
      `${txId} is decided`,
      () => voters.every(({ service }) => service.status(txId)?.state === "decided"),
    );
    const decided = new Set(voters.map(({ service }) => hex(service.status(txId)?.value as Bytes)));
    if (decided.size !== 1 || !decided.has(hex(encodeValue(integer(value))))) {
      throw new Error(`${txId}: other values are decided: ${[...decided]}`);
    }
  }

  /** Time for what must not happen. */
  async quiet(): Promise<void> {
    await pause(400);
  }
}

export function integer(value: bigint): Value {
  return { schema: "integer", integer: value };
}
