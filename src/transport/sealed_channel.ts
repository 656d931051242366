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

import { type Bytes, concat, copy, EMPTY, equalSecret, erase, utf8 } from "../base/bytes.ts";
import {
  type AeadName,
  aeadOpen,
  aeadSealInto,
  hkdfExpand,
  hkdfExtract,
  type HmacKey,
  hmacKey,
} from "../base/crypto.ts";
import { invariant, TransportError, UsageError } from "../base/errors.ts";
import { LinkFault } from "./faults.ts";
import {
  type FrameFields,
  FrameParser,
  MAC_BYTES,
  NO_SESSION,
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

/** How a channel is made from a key that both ends have. */
export interface MasterKeyOptions {
  /** The agreed suite; default: ChaCha20-Poly1305. */
  readonly suite?: Suite;
  /** One end is `dialler`, the other `listener`. */
  readonly role: LinkRole;
  /**
   * At least 16 bytes that both ends know and that are used **once** with this master key, for example random bytes of both ends
   * together. A second channel with the same would use the same keys again, which opens both.
   */
  readonly sessionId: Uint8Array;
  /** When keys change; default: those of {@linkcode DEFAULT_LIMITS}. */
  readonly rotation?: RotationLimits;
  /** Milliseconds on a clock that never goes back; default: `performance.now`. */
  readonly now?: () => number;
}

/**
 * Seals what goes out and opens what comes in, each direction under keys of its own.
 *
 * Between programs that have a key in common: {@linkcode SealedChannel.fromMasterKey}, {@linkcode SealedChannel.encrypt},
 * {@linkcode SealedChannel.decrypt}. Links use {@linkcode SealedChannel.seal} and {@linkcode SealedChannel.open}, which work on
 * frames and whose sequences the link counts. One channel is used in one of the two ways.
 *
 * @example
 * ```ts
 * import { systemRng } from "../base/rng.ts";
 * import { SealedChannel } from "./sealed_channel.ts";
 *
 * const masterKey = systemRng.bytes(32), sessionId = systemRng.bytes(32); // both ends have both
 * using alice = SealedChannel.fromMasterKey(masterKey, { role: "dialler", sessionId });
 * using bob = SealedChannel.fromMasterKey(masterKey, { role: "listener", sessionId });
 *
 * const sealed = alice.encrypt(new TextEncoder().encode("hello"));
 * if (new TextDecoder().decode(bob.decrypt(sealed)) !== "hello") throw new Error("not opened");
 *
 * let refused = "";
 * try {
 *   bob.decrypt(sealed);
 * } catch (error) {
 *   refused = (error as { code: string }).code;
 * }
 * if (refused !== "CHANNEL_REPLAY") throw new Error("the same bytes open once");
 *
 * alice.rotateKeys(); // beside the rotation by count, bytes and time
 * bob.decrypt(alice.encrypt(new Uint8Array(3)));
 *
 * const data = new TextEncoder().encode("not secret");
 * if (!bob.verifyMac(data, alice.computeMac(data))) throw new Error("both ends have the MAC key");
 * ```
 */
export class SealedChannel implements Disposable {
  readonly #aead: AeadName;
  readonly #rotation: RotationLimits;
  readonly #now: () => number;
  #sending: DirectionKeys;
  #receiving: DirectionKeys;
  readonly #macKey: HmacKey;
  #sentSequence = -1;
  #openedSequence = -1;
  #isRotationDue = false;
  #isClosed = false;
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
    const macKey = hkdfExpand(options.prk, utf8("quorate/v1/seal/mac"), 32);
    this.#macKey = hmacKey(macKey);
    erase(options.prk, macKey);
    this.#sending = new DirectionKeys(0, roots[options.role]);
    this.#receiving = new DirectionKeys(0, roots[options.role === "dialler" ? "listener" : "dialler"]);
  }

  /**
   * A channel between two programs that have a key in common.
   *
   * @param masterKey at least 32 bytes that nobody else knows; the caller erases it.
   * @throws UsageError USAGE where the key or the session id is too short.
   */
  static fromMasterKey(masterKey: Uint8Array, options: MasterKeyOptions): SealedChannel {
    const { suite = 2, role, sessionId, rotation, now = () => performance.now() } = options;
    if (masterKey.length < 32) {
      throw new UsageError("USAGE", "a master key has 32 bytes or more: draw it at random");
    }
    if (sessionId.length < SESSION_ID_BYTES_MIN) {
      throw new UsageError(
        "USAGE",
        `a session id has ${SESSION_ID_BYTES_MIN} bytes or more, used once per master key`,
      );
    }
    const prk = hkdfExtract(concat(utf8("quorate/v1/seal/master"), sessionId), masterKey);
    return new SealedChannel({ suite, role, prk, now, ...(rotation === undefined ? {} : { rotation }) });
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
   * Seals a message. What comes out is opened once, by the other end, and not after a later one.
   *
   * @param associated data that the other end has to know, and that is not sent.
   * @throws TransportError CHANNEL_CLOSED
   */
  encrypt(plaintext: Uint8Array, associated: Uint8Array = EMPTY): Bytes {
    this.#checkOpen();
    const sequence = this.#sentSequence + 1;
    const fields = { type: NO_FRAME_TYPE, from: 0, to: 0, sequence, timestamp: 0, session: NO_SESSION };
    return this.seal(fields, plaintext, associated);
  }

  /**
   * Opens what the other end sealed.
   *
   * @param associated the same data as there.
   * @throws TransportError CHANNEL_REPLAY, CHANNEL_INVALID, CHANNEL_CLOSED; the channel is unchanged then.
   */
  decrypt(sealed: Uint8Array, associated: Uint8Array = EMPTY): Bytes {
    this.#checkOpen();
    try {
      return this.open(readWhole(sealed), associated);
    } catch (cause) {
      if (!(cause instanceof LinkFault)) throw cause;
      throw cause.code === "SEQUENCE"
        ? new TransportError("CHANNEL_REPLAY", "the message came again, or after a later one: drop it", {
          cause,
        })
        : new TransportError(
          "CHANNEL_INVALID",
          `the message does not authenticate: ${cause.message}; drop it`,
          { cause },
        );
    }
  }

  /** What is sealed from now on has new keys, and the present ones are erased. The other end follows. */
  rotateKeys(): void {
    this.#isRotationDue = true;
  }

  /** HMAC-SHA-256 under a key that both ends have and that no rotation changes: it says that one of the two made it. */
  computeMac(data: Uint8Array): Bytes {
    this.#checkOpen();
    return this.#macKey.mac(data);
  }

  /** Compares in constant time. */
  verifyMac(data: Uint8Array, mac: Uint8Array): boolean {
    return equalSecret(this.computeMac(data), mac);
  }

  /** Erases all keys; the channel refuses everything afterwards. */
  close(): void {
    this[Symbol.dispose]();
  }

  /**
   * A whole frame whose payload is sealed. Each call needs a greater sequence than the one before, because the nonce is made
   * of it.
   */
  seal(fields: FrameFields, plaintext: Uint8Array, associated: Uint8Array = EMPTY): Bytes {
    const out = new Uint8Array(sealedSize(plaintext.length));
    this.sealInto(out, fields, plaintext, associated);
    return out;
  }

  /** {@linkcode SealedChannel.seal} into memory of {@linkcode sealedSize} bytes, where the frame leaves from. */
  sealInto(out: Bytes, fields: FrameFields, plaintext: Uint8Array, associated: Uint8Array = EMPTY): void {
    invariant(!this.#isClosed, "a closed channel has no keys");
    invariant(
      fields.sequence > this.#sentSequence,
      "a sequence was sealed twice: its nonce would be used twice",
    );
    invariant(out.length === sealedSize(plaintext.length), "a sealed frame fills the memory that it has");
    this.#rotate();
    this.#sentSequence = fields.sequence;
    const payloadSize = plaintext.length + TAG_BYTES;
    writePrefix(out, fields, { payloadSize, sealed: true });
    const payloadAt = PREFIX_BYTES + NONCE_BYTES;
    const macAt = payloadAt + payloadSize;
    const nonce = out.subarray(PREFIX_BYTES, payloadAt);
    writeNonce(nonce, this.#sending.epoch, fields.sequence);
    const aad = joined(out.subarray(0, PREFIX_BYTES), associated);
    aeadSealInto(out.subarray(payloadAt, macAt), this.#aead, this.#sending.enc, nonce, aad, plaintext);
    out.set(this.#sending.mac(joined(out.subarray(0, macAt), associated)), macAt);
    this.#epochFrames++;
    this.#epochBytes += out.length;
  }

  /**
   * The plaintext of a sealed frame of the other end. Sequences must grow; that they have no gaps is the link's to check,
   * because it counts frames that are not sealed too.
   *
   * @throws LinkFault; the channel is unchanged then.
   */
  open(frame: RawFrame, associated: Uint8Array = EMPTY): Bytes {
    invariant(!this.#isClosed, "a closed channel has no keys");
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
      const plaintext = this.#authenticate(frame, { nonce, keys, associated });
      this.#openedSequence = frame.sequence;
      this.#receiving = keys;
      return plaintext;
    } finally {
      if (keys !== current) (this.#receiving === keys ? current : keys)[Symbol.dispose]();
    }
  }

  /** Erases the keys; the channel is of no use afterwards. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sending[Symbol.dispose]();
    this.#receiving[Symbol.dispose]();
    this.#macKey[Symbol.dispose]();
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new TransportError(
      "CHANNEL_CLOSED",
      "the sealed channel was closed: make a new one with a new session id",
    );
  }

  /** MAC first: a forged frame must not reach the decryption (WIRE.md 2). */
  #authenticate(
    frame: RawFrame,
    { nonce, keys, associated }: {
      readonly nonce: Uint8Array;
      readonly keys: DirectionKeys;
      readonly associated: Uint8Array;
    },
  ): Bytes {
    const macAt = frame.bytes.length - MAC_BYTES;
    const mac = keys.mac(joined(frame.bytes.subarray(0, macAt), associated));
    if (!equalSecret(mac, frame.bytes.subarray(macAt))) {
      throw new LinkFault("SEAL_MAC");
    }
    const aad = joined(frame.bytes.subarray(0, PREFIX_BYTES), associated);
    const plaintext = aeadOpen(this.#aead, keys.enc, nonce, aad, payloadOf(frame));
    if (plaintext === undefined) throw new LinkFault("SEAL_AEAD");
    return plaintext;
  }

  /** Moves to the next keys where the present ones have done enough: before a frame, so that no frame has two. */
  #rotate(): void {
    const { frames, bytes, ms } = this.#rotation;
    const now = this.#now();
    const isWithin = this.#epochFrames < frames && this.#epochBytes < bytes && now - this.#epochSince < ms;
    if (isWithin && !this.#isRotationDue) return;
    this.#isRotationDue = false;
    const old = this.#sending;
    this.#sending = old.next();
    old[Symbol.dispose]();
    this.#epochFrames = 0;
    this.#epochBytes = 0;
    this.#epochSince = now;
  }
}

/** The size of a sealed frame, from that of what is in it. */
export function sealedSize(plaintextBytes: number): number {
  return PREFIX_BYTES + NONCE_BYTES + plaintextBytes + TAG_BYTES + MAC_BYTES;
}

/** The keys of one direction in one epoch. */
class DirectionKeys implements Disposable {
  readonly epoch: number;
  readonly enc: Bytes;
  readonly #root: Bytes;
  readonly #macKey: HmacKey;

  constructor(epoch: number, root: Bytes) {
    this.epoch = epoch;
    this.#root = root;
    const keys = hkdfExpand(root, utf8("keys"), 64);
    this.enc = copy(keys.subarray(0, 32));
    this.#macKey = hmacKey(keys.subarray(32));
    erase(keys);
  }

  next(): DirectionKeys {
    return new DirectionKeys(this.epoch + 1, hkdfExpand(this.#root, utf8("next"), 32));
  }

  mac(input: Uint8Array): Uint8Array {
    return this.#macKey.mac(input);
  }

  [Symbol.dispose](): void {
    erase(this.#root, this.enc);
    this.#macKey[Symbol.dispose]();
  }
}

/** The one frame that the bytes are. It has a type that no link accepts. */
function readWhole(bytes: Uint8Array): RawFrame {
  const parser = new FrameParser((type, isSealed) => type === NO_FRAME_TYPE && isSealed, () => bytes.length);
  parser.push(bytes);
  const frame = parser.next();
  if (frame === undefined) throw new LinkFault("FRAME_INVALID", "it is cut off");
  if (frame.bytes.length !== bytes.length) throw new LinkFault("FRAME_INVALID", "there is more behind it");
  return frame;
}

/** Unambiguous, because the length of a frame and of its prefix is known before what follows. */
function joined(bytes: Uint8Array, associated: Uint8Array): Uint8Array {
  return associated.length === 0 ? bytes : concat(bytes, associated);
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

const NO_FRAME_TYPE = 0;
const SESSION_ID_BYTES_MIN = 16;
