/**
 * A peer that does not keep to the rules: TLS by hand, and whatever frames the test wants.
 *
 * @module
 */

import net from "node:net";
import tls from "node:tls";
import { X509Certificate } from "node:crypto";
import { type Bytes, copy, EMPTY } from "../../src/base/bytes.ts";
import { type Ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import type { CertifiedKey } from "../../src/pki/authority.ts";
import { partyId } from "../../src/base/brands.ts";
import { FrameType } from "../../src/session/links.ts";
import {
  encodePlainFrame,
  type FrameFields,
  FrameParser,
  NO_SESSION,
  payloadOf,
  type RawFrame,
} from "../../src/transport/frame.ts";
import { HelloExchange } from "../../src/transport/hello.ts";
import { SealedChannel } from "../../src/transport/sealed_channel.ts";
import type { World } from "./world.ts";

/** How the peer connects. */
export interface RawPeerOptions {
  readonly port: number;
  readonly self?: number;
  readonly peer?: number;
  /** Default: the world's certificate of `self`; `null` for none. */
  readonly leaf?: CertifiedKey | null;
  readonly identity?: Ed25519Signer;
  readonly bootId?: Bytes;
  readonly tls?: tls.ConnectionOptions;
}

/** A connection under the test's control. */
export class RawPeer {
  readonly socket: tls.TLSSocket;
  readonly self: number;
  readonly peer: number;
  readonly frames: RawFrame[] = [];
  channel: SealedChannel | undefined;
  sequence = 0;
  closed = false;
  #secured = false;
  readonly #world: World;
  readonly #options: RawPeerOptions;
  readonly #parser = new FrameParser(() => true);
  #wake: () => void = () => {};

  constructor(world: World, options: RawPeerOptions) {
    this.#world = world;
    this.#options = options;
    this.self = options.self ?? 1;
    this.peer = options.peer ?? 2;
    const leaf = options.leaf === undefined ? world.leaves.get(partyId(this.self)) : options.leaf;
    this.socket = tls.connect({
      port: options.port,
      host: "127.0.0.1",
      ca: world.authority.certPem,
      ...(leaf === null ? {} : { cert: leaf?.certPem, key: leaf?.keyPem }),
      minVersion: "TLSv1.3",
      rejectUnauthorized: true,
      checkServerIdentity: () => undefined,
      ...options.tls,
    } as tls.ConnectionOptions);
    this.socket.on("error", () => {});
    this.socket.on("secureConnect", () => {
      this.#secured = true;
      this.#wake();
    });
    this.socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
    this.socket.on("data", (chunk: Uint8Array) => {
      this.#parser.push(chunk);
      for (let frame = this.#parser.next(); frame !== undefined; frame = this.#parser.next()) {
        this.frames.push(frame);
      }
      this.#wake();
    });
  }

  /** Waits for TLS to be agreed on this side. */
  async secure(): Promise<this> {
    await this.#until(() => this.#secured || this.closed);
    return this;
  }

  /** Waits until the other side ended the connection. */
  async untilClosed(): Promise<void> {
    await this.#until(() => this.closed);
  }

  /** The next frame, or undefined where the connection ended. */
  async receive(): Promise<RawFrame | undefined> {
    await this.#until(() => this.frames.length > 0 || this.closed);
    return this.frames.shift();
  }

  /** This side's half of the HELLO for the present connection. */
  exchange(): HelloExchange {
    const own = this.#options.leaf ?? this.#world.leaves.get(partyId(this.self)) as CertifiedKey;
    return new HelloExchange(
      {
        role: "dialler",
        self: this.self,
        peer: this.peer,
        clusterHash: this.#world.roster.clusterHash,
        rosterHash: this.#world.roster.hash,
        ownLeafSha256: sha256(new X509Certificate(own.certPem).raw),
        peerLeafSha256: sha256(copy(this.socket.getPeerCertificate(true).raw)),
        bootId: this.#options.bootId ?? systemRng.bytes(16),
      },
      systemRng,
      Date.now(),
    );
  }

  /** HELLO and HELLO_ACK by the rules; `editHello` changes the bytes that are sent. */
  async handshake(
    edit: { hello?: (bytes: Bytes) => Bytes; ack?: (bytes: Bytes) => Bytes } = {},
  ): Promise<boolean> {
    await this.secure();
    if (this.closed) return false;
    const exchange = this.exchange();
    this.plain(FrameType.HELLO, (edit.hello ?? ((bytes) => bytes))(exchange.own));
    const hello = await this.receive();
    if (hello === undefined) return false;
    exchange.receive(copy(payloadOf(hello)));
    const binding = {
      exporterClient: copy(this.socket.getFinished() as Uint8Array),
      exporterServer: copy(this.socket.getPeerFinished() as Uint8Array),
    };
    const identity = this.#options.identity ??
      this.#world.identities.get(partyId(this.self)) as Ed25519Signer;
    this.plain(
      FrameType.HELLO_ACK,
      (edit.ack ?? ((bytes) => bytes))(exchange.acknowledge(binding, identity)),
    );
    const ack = await this.receive();
    if (ack === undefined) return false;
    this.channel = new SealedChannel({ suite: 2, role: "dialler", prk: exchange.deriveKey(binding) });
    return true;
  }

  /** Handshake, and the first sealed PING of both sides. */
  async up(): Promise<boolean> {
    if (!await this.handshake()) return false;
    this.sealed(FrameType.PING, EMPTY);
    return await this.receive() !== undefined;
  }

  plain(type: number, payload: Bytes, change: Partial<FrameFields> = {}): void {
    this.socket.write(encodePlainFrame(this.fields(type, change), payload));
  }

  sealed(type: number, payload: Bytes, change: Partial<FrameFields> = {}): void {
    this.socket.write((this.channel as SealedChannel).seal(this.fields(type, change), payload));
  }

  fields(type: number, change: Partial<FrameFields> = {}): FrameFields {
    const sequence = this.sequence++;
    return { type, from: this.self, to: this.peer, sequence, timestamp: 0, session: NO_SESSION, ...change };
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("nothing came for 10 s")), 10_000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** A TCP connection without TLS. */
export async function rawTcp(port: number): Promise<{ socket: net.Socket; closed: Promise<void> }> {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  socket.resume();
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return { socket, closed };
}
