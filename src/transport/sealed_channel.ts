/**
 * The sealed channel of a link (WIRE.md 2, "Sealing"): authenticated encryption of every frame inside TLS, so that a stolen
 * TLS key or a fault of the runtime's TLS opens nothing. It knows no sockets and can be used without the mesh.
 *
 * Per direction a root key gives `enc ‖ mac = HKDF-Expand(root_e, "keys", 64)` and its successor
 * `root_{e+1} = HKDF-Expand(root_e, "next")`. The nonce is `u32 epoch ‖ u64 sequence`; the AEAD's associated data are header and
 * session id; the MAC covers everything before it, and is verified before the AEAD.
 *
 * @module
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, copy, equalSecret, erase, utf8 } from "../base/bytes.ts";
import { type AeadName, aeadOpen, aeadSeal, hkdfExpand, hmacSha256 } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";
import { LinkFault } from "./faults.ts";
import {
  type FrameFields,
  MAC_BYTES,
  NONCE_BYTES,
  payloadOf,
  PREFIX_BYTES,
  type RawFrame,
  TAG_BYTES,
  writePrefix,
  writeU64,
} from "./frame.ts";
import { DEFAULT_LIMITS, type RotationLimits } from "./limits.ts";

/** Cipher suites by their number on the wire; each is joined with HMAC-SHA-256. */
export const SUITES: { readonly 1: "aes-256-gcm"; readonly 2: "chacha20-poly1305" } = {
  1: "aes-256-gcm",
  2: "chacha20-poly1305",
} as const satisfies Record<number, AeadName>;

/** The number of a suite. */
export type Suite = keyof typeof SUITES;

/** Which end of the connection a party is. */
export type LinkRole = "dialler" | "listener";

/** What both ends agreed on. */
export interface SealedChannelOptions {
  /** The agreed suite. */
  readonly suite: Suite;
  /** Which end this side is. */
  readonly role: LinkRole;
  /** 32 bytes; erased by the constructor. */
  readonly prk: Bytes;
  /** When keys change; default: those of {@linkcode DEFAULT_LIMITS}. */
  readonly rotation?: RotationLimits;
  /** Milliseconds on a clock that never goes back; without it keys rotate by count only. */
  readonly now?: () => number;
}

/**
 * Seals what goes out and opens what comes in, each direction under keys of its own.
 *
 * @example
 * ```ts
 * import { FrameType } from "../session/links.ts";
 * import { FrameParser, NO_SESSION } from "./frame.ts";
 * import { SealedChannel } from "./sealed_channel.ts";
 *
 * const agreed = new Uint8Array(32).fill(7); // from a key agreement, for example HelloExchange
 * using alice = new SealedChannel({ suite: 2, role: "dialler", prk: agreed.slice() });
 * using bob = new SealedChannel({ suite: 2, role: "listener", prk: agreed.slice() });
 * const fields = { type: FrameType.DONE, from: 1, to: 2, sequence: 0, timestamp: 0, session: NO_SESSION };
 * const sealed = alice.seal(fields, new TextEncoder().encode("hello"));
 *
 * const parser = new FrameParser(() => true);
 * parser.push(sealed);
 * const frame = parser.next();
 * if (frame === undefined) throw new Error("the frame is whole");
 * if (new TextDecoder().decode(bob.open(frame)) !== "hello") throw new Error("not opened");
 * ```
 */
export class SealedChannel implements Disposable {
  readonly #aead: AeadName;
  readonly #rotation: RotationLimits;
  readonly #now: () => number;
  #sending: DirectionKeys;
  #receiving: DirectionKeys;
  #sentSequence = -1;
  #openedSequence = -1;
  #epochFrames = 0;
  #epochBytes = 0;
  #epochSince: number;

  /** Derives the keys of both directions. */
  constructor(options: SealedChannelOptions) {
    invariant(options.prk.length === 32, "a sealed channel starts from 32 bytes");
    this.#aead = SUITES[options.suite];
    this.#rotation = options.rotation ?? DEFAULT_LIMITS.rotation;
    this.#now = options.now ?? (() => 0);
    this.#epochSince = this.#now();
    const roots = {
      dialler: hkdfExpand(options.prk, utf8("quorate/v1/seal/d2l"), 32),
      listener: hkdfExpand(options.prk, utf8("quorate/v1/seal/l2d"), 32),
    };
    erase(options.prk);
    this.#sending = new DirectionKeys(0, roots[options.role]);
    this.#receiving = new DirectionKeys(0, roots[options.role === "dialler" ? "listener" : "dialler"]);
  }

  /** Key epoch of what goes out, from 0. */
  get sendEpoch(): number {
    return this.#sending.epoch;
  }

  /** Key epoch of what came in last. */
  get receiveEpoch(): number {
    return this.#receiving.epoch;
  }

  /**
   * A whole frame whose payload is sealed. Each call needs a greater sequence than the one before, because the nonce is made
   * of it.
   */
  seal(fields: FrameFields, plaintext: Uint8Array): Bytes {
    invariant(
      fields.sequence > this.#sentSequence,
      "a sequence was sealed twice: its nonce would be used twice",
    );
    this.#rotate();
    this.#sentSequence = fields.sequence;
    const payloadSize = plaintext.length + TAG_BYTES;
    const out = new Uint8Array(PREFIX_BYTES + NONCE_BYTES + payloadSize + MAC_BYTES);
    writePrefix(out, fields, { payloadSize, sealed: true });
    const nonce = out.subarray(PREFIX_BYTES, PREFIX_BYTES + NONCE_BYTES);
    writeNonce(nonce, this.#sending.epoch, fields.sequence);
    const aad = out.subarray(0, PREFIX_BYTES);
    out.set(aeadSeal(this.#aead, this.#sending.enc, nonce, aad, plaintext), PREFIX_BYTES + NONCE_BYTES);
    const macAt = out.length - MAC_BYTES;
    out.set(this.#sending.mac(out.subarray(0, macAt)), macAt);
    this.#epochFrames++;
    this.#epochBytes += out.length;
    return out;
  }

  /**
   * The plaintext of a sealed frame of the other end. Sequences must grow; that they have no gaps is the link's to check,
   * because it counts frames that are not sealed too.
   *
   * @throws LinkFault; the channel is unchanged then.
   */
  open(frame: RawFrame): Bytes {
    invariant(frame.sealed, "only a sealed frame is opened");
    if (frame.sequence <= this.#openedSequence) throw new LinkFault("SEQUENCE", "a sealed frame came again");
    const nonce = frame.bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + NONCE_BYTES);
    const epoch = readEpoch(nonce, frame.sequence);
    const current = this.#receiving;
    if (epoch !== current.epoch && epoch !== current.epoch + 1) {
      throw new LinkFault("SEAL_EPOCH", `a frame of key epoch ${epoch} after one of ${current.epoch}`);
    }
    const keys = epoch === current.epoch ? current : current.next();
    try {
      const plaintext = this.#authenticate(frame, nonce, keys);
      this.#openedSequence = frame.sequence;
      this.#receiving = keys;
      return plaintext;
    } finally {
      if (keys !== current) (this.#receiving === keys ? current : keys)[Symbol.dispose]();
    }
  }

  /** Erases the keys; the channel is of no use afterwards. */
  [Symbol.dispose](): void {
    this.#sending[Symbol.dispose]();
    this.#receiving[Symbol.dispose]();
  }

  /** MAC first: a forged frame must not reach the decryption (WIRE.md 2). */
  #authenticate(frame: RawFrame, nonce: Uint8Array, keys: DirectionKeys): Bytes {
    const macAt = frame.bytes.length - MAC_BYTES;
    if (!equalSecret(keys.mac(frame.bytes.subarray(0, macAt)), frame.bytes.subarray(macAt))) {
      throw new LinkFault("SEAL_MAC");
    }
    const aad = frame.bytes.subarray(0, PREFIX_BYTES);
    const plaintext = aeadOpen(this.#aead, keys.enc, nonce, aad, payloadOf(frame));
    if (plaintext === undefined) throw new LinkFault("SEAL_AEAD");
    return plaintext;
  }

  /** Moves to the next keys where the present ones have done enough: before a frame, so that no frame has two. */
  #rotate(): void {
    const { frames, bytes, ms } = this.#rotation;
    const now = this.#now();
    if (this.#epochFrames < frames && this.#epochBytes < bytes && now - this.#epochSince < ms) return;
    const old = this.#sending;
    this.#sending = old.next();
    old[Symbol.dispose]();
    this.#epochFrames = 0;
    this.#epochBytes = 0;
    this.#epochSince = now;
  }
}

/** The keys of one direction in one epoch. */
class DirectionKeys implements Disposable {
  readonly epoch: number;
  readonly enc: Bytes;
  readonly #root: Bytes;
  readonly #macKey: Bytes;
  readonly #macState: ReturnType<typeof hmac.create>;

  constructor(epoch: number, root: Bytes) {
    this.epoch = epoch;
    this.#root = root;
    const keys = hkdfExpand(root, utf8("keys"), 64);
    this.enc = copy(keys.subarray(0, 32));
    this.#macKey = copy(keys.subarray(32));
    this.#macState = hmac.create(sha256, this.#macKey);
    erase(keys);
  }

  next(): DirectionKeys {
    return new DirectionKeys(this.epoch + 1, hkdfExpand(this.#root, utf8("next"), 32));
  }

  /** A keyed state that is cloned is faster than a new native HMAC, but only for short inputs (PERFORMANCE.md). */
  mac(input: Uint8Array): Uint8Array {
    if (input.length > SHORT_BYTES) return hmacSha256(this.#macKey, input);
    const state = this.#macState.clone();
    state.update(input);
    return state.digest();
  }

  [Symbol.dispose](): void {
    erase(this.#root, this.enc, this.#macKey);
    this.#macState.destroy();
  }
}

function writeNonce(out: Uint8Array, epoch: number, sequence: number): void {
  const view = new DataView(out.buffer, out.byteOffset, NONCE_BYTES);
  view.setUint32(0, epoch);
  writeU64(view, 4, sequence);
}

/** The key epoch of a nonce whose other half must be the header's sequence. */
function readEpoch(nonce: Uint8Array, sequence: number): number {
  const view = new DataView(nonce.buffer, nonce.byteOffset, NONCE_BYTES);
  if (view.getUint32(4) * 2 ** 32 + view.getUint32(8) !== sequence) throw new LinkFault("SEAL_NONCE");
  return view.getUint32(0);
}

const SHORT_BYTES = 768;
