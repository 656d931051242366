/**
 * A node as a witness of its peers' audit logs, and they as those of its own: carries requests and answers over the links, asks
 * again when the log has grown, and says what is wrong.
 *
 * A peer that is down, silent or malicious costs others nothing: only peers with a link are asked, each answer has a deadline, and
 * what a peer may ask for is limited.
 *
 * @module
 */

import type { CosigningOutcome } from "../audit/cosigning.ts";
import type { Witness, WitnessAlarm } from "../audit/witness.ts";
import { CHECKPOINT_ANSWER, WITNESS_MESSAGE, type WitnessMessage } from "../audit/witness_messages.ts";
import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { decode, DecodeError, encode } from "../base/codec.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import { QuorateError } from "../base/errors.ts";
import type { Clock, LinkEvent, Links } from "../session/links.ts";
import { NO_SESSION } from "../session/opening.ts";
import type { Roster } from "../session/roster.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Unreadiness } from "../telemetry/server.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import { type Rate, TokenBucket } from "../transport/rate.ts";
import type { PartyAudit } from "./audit.ts";
import { systemClock } from "./clock.ts";
import type { NodeModule } from "./daemon.ts";

/** What an exchange needs. */
export interface AuditExchangeOptions {
  /** The party's log. */
  readonly audit: PartyAudit;
  /** Who the peers are. */
  readonly roster: Roster;
  /** Cosigns. */
  readonly signer: Ed25519Signer;
  /** The links for frames of type `WITNESS`. */
  readonly links: Links;
  /** Where lines go. */
  readonly log: Pick<Log, "write">;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** How often it is looked whether the log has grown, and asked for cosignatures at most. Default 2 s; more with many peers. */
  readonly intervalMs?: number;
}

/** Witnessing in a node. */
export class AuditExchange implements NodeModule {
  readonly #options: AuditExchangeOptions;
  readonly #clock: Clock;
  readonly #witness: Witness;
  readonly #peers: ReadonlyMap<PartyId, Peer>;
  /** Requests that wait for their answer: one per peer. */
  readonly #waiting = new Map<PartyId, Waiting>();
  readonly #answers = new Map<string, number>();
  readonly #alarms = new Map<string, number>();
  #requests = 0;
  #round: Promise<void> | undefined;
  #cancelTimer: () => void = () => {};
  /** Takes no requests any more, and asks a last time. */
  #isClosed = false;
  /** What was logged last of this party's own files: of its log, and of what it keeps of others. */
  readonly #faults: { log?: string; witness?: string } = {};

  /**
   * Listens, and asks soon.
   *
   * @throws UsageError AUDIT_UNWRITABLE or LOOSE_PERMISSIONS
   */
  constructor(options: AuditExchangeOptions) {
    const { audit, roster, signer, links, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#witness = audit.witness(signer, {
      onAlarm: (alarm) => this.#alarmed(alarm),
      onFailure: (error) => this.#failed("witness", error),
    });
    const others = roster.parties.filter(({ index }) => index !== links.self);
    this.#peers = new Map(others.map(({ index, name }) => [index, new Peer(index, name, clock.now())]));
    links.listen((event) => this.#hear(event));
    this.#tickLater();
  }

  /** See {@linkcode NodeModule.unready}. */
  unready(): readonly Unreadiness[] {
    return [...this.#peers.values()].flatMap(({ name, contradicted }) =>
      contradicted === undefined ? [] : [{
        reason: "audit",
        text: `${name} has a checkpoint of ${contradicted} records that this party signed, and its log is ` +
          "not a continuation of it: it was cut or forked; run audit verify",
      }]
    );
  }

  /** See {@linkcode NodeModule.collect}. */
  collect(metrics: Metrics): void {
    const peers = [...this.#peers.values()];
    metrics.replace("audit_cosigned_records", peers.map(({ name, cosigned }) => [{ peer: name }, cosigned]));
    metrics.replace("audit_witness_requests_total", labelled(this.#answers, ["peer", "result"]));
    metrics.replace("audit_witness_alarms_total", labelled(this.#alarms, ["peer", "reason"]));
  }

  /** Asks a last time, for a moment, so that what a stop leaves behind is cosigned too. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.timer(LAST_MS, late.resolve);
    await Promise.race([late.promise, (this.#round ?? Promise.resolve()).then(() => this.#ask(this.#due()))]);
    cancel();
    for (const peer of [...this.#waiting.keys()]) this.#settle(peer, new Error("this node is stopping"));
    await this.#round;
  }

  #tickLater(): void {
    const { intervalMs = Math.max(INTERVAL_MS, this.#peers.size * INTERVAL_PER_PEER_MS) } = this.#options;
    this.#cancelTimer = this.#clock.timer(intervalMs, () => {
      this.#tickLater();
      if (this.#round === undefined) void this.#ask(this.#due());
    });
  }

  /** Peers that can be asked, and have not cosigned all that is there. */
  #due(): readonly Peer[] {
    const now = this.#clock.now();
    const { size } = this.#options.audit.log;
    return [...this.#peers.values()].filter((peer) =>
      peer.isUp && peer.cosigned < size && peer.notBefore <= now
    );
  }

  #ask(peers: readonly Peer[]): Promise<void> {
    if (peers.length === 0) return Promise.resolve();
    this.#round = this.#cosign(peers).finally(() => this.#round = undefined);
    return this.#round;
  }

  async #cosign(peers: readonly Peer[]): Promise<void> {
    const { audit, roster } = this.#options;
    const names = new Set(peers.map(({ name }) => name));
    try {
      const outcomes = await audit.cosign((name, request) => this.#request(name, request), names);
      delete this.#faults.log;
      for (const outcome of outcomes) {
        this.#judge(this.#peers.get(roster.named(outcome.peer).index) as Peer, outcome);
      }
    } catch (error) {
      this.#failed("log", error);
    }
  }

  #judge(peer: Peer, outcome: CosigningOutcome): void {
    const { log } = this.#options;
    const { name } = peer;
    if (outcome.kind === "cosigned") {
      if (peer.fault !== undefined) {
        log.write("info", `${name} cosigns the audit log again`, { code: "AUDIT_COSIGNED", peer: name });
      }
      [peer.cosigned, peer.fault, peer.contradicted, peer.notBefore] = [
        outcome.size,
        undefined,
        undefined,
        0,
      ];
      return;
    }
    const isRefused = outcome.kind === "refused" && outcome.reason !== "unavailable";
    peer.notBefore = this.#clock.now() + (isRefused ? REFUSED_MS : FAILED_MS);
    peer.mayRetryWhenUp = !isRefused;
    const fault = outcome.kind === "failed" ? outcome.why : outcome.reason;
    const isSame = fault === peer.fault;
    peer.fault = fault;
    if (!isRefused) {
      const why = outcome.kind === "failed"
        ? outcome.why
        : "it cannot read or write what it keeps of the log";
      if (isSame) return;
      return log.write("warn", `${name} does not cosign the audit log: ${why}`, {
        code: "AUDIT_NOT_COSIGNED",
        peer: name,
      });
    }
    peer.contradicted = outcome.contradiction?.size ?? peer.contradicted;
    if (isSame) return;
    const what = outcome.contradiction === undefined
      ? `it has ${outcome.size} records, and shows no checkpoint of this party that says so`
      : `this party signed a checkpoint of ${outcome.contradiction.size} records that is not of this log: ` +
        "it was cut or forked; run audit verify";
    const level = outcome.contradiction === undefined ? "warn" : "error";
    log.write(level, `${name} refuses to cosign the audit log (${fault}): ${what}`, {
      code: "AUDIT_REFUSED",
      peer: name,
    });
  }

  #request(name: string, body: Bytes): Promise<Bytes> {
    const peer = this.#options.roster.named(name).index;
    const id = this.#requests = (this.#requests + 1) % 2 ** 32;
    const { promise, resolve, reject } = Promise.withResolvers<Bytes>();
    const cancel = this.#clock.timer(
      ANSWER_MS,
      () => this.#settle(peer, new Error(`no answer within ${ANSWER_MS / 1000} s`)),
    );
    this.#waiting.set(peer, { id, resolve, reject, cancel });
    if (!this.#send(peer, { id, isAnswer: false, body })) this.#settle(peer, new Error("there is no link"));
    return promise;
  }

  #settle(peer: PartyId, result: Bytes | Error): void {
    const waiting = this.#waiting.get(peer);
    if (waiting === undefined) return;
    this.#waiting.delete(peer);
    waiting.cancel();
    if (result instanceof Error) waiting.reject(result);
    else waiting.resolve(result);
  }

  #hear(event: LinkEvent): void {
    const peer = this.#peers.get(event.peer);
    if (peer === undefined) return;
    switch (event.kind) {
      case "up":
        peer.isUp = true;
        if (peer.mayRetryWhenUp) peer.notBefore = 0;
        return;
      case "down":
        peer.isUp = false;
        return this.#settle(peer.index, new Error("the link ended"));
      case "frame":
        return this.#take(peer, event.frame.payload);
    }
  }

  #take(peer: Peer, payload: Bytes): void {
    let message: WitnessMessage;
    try {
      message = decode(WITNESS_MESSAGE, payload);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const why = `a message about audit logs does not decode: ${error.message}`;
      return this.#options.links.closeLink(peer.index, "MESSAGE_INVALID", why);
    }
    const { id, isAnswer, body } = message;
    if (!isAnswer) return this.#answer(peer, id, body);
    // An answer that comes too late, or to nothing, is no fault: it is not looked at.
    if (this.#waiting.get(peer.index)?.id === id) this.#settle(peer.index, body);
  }

  #answer(peer: Peer, id: number, request: Bytes): void {
    if (this.#isClosed) return;
    if (!peer.bucket.take(this.#clock.now())) {
      count(this.#answers, peer.name, "limited");
      return this.#options.audit.link({
        code: "RATE_LIMITED",
        peer: peer.name,
        direction: "in",
        text: "the peer asks for more cosignatures than it may: what is too much is not answered",
      });
    }
    const body = this.#witness.handle(peer.name, request);
    const answer = decode(CHECKPOINT_ANSWER, body);
    count(this.#answers, peer.name, answer.kind === "cosigned" ? "cosigned" : answer.reason);
    if (answer.kind === "cosigned") delete this.#faults.witness;
    this.#send(peer.index, { id, isAnswer: true, body });
  }

  #send(peer: PartyId, message: WitnessMessage): boolean {
    const payload = encode(WITNESS_MESSAGE, message);
    return this.#options.links.send(peer, { type: NodeMessageType.WITNESS, session: NO_SESSION, payload });
  }

  #alarmed({ party, reason }: WitnessAlarm): void {
    const isNew = !this.#alarms.has(JSON.stringify([party, reason]));
    count(this.#alarms, party, reason);
    if (!isNew) return;
    const { log, audit } = this.#options;
    const text = `the audit log of ${party} did not only grow (${reason}): the evidence is in ` +
      `${audit.log.directory}/witness; ask its operators`;
    log.write("error", text, { code: "AUDIT_ALARM", peer: party });
  }

  /** A full disk is told once, until it is another one. */
  #failed(part: "log" | "witness", error: unknown): void {
    const why = error instanceof QuorateError ? error.message : `a bug in this program: ${error}`;
    if (why === this.#faults[part]) return;
    this.#faults[part] = why;
    this.#options.log.write("error", `audit logs are not cosigned: ${why}`, {
      code: error instanceof QuorateError ? error.code : "INTERNAL",
    });
  }
}

/** What is known of a peer. */
class Peer {
  readonly index: PartyId;
  readonly name: string;
  /** What it may ask for: each answer may cost signatures and a write that reaches the disk. */
  readonly bucket: TokenBucket;
  isUp = false;
  /** Records of the own log that it has cosigned. */
  cosigned = 0;
  /** It is not asked before, by the clock. */
  notBefore = 0;
  /** True where it did not refuse: a new link may change that. */
  mayRetryWhenUp = true;
  /** Why it did not cosign last. */
  fault: string | undefined;
  /** Size of a checkpoint that the own log contradicts. */
  contradicted: number | undefined;

  constructor(index: PartyId, name: string, now: number) {
    this.index = index;
    this.name = name;
    this.bucket = new TokenBucket(REQUESTS, now);
  }
}

interface Waiting {
  readonly id: number;
  readonly resolve: (answer: Bytes) => void;
  readonly reject: (error: Error) => void;
  readonly cancel: () => void;
}

const INTERVAL_MS = 2_000;
/** Each node answers all others: with many of them each asks less often. */
const INTERVAL_PER_PEER_MS = 100;
const ANSWER_MS = 5_000;
/** A node that stops waits for its witnesses for so long. */
const LAST_MS = 1_000;
const FAILED_MS = 10_000;
/** A log that was refused is so again until an operator has looked. */
const REFUSED_MS = 60_000;
/** A peer asks every two seconds at most, and twice where it does not know the size that is known here. */
const REQUESTS: Rate = { perSecond: 1, burst: 10 };

function count(counts: Map<string, number>, ...labels: readonly string[]): void {
  const key = JSON.stringify(labels);
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function labelled(
  counts: ReadonlyMap<string, number>,
  names: readonly [string, string],
): (readonly [Readonly<Record<string, string>>, number])[] {
  return [...counts].map(([key, value]) => {
    const labels = JSON.parse(key) as string[];
    return [Object.fromEntries(names.map((name, i) => [name, labels[i] as string])), value];
  });
}
