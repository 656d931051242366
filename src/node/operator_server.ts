/**
 * The operator API: HTTPS with mutual TLS. Whoever has no certificate of an operator of this cluster gets no further than that.
 *
 * @module
 */

import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { concat, fromUtf8 } from "../base/bytes.ts";
import { QuorateError, UsageError } from "../base/errors.ts";
import { LinkFault } from "../transport/faults.ts";
import type { MeshMaterial } from "../transport/mesh.ts";
import { LeafPolicy } from "../transport/peer_identity.ts";
import { addressText } from "../transport/tls_listener.ts";
import type { Address } from "./config.ts";
import { decodeJson, encodeEvent, encodeJson, errorToJson, type OperatorEvent } from "./operator_wire.ts";

/** One request. */
export interface OperatorCall {
  /** Name of the operator, as the certificate has it. */
  readonly operator: string;
  /** The JSON of the body; undefined where there is none. */
  readonly input: unknown;
  /** Aborted where the operator goes away, or the node stops. */
  readonly signal: AbortSignal;
  /** Says that something happened; of a route that streams. */
  readonly emit: (event: OperatorEvent) => void;
}

/** What a path does. */
export interface OperatorRoute {
  /** Whether it says what happens before its result: line by line, or as events that a browser understands. */
  readonly streams?: boolean | "events";
  /** Of a page: its media type. Its result is text. */
  readonly page?: string;
  /** The result. */
  readonly serve: (call: OperatorCall) => unknown;
}

/** Paths with their methods, as in `GET /v1/status`. */
export type OperatorRoutes = ReadonlyMap<string, OperatorRoute>;

/** What the API needs. */
export interface OperatorServerOptions {
  /** Where it listens; port 0 takes a free one. */
  readonly listen: Address;
  /** Name of the cluster: part of every operator's URI name. */
  readonly cluster: string;
  /** The party's certificate, and what operators are judged by. */
  readonly material: MeshMaterial;
  /** What can be asked for. */
  readonly routes: OperatorRoutes;
  /** How often an answer that takes long says that it is still to come. Default 5,000. */
  readonly aliveMs?: number;
  /** How long a connection may be silent. Default 60,000; who is no operator gets a tenth of it, from the handshake on. */
  readonly idleMs?: number;
  /** Called for who is turned away. */
  readonly refused?: (fault: LinkFault, address: string) => void;
}

/** A listener that runs. */
export class OperatorServer implements AsyncDisposable {
  readonly #options: OperatorServerOptions;
  readonly #server: Server;
  readonly #calls = new Set<AbortController>();
  /** What connections have shown: TLS 1.3 asks once. */
  readonly #shown = new WeakMap<TLSSocket, Uint8Array>();
  #policy: LeafPolicy;

  private constructor(options: OperatorServerOptions) {
    this.#options = options;
    this.#policy = policyOf(options);
    this.#server = createServer(
      // Written out: an environment variable can otherwise open the listener.
      {
        ...tlsOf(options.material),
        requestCert: true,
        rejectUnauthorized: true,
        minVersion: "TLSv1.3",
        handshakeTimeout: HANDSHAKE_MS,
      },
      (request, response) => {
        this.#serve(request, response).catch(() => response.destroy());
      },
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on("secureConnection", (socket: TLSSocket) => this.#limit(socket));
    // The runtime leaves the socket of a handshake that failed open.
    this.#server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      this.#turnedAway(strangerFault(error), socket);
      socket.destroy();
    });
  }

  /** Listens. @throws UsageError ADDRESS_IN_USE or IDENTITY_INVALID */
  static async start(options: OperatorServerOptions): Promise<OperatorServer> {
    const { host, port } = options.listen;
    const made = new OperatorServer(options);
    await new Promise<void>((resolve, reject) => {
      made.#server.once("error", (cause: Error) =>
        reject(
          new UsageError(
            "ADDRESS_IN_USE",
            `cannot listen on ${host}:${port} for operators: choose another [node] operator_listen`,
            { cause },
          ),
        ));
      made.#server.listen(port, host, resolve);
    });
    made.#server.on("error", () => {});
    return made;
  }

  /** The port. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes other certificates, authorities and revocation lists for connections to come. */
  reload(material: MeshMaterial): void {
    this.#policy = policyOf({ ...this.#options, material });
    this.#server.setSecureContext(tlsOf(material));
  }

  /** Ends what is being served, and stops listening. Answers that are under way get a moment to arrive. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const call of this.#calls) call.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const late = setTimeout(() => this.#server.closeAllConnections(), CLOSE_MS);
    await closed;
    clearTimeout(late);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    const call = new AbortController();
    this.#calls.add(call);
    response.on("close", () => call.abort());
    try {
      const operator = this.#operatorOf(request);
      const route = this.#routeOf(request);
      const input = request.method === "POST" ? decodeJson(await bodyOf(request)) : undefined;
      const { aliveMs = ALIVE_MS } = this.#options;
      await answer(response, route, { operator, input, signal: call.signal }, aliveMs);
    } catch (error) {
      refuse(response, error);
    } finally {
      this.#calls.delete(call);
    }
  }

  /** The certificate is judged again for every request: it may have been revoked since the connection was made. */
  #operatorOf(request: IncomingMessage): string {
    const socket = request.socket as TLSSocket;
    try {
      const raw = this.#shown.get(socket) ??
        (socket.authorized ? socket.getPeerCertificate(true)?.raw : undefined);
      if (raw !== undefined) this.#shown.set(socket, raw);
      return this.#policy.checkOperator(raw, Date.now()).operator;
    } catch (error) {
      if (!(error instanceof LinkFault)) throw error;
      this.#turnedAway(error, socket);
      throw new Refusal(403, "IDENTITY_INVALID", `this is for operators of the cluster: ${error.message}`);
    }
  }

  /** The runtime lets a connection that asks nothing stay for ever, where it takes the place of an operator. */
  #limit(socket: TLSSocket): void {
    const { idleMs = IDLE_MS } = this.#options;
    const end = () => void socket.destroy();
    socket.setTimeout(idleMs, end);
    try {
      this.#policy.checkOperator(socket.getPeerCertificate(true)?.raw, Date.now());
    } catch {
      // Long enough to hear why.
      const timer = setTimeout(end, idleMs / 10);
      socket.once("close", () => clearTimeout(timer));
    }
  }

  #turnedAway(fault: LinkFault, socket: TLSSocket & { readonly _parent?: Socket | null }): void {
    // Of a handshake that failed the runtime only tells the address at the socket below, if at all.
    const { remoteAddress, remotePort } = socket.remoteAddress === undefined
      ? socket._parent ?? socket
      : socket;
    this.#options.refused?.(fault, addressText(remoteAddress, remotePort));
  }

  #routeOf({ method, url, headers }: IncomingMessage): OperatorRoute {
    refuseForeignPages(method, headers);
    const route = this.#options.routes.get(`${method} ${url}`);
    if (route === undefined) {
      throw new Refusal(404, "USAGE", `there is no ${method} ${url} in the operator API`);
    }
    const isJson = /^application\/json(;|$)/.test(headers["content-type"] ?? "");
    if (method === "POST" && !isJson) throw new Refusal(415, "USAGE", "the body is application/json");
    return route;
  }
}

/**
 * A page in a browser that has an operator's certificate must not act for the operator. Our own pages, and the operator who opens
 * one, may look.
 */
function refuseForeignPages(method: string | undefined, headers: IncomingMessage["headers"]): void {
  const site = headers["sec-fetch-site"];
  if (headers.origin === undefined && site === undefined) return;
  const isOwn = headers.origin === undefined && (site === "none" || site === "same-origin");
  if (method === "GET" && isOwn) return;
  throw new Refusal(403, "USAGE", "the operator API is not for pages in a browser");
}

/** Something wrong with a request as such. */
class Refusal extends UsageError {
  readonly status: number;

  constructor(status: number, code: "USAGE" | "IDENTITY_INVALID", message: string) {
    super(code, message);
    this.status = status;
  }
}

async function answer(
  response: ServerResponse,
  { streams = false, page, serve }: OperatorRoute,
  call: Omit<OperatorCall, "emit">,
  aliveMs: number,
): Promise<void> {
  if (page !== undefined) {
    const text = await serve({ ...call, emit: () => {} });
    response.writeHead(200, { ...PAGE_HEADERS, "content-type": page });
    response.end(text as string);
    return;
  }
  if (!streams) {
    const value = await serve({ ...call, emit: () => {} });
    response.writeHead(200, JSON_HEADERS);
    response.end(encodeJson(value) + "\n");
    return;
  }
  response.writeHead(200, streams === "events" ? EVENT_HEADERS : STREAM_HEADERS);
  const emit = (event: OperatorEvent) => {
    // An answer is sent also where the node stops: it may be a signature.
    if (response.destroyed) return;
    response.write(streams === "events" ? `data: ${encodeEvent(event)}\n` : encodeEvent(event));
    // Who does not read what it asked for is not waited for, and fills no memory.
    if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
  };
  const sayAlive = () => void response.write("\n");
  sayAlive();
  const alive = setInterval(sayAlive, aliveMs);
  try {
    emit({ event: "result", value: await serve({ ...call, emit }) });
  } catch (error) {
    emit({ event: "error", error: asQuorateError(error) });
  } finally {
    clearInterval(alive);
  }
  response.end();
}

/** The runtime does not say what was wrong with a certificate that it refused. */
function strangerFault(error: Error & { readonly code?: string }): LinkFault {
  if (error.code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return new LinkFault("CERT_MISSING");
  return new LinkFault("TLS_FAILED", `the TLS handshake failed: ${error.message}`);
}

function asQuorateError(error: unknown): QuorateError {
  if (error instanceof QuorateError) return error;
  const { message } = errorToJson(error);
  return new UsageError("INVARIANT", message, { cause: error });
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const status = error instanceof Refusal ? error.status : error instanceof QuorateError ? 400 : 500;
  // What is left of the request is not read.
  response.writeHead(status, { ...JSON_HEADERS, connection: "close" });
  response.end(encodeJson({ error: errorToJson(error) }) + "\n");
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const deadline = setTimeout(() => request.destroy(), BODY_MS);
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const part of request as AsyncIterable<Uint8Array>) {
      size += part.length;
      if (size > BODY_BYTES_MAX) {
        throw new Refusal(413, "USAGE", `a request has at most ${BODY_BYTES_MAX} bytes`);
      }
      parts.push(part);
    }
  } finally {
    clearTimeout(deadline);
  }
  const whole = concat(...parts);
  const text = fromUtf8(whole);
  // A private key may be in it.
  whole.fill(0);
  for (const part of parts) part.fill(0);
  if (text === undefined) throw new Refusal(400, "USAGE", "the body is not UTF-8");
  return text;
}

function policyOf({ cluster, material }: Pick<OperatorServerOptions, "cluster" | "material">): LeafPolicy {
  return new LeafPolicy({
    cluster,
    authorities: material.tls.authoritiesPem,
    revocationLists: material.revocationListsPem,
    parties: [],
  });
}

function tlsOf(
  { tls: { certPem, keyPem, authoritiesPem } }: MeshMaterial,
): Record<"cert" | "key" | "ca", string> {
  return { cert: certPem, key: keyPem, ca: authoritiesPem };
}

const JSON_HEADERS = { "content-type": "application/json", "cache-control": "no-store" };
const STREAM_HEADERS = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
const EVENT_HEADERS = { "content-type": "text/event-stream", "cache-control": "no-store" };
/** A page loads nothing from elsewhere, runs nothing that stands in it, is framed by nobody and sends no form. */
const PAGE_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};
const ALIVE_MS = 5_000;
const IDLE_MS = 60_000;
const HANDSHAKE_MS = 5_000;
const BODY_MS = 30_000;
const CLOSE_MS = 500;
const CONNECTIONS_MAX = 64;
/** A backup of many keys fits. */
const BODY_BYTES_MAX = 16 << 20;
const UNREAD_BYTES_MAX = 4 << 20;
