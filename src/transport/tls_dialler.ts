/**
 * The client side of TLS.
 *
 * @module
 */

import net from "node:net";
import tls from "node:tls";
import type { PartyId } from "../base/brands.ts";
import { LinkFault } from "./faults.ts";
import { Gate, rememberGate } from "./gate.ts";
import type { TransportLimits } from "./limits.ts";
import type { CheckedLeaf, LeafPolicy } from "./peer_identity.ts";
import { addressText, type TlsMaterial, tlsOptions } from "./tls_listener.ts";

/** Where and as whom to dial. */
export interface DialOptions {
  /** Name or address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** Certificate and key may be missing, for the self-test. */
  readonly material: Partial<TlsMaterial> & Pick<TlsMaterial, "authoritiesPem">;
  /** Deadlines. */
  readonly limits: TransportLimits;
  /** Called when TCP is connected and TLS has not begun, with the local address and port. */
  readonly connected?: (localAddress: string | undefined, localPort: number | undefined) => void;
  /** Cancels: the connection is destroyed. */
  readonly signal?: AbortSignal;
}

/** A connection on which TLS was agreed; the peer may still refuse our certificate. */
export interface DialledConnection {
  /** Encrypted and authenticated on our side. */
  readonly socket: tls.TLSSocket;
  /** `performance.now()` of the TCP connection. */
  readonly connectedAt: number;
}

/**
 * Connects and checks the listener's certificate.
 *
 * @param policy asked once there is a certificate to judge.
 * @throws LinkFault
 */
export async function dial(
  options: DialOptions,
  policy: () => LeafPolicy,
): Promise<DialledConnection & { leaf: CheckedLeaf }> {
  const { socket, connectedAt } = await dialTls(options);
  try {
    if (socket.getProtocol() !== "TLSv1.3") {
      throw new LinkFault("TLS_FAILED", "another version of TLS than 1.3");
    }
    return { socket, connectedAt, leaf: policy().check(socket.getPeerCertificate(true)?.raw, Date.now()) };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/**
 * Connects to one party: who else answers is refused.
 *
 * @throws LinkFault
 */
export async function dialParty(
  options: DialOptions,
  policy: () => LeafPolicy,
  expected: { readonly party: PartyId; readonly nameOf: (party: PartyId) => string },
): Promise<DialledConnection & { leaf: CheckedLeaf }> {
  const dialled = await dial(options, policy);
  const { socket, leaf: { party } } = dialled;
  const isCancelled = options.signal?.aborted === true;
  if (party === expected.party && !isCancelled) return dialled;
  socket.on("error", () => {});
  socket.destroy();
  if (isCancelled) throw new LinkFault("SHUTDOWN");
  const { nameOf } = expected;
  throw new LinkFault(
    "PEER_IDENTITY_MISMATCH",
    `${nameOf(party)} answered at ${addressText(options.host, options.port)} where ${
      nameOf(expected.party)
    } was dialled`,
  );
}

/** Connects; the runtime checks the listener's chain, `dial` the rest. @throws LinkFault */
export async function dialTls(options: DialOptions): Promise<DialledConnection> {
  const raw = await connectTcp(options);
  const connectedAt = performance.now();
  options.connected?.(raw.localAddress, raw.localPort);
  return await new Promise((resolve, reject) => {
    const gate = new Gate(raw);
    gate.on("error", () => {});
    const socket = tls.connect({
      ...tlsOptions(options.material as TlsMaterial),
      socket: gate,
      // Written out: an environment variable would open the client otherwise (PLATFORM.md).
      rejectUnauthorized: true,
      // Who it is says the URI name and the pin, not the name that was dialled (WIRE.md 2).
      checkServerIdentity: () => undefined,
    });
    rememberGate(socket, gate);
    const fail = (fault: LinkFault) => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", cancel);
      socket.destroy();
      raw.destroy();
      reject(fault);
    };
    const cancel = () => fail(new LinkFault("SHUTDOWN"));
    const timer = setTimeout(() => fail(new LinkFault("DEADLINE_TLS")), options.limits.tlsDeadlineMs);
    options.signal?.addEventListener("abort", cancel);
    socket.on(
      "error",
      (error: Error & { readonly code?: string }) => fail(classify(error)),
    );
    socket.on(
      "close",
      () => fail(new LinkFault("TLS_FAILED", "the peer closed the connection during the TLS handshake")),
    );
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", cancel);
      resolve({ socket, connectedAt });
    });
  });
}

function connectTcp(options: DialOptions): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const raw = net.connect({ host: options.host, port: options.port, noDelay: true });
    const fail = (fault: LinkFault) => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", cancel);
      raw.destroy();
      reject(fault);
    };
    const cancel = () => fail(new LinkFault("SHUTDOWN"));
    const timer = setTimeout(() => fail(new LinkFault("DEADLINE_TCP")), options.limits.tcpDeadlineMs);
    if (options.signal?.aborted) return cancel();
    options.signal?.addEventListener("abort", cancel);
    raw.on("error", (error) => fail(new LinkFault("DIAL_FAILED", `no connection: ${error.message}`)));
    raw.once("connect", () => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", cancel);
      raw.setNoDelay(true);
      resolve(raw);
    });
  });
}

/**
 * A client that must refuse unauthorized listeners is told that it did, but neither why nor by which certificate; the listener
 * itself refuses to start with a certificate that would be refused, and says why.
 */
function classify(error: Error & { readonly code?: string }): LinkFault {
  if (/^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_)/.test(error.code ?? "")) {
    return new LinkFault(
      "CERT_REFUSED",
      "the listener's certificate was refused: foreign authority, expired, not yet valid or for another usage",
    );
  }
  return new LinkFault("TLS_FAILED", `the TLS handshake failed: ${error.message}`);
}
