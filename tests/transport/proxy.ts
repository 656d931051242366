/**
 * A TCP proxy between two parties that can cut, and swallow, what goes through it.
 *
 * @module
 */

import net from "node:net";

/** The proxy of one address. */
export class Proxy {
  readonly port: number;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #dialled = new Set<net.Socket>();
  /** While true nothing is passed on, and nobody is told. */
  swallowing = false;
  connections = 0;

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
  }

  /** @param target the port to pass to, asked for each connection. */
  static async open(target: () => number): Promise<Proxy> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const proxy = new Proxy(server);
    server.on("connection", (socket) => proxy.#join(socket, net.connect(target(), "127.0.0.1")));
    return proxy;
  }

  /** Reads no more: what is sent waits at the sender. */
  stall(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  /** Reads no more from the one who was dialled; what the dialler sends goes on. */
  stallAnswers(): void {
    for (const socket of this.#dialled) socket.pause();
  }

  /** Breaks all connections; new ones are accepted. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Stops. */
  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(a: net.Socket, b: net.Socket): void {
    this.connections++;
    this.#dialled.add(b);
    for (const [from, to] of [[a, b], [b, a]] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (chunk) => this.swallowing || to.write(chunk));
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
