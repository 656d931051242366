/**
 * Backpressure for TLS sockets. The runtime's TLS socket reads from its TCP socket without end, even while it is paused; this
 * stream between the two stops the TCP socket, so that a peer that sends faster than we read waits (PLATFORM.md).
 *
 * @module
 */

import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";

/** The stream that TLS sees instead of the TCP socket. */
export class Gate extends Duplex {
  readonly #raw: Socket;
  #isShut = false;

  /** Takes the TCP socket over. */
  constructor(raw: Socket) {
    super({ allowHalfOpen: false });
    this.#raw = raw;
    raw.on("data", (chunk: Uint8Array) => {
      if (!this.push(chunk)) raw.pause();
    });
    raw.on("end", () => this.push(null));
    raw.on("error", (error) => this.destroy(error));
    raw.on("close", () => this.destroy());
  }

  /**
   * Takes nothing more from the TCP socket. Pausing the TLS socket is not enough: the runtime decrypts on, and hands over all of it
   * in one chunk when it is resumed.
   */
  shut(): void {
    this.#isShut = true;
    this.#raw.pause();
  }

  /** Ends {@linkcode Gate.shut}. */
  reopen(): void {
    this.#isShut = false;
    this.#raw.resume();
  }

  /** Called by the stream when its buffer has room. */
  override _read(): void {
    if (!this.#isShut) this.#raw.resume();
  }

  /** Called by the stream with what TLS sends. */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#raw.destroyed) done(new Error("the TCP connection is closed"));
    else this.#raw.write(chunk, done);
  }

  /** Called by the stream when TLS has ended. */
  override _final(done: () => void): void {
    this.#raw.end(done);
  }

  /** Called by the stream when either side is destroyed. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#raw.destroy();
    done(error);
  }
}

/** Remembers the gate of a TLS socket, which does not know it. */
export function rememberGate(socket: TLSSocket, gate: Gate): void {
  gates.set(socket, gate);
}

/** The gate of a TLS socket; undefined for one that has none. */
export function gateOf(socket: TLSSocket): Gate | undefined {
  return gates.get(socket);
}

const gates = new WeakMap<TLSSocket, Gate>();
