/**
 * The listener for monitoring: `/metrics`, `/livez` and `/readyz` over plain HTTP, for loopback.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { METRICS_MEDIA_TYPE } from "./metrics.ts";

/** Why a node is not ready. */
export interface Unreadiness {
  /** Stable: what is concerned. */
  readonly reason: string;
  /** One sentence. */
  readonly text: string;
}

/** What the listener shows. */
export interface TelemetryOptions {
  /** Where it listens; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The text of all metrics, collected now. */
  readonly metrics: () => string;
  /** Everything that keeps the node from being ready; empty where it is. */
  readonly unready: () => readonly Unreadiness[];
}

/** A listener that runs. */
export class TelemetryServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(server: Deno.HttpServer<Deno.NetAddr>) {
    this.#server = server;
  }

  /** Listens. @throws UsageError ADDRESS_IN_USE */
  static start({ listen, metrics, unready }: TelemetryOptions): TelemetryServer {
    const { host: hostname, port } = listen;
    try {
      const server = Deno.serve(
        { hostname, port, onListen: () => {}, onError: () => new Response("an error\n", { status: 500 }) },
        (request) => answer(request, { metrics, unready }),
      );
      return new TelemetryServer(server);
    } catch (cause) {
      throw new UsageError(
        "ADDRESS_IN_USE",
        `cannot listen on ${hostname}:${port} for monitoring: choose another [telemetry] listen`,
        { cause },
      );
    }
  }

  /** The port. */
  get port(): number {
    return this.#server.addr.port;
  }

  /** Stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function answer(request: Request, { metrics, unready }: Omit<TelemetryOptions, "listen">): Response {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("only GET\n", { status: 405, headers: { allow: "GET, HEAD" } });
  }
  switch (new URL(request.url).pathname) {
    case "/metrics":
      return new Response(metrics(), { headers: { "content-type": METRICS_MEDIA_TYPE } });
    case "/livez":
      return Response.json({ live: true });
    case "/readyz": {
      const reasons = unready();
      return Response.json({ ready: reasons.length === 0, reasons }, {
        status: reasons.length === 0 ? 200 : 503,
      });
    }
    default:
      return new Response("there are /metrics, /livez and /readyz\n", { status: 404 });
  }
}
