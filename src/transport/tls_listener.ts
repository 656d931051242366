/**
 * The server side of TLS: accepts connections, judges certificates, and says for each connection what became of it.
 *
 * @module
 */

import net from "node:net";
import tls from "node:tls";
import { TransportError, UsageError } from "../base/errors.ts";
import { Admission, type Stranger } from "./admission.ts";
import { type LinkCode, LinkFault } from "./faults.ts";
import { Gate, rememberGate } from "./gate.ts";
import type { TransportLimits } from "./limits.ts";
import type { CheckedLeaf, LeafPolicy } from "./peer_identity.ts";

/** The TLS material of a party, as PEM text. */
export interface TlsMaterial {
  /** The leaf certificate. */
  readonly certPem: string;
  /** Secret. */
  readonly keyPem: string;
  /** One or more authorities. */
  readonly authoritiesPem: string;
}

/** A connection whose certificate passed all checks. */
export interface AcceptedConnection {
  /** What was shown to the peer: what is in use may have changed since. */
  readonly shown: TlsMaterial;
  /** After its handshake. */
  readonly socket: tls.TLSSocket;
  /** Whose certificate it is. */
  readonly leaf: CheckedLeaf;
  /** Remote address and port. */
  readonly address: string;
  /** `performance.now()` of the TCP connection. */
  readonly connectedAt: number;
  /** Must be called when the peer has authenticated: the connection then no longer counts as a stranger. */
  authenticated(): void;
}

/** What became of a connection. */
export interface ConnectionOutcome {
  /** What the runtime thought of the certificate; undefined where the handshake did not get that far. */
  readonly runtimeAuthorized: boolean | undefined;
  /** undefined where it was accepted by TLS and by our checks. */
  readonly refused: LinkCode | undefined;
}

/** By what a listener shows itself and judges others. */
export interface ListenerCredentials {
  /** Own certificate and key, and the authorities. */
  readonly material: TlsMaterial;
  /** Judges the certificates of those who connect. */
  readonly policy: LeafPolicy;
}

/** What {@linkcode TlsListener} needs. */
export interface TlsListenerOptions extends ListenerCredentials {
  /** Deadlines and places. */
  readonly limits: TransportLimits;
  /** May throw a LinkFault, which refuses the connection. */
  accepted(connection: AcceptedConnection): void;
  /** Hears of every connection that was refused. */
  refused(address: string, fault: LinkFault): void;
}

/** Listens for mutual TLS 1.3. */
export class TlsListener {
  readonly #options: TlsListenerOptions;
  readonly #admission: Admission;
  readonly #tls: tls.Server;
  readonly #tcp: net.Server;
  readonly #open = new Set<net.Socket>();
  readonly #watchers = new Map<string, (outcome: ConnectionOutcome) => void>();
  #credentials: ListenerCredentials;

  /** Prepares the server; {@linkcode TlsListener.listen} binds it. */
  constructor(options: TlsListenerOptions) {
    this.#options = options;
    this.#admission = new Admission(options.limits);
    this.#tls = tls.createServer({ requestCert: true, rejectUnauthorized: true });
    this.#credentials = options;
    // Here too, so that the self-test at start tries the lock in the way in which it is changed later.
    this.reload(options);
    this.#tcp = net.createServer((raw) => this.#accept(raw));
  }

  /** How many connections have not authenticated yet. */
  get strangers(): number {
    return this.#admission.count;
  }

  /** Binds. @returns the port. @throws TransportError ADDRESS_IN_USE */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const fail = (cause: Error) => {
        const text =
          `cannot listen on ${host}:${port}: ${cause.message}; stop what uses it, or change the address`;
        reject(new TransportError("ADDRESS_IN_USE", text, { cause }));
      };
      this.#tcp.once("error", fail);
      // Later ones, such as too many open files, concern one connection: without a listener they would end the process.
      this.#tcp.on("error", (error: Error) => {
        if (!this.#tcp.listening) return;
        this.#options.refused(
          "unknown",
          new LinkFault("SOCKET", `a connection was not accepted: ${error.message}`),
        );
      });
      this.#tcp.listen(port, host, () => resolve((this.#tcp.address() as net.AddressInfo).port));
    });
  }

  /** Tells what becomes of the connection from this address, which must not have begun its handshake. */
  watch(address: string): Promise<ConnectionOutcome> {
    return new Promise((resolve) => this.#watchers.set(address, resolve));
  }

  /** Takes other credentials for handshakes to come. */
  reload(credentials: ListenerCredentials): void {
    this.#tls.setSecureContext(tlsOptions(credentials.material));
    this.#credentials = credentials;
  }

  /** Stops listening and ends every connection that has not become a link. */
  close(): Promise<void> {
    for (const raw of this.#open) raw.destroy();
    return new Promise((resolve) => this.#tcp.close(() => resolve()));
  }

  #accept(raw: net.Socket): void {
    const incoming: Incoming = new Incoming(raw, {
      ...this.#options,
      admission: this.#admission,
      shown: this.#credentials.material,
      policy: () => this.#credentials.policy,
      settled: (outcome) => {
        const watcher = this.#watchers.get(incoming.remote);
        this.#watchers.delete(incoming.remote);
        watcher?.(outcome);
        return watcher !== undefined;
      },
    });
    this.#open.add(raw);
    raw.on("close", () => this.#open.delete(raw));
    incoming.handshake(this.#tls);
  }
}

/** The TLS settings that both ends share. */
export function tlsOptions(material: TlsMaterial): tls.SecureContextOptions {
  return {
    ca: material.authoritiesPem,
    cert: material.certPem,
    key: material.keyPem,
    minVersion: "TLSv1.3",
  };
}

/** `1.2.3.4:567` and `[::1]:567`; an IPv4 address that came through an IPv6 socket is written as IPv4. */
export function addressText(address: string | undefined, port: number | undefined): string {
  const plain = (address ?? "unknown").replace(/^::ffff:/, "");
  return plain.includes(":") ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** Splits `host:port` or `[host]:port`. @throws UsageError CONFIG_INVALID */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new UsageError("CONFIG_INVALID", `an address is written host:port or [ipv6]:port: found "${text}"`);
  }
  return { host: (match[1] ?? match[2]) as string, port };
}

/** What one connection works with. */
interface IncomingOptions extends Pick<TlsListenerOptions, "limits" | "accepted" | "refused"> {
  readonly admission: Admission;
  /** What is shown in this handshake. */
  readonly shown: TlsMaterial;
  /** The policy in use when the certificate is judged, which may be newer. */
  readonly policy: () => LeafPolicy;
  /** True where somebody asked for the outcome: then it is no news for the log. */
  readonly settled: (outcome: ConnectionOutcome) => boolean;
}

/** One connection until it was accepted or refused. */
class Incoming implements Stranger {
  /** Remote address, without the port. */
  readonly address: string;
  /** Remote address and port. */
  readonly remote: string;
  readonly #raw: net.Socket;
  readonly #options: IncomingOptions;
  readonly #connectedAt = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #done = false;

  constructor(raw: net.Socket, options: IncomingOptions) {
    this.#raw = raw;
    this.#options = options;
    this.address = raw.remoteAddress ?? "unknown";
    this.remote = addressText(raw.remoteAddress, raw.remotePort);
  }

  /**
   * Runs the handshake on a view of the server of its own. Behind the gate a TLS socket does not know its TCP socket, so that
   * events of the server itself could not be told apart. The view also lets a refused certificate come as far as our own check,
   * for the sake of the reason: with `rejectUnauthorized` the runtime only says "socket hang up". Who is not authorized in the
   * eyes of the runtime is refused in any case, and should the view ever stop working, the server's own setting holds.
   */
  handshake(server: tls.Server): void {
    this.#raw.setNoDelay(true);
    this.#raw.on("error", () => {});
    this.#raw.on("close", () => this.#closed());
    if (!this.#options.admission.allows(this.address)) {
      return this.#refuse(new LinkFault("THROTTLED"), undefined);
    }
    this.#options.admission.admit(this);
    this.#timer = setTimeout(
      () => this.#refuse(new LinkFault("DEADLINE_TLS"), undefined),
      this.#options.limits.tlsDeadlineMs,
    );
    const gate = new Gate(this.#raw);
    gate.on("error", () => {});
    const view = Object.create(server, {
      rejectUnauthorized: { value: false },
      emit: { value: (event: string, ...args: unknown[]) => this.#event(gate, event, args) },
    });
    try {
      for (const listener of server.listeners("connection")) listener.call(view, gate);
    } catch {
      this.#refuse(new LinkFault("TLS_FAILED"), undefined);
    }
  }

  /** Makes room for a newcomer. */
  evict(): void {
    const fault = new LinkFault("EVICTED");
    // A connection that passed TLS and waits for HELLO has been settled already; its link ends with its socket.
    if (this.#done) this.#options.refused(this.remote, fault);
    this.#refuse(fault, undefined);
  }

  #event(gate: Gate, event: string, args: readonly unknown[]): boolean {
    if (event === "tlsClientError") {
      const error = args[0] as Error & { readonly code?: string };
      const code = error?.code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"
        ? "CERT_MISSING"
        : "TLS_FAILED";
      this.#refuse(
        new LinkFault(
          code,
          code === "TLS_FAILED" ? `the TLS handshake failed: ${error?.message}` : undefined,
        ),
        false,
      );
    } else if (event === "secureConnection") {
      rememberGate(args[0] as tls.TLSSocket, gate);
      this.#secure(args[0] as tls.TLSSocket);
    } else return false;
    return true;
  }

  #secure(socket: tls.TLSSocket): void {
    socket.on("error", () => {});
    if (this.#done) return void socket.destroy();
    const authorized = socket.authorized;
    try {
      const leaf = this.#options.policy().check(socket.getPeerCertificate(true)?.raw, Date.now());
      if (!authorized) throw new LinkFault("CERT_REFUSED");
      if (socket.getProtocol() !== "TLSv1.3") {
        throw new LinkFault("TLS_FAILED", "another version of TLS than 1.3");
      }
      clearTimeout(this.#timer);
      this.#done = true;
      this.#options.accepted({
        shown: this.#options.shown,
        socket,
        leaf,
        address: this.remote,
        connectedAt: this.#connectedAt,
        authenticated: () => this.#options.admission.release(this),
      });
      this.#options.settled({ runtimeAuthorized: authorized, refused: undefined });
    } catch (error) {
      this.#done = false;
      const fault = error instanceof LinkFault ? error : new LinkFault("INTERNAL");
      this.#refuse(fault, authorized);
      socket.destroy();
    }
  }

  #refuse(fault: LinkFault, runtimeAuthorized: boolean | undefined): void {
    this.#raw.destroy();
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    this.#options.admission.release(this);
    const watched = this.#options.settled({ runtimeAuthorized, refused: fault.code });
    if (!watched) this.#options.refused(this.remote, fault);
  }

  #closed(): void {
    this.#refuse(
      new LinkFault("TLS_FAILED", "the connection was closed before the TLS handshake ended"),
      undefined,
    );
    this.#options.admission.release(this);
  }
}
