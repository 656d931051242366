/**
 * Which of several valid signatures of one approval is the one that everybody answers with (VOTING 8.3): the first in the store of
 * coordination, where nodes share one. Signing never waits for it for long, and goes on without it.
 *
 * @module
 */

import { type Bytes, equal, hex, utf8 } from "../base/bytes.ts";
import { QuorateError, TransportError } from "../base/errors.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { Clock } from "../session/links.ts";
import type { Coordination } from "../storage/coordination.ts";
import { systemClock } from "./clock.ts";
import type { LockPlace } from "./sign_locks.ts";

/** What is told of signatures in the store. */
export type RegisterEvent =
  /** The store is down, or an answer was lost: it is tried again. */
  | { readonly kind: "waiting"; readonly txId: string; readonly reason: string }
  /** Somebody wrote something else than a signature of what was approved; it was replaced. */
  | { readonly kind: "invalid"; readonly txId: string }
  /** It was replaced as often as is sensible: an operator has to look who writes there. */
  | { readonly kind: "gave-up"; readonly txId: string }
  /** The store has another signature of the same than the one that this node answers with: both are valid. */
  | { readonly kind: "other"; readonly txId: string };

/** What a register needs. */
export interface SignatureRegisterOptions {
  /** The store that nodes share. */
  readonly coordination: Pick<Coordination, "get" | "create" | "swap">;
  /** Name of the cluster. */
  readonly cluster: string;
  /** Told of what happens. */
  readonly on: (event: RegisterEvent) => void;
  /** How long a signature waits for the store. Default: 2 s. */
  readonly waitMs?: number;
  /** First and longest wait before a store that was down is tried again. Default: 1 s and 60 s. */
  readonly retryMs?: { readonly first: number; readonly max: number };
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** A signature of what was approved under a name. */
export interface MadeSignature extends LockPlace {
  /** 64 bytes. */
  readonly signature: Bytes;
  /** Whether any bytes are a signature of the same. */
  readonly verifies: (signature: Bytes) => boolean;
}

/** Where the signature of an approval is: `/quorate/<cluster>/sig/<hex H("sign/register"; keyId, txId)>`, 64 bytes. */
export function signatureKey(cluster: string, { keyId, txId }: LockPlace): string {
  return `/quorate/${cluster}/sig/${hex(hash(Tag.signRegister, keyId, utf8(txId)))}`;
}

/** An event as a line of the log. */
export function registerLine(
  event: RegisterEvent,
): { readonly level: "warn" | "error"; readonly text: string; readonly code: string } {
  const { txId } = event;
  switch (event.kind) {
    case "waiting": {
      const text = `the signature of ${txId} waits for the store of coordination: ${event.reason}`;
      return { level: "warn", text, code: "HAND_OFF_WAITS" };
    }
    case "other": {
      const text =
        `the store of coordination has another signature of ${txId} than this node: both are valid`;
      return { level: "warn", text, code: "APPROVAL_SIGNED" };
    }
    case "invalid": {
      const text = `what the store of coordination had for ${txId} was no signature of it: replaced`;
      return { level: "warn", text, code: "STORE_CONTENT_INVALID" };
    }
    case "gave-up": {
      const text =
        `somebody overwrites the signature of ${txId} in the store of coordination: look who may write there`;
      return { level: "error", text, code: "STORE_CONTENT_INVALID" };
    }
  }
}

/** Signatures in the store of coordination. */
export class SignatureRegister {
  readonly #options: SignatureRegisterOptions;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, MadeSignature>();
  #added = Promise.withResolvers<void>();

  /** Tries again what the store did not take only while it runs. */
  constructor(options: SignatureRegisterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Signatures of which it is not known whether the store has one. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Offers a signature that nobody was answered with yet. @returns the one that counts: this one where the store says nothing in time. */
  async choose(made: MadeSignature): Promise<Bytes> {
    const { waitMs = 2_000 } = this.#options;
    const late = Promise.withResolvers<undefined>();
    const cancel = this.#clock.timer(waitMs, () => late.resolve(undefined));
    const chosen = await Promise.race([
      this.#put(made).catch((error) => this.#failed(made, error)),
      late.promise,
    ]);
    cancel();
    if (chosen === undefined) this.add(made);
    return chosen ?? made.signature;
  }

  /** Puts a signature that this node answers with into the store when that can be reached, unless one is there. */
  add(made: MadeSignature): void {
    this.#waiting.set(signatureKey(this.#options.cluster, made), made);
    this.#added.resolve();
    this.#added = Promise.withResolvers<void>();
  }

  /** Puts what waits into the store, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { retryMs = { first: 1_000, max: 60_000 }, on } = this.#options;
    const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    for (let failures = 0; !signal.aborted;) {
      const { promise } = this.#added;
      const next = this.#waiting.entries().next();
      if (next.done === true) {
        await Promise.race([promise, stopped]);
        continue;
      }
      const [key, made] = next.value;
      try {
        const held = await this.#put(made);
        this.#waiting.delete(key);
        failures = 0;
        if (!equal(held, made.signature)) on({ kind: "other", txId: made.txId });
      } catch (error) {
        this.#failed(made, error);
        // What the store does not take holds up no other.
        this.#waiting.delete(key);
        this.#waiting.set(key, made);
        await this.#pause(Math.min(retryMs.max, retryMs.first * 2 ** Math.min(failures++, 20)), stopped);
      }
    }
  }

  async #pause(ms: number, stopped: Promise<void>): Promise<void> {
    const waited = Promise.withResolvers<void>();
    const cancel = this.#clock.timer(ms, waited.resolve);
    await Promise.race([waited.promise, stopped]);
    cancel();
  }

  /** Whatever fails here, there is a signature, and it counts. */
  #failed({ txId }: MadeSignature, error: unknown): undefined {
    const reason = error instanceof QuorateError ? error.message : "a bug in this program";
    this.#options.on({ kind: "waiting", txId, reason });
  }

  /** @returns the signature that the store has. */
  async #put(made: MadeSignature): Promise<Bytes> {
    const { coordination, cluster, on } = this.#options;
    const { txId, signature, verifies } = made;
    const key = signatureKey(cluster, made);
    const created = await coordination.create(key, signature);
    // An answer that was lost says nothing: what is there does.
    let entry = created.ok ? created.value.entry : await coordination.get(key);
    for (let replaced = 0;; replaced++) {
      if (entry === undefined) throw lost(txId);
      if (verifies(entry.value)) return entry.value;
      if (replaced === REPLACED_MAX) {
        on({ kind: "gave-up", txId });
        return signature;
      }
      on({ kind: "invalid", txId });
      const swapped = await coordination.swap(key, entry.version, signature);
      entry = swapped.ok ? swapped.value.entry : await coordination.get(key);
    }
  }
}

function lost(txId: string): TransportError {
  const reason = `an answer about the signature of ${txId} was lost, and nothing is there`;
  return new TransportError("STORE_UNAVAILABLE", reason, { parties: [] });
}

/** How often something else than a signature is replaced. */
const REPLACED_MAX = 3;
