/**
 * The voting node at work: gossip over the links, votes of operators, decisions handed off and recorded (VOTING 1 to 5, 10).
 *
 * What peers send is taken in bundles, and a bundle that decides something is one transaction of the party's file.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { PartyId } from "../base/brands.ts";
import { type Bytes, hex } from "../base/bytes.ts";
import { decode, DecodeError, encode } from "../base/codec.ts";
import { QuorateError, UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { LinkEvent, Links } from "../session/links.ts";
import { NO_SESSION } from "../session/opening.ts";
import type { Unreadiness } from "../telemetry/server.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import type { Approval } from "../voting/approval.ts";
import type { Availability } from "../voting/availability.ts";
import { certificateCodec, type QuorumCertificate } from "../voting/certificate.ts";
import type { Membership } from "../voting/membership.ts";
import { type Effect, type TxStatus, VotingNode, type VotingOptions } from "../voting/node.ts";
import type { Proposal } from "../voting/proposal.ts";
import type { NextRoster } from "../voting/roster.ts";
import type { StoredOffence, VoteLock } from "../voting/store.ts";
import { decodeValue, type Value } from "../voting/value.ts";
import type { Vote } from "../voting/vote.ts";
import type { LedgerVoteStore } from "./vote_store.ts";
import type { VotingConfig } from "./voting_config.ts";

/** What is told of votes. */
export type VotingEvent =
  /** This node votes. */
  | { readonly kind: "cast"; readonly txId: string; readonly value: Value }
  /** A proposal was stored. */
  | { readonly kind: "proposal"; readonly proposal: Proposal }
  /** A vote was stored. */
  | { readonly kind: "vote"; readonly vote: Vote }
  /** A transaction was decided here. */
  | { readonly kind: "decided"; readonly certificate: QuorumCertificate; readonly seconds: number }
  /** An offence was proven. */
  | { readonly kind: "offence"; readonly offence: StoredOffence }
  /** A member has become silent in a transaction, or has answered late. */
  | { readonly kind: "silence"; readonly txId: string; readonly subject: PartyId; readonly isLate: boolean }
  /** Others are the members now. */
  | { readonly kind: "epoch"; readonly membership: Membership }
  /** Voting stops. */
  | { readonly kind: "alarm"; readonly alarm: string; readonly text: string }
  /** What a peer sent was of no use. */
  | { readonly kind: "closed"; readonly peer: PartyId; readonly why: string }
  /** Nothing could be written. */
  | { readonly kind: "store"; readonly reason: string }
  /** What is done by the clock has failed: a bug. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** It can be again: this node has begun anew from its file, and what was decided may not have been told. */
  | { readonly kind: "mended" };

/** What a voting node is made of. */
export interface VotingServiceOptions {
  /** As configured. */
  readonly config: VotingConfig;
  /** This party. */
  readonly self: PartyId;
  /** Signs votes and gossip. */
  readonly sign: VotingOptions["sign"];
  /** What survives. */
  readonly store: LedgerVoteStore;
  /** The links for gossip. */
  readonly links: Links;
  /** The links for decisions on who votes. */
  readonly rosters: Links;
  /** Draws whom to compare with. */
  readonly rng: Rng;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Whether this node votes for a proposal by itself. Default: never. */
  readonly approves?: (proposal: Proposal) => boolean;
  /** Whether an operator has paused voting. Default: never. */
  readonly isPaused?: () => boolean;
  /** How long an approval that is proposed here may be open. Default: that of a voting node. */
  readonly approvalLifetimeMs?: number;
  /** Told of what happens. */
  readonly on: (event: VotingEvent) => void;
}

/** A voting node on links. */
export class VotingService implements Disposable {
  readonly #options: VotingServiceOptions;
  readonly #up = new Set<PartyId>();
  readonly #waiting: { readonly from: PartyId; readonly bytes: Bytes; readonly taken: () => void }[] = [];
  readonly #watchers = new Set<() => void>();
  /** When this node first heard of a transaction that is not decided: milliseconds on a clock that never goes back. */
  readonly #heardAt = new Map<string, number>();
  readonly #timers: readonly ReturnType<typeof setInterval>[];
  #node: VotingNode;
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #relayTimer: ReturnType<typeof setTimeout> | undefined;
  #storeFault: string | undefined;
  /** What was locked since it was last told. */
  #cast: VoteLock[] = [];
  /** Whether what was stored has still to be looked at. */
  #isBehind = true;
  #hasBegun = false;
  /** When peers are compared with again, at the earliest. */
  #compareAt = 0;
  #isScheduled = false;
  #isClosed = false;

  /** Restores what was stored, votes again where it was interrupted, and listens. */
  constructor(options: VotingServiceOptions) {
    this.#options = options;
    this.#node = this.#restored();
    options.links.listen((event) => this.#hear(event));
    options.rosters.listen((event) => this.#hearRoster(event));
    this.#timers = [
      setInterval(() => this.#safely(() => this.#compare()), options.config.digestMs),
      setInterval(() => this.#safely(() => this.#tick()), Math.min(TICK_MS, options.config.silenceMs / 4)),
    ];
    // Not from inside the call that makes this: who is told may not be there yet.
    queueMicrotask(() => this.#safely(() => this.#resume()));
  }

  /** Who votes now. */
  get membership(): Membership {
    return this.#node.membership;
  }

  /** Why this node does not vote, if it does not. */
  get alarm(): string | undefined {
    return this.#node.alarm;
  }

  /** Offences with their proofs. */
  get offences(): readonly StoredOffence[] {
    return this.#node.offences;
  }

  /** Votes for something else than what was decided. */
  get dissents(): VotingNode["dissents"] {
    return this.#node.dissents;
  }

  /** Memberships so far; the last one is current. */
  get memberships(): VotingNode["memberships"] {
    return this.#node.memberships;
  }

  /** See {@linkcode VotingNode.reputation}. */
  reputation(...args: Parameters<VotingNode["reputation"]>): ReturnType<VotingNode["reputation"]> {
    return this.#node.reputation(...args);
  }

  /** See {@linkcode VotingNode.recompute}. */
  recompute(...args: Parameters<VotingNode["recompute"]>): ReturnType<VotingNode["recompute"]> {
    return this.#node.recompute(...args);
  }

  /** What each member did in the transactions that are decided here. */
  availability(): readonly Availability[] {
    return this.#node.availability();
  }

  /** What became of votes. */
  get counts(): VotingNode["counts"] {
    return this.#node.counts;
  }

  /** How many transactions are not decided. */
  get open(): number {
    return this.#node.open;
  }

  /** Members that can be reached, this one included. */
  get reachable(): number {
    return this.#up.size + 1;
  }

  /** How a transaction stands; undefined where nothing is known of it. */
  status(txId: string): TxStatus | undefined {
    return this.#node.status(txId, this.#options.now());
  }

  /** How all transactions stand, in the order in which they came here. */
  transactions(): readonly TxStatus[] {
    return this.#node.transactions(this.#options.now());
  }

  /** The certificate of a decision. */
  certificate(txId: string): QuorumCertificate | undefined {
    return this.#node.certificate(txId);
  }

  /** Votes, once and for all. @throws UsageError as {@linkcode VotingNode.cast}, or what the store throws */
  cast(txId: string, value: Value): void {
    this.#heard(txId);
    this.#do((node) => node.cast(txId, value, this.#options.now()));
  }

  /** Proposes an approval; nothing happens where the same is proposed already. @throws UsageError as {@linkcode VotingNode.propose} */
  propose(approval: Approval): void {
    this.#heard(approval.txId);
    this.#do((node) => node.propose(approval, this.#options.now()));
  }

  /** Approves or rejects what was proposed. @param ballot its beginning. @throws UsageError as {@linkcode VotingNode.answer} */
  answer(txId: string, ballot: string, kind: Approval["kind"]): void {
    this.#do((node) => node.answer(txId, ballot, kind, this.#options.now()));
  }

  /** Votes for others to be the members. @throws UsageError as {@linkcode VotingNode.changeRoster} */
  changeMembers(next: NextRoster): void {
    this.#do((node) => node.changeRoster(next, this.#options.now()));
  }

  /** Takes a certificate from elsewhere than gossip. */
  learn(certificate: QuorumCertificate): void {
    this.#do((node) => node.learn(certificate, this.#options.now()));
  }

  /** Waits for a decision, at most so long, or until the signal. @returns how the transaction stands then. */
  async decision(txId: string, waitMs: number, signal: AbortSignal): Promise<TxStatus | undefined> {
    const ended = Promise.withResolvers<void>();
    const look = () => {
      const state = this.status(txId)?.state;
      if (state === "decided" || state === "violated") ended.resolve();
    };
    const timer = setTimeout(ended.resolve, signal.aborted ? 0 : waitMs);
    signal.addEventListener("abort", () => ended.resolve());
    this.#watchers.add(look);
    look();
    await ended.promise;
    clearTimeout(timer);
    this.#watchers.delete(look);
    return this.status(txId);
  }

  /** Calls back after every change. @returns a function that ends that. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  /** What voting has against this node being ready. */
  unready(): readonly Unreadiness[] {
    const { alarm } = this;
    return [
      ...(alarm === undefined
        ? []
        : [{ reason: "voting", text: `this node has stopped voting: ${alarm}; an operator has to look` }]),
      ...(this.#storeFault === undefined ? [] : [{ reason: "store", text: this.#storeFault }]),
    ];
  }

  /** Takes nothing more. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#relayTimer);
    this.#relay();
    this.#flush();
    for (const { taken } of this.#waiting.splice(0)) taken();
  }

  #restored(): VotingNode {
    const { config: { membership, peers, ttlMs, silenceMs }, self, sign, store } = this.#options;
    const { approves, isPaused, approvalLifetimeMs } = this.#options;
    return new VotingNode({
      membership,
      peers,
      self,
      sign,
      store: {
        load: () => store.load(),
        commit: (records) => {
          store.commit(records);
          for (const record of records) if (record.kind === "lock") this.#cast.push(record.lock);
        },
      },
      ttlMs,
      silenceMs,
      relaysLater: true,
      ...(approves === undefined ? {} : { approves }),
      ...(isPaused === undefined ? {} : { isPaused }),
      ...(approvalLifetimeMs === undefined ? {} : { approvalLifetimeMs }),
    });
  }

  /** The peer waits, if it has sent much, until what it sent is taken. */
  #hear(event: LinkEvent): void | Promise<void> {
    switch (event.kind) {
      case "up":
        this.#up.add(event.peer);
        return this.#compareWith(event.peer);
      case "down":
        this.#up.delete(event.peer);
        return;
      case "frame":
        return new Promise((taken) => {
          this.#waiting.push({ from: event.peer, bytes: event.frame.payload, taken });
          this.#schedule();
        });
    }
  }

  /** Members are told by gossip; a party that was none, or was away for long, follows the decisions from the first to the last. */
  #hearRoster(event: LinkEvent): void {
    if (event.kind === "up") this.#sayRosters([event.peer], this.#node.chain);
    if (event.kind !== "frame" || this.#isClosed) return;
    try {
      this.learn(decode(certificateCodec, event.frame.payload));
    } catch (error) {
      // What the file does not take was told, and comes again.
      if (!(error instanceof DecodeError)) return;
      const why = `a decision on who votes does not decode: ${error.message}`;
      this.#options.rosters.closeLink(event.peer, "MESSAGE_INVALID", why);
    }
  }

  #sayRosters(peers: Iterable<PartyId>, certificates: readonly QuorumCertificate[]): void {
    for (const peer of peers) {
      for (const certificate of certificates) {
        const payload = encode(certificateCodec, certificate);
        this.#options.rosters.send(peer, { type: NodeMessageType.ROSTER, session: NO_SESSION, payload });
      }
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const bundle = this.#waiting.splice(0, BUNDLE);
      try {
        this.#take(bundle);
      } finally {
        for (const { taken } of bundle) taken();
        if (this.#waiting.length > 0) this.#schedule();
      }
    });
  }

  #take(bundle: readonly { readonly from: PartyId; readonly bytes: Bytes }[]): void {
    if (this.#isClosed) return;
    const now = this.#options.now();
    try {
      this.#do((node) => bundle.flatMap(({ from, bytes }) => node.receive(from, bytes, now)));
    } catch {
      // It was told. What is lost here, the next comparison brings again; a peer must not be able to end the process.
    }
  }

  /**
   * Lets the node do something, and then does what follows. Decisions, proposals and proofs are on disk before anybody is told. A
   * vote leaves at once: the own one is signed after its lock was written, and can be made again from it; another's comes again from
   * whoever has it.
   */
  #do(work: (node: VotingNode) => Effect[]): void {
    const { store } = this.#options;
    let effects: Effect[] = [];
    this.#stored(() => {
      effects = work(this.#node);
      if (!effects.some(({ kind }) => KEPT.has(kind))) return;
      effects = this.#voted(effects);
      store.flush();
    });
    for (const { txId, value } of this.#cast.splice(0)) {
      this.#options.on({ kind: "cast", txId, value: decodeValue(value) });
    }
    let failed: { readonly error: unknown } | undefined;
    for (const effect of effects) {
      try {
        this.#perform(effect);
      } catch (error) {
        // A decision is told, whatever becomes of what is told beside it.
        failed ??= { error };
      }
    }
    for (const changed of [...this.#watchers]) changed();
    if (this.#node.hasRelays) {
      this.#relayTimer ??= setTimeout(() => this.#safely(() => this.#relay()), RELAY_MS);
    }
    if (store.isWaiting) this.#flushTimer ??= setTimeout(() => this.#flush(), FLUSH_MS);
    if (failed !== undefined) throw failed.error;
  }

  /** A vote does not wait for the decision that it makes here: others need it for theirs. @returns what is left to do. */
  #voted(effects: readonly Effect[]): Effect[] {
    if (effects.some(({ kind }) => KEPT.has(kind) && kind !== "decided")) return [...effects];
    for (const effect of effects) if (effect.kind === "send") this.#perform(effect);
    return effects.filter(({ kind }) => kind !== "send");
  }

  #flush(): void {
    this.#flushTimer = undefined;
    try {
      this.#stored(() => this.#options.store.flush());
    } catch {
      // It was told.
    }
  }

  /** Where something cannot be written, the node may know what the file does not: it begins again from the file. */
  #stored(work: () => void): void {
    const { store, on } = this.#options;
    const { written } = store;
    try {
      work();
      if (store.written !== written) this.#storeFault = undefined;
    } catch (error) {
      if (error instanceof UsageError && !STORE_FAULT.test(error.code)) throw error;
      store.discard();
      this.#node = this.#restored();
      this.#isBehind = true;
      this.#storeFault = `votes cannot be stored: ${error instanceof QuorateError ? error.message : "a bug"}`;
      on({ kind: "store", reason: this.#storeFault });
      throw error;
    }
  }

  /** After a start, and after the file could not be written for a while: what the stored votes decide, and the own votes again. */
  #resume(): void {
    const { store, now, on } = this.#options;
    if (this.#isClosed || !this.#isBehind) return;
    const isMended = this.#storeFault !== undefined || this.#hasBegun;
    try {
      if (this.#storeFault !== undefined) store.probe();
      this.#storeFault = undefined;
      this.#isBehind = false;
      this.#do((node) => node.resume(now()));
    } catch {
      // It was told; the next tick tries again.
      return;
    }
    this.#hasBegun = true;
    if (isMended) on({ kind: "mended" });
  }

  /** Nobody calls what the clock starts: what it throws must not end the process. */
  #safely(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.on({ kind: "failed", error });
    }
  }

  /** What others have said, and have told everybody themselves if they are honest, leaves when there is time. */
  #relay(): void {
    this.#relayTimer = undefined;
    for (const effect of this.#node.relay()) this.#perform(effect);
  }

  #perform(effect: Effect): void {
    const { links, on } = this.#options;
    switch (effect.kind) {
      case "send":
        links.send(effect.to, { type: NodeMessageType.VOTE, session: NO_SESSION, payload: effect.bytes });
        return;
      case "close":
        links.closeLink(effect.peer, "MESSAGE_INVALID", effect.why);
        return on({ kind: "closed", peer: effect.peer, why: effect.why });
      case "decided": {
        const { txId } = effect.certificate;
        const since = this.#heardAt.get(txId);
        this.#heardAt.delete(txId);
        const seconds = since === undefined ? 0 : (performance.now() - since) / 1000;
        return on({ kind: "decided", certificate: effect.certificate, seconds });
      }
      case "vote":
        this.#heard(effect.vote.txId);
        return on(effect);
      case "proposal":
        this.#heard(effect.proposal.txId);
        return on(effect);
      case "epoch":
        this.#sayRosters(this.#up, [effect.certificate]);
        // A new member asks what the others have locked before it votes.
        for (const peer of this.#up) this.#compareWith(peer);
        return on(effect);
      case "offence":
      case "silence":
      case "alarm":
        return on(effect);
    }
  }

  /** What this node has to say of what it has seen, and of who is silent. */
  #tick(): void {
    this.#resume();
    const tick = { now: this.#options.now(), monotonicMs: performance.now(), linksUp: this.#up.size };
    try {
      this.#do((node) => node.tick(tick));
    } catch {
      // It was told.
    }
  }

  #heard(txId: string): void {
    const isOpen = this.#node.certificate(txId) === undefined;
    if (!isOpen || this.#heardAt.has(txId)) return;
    const [oldest] = this.#heardAt.keys();
    if (oldest !== undefined && this.#heardAt.size >= HEARD_MAX) this.#heardAt.delete(oldest);
    this.#heardAt.set(txId, performance.now());
  }

  /** Compares with one peer after the other, at random: relaying is for speed, this is what makes sure. */
  #compare(): void {
    const startedAt = performance.now();
    if (startedAt < this.#compareAt) return;
    const up = [...this.#up];
    const peer = up[this.#options.rng.bytes(1)[0] as number % Math.max(1, up.length)];
    if (peer !== undefined) this.#compareWith(peer);
    const endedAt = performance.now();
    // Whoever has many thousands of transactions to compare has something else to do as well, and so has the peer.
    this.#compareAt = endedAt + COMPARED_SHARE * (endedAt - startedAt);
  }

  #compareWith(peer: PartyId): void {
    if (this.#isClosed) return;
    for (const effect of this.#node.digestFor(peer)) this.#perform(effect);
  }
}

/** Name of an offence for people. */
export function offenceName({ id }: Pick<StoredOffence, "id">): string {
  return hex(id).slice(0, 16);
}

/** What is on disk before it is told. */
const KEPT: ReadonlySet<Effect["kind"]> = new Set(["proposal", "decided", "offence", "epoch", "alarm"]);
/** How often it is looked who is silent, at least. */
const TICK_MS = 1_000;
/** As long may votes of others be in memory alone. */
const FLUSH_MS = 50;
/** So long waits what is passed on. */
const RELAY_MS = 20;
/** So many times as long as a comparison took there is none. */
const COMPARED_SHARE = 20;
/** Envelopes that are taken in one transaction. */
const BUNDLE = 128;
/** Transactions whose time to a decision is measured. */
const HEARD_MAX = 10_000;
/** Errors after which the node and its file may differ. */
const STORE_FAULT = /^(?:STORE_|SHARE_|INVARIANT)/;
