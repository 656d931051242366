/**
 * HELLO and HELLO_ACK (WIRE.md 2): both sides say who they are, for whom the connection is and which TLS connection it is, and
 * sign the transcript of both with their identity keys. This resists reflection (role), relay and misbinding (from, to,
 * fingerprints, exporter), replay (own nonce and key in the transcript), downgrade (versions and suites in it) and a stolen
 * TLS key (the signature).
 *
 * @module
 */

import { type Bytes, equal, erase, u8 } from "../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  struct,
  U16,
  U32,
  U64,
  U8,
  type ValueOf,
} from "../base/codec.ts";
import {
  type Ed25519Signer,
  type Ed25519Verifier,
  hkdfExtract,
  x25519,
  x25519PublicKey,
} from "../base/crypto.ts";
import type { Rng } from "../base/rng.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { LinkFault } from "./faults.ts";
import { type LinkRole, type Suite, SUITES } from "./sealed_channel.ts";

/** The fields of a HELLO in the order of the wire. */
export interface Hello {
  /** Lowest version that the sender speaks. */
  readonly versionMin: number;
  /** Highest version that the sender speaks. */
  readonly versionMax: number;
  /** Cipher suites that the sender offers. */
  readonly suites: readonly number[];
  /** 0 dialler, 1 listener. */
  readonly role: number;
  /** Index of the sender. */
  readonly from: number;
  /** Index of the party for whom it is. */
  readonly to: number;
  /** Hash of the cluster's name. */
  readonly clusterHash: Bytes;
  /** Hash of the roster; may differ. */
  readonly rosterHash: Bytes;
  /** SHA-256 of the sender's certificate. */
  readonly ownLeafSha256: Bytes;
  /** SHA-256 of the receiver's certificate. */
  readonly peerLeafSha256: Bytes;
  /** 16 bytes, random per process. */
  readonly bootId: Bytes;
  /** 32 fresh random bytes. */
  readonly nonce: Bytes;
  /** The sender's clock, ms since 1970; never judged. */
  readonly clock: bigint;
  /** X25519 public key, made for this connection. */
  readonly eph: Bytes;
}

/** What is bound into a HELLO besides the sender's own nonce and key. */
export interface HelloContext {
  /** Which end this side is. */
  readonly role: LinkRole;
  /** Own index. */
  readonly self: number;
  /** Index of the other side. */
  readonly peer: number;
  /** Hash of the cluster's name. */
  readonly clusterHash: Bytes;
  /** Hash of the roster; may differ. */
  readonly rosterHash: Bytes;
  /** SHA-256 of the DER of the own leaf and of the peer's, of this TLS connection. */
  readonly ownLeafSha256: Bytes;
  /** SHA-256 of the receiver's certificate. */
  readonly peerLeafSha256: Bytes;
  /** 16 bytes, random per process. */
  readonly bootId: Bytes;
  /** Offered suites; default: all. */
  readonly suites?: readonly Suite[];
}

/** What the TLS connection gives to bind to, equal at both ends and different per connection. */
export interface ChannelBinding {
  /** 32 bytes of the TLS client's label. */
  readonly exporterClient: Bytes;
  /** 32 bytes of the TLS server's label. */
  readonly exporterServer: Bytes;
}

/** What a verified HELLO says. */
export interface AgreedHello {
  /** All its fields. */
  readonly hello: Hello;
  /** The suite that both use from now on. */
  readonly suite: Suite;
  /** The highest version that both speak. */
  readonly version: number;
}

/** One side's half of the exchange: made per connection, used once, then erased. */
export class HelloExchange implements Disposable {
  /** The encoded HELLO of this side. */
  readonly own: Bytes;
  readonly #context: HelloContext;
  readonly #suites: readonly Suite[];
  readonly #ephemeral: Bytes;
  #peer: { readonly bytes: Bytes; readonly agreed: AgreedHello } | undefined;

  /**
   * Draws nonce and ephemeral key, and encodes the HELLO.
   *
   * @param clockMs for the peer's log: a difference is shown, never judged.
   */
  constructor(context: HelloContext, rng: Rng, clockMs: number) {
    this.#context = context;
    this.#suites = context.suites ?? ALL_SUITES;
    this.#ephemeral = rng.bytes(32);
    this.own = encode(HelloCodec, {
      versionMin: VERSION_MIN,
      versionMax: VERSION_MAX,
      suites: this.#suites,
      role: roleNumber(context.role),
      from: context.self,
      to: context.peer,
      clusterHash: context.clusterHash,
      rosterHash: context.rosterHash,
      ownLeafSha256: context.ownLeafSha256,
      peerLeafSha256: context.peerLeafSha256,
      bootId: context.bootId,
      nonce: rng.bytes(32),
      clock: BigInt(Math.max(0, Math.floor(clockMs))),
      eph: x25519PublicKey(this.#ephemeral),
    });
  }

  /** Judges the peer's HELLO, in the order of WIRE.md 2. `bytes` must not be changed afterwards. @throws LinkFault */
  receive(bytes: Bytes): AgreedHello {
    const hello = decodeHello(bytes);
    const context = this.#context;
    if (hello.from !== context.peer) throw new LinkFault("HELLO_FROM");
    if (hello.to !== context.self) throw new LinkFault("HELLO_TO");
    if (hello.role !== 1 - roleNumber(context.role)) throw new LinkFault("HELLO_ROLE");
    if (!equal(hello.clusterHash, context.clusterHash)) throw new LinkFault("HELLO_CLUSTER");
    if (!equal(hello.ownLeafSha256, context.peerLeafSha256)) {
      throw new LinkFault(
        "HELLO_FINGERPRINT",
        "the HELLO names another certificate of the sender than TLS showed",
      );
    }
    if (!equal(hello.peerLeafSha256, context.ownLeafSha256)) {
      throw new LinkFault("HELLO_FINGERPRINT", "the HELLO was made for another certificate than ours");
    }
    if (hello.versionMin > VERSION_MAX || hello.versionMax < VERSION_MIN) {
      throw new LinkFault(
        "HELLO_VERSION",
        `the peer speaks versions ${hello.versionMin} to ${hello.versionMax}, this node ${VERSION_MIN} to ${VERSION_MAX}`,
      );
    }
    const suite = this.#suites.filter((own) => hello.suites.includes(own)).sort((a, b) => b - a)[0];
    if (suite === undefined) throw new LinkFault("HELLO_SUITE");
    const agreed = { hello, suite, version: Math.min(hello.versionMax, VERSION_MAX) };
    this.#peer = { bytes, agreed };
    return agreed;
  }

  /** The signature that this side sends as HELLO_ACK, after {@linkcode receive}. */
  acknowledge(binding: ChannelBinding, identity: Ed25519Signer): Bytes {
    return identity.sign(ackMessage(this.#context.role, this.#transcript(binding)));
  }

  /** Verifies the peer's HELLO_ACK. @throws LinkFault */
  verify(signature: Uint8Array, binding: ChannelBinding, identity: Ed25519Verifier): void {
    const theirs = this.#context.role === "dialler" ? "listener" : "dialler";
    if (!identity.verify(ackMessage(theirs, this.#transcript(binding)), signature)) {
      throw new LinkFault("HELLO_SIGNATURE");
    }
  }

  /** `HKDF-Extract(T, X25519)`: the root of the sealed channel. @throws LinkFault where the agreement gives no key. */
  deriveKey(binding: ChannelBinding): Bytes {
    const shared = x25519(this.#ephemeral, this.#received().agreed.hello.eph);
    if (shared === undefined) throw new LinkFault("HELLO_KEY");
    const prk = hkdfExtract(this.#transcript(binding), shared);
    erase(shared);
    return prk;
  }

  /** Erases the ephemeral key. */
  [Symbol.dispose](): void {
    erase(this.#ephemeral);
  }

  /** `T = H("hello"; HELLO_dialler, HELLO_listener, exporterClient, exporterServer)` over the exact bytes. */
  #transcript(binding: ChannelBinding): Bytes {
    const peer = this.#received().bytes;
    const [dialler, listener] = this.#context.role === "dialler" ? [this.own, peer] : [peer, this.own];
    return hash(Tag.hello, dialler, listener, binding.exporterClient, binding.exporterServer);
  }

  #received(): { readonly bytes: Bytes; readonly agreed: AgreedHello } {
    if (this.#peer === undefined) {
      throw new LinkFault("FRAME_UNEXPECTED", "a HELLO_ACK came before the HELLO");
    }
    return this.#peer;
  }
}

/** The encoding of a HELLO; for tools and tests. */
export const HelloCodec: Codec<Hello> = struct({
  versionMin: U16,
  versionMax: U16,
  suites: list(U16, 8),
  role: U8,
  from: U32,
  to: U32,
  clusterHash: fixed(32),
  rosterHash: fixed(32),
  ownLeafSha256: fixed(32),
  peerLeafSha256: fixed(32),
  bootId: fixed(16),
  nonce: fixed(32),
  clock: U64,
  eph: fixed(32),
}) satisfies Codec<ValueOf<Codec<Hello>>>;

/** `the peer's clock is 3 s ahead of ours`. */
export function skewText(offsetMs: number): string {
  const seconds = Math.round(Math.abs(offsetMs) / 100) / 10;
  return `the peer's clock is ${seconds} s ${offsetMs > 0 ? "ahead of" : "behind"} ours`;
}

function decodeHello(bytes: Bytes): Hello {
  try {
    return decode(HelloCodec, bytes);
  } catch (error) {
    if (error instanceof DecodeError) {
      throw new LinkFault("HELLO_INVALID", `the HELLO cannot be read: ${error.message}`);
    }
    throw error;
  }
}

function ackMessage(role: LinkRole, transcript: Bytes): Bytes {
  return hash(Tag.helloAck, u8(roleNumber(role)), transcript);
}

function roleNumber(role: LinkRole): number {
  return role === "dialler" ? 0 : 1;
}

const VERSION_MIN = 1;
const VERSION_MAX = 1;
const ALL_SUITES: readonly Suite[] = Object.keys(SUITES).map((suite) => Number(suite) as Suite);
