/**
 * Requests about one key take turns; those about different keys do not meet. Every node has the same order without a leader: of
 * the sessions that all participants have opened, the one with the lowest hash of its proposal goes first, and one that runs is
 * never interrupted. A node that agreed to one session agrees to a lower one beside it as long as the first has not begun: so no
 * two nodes wait for each other.
 *
 * A request that changed the key ends those that wait: what they proposed is about a key that is no more. They begin anew.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { Turn, TurnSession } from "../session/turn.ts";

/** The queues of a node. */
export class KeyTurns {
  readonly #queues = new Map<string, KeyTurn[]>();
  readonly #versionOf: (key: string) => string;

  /** @param versionOf something that is another after every change of a key. */
  constructor(versionOf: (key: string) => string) {
    this.#versionOf = versionOf;
  }

  /** How many requests there are, by key. */
  get sizes(): ReadonlyMap<string, number> {
    return new Map([...this.#queues].map(([key, turns]) => [key, turns.length]));
  }

  /** A request about a key begins; it ends when the turn is disposed. @throws UsageError PARTY_BUSY */
  take(key: string): KeyTurn {
    const queue = this.#queues.get(key) ?? [];
    if (queue.length >= QUEUE_MAX) {
      throw new UsageError(
        "PARTY_BUSY",
        `${QUEUE_MAX} requests about the key ${key} wait already: wait for some of them`,
      );
    }
    this.#queues.set(key, queue);
    const turn = new KeyTurn(queue, {
      key,
      version: () => this.#versionOf(key),
      empty: () => this.#queues.delete(key),
    });
    queue.push(turn);
    return turn;
  }
}

interface KeyPlace {
  readonly key: string;
  readonly version: () => string;
  /** Nobody is in the queue any more. */
  readonly empty: () => void;
}

/** One request about a key. */
export class KeyTurn implements Turn, Disposable {
  readonly #queue: KeyTurn[];
  readonly #place: KeyPlace;
  /** What the request knows of the key. */
  readonly #version: string;
  readonly #sessions = new Set<TurnSession>();
  readonly #waiting = new Set<() => void>();
  /** Of the first session that everybody opened; the order of the queue. */
  #prop: string | undefined;
  #state: "waiting" | "admitted" | "running" = "waiting";

  /** @ignore use {@linkcode KeyTurns.take} */
  constructor(queue: KeyTurn[], place: KeyPlace) {
    this.#queue = queue;
    this.#place = place;
    this.#version = place.version();
  }

  /** The key that it is about. */
  get key(): string {
    return this.#place.key;
  }

  enter(session: TurnSession): void {
    this.#sessions.add(session);
  }

  admits(session: TurnSession, isComplete: boolean): boolean {
    if (this.#state !== "waiting") return true;
    if (!isComplete) return false;
    this.#prop ??= hex(session.prop);
    if (!this.#mayGoOn(this.#prop)) return false;
    this.#state = "admitted";
    return true;
  }

  runs(): void {
    this.#state = "running";
  }

  /**
   * Waits until no session of the key runs, for what is done here without one. Ends the wait where the signal is aborted.
   *
   * @throws UsageError PARTY_BUSY
   */
  async alone(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const until = performance.now() + timeoutMs;
    while (
      signal?.aborted !== true && this.#queue.some((turn) => turn !== this && turn.#state === "running")
    ) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) {
        throw new UsageError("PARTY_BUSY", "a session of the key runs here: wait for its end");
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, leftMs);
        const waiting = this.#waiting;
        function done() {
          clearTimeout(timer);
          waiting.delete(done);
          signal?.removeEventListener("abort", done);
          resolve();
        }
        waiting.add(done);
        signal?.addEventListener("abort", done);
      });
    }
    if (signal?.aborted === true) return;
    this.#state = "running";
  }

  /** The request is over: the next one goes on. A second call does nothing. */
  [Symbol.dispose](): void {
    const at = this.#queue.indexOf(this);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    if (this.#queue.length === 0) return this.#place.empty();
    const version = this.#place.version();
    const others = this.#queue.filter((turn) => turn.#state !== "running");
    for (const turn of others) if (turn.#version !== version) turn.#retire();
    others.sort((a, b) => (a.#prop ?? "") < (b.#prop ?? "") ? -1 : 1);
    for (const turn of others) turn.#wake();
  }

  #mayGoOn(prop: string): boolean {
    return this.#queue.every((turn) =>
      turn === this || turn.#state === "waiting" ||
      (turn.#state === "admitted" && turn.#prop !== undefined && prop < turn.#prop)
    );
  }

  #retire(): void {
    const error = new UsageError(
      "KEY_CHANGED",
      `another request changed the key ${this.#place.key} before this one began: run the command again`,
    );
    for (const session of [...this.#sessions]) session.retire(error);
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
    for (const session of [...this.#sessions]) session.wake();
  }
}

/** As many as a peer's OPENs that are kept (WIRE.md 3). */
const QUEUE_MAX = 16;
