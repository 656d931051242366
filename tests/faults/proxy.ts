/**
 * A TCP proxy between two parties with faults per direction: what a network, a broken middlebox or somebody in the middle can do to
 * a stream.
 *
 * @module
 */

import net from "node:net";

/** `out` is from the one who dialled to the one who listens. */
export type Direction = "out" | "in";

/** What happens to the bytes of one direction from now on. */
export type Fault =
  /** Nothing. */
  | { readonly kind: "pass" }
  /** They vanish, and nobody is told. */
  | { readonly kind: "drop" }
  /** They are not taken: the sender's TCP waits. */
  | { readonly kind: "stall" }
  /** They come later, in order; `jitterMs` more at random; `outlives`: also where the sender has gone meanwhile. */
  | { readonly kind: "delay"; readonly ms: number; readonly jitterMs?: number; readonly outlives?: boolean }
  /** They come in small pieces, so many per second. */
  | { readonly kind: "throttle"; readonly bytesPerSecond: number }
  /** So many bytes come, then the connection is closed in good order. */
  | { readonly kind: "truncate"; readonly bytes: number }
  /** Each chunk comes twice. */
  | { readonly kind: "replay" }
  /** Two chunks change places. */
  | { readonly kind: "reorder" }
  /** One bit of each chunk is turned. */
  | { readonly kind: "flip" };

/** The proxy of one address. */
export class FaultProxy {
  readonly port: number;
  /** The port to pass to, asked for each connection. */
  target = 0;
  /** How many connections were opened through it. */
  connections = 0;
  readonly #server: net.Server;
  readonly #pipes = new Set<Pipe>();
  readonly #faults: Record<Direction, Fault> = { out: { kind: "pass" }, in: { kind: "pass" } };

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
  }

  /** Listens on a free port of 127.0.0.1. */
  static async open(target: number = 0): Promise<FaultProxy> {
    const server = net.createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const proxy = new FaultProxy(server);
    proxy.target = target;
    server.on("connection", (socket) => proxy.#join(socket));
    return proxy;
  }

  /** Sets the fault of one direction, for connections that are open and for later ones. */
  set(direction: Direction, fault: Fault): void {
    this.#faults[direction] = fault;
    for (const pipe of this.#pipes) if (pipe.direction === direction) pipe.set(fault);
  }

  /** Sets the same fault in both directions. */
  both(fault: Fault): void {
    this.set("out", fault);
    this.set("in", fault);
  }

  /** Breaks all connections; new ones are accepted. */
  cut(): void {
    for (const pipe of this.#pipes) pipe.destroy();
  }

  /** Stops. */
  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(dialler: net.Socket): void {
    this.connections++;
    const listener = net.connect(this.target, "127.0.0.1");
    for (const [from, to, direction] of [[dialler, listener, "out"], [listener, dialler, "in"]] as const) {
      const pipe = new Pipe(from, to, direction, this.#faults[direction]);
      this.#pipes.add(pipe);
      from.on("close", () => this.#pipes.delete(pipe));
    }
  }
}

/** One direction of one connection. */
class Pipe {
  readonly direction: Direction;
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  /** What happens later, in this order. */
  readonly #queue: { readonly at: number; readonly action: () => void }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fault: Fault;
  #held: Uint8Array | undefined;
  #passed = 0;

  constructor(from: net.Socket, to: net.Socket, direction: Direction, fault: Fault) {
    this.direction = direction;
    this.#from = from;
    this.#to = to;
    this.#fault = fault;
    from.setNoDelay(true);
    from.on("error", () => {});
    from.on("data", (chunk: Uint8Array) => this.#pass(chunk));
    // Where bytes vanish, the news of the end does too.
    from.on("end", () => this.#fault.kind !== "drop" && this.#later(0, () => to.end()));
    from.on("close", () => {
      if (this.#fault.kind === "delay" && this.#fault.outlives) return this.#later(0, () => to.end());
      clearTimeout(this.#timer);
      if (this.#fault.kind !== "drop") to.destroy();
    });
    this.set(fault);
  }

  set(fault: Fault): void {
    this.#fault = fault;
    this.#passed = 0;
    if (fault.kind === "stall") this.#from.pause();
    else this.#from.resume();
    if (fault.kind !== "reorder" && this.#held !== undefined) {
      this.#to.write(this.#held);
      this.#held = undefined;
    }
  }

  destroy(): void {
    this.#from.destroy();
    this.#to.destroy();
  }

  #pass(chunk: Uint8Array): void {
    const fault = this.#fault;
    switch (fault.kind) {
      case "pass":
        return this.#later(0, () => this.#to.write(chunk));
      case "drop":
      case "stall":
        return;
      case "delay":
        return this.#later(fault.ms + Math.random() * (fault.jitterMs ?? 0), () => this.#to.write(chunk));
      case "throttle":
        return this.#throttle(chunk, fault.bytesPerSecond);
      case "truncate": {
        const left = fault.bytes - this.#passed;
        this.#passed += chunk.length;
        if (left > 0) this.#to.write(chunk.subarray(0, left));
        if (chunk.length >= left) this.#to.end();
        return;
      }
      case "replay":
        this.#to.write(chunk);
        this.#to.write(chunk);
        return;
      case "reorder":
        if (this.#held === undefined) this.#held = chunk;
        else {
          this.#to.write(chunk);
          this.#to.write(this.#held);
          this.#held = undefined;
        }
        return;
      case "flip": {
        const turned = chunk.slice();
        turned[turned.length >> 1] = (turned[turned.length >> 1] as number) ^ 1;
        this.#to.write(turned);
      }
    }
  }

  /** Takes no more from the sender than it passes on. */
  #throttle(chunk: Uint8Array, bytesPerSecond: number): void {
    this.#from.pause();
    const piece = chunk.subarray(0, Math.max(1, Math.ceil(bytesPerSecond / TICKS_PER_SECOND)));
    this.#to.write(piece);
    this.#later(piece.length / bytesPerSecond * 1000, () => {
      const rest = chunk.subarray(piece.length);
      if (rest.length > 0) this.#pass(rest);
      else if (this.#fault.kind !== "stall") this.#from.resume();
    });
  }

  /** After a time, and after all that is to happen before. */
  #later(ms: number, action: () => void): void {
    if (ms === 0 && this.#queue.length === 0) return action();
    this.#queue.push({ at: performance.now() + ms, action });
    if (this.#queue.length === 1) this.#wait();
  }

  #wait(): void {
    const [next] = this.#queue;
    if (next === undefined) return;
    this.#timer = setTimeout(() => {
      if (!this.#to.destroyed) next.action();
      this.#queue.shift();
      this.#wait();
    }, Math.max(0, next.at - performance.now()));
  }
}

const TICKS_PER_SECOND = 50;
