/**
 * Asks the node of a party over its operator API.
 *
 * @module
 */

import { Agent, request as send, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import type { PeerCertificate } from "node:tls";
import { UsageError } from "../base/errors.ts";
import { LinkFault } from "../transport/faults.ts";
import { LeafPolicy } from "../transport/peer_identity.ts";
import { type Address, type Config, formatAddress, type PartyConfig } from "./config.ts";
import { readPublicText, readSecretText } from "./local_party.ts";
import { decodeEvent, decodeJson, encodeJson, errorFromText, type OperatorEvent } from "./operator_wire.ts";

/** What is asked. */
export interface Question {
  /** `GET` without, `POST` with an input. */
  readonly method: "GET" | "POST";
  /** As in `/v1/status`. */
  readonly path: string;
  /** JSON, in which byte strings may stand. */
  readonly input?: unknown;
  /** Ends the question, and what the node does for it. */
  readonly signal?: AbortSignal;
  /** For how long the node may say nothing. Default: 30,000; a node that works says every five seconds that it does. */
  readonly silenceMs?: number;
}

/** Asks one node. */
export class OperatorClient implements Disposable {
  readonly #config: Config;
  readonly #party: PartyConfig;
  readonly #address: Address;
  readonly #policy: LeafPolicy;
  readonly #tls: Readonly<Record<"cert" | "key" | "ca", string>>;
  readonly #agent: Agent | undefined;

  /**
   * Reads the operator's certificate and the cluster's authorities.
   *
   * @param address where the node takes requests; default: as configured.
   * @param connections that are kept between questions, for whoever asks many; they end when the client is disposed.
   * @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS
   */
  constructor(
    config: Config,
    party: PartyConfig,
    address: Address = party.node.operatorListen,
    connections: number = 0,
  ) {
    const { operatorCertPath, operatorKeyPath } = party.node;
    this.#config = config;
    this.#party = party;
    this.#agent = connections === 0 ? undefined : new Agent({ keepAlive: true, maxSockets: connections });
    this.#address = isAnywhere(address.host) ? { ...address, host: "127.0.0.1" } : address;
    this.#tls = {
      cert: readPublicText(operatorCertPath, "the operator's certificate"),
      key: readSecretText(operatorKeyPath, "the operator's key"),
      ca: readPublicText(config.authorityPath, "the authority's certificate"),
    };
    const { revocationListPath } = config;
    this.#policy = new LeafPolicy({
      cluster: config.cluster,
      authorities: this.#tls.ca,
      revocationLists: revocationListPath === undefined
        ? undefined
        : readPublicText(revocationListPath, "the revocation list"),
      parties: config.parties.map(({ index, name, pins }) => ({ index, name, pins })),
    });
  }

  /** Ends connections that were kept. */
  [Symbol.dispose](): void {
    this.#agent?.destroy();
  }

  /** Asks for one answer. @throws QuorateError of the node; UsageError NODE_UNREACHABLE or IDENTITY_INVALID */
  async ask(question: Question): Promise<unknown> {
    const exchange = await this.#send(question);
    return decodeJson(await this.#textOf(exchange));
  }

  /** Asks for something that goes on. @returns the result. @throws QuorateError of the node, or as {@linkcode ask} */
  async follow(question: Question, onEvent: (event: OperatorEvent) => void): Promise<unknown> {
    const exchange = await this.#send(question);
    let ended: Extract<OperatorEvent, { readonly event: "result" | "error" }> | undefined;
    for await (const line of linesOf(exchange.response)) {
      const event = decodeEvent(line);
      // Read to its end, the connection can be kept.
      if (event.event === "result" || event.event === "error") ended = event;
      else onEvent(event);
    }
    if (ended?.event === "error") throw ended.error;
    if (ended !== undefined) return ended.value;
    if (question.signal?.aborted === true) throw stopped();
    throw this.#brokenOff(exchange);
  }

  async #send(question: Question): Promise<Exchange> {
    const { method, input, silenceMs = SILENCE_MS } = question;
    const body = method === "POST" ? encodeJson(input ?? {}) : undefined;
    let isSecure = false, isSilent = false;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = send(this.#optionsFor(question), resolve);
      request.on("socket", (socket) => {
        if (request.reusedSocket) isSecure = true;
        else socket.once("secureConnect", () => isSecure = true);
      });
      request.setTimeout(silenceMs, () => {
        isSilent = true;
        request.destroy();
      });
      request.on("error", (error) => {
        reject(isSilent ? this.#silent(silenceMs) : this.#failure(error, isSecure));
      });
      request.end(body);
    });
    response.on("error", () => {});
    const exchange = { response, silentMs: () => isSilent ? silenceMs : undefined };
    if (response.statusCode === 200) return exchange;
    throw errorFromText(await this.#textOf(exchange));
  }

  #optionsFor({ method, path, signal }: Question): RequestOptions {
    return {
      ...this.#address,
      ...this.#tls,
      method,
      path,
      agent: this.#agent ?? false,
      minVersion: "TLSv1.3",
      rejectUnauthorized: true,
      // An address has no server name; whose certificate it is is judged by its party.
      checkServerIdentity: (_host: string, shown: PeerCertificate) => this.#judge(shown),
      ...(method === "POST" ? { headers: { "content-type": "application/json" } } : {}),
      ...(signal === undefined ? {} : { signal }),
    } as RequestOptions;
  }

  async #textOf(exchange: Exchange): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    try {
      for await (const part of exchange.response as AsyncIterable<Uint8Array>) {
        text += decoder.decode(part, { stream: true });
      }
      return text;
    } catch (cause) {
      throw this.#brokenOff(exchange, cause);
    }
  }

  #judge({ raw }: PeerCertificate): Error | undefined {
    try {
      const { party } = this.#policy.check(raw, Date.now());
      if (party === this.#party.index) return undefined;
      return new LinkFault("PEER_IDENTITY_MISMATCH", `${this.#config.roster.nameOf(party)} answers there`);
    } catch (error) {
      return error instanceof Error ? error : new Error("the certificate cannot be judged");
    }
  }

  #failure(error: Error, isSecure: boolean): UsageError {
    if (error.name === "AbortError") return stopped();
    const { code = "" } = error as Error & { readonly code?: string };
    if (error instanceof LinkFault || UNTRUSTED.test(code)) {
      return new UsageError(
        "IDENTITY_INVALID",
        `what answers at ${formatAddress(this.#address)} is not ${this.#party.name}: ${error.message}`,
        { party: this.#party.name, cause: error },
      );
    }
    // In TLS 1.3 the client is done before the server has judged its certificate.
    if (isSecure) {
      return new UsageError(
        "IDENTITY_INVALID",
        `the node of ${this.#party.name} refused the operator's certificate in ${this.#party.node.operatorCertPath}: it has to be of the cluster's authority, and neither expired nor revoked`,
        { party: this.#party.name, cause: error },
      );
    }
    return this.#unreachable(code === "ECONNREFUSED" ? "start it with node run" : error.message, error);
  }

  #brokenOff({ silentMs }: Exchange, cause?: unknown): UsageError {
    const silence = silentMs();
    if (silence !== undefined) return this.#silent(silence);
    return this.#unreachable(
      "it ended the connection before the answer: it was stopped, or crashed, and what was asked for may be done all the same",
      cause,
    );
  }

  #silent(silenceMs: number): UsageError {
    return this.#unreachable(`it said nothing for ${silenceMs / 1000} s: look at its process and its log`);
  }

  #unreachable(why: string, cause?: unknown): UsageError {
    const { name } = this.#party;
    return new UsageError(
      "NODE_UNREACHABLE",
      `no node of ${name} answers at ${formatAddress(this.#address)}: ${why}`,
      { party: name, cause },
    );
  }
}

/** An answer that is being read. */
interface Exchange {
  readonly response: IncomingMessage;
  /** For how long the node said nothing, where that ended it. */
  readonly silentMs: () => number | undefined;
}

function stopped(): UsageError {
  return new UsageError(
    "CANCELLED",
    "the command was stopped here before it ended: run it again at all its parties",
  );
}

async function* linesOf(response: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const part of response) {
      const lines = (rest + decoder.decode(part, { stream: true })).split("\n");
      rest = lines.pop() as string;
      // Empty lines only say that the node is there.
      yield* lines.filter((line) => line !== "");
      if (rest.length > LINE_MAX) return;
    }
  } catch {
    // The connection ended: the caller sees that the answer is missing.
  }
}

function isAnywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

const LINE_MAX = 64 << 20;
const SILENCE_MS = 30_000;
/** Codes of the runtime: what answers there is not TLS, or shows a certificate of somebody else. */
const UNTRUSTED = /^(?:ERR_SSL_|ERR_TLS_|UNABLE_TO_|CERT_|SELF_SIGNED_|DEPTH_ZERO_)/;
