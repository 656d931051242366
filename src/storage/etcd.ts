/**
 * Coordination in etcd, over its own interface with mutual TLS (VOTING 10). Reads are linearizable; every write is a transaction
 * that compares. A write whose answer is lost is `unknown`, never refused.
 *
 * @module
 */

import { connect } from "node:tls";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type Bytes, copy, fromUtf8, utf8 } from "../base/bytes.ts";
import { TransportError } from "../base/errors.ts";
import {
  type Coordination,
  type Entry,
  type Lease,
  type LeaseId,
  type Outcome,
  PAGE,
  prefixEnd,
  requireKey,
  requireValue,
  type Version,
  type WatchEvent,
} from "./coordination.ts";
import {
  etcdServices,
  type KeyValue,
  type KvClient,
  type LeaseClient,
  type RangeAnswer,
  type RequestOp,
  type TxnAnswer,
  type TxnRequest,
  type WatchClient,
} from "./etcd_schema.ts";

/** How etcd is reached. */
export interface EtcdOptions {
  /** Client addresses of the members: `https://host:port`. */
  readonly endpoints: readonly string[];
  /** PEM of the authorities of the members' certificates. */
  readonly ca: string;
  /** PEM of the own client certificate. */
  readonly cert: string;
  /** PEM of its private key. */
  readonly key: string;
  /** Deadline of a call. Default: 5 s. */
  readonly timeoutMs?: number;
}

/** A client of an etcd cluster. Nothing is connected before the first call. */
export class EtcdStore implements Coordination {
  readonly #members: readonly Member[];
  readonly #timeoutMs: number;
  /** The member that answered last. */
  #first = 0;

  /** Makes a client. */
  constructor(options: EtcdOptions) {
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#members = options.endpoints.map((endpoint) => memberAt(endpoint, options));
  }

  /** See {@linkcode Coordination.get}. */
  async get(key: string): Promise<Entry | undefined> {
    requireKey(key);
    const { kvs } = await this.#read((member, options) => member.kv.range({ key: utf8(key) }, options));
    return kvs.map(entryOf)[0];
  }

  /** See {@linkcode Coordination.list}. */
  async list(
    prefix: string,
    after = "",
    limit: number = PAGE,
  ): Promise<{ readonly entries: readonly Entry[]; readonly at: Version }> {
    if (prefix !== "") requireKey(prefix);
    // The key after `after` is `after` and a zero byte; a range cannot begin with nothing, or end with the last key.
    const key = after >= prefix && after !== "" ? `${after}\0` : prefix === "" ? "\0" : prefix;
    const request = { key: utf8(key), rangeEnd: rangeEnd(prefix), limit: BigInt(limit), sortOrder: ASCEND };
    const { kvs, header } = await this.#read((member, options) => member.kv.range(request, options));
    return { entries: kvs.map(entryOf), at: header.revision };
  }

  /** See {@linkcode Coordination.create}. */
  async create(
    key: string,
    value: Bytes,
    lease?: LeaseId,
  ): Promise<Outcome<{ readonly created: boolean; readonly entry: Entry }>> {
    requireKey(key);
    requireValue(value);
    const put = { key: utf8(key), value, ...(lease === undefined ? {} : { lease }) };
    const outcome = await this.#write({
      compare: [compared(key, { case: "createRevision", value: 0n })],
      success: [{ request: { case: "requestPut", value: put } }, range(key)],
      failure: [range(key)],
    });
    if (!outcome.ok) return outcome;
    const { succeeded, entry } = outcome.value;
    // Created and deleted by others at once: the comparison saw the key, and the range after it must see it too.
    if (entry === undefined) {
      throw unavailable("etcd answered a transaction without the key that it compared");
    }
    return { ok: true, value: { created: succeeded, entry } };
  }

  /** See {@linkcode Coordination.swap}. */
  async swap(
    key: string,
    expected: Version,
    value: Bytes | null,
  ): Promise<Outcome<{ readonly swapped: boolean; readonly entry?: Entry }>> {
    requireKey(key);
    if (value !== null) requireValue(value);
    const write: RequestOp = value === null
      ? { request: { case: "requestDeleteRange", value: { key: utf8(key) } } }
      : { request: { case: "requestPut", value: { key: utf8(key), value } } };
    const outcome = await this.#write({
      compare: [compared(key, { case: "modRevision", value: expected })],
      success: [write, range(key)],
      failure: [range(key)],
    });
    if (!outcome.ok) return outcome;
    const { succeeded, entry } = outcome.value;
    return { ok: true, value: { swapped: succeeded, ...(entry === undefined ? {} : { entry }) } };
  }

  /** See {@linkcode Coordination.watch}. A lost connection and a compaction are gaps. */
  async *watch(prefix: string, from: Version, signal: AbortSignal): AsyncIterable<WatchEvent> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const request = {
      requestUnion: {
        case: "createRequest" as const,
        value: {
          key: utf8(prefix === "" ? "\0" : prefix),
          rangeEnd: rangeEnd(prefix),
          startRevision: from + 1n,
        },
      },
    };
    // The stream of requests stays open as long as the watch: its end would end the answers too.
    async function* requests() {
      yield request;
      await ended;
    }

    const member = await this.#reachable();
    try {
      for await (const answer of member.watch.watch(requests(), { signal })) {
        for (const { type, kv } of answer.events) {
          yield type === DELETED ? { key: keyOf(kv), deleted: true, version: kv.modRevision } : entryOf(kv);
          if (signal.aborted) return;
        }
        if (answer.canceled) break;
      }
    } catch (cause) {
      if (!(cause instanceof ConnectError)) throw cause;
      this.#leave(member);
    } finally {
      end();
    }
    if (!signal.aborted) yield { gap: true };
  }

  /** See {@linkcode Coordination.lease}. */
  async lease(ttlMs: number): Promise<Lease> {
    const seconds = BigInt(Math.max(1, Math.ceil(ttlMs / 1000)));
    const { ID: id } = await this.#read((member, options) =>
      member.lease.leaseGrant({ TTL: seconds }, options)
    );
    return {
      id,
      keepAlive: () => this.#keepAlive(id),
      [Symbol.asyncDispose]: async () => {
        await this.#read((member, options) => member.lease.leaseRevoke({ ID: id }, options)).catch(() => {});
      },
    };
  }

  /** Closes the connections. */
  [Symbol.asyncDispose](): Promise<void> {
    for (const { sessions } of this.#members) sessions.abort();
    return Promise.resolve();
  }

  async #keepAlive(id: LeaseId): Promise<boolean> {
    return await this.#read(async (member, options) => {
      async function* once() {
        yield { ID: id };
      }
      for await (const { TTL } of member.lease.leaseKeepAlive(once(), options)) return TTL > 0n;
      return false;
    });
  }

  /** Asks one member after the other. */
  async #read<T>(call: (member: Member, options: { timeoutMs: number }) => Promise<T>): Promise<T> {
    const timeoutMs = Math.ceil(this.#timeoutMs / this.#members.length);
    let last: ConnectError | undefined;
    for (let tries = 0; tries < this.#members.length; tries++) {
      const member = this.#member();
      try {
        await reach(member, timeoutMs);
        return await call(member, { timeoutMs });
      } catch (cause) {
        last = ConnectError.from(cause);
        if (REFUSALS.has(last.code)) break;
        this.#leave(member);
      }
    }
    throw unavailable(`etcd gives no answer: ${last?.rawMessage}`, last);
  }

  async #write(request: TxnRequest): Promise<Outcome<{ succeeded: boolean; entry: Entry | undefined }>> {
    const member = await this.#reachable();
    try {
      const answer = await member.kv.txn(request, { timeoutMs: this.#timeoutMs });
      return { ok: true, value: { succeeded: answer.succeeded, entry: rangedEntry(answer) } };
    } catch (cause) {
      const error = ConnectError.from(cause);
      if (REFUSALS.has(error.code)) throw unavailable(`etcd refuses to write: ${error.rawMessage}`, error);
      this.#leave(member);
      return { ok: false, reason: "unknown" };
    }
  }

  /** A member that takes connections. Until there is one nothing is sent, and nothing is unknown. */
  async #reachable(): Promise<Member> {
    let last: unknown;
    for (let tries = 0; tries < this.#members.length; tries++) {
      const member = this.#member();
      try {
        await reach(member, Math.ceil(this.#timeoutMs / this.#members.length));
        return member;
      } catch (cause) {
        last = cause;
        this.#leave(member);
      }
    }
    throw unavailable("no member of etcd can be reached", last);
  }

  #member(): Member {
    return this.#members[this.#first] as Member;
  }

  #leave(member: Member): void {
    member.reached = false;
    if (this.#member() === member) this.#first = (this.#first + 1) % this.#members.length;
  }
}

interface Member {
  /** It has let us in, and no call has failed since. */
  reached: boolean;
  readonly endpoint: URL;
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly rejectUnauthorized: true;
  };
  readonly sessions: Http2SessionManager;
  readonly kv: KvClient;
  readonly watch: WatchClient;
  readonly lease: LeaseClient;
}

const ASCEND = 1;
const DELETED = 1;

/** Answers that say that nothing was done, and that another member would give too. */
const REFUSALS: ReadonlySet<Code> = new Set([
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.NotFound,
  Code.FailedPrecondition,
  Code.ResourceExhausted,
]);

const SERVICES = etcdServices();

function memberAt(endpoint: string, { ca, cert, key }: EtcdOptions): Member {
  const tls = { ca, cert, key, rejectUnauthorized: true } as const;
  const pings = { pingIntervalMs: 10_000, pingTimeoutMs: 5000, idleConnectionTimeoutMs: 60_000 };
  const sessions = new Http2SessionManager(endpoint, pings, tls);
  const transport = createGrpcTransport({ baseUrl: endpoint, sessionManager: sessions });
  // The services are made at run time, and their types are written beside them.
  return {
    reached: false,
    endpoint: new URL(endpoint),
    tls,
    sessions,
    kv: createClient(SERVICES.kv, transport) as unknown as KvClient,
    watch: createClient(SERVICES.watch, transport) as unknown as WatchClient,
    lease: createClient(SERVICES.lease, transport) as unknown as LeaseClient,
  };
}

function rangeEnd(prefix: string): Bytes {
  return utf8(prefixEnd(prefix) ?? "\0");
}

function range(key: string): RequestOp {
  return { request: { case: "requestRange", value: { key: utf8(key) } } };
}

function compared(key: string, targetUnion: TxnRequest["compare"][number]["targetUnion"]) {
  return { result: 0, target: targetUnion.case === "createRevision" ? 1 : 2, key: utf8(key), targetUnion };
}

function rangedEntry({ responses }: TxnAnswer): Entry | undefined {
  const ranged = responses.at(-1)?.response;
  return ranged?.case === "responseRange" ? (ranged.value as RangeAnswer).kvs.map(entryOf)[0] : undefined;
}

function entryOf(kv: KeyValue): Entry {
  return { key: keyOf(kv), value: copy(kv.value), version: kv.modRevision, createdAt: kv.createRevision };
}

/** Keys that are not UTF-8 are nobody's: they are shown as hex, which no key of ours begins with. */
function keyOf({ key }: KeyValue): string {
  return fromUtf8(key) ?? `\0${key.toHex()}`;
}

/**
 * Waits until a member has let us in: the server speaks first in HTTP/2, and it speaks only to a client whose certificate it
 * takes. Without this a refused certificate is an endless loop in the runtime's HTTP/2.
 */
async function reach(member: Member, timeoutMs: number): Promise<void> {
  if (member.reached) return;
  const { hostname, port } = member.endpoint;
  const options = {
    ...member.tls,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    ALPNProtocols: ["h2"],
  };
  const socket = connect(options);
  const deadline = setTimeout(() => socket.destroy(new Error("no answer in time")), timeoutMs);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("data", () => resolve());
      // Not once: what comes after the first error must not end the process.
      socket.on("error", reject);
      socket.once("close", () => reject(new Error("the connection was closed")));
    });
    member.reached = true;
  } finally {
    clearTimeout(deadline);
    socket.destroy();
  }
}

function unavailable(sentence: string, cause?: unknown): TransportError {
  return new TransportError("STORE_UNAVAILABLE", sentence, { cause });
}
