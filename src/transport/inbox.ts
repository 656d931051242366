/**
 * What users of the transport have not taken yet. A message that waits holds its link back once there are many, so that nothing is
 * dropped and the memory is bounded.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { TransportError } from "../base/errors.ts";
import type { ReceivedMessage } from "./message.ts";

/** Which message is wanted. */
export interface ReceiveOptions {
  /** Of this party only. */
  readonly from?: PartyId;
  /** Of this type only. */
  readonly type?: number;
  /** How long to wait at most; default: until the transport stops. */
  readonly timeoutMs?: number;
}

/** Messages that wait for somebody, and calls that wait for messages. */
export class Inbox {
  readonly #messages: { readonly message: ReceivedMessage; readonly taken: () => void }[] = [];
  readonly #calls = new Set<Call>();
  #hasEnded = false;

  /** Gives a message to the first call that wants it, or keeps it. Resolves when it was taken. */
  put(message: ReceivedMessage): Promise<void> | undefined {
    if (this.#hasEnded) return undefined;
    for (const call of this.#calls) {
      if (!isWanted(message, call.options)) continue;
      this.#settle(call);
      call.resolve(message);
      return undefined;
    }
    return new Promise((resolve) => this.#messages.push({ message, taken: resolve }));
  }

  /** The oldest message that fits, now or later. @throws TransportError TIMEOUT, TRANSPORT_STOPPED */
  take(options: ReceiveOptions): Promise<ReceivedMessage> {
    const at = this.#messages.findIndex(({ message }) => isWanted(message, options));
    const [found] = at < 0 ? [] : this.#messages.splice(at, 1);
    if (found !== undefined) {
      found.taken();
      return Promise.resolve(found.message);
    }
    if (this.#hasEnded) return Promise.reject(stopped());
    return new Promise((resolve, reject) => {
      const call: Call = { options, resolve, reject, timer: undefined };
      this.#calls.add(call);
      const { timeoutMs } = options;
      if (timeoutMs === undefined) return;
      call.timer = setTimeout(() => {
        this.#settle(call);
        reject(
          new TransportError("TIMEOUT", `no message came within ${timeoutMs} ms: check that the sender runs`),
        );
      }, timeoutMs);
    });
  }

  /** Takes out all messages of a type, oldest first. */
  takeAll(type: number): ReceivedMessage[] {
    const found = this.#messages.filter(({ message }) => message.type === type);
    for (const entry of found) {
      this.#messages.splice(this.#messages.indexOf(entry), 1);
      entry.taken();
    }
    return found.map(({ message }) => message);
  }

  /** Ends all calls. What was not taken by now may still be. */
  end(): void {
    this.#hasEnded = true;
    for (const call of [...this.#calls]) {
      this.#settle(call);
      call.reject(stopped());
    }
    for (const { taken } of this.#messages) taken();
  }

  #settle(call: Call): void {
    clearTimeout(call.timer);
    this.#calls.delete(call);
  }
}

interface Call {
  readonly options: ReceiveOptions;
  readonly resolve: (message: ReceivedMessage) => void;
  readonly reject: (error: TransportError) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

function isWanted(message: ReceivedMessage, { from, type }: ReceiveOptions): boolean {
  return (from === undefined || from === message.from) && (type === undefined || type === message.type);
}

function stopped(): TransportError {
  return new TransportError("TRANSPORT_STOPPED", "the transport was stopped: make a new one to go on");
}
