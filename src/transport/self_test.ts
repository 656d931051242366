/**
 * A node tries its own lock before it trusts it: runtimes have shipped in which a TLS server let every client in (WIRE.md 2).
 *
 * @module
 */

import { generateKeyPairSync, sign } from "node:crypto";
import { utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { Oid } from "./certificate.ts";
import { der, DerTag } from "./der.ts";
import { type LinkCode, LinkFault } from "./faults.ts";
import type { TransportLimits } from "./limits.ts";
import { dialTls } from "./tls_dialler.ts";
import { addressText, type ConnectionOutcome, type TlsListener, type TlsMaterial } from "./tls_listener.ts";

/** What {@linkcode selfTest} needs. */
export interface SelfTestOptions {
  /** Says what became of a connection. */
  readonly listener: Pick<TlsListener, "watch">;
  /** Where it listens. */
  readonly host: string;
  /** Where it listens. */
  readonly port: number;
  /** Own certificate and key, and the authorities. */
  readonly material: TlsMaterial;
  /** Deadlines. */
  readonly limits: TransportLimits;
  /** Draws a serial number. */
  readonly rng: Rng;
}

/**
 * Connects to the own listener without a certificate, with a self-signed one and with the own one. The first two must be
 * refused by the runtime, not only by our checks behind it; the third must pass TLS and be refused as SELF_CONNECT.
 *
 * @throws UsageError SELF_TEST_FAILED
 */
export async function selfTest(options: SelfTestOptions): Promise<void> {
  const { authoritiesPem } = options.material;
  const strangers = [
    { who: "a stranger without a certificate", material: { authoritiesPem } },
    {
      who: "a stranger with a self-signed certificate",
      material: { authoritiesPem, ...selfSigned(options.rng) },
    },
  ];
  for (const { who, material } of strangers) {
    const { outcome } = await probe(options, material);
    if (outcome.refused === undefined || outcome.runtimeAuthorized !== false) {
      throw failed(`${who} was not refused by the own listener; do not run this version of the runtime`);
    }
  }
  const { outcome, hasBinding } = await probe(options, options.material);
  if (outcome.runtimeAuthorized !== true || outcome.refused !== "SELF_CONNECT") {
    throw failed(
      `the own certificate was not recognised by the own listener (${outcome.refused ?? "accepted"})`,
    );
  }
  if (!hasBinding) throw failed("this runtime gives no TLS exporter values, to which HELLO is bound");
}

/** A self-signed P-256 certificate that nobody has seen before. */
export function selfSigned(rng: Rng): { readonly certPem: string; readonly keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const algorithm = der(DerTag.sequence, der(DerTag.oid, Uint8Array.fromHex(Oid.ecdsaWithSha256)));
  const name = der(
    DerTag.sequence,
    der(
      DerTag.set,
      der(DerTag.sequence, der(DerTag.oid, COMMON_NAME), der(DerTag.utf8String, utf8("stranger"))),
    ),
  );
  const serial = rng.bytes(8);
  serial[0] = (serial[0] as number) & 0x3f | 0x40;
  const signed = der(
    DerTag.sequence,
    der(0xa0, der(DerTag.integer, Uint8Array.of(2))),
    der(DerTag.integer, serial),
    algorithm,
    name,
    der(
      DerTag.sequence,
      der(DerTag.generalizedTime, utf8("20200101000000Z")),
      der(DerTag.generalizedTime, utf8("20991231235959Z")),
    ),
    name,
    new Uint8Array(publicKey.export({ type: "spki", format: "der" })),
  );
  const signature = sign("sha256", signed, privateKey);
  const certificate = der(
    DerTag.sequence,
    signed,
    algorithm,
    der(DerTag.bitString, Uint8Array.of(0), signature),
  );
  const body = certificate.toBase64().match(/.{1,64}/g)?.join("\n");
  return {
    certPem: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

interface ProbeResult {
  readonly outcome: ConnectionOutcome;
  readonly hasBinding: boolean;
}

type ProbeMaterial = Partial<TlsMaterial> & Pick<TlsMaterial, "authoritiesPem">;

/** A probe on which no judgement was passed, because the machine is busy or strangers crowd the door, is repeated. */
async function probe(options: SelfTestOptions, material: ProbeMaterial): Promise<ProbeResult> {
  for (let i = 0; i < ATTEMPTS; i++) {
    const { outcome, hasBinding } = await probeOnce(options, material);
    if (outcome !== undefined && !UNDECIDED.has(outcome.refused)) return { outcome, hasBinding };
  }
  throw failed(
    "the own listener does not answer; is the address its own, does a firewall drop what this machine sends to itself, or is the machine overloaded?",
  );
}

async function probeOnce(
  options: SelfTestOptions,
  material: ProbeMaterial,
): Promise<{ readonly outcome: ConnectionOutcome | undefined; readonly hasBinding: boolean }> {
  const { listener, host, port } = options;
  const deadlineMs = options.limits.selfTestDeadlineMs;
  const limits = { ...options.limits, tcpDeadlineMs: deadlineMs, tlsDeadlineMs: deadlineMs };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let outcome: Promise<ConnectionOutcome | undefined> | undefined;
  const deadline = new Promise<undefined>((resolve) =>
    timer = setTimeout(() => resolve(undefined), deadlineMs)
  );
  let hasBinding = false;
  let close = () => {};
  try {
    const connection = await dialTls({
      host,
      port,
      material,
      limits,
      connected: (address, localPort) => outcome = listener.watch(addressText(address, localPort)),
    });
    connection.socket.on("error", () => {});
    close = () => connection.socket.destroy();
    hasBinding = connection.socket.getFinished()?.length === 32 &&
      connection.socket.getPeerFinished()?.length === 32;
  } catch (error) {
    // A refusal may reach the client as an error; what counts is what the listener says.
    if (!(error instanceof LinkFault)) throw error;
  }
  const result = await Promise.race([outcome, deadline]);
  clearTimeout(timer);
  close();
  return { outcome: result, hasBinding };
}

function failed(text: string): UsageError {
  return new UsageError("SELF_TEST_FAILED", `self-test: ${text}`);
}

/** id-at-commonName. */
const COMMON_NAME = Uint8Array.fromHex("550403");
const ATTEMPTS = 3;
const UNDECIDED: ReadonlySet<LinkCode | undefined> = new Set<LinkCode>(["DEADLINE_TLS", "EVICTED"]);
