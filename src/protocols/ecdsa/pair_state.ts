/**
 * What two signers of a key share in one epoch: the result of the pair set-up (SPEC 2.1, 2.3). Not backed up: it is made
 * anew where it is lost.
 *
 * @module
 */

import { type KeyId, keyId, type PartyId, partyId, type SessionId } from "../../base/brands.ts";
import { type Bytes, copy, erase, u16, u32 } from "../../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  map,
  struct,
  U16,
  U32,
  U8,
} from "../../base/codec.ts";
import { InvariantError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { LEAF_BYTES, LEAVES, SEED_BYTES, TREES } from "./params.ts";

/** Which pair of which key. */
export interface PairIdentity {
  /** The key. */
  readonly keyId: KeyId;
  /** Its epoch. */
  readonly epoch: number;
  /** The party that holds the state. */
  readonly self: PartyId;
  /** The other party. */
  readonly peer: PartyId;
}

/** The secrets of a pair as one side holds them. */
export interface PairSecrets extends PairIdentity {
  /** psid of the direction in which the lower index is the VOLE receiver. */
  readonly psidLow: Bytes;
  /** psid of the other direction. */
  readonly psidHigh: Bytes;
  /** z_ij. */
  readonly zeroSeed: Bytes;
  /** This party as VOLE receiver: all 512 leaves. */
  readonly receiveLeaves: Bytes;
  /** This party as VOLE sender: Δ_y of the 32 trees, each below 16. */
  readonly delta: Bytes;
  /** This party as VOLE sender: the leaves, zero at Δ_y. */
  readonly sendLeaves: Bytes;
}

/** The state of a pair. Never printed; `using`, or a burn, erases it. */
export class PairState implements Disposable {
  #secrets: PairSecrets | undefined;

  /** Takes ownership of the byte strings. */
  constructor(secrets: PairSecrets) {
    this.#secrets = secrets;
  }

  /** Reads the canonical encoding. @throws DecodeError */
  static decode(bytes: Uint8Array): PairState {
    const { version: _, ...secrets } = decode(codec, bytes);
    return new PairState(secrets);
  }

  /** The canonical encoding, version 1: secret, owned by the caller. */
  encode(): Secret {
    return new Secret(encode(codec, { version: VERSION, ...this.expose() }));
  }

  /** The secrets themselves, not copies. @throws InvariantError after disposal. */
  expose(): PairSecrets {
    if (this.#secrets === undefined) throw new InvariantError("a pair state was used after it was erased");
    return this.#secrets;
  }

  /**
   * `H("pair/tag"; keyId, epoch, min, max, psid_{min→max}, psid_{max→min})`: equal at both sides iff they hold the two halves
   * of one set-up. Says nothing about the secrets.
   */
  get tag(): Bytes {
    const { keyId, epoch, self, peer, psidLow, psidHigh } = this.expose();
    const min = Math.min(self, peer), max = Math.max(self, peer);
    return hash(Tag.pairTag, keyId, u32(epoch), u16(min), u16(max), psidLow, psidHigh);
  }

  /** Whether this is the state of that pair of that key and epoch. */
  belongsTo(place: PairIdentity): boolean {
    const { keyId, epoch, self, peer } = this.expose();
    return keyId.every((byte, i) => byte === place.keyId[i]) && epoch === place.epoch &&
      self === place.self &&
      peer === place.peer;
  }

  /** Erases the secrets. A second call does nothing. */
  [Symbol.dispose](): void {
    const secrets = this.#secrets;
    this.#secrets = undefined;
    erase(secrets?.zeroSeed, secrets?.receiveLeaves, secrets?.delta, secrets?.sendLeaves);
  }

  /** What string conversion shows. @returns a fixed word. */
  toString(): string {
    return REDACTED;
  }

  /** What JSON shows. @returns a fixed word. */
  toJSON(): string {
    return REDACTED;
  }

  /** What `Deno.inspect` and `console.log` show. */
  [Symbol.for("Deno.customInspect")](): string {
    return REDACTED;
  }

  /** What `node:util` `inspect` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return REDACTED;
  }
}

/** `H("pair"; sid of the pair session, keyId, epoch, R, S)` for the direction with that VOLE receiver and sender. */
export function pairSessionId(
  input: {
    readonly sid: SessionId;
    readonly keyId: KeyId;
    readonly epoch: number;
    readonly receiver: PartyId;
    readonly sender: PartyId;
  },
): Bytes {
  return hash(Tag.pair, input.sid, input.keyId, u32(input.epoch), u16(input.receiver), u16(input.sender));
}

const VERSION = 1;
const REDACTED = "<redacted>";

const partyCodec: Codec<PartyId> = map(U16, (party: PartyId) => party, (index) => {
  if (index === 0) throw new DecodeError("a party index is not 0");
  return partyId(index);
});

const fields = struct({
  version: map(U8, (v: number) => v, (v) => {
    if (v !== VERSION) throw new DecodeError("a pair state of an unknown version");
    return v;
  }),
  keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
  epoch: U32,
  self: partyCodec,
  peer: partyCodec,
  psidLow: fixed(32),
  psidHigh: fixed(32),
  zeroSeed: fixed(32),
  receiveLeaves: fixed(LEAF_BYTES),
  delta: fixed(TREES),
  sendLeaves: fixed(LEAF_BYTES),
});

const codec: typeof fields = map(fields, (value) => value, (value) => {
  if (value.self === value.peer) throw new DecodeError("a pair has two parties");
  for (let y = 0; y < TREES; y++) {
    const Delta_y = value.delta[y] as number;
    if (Delta_y >= LEAVES) throw new DecodeError("a punctured place is not below 16");
    const at = (y * LEAVES + Delta_y) * SEED_BYTES;
    if (copy(value.sendLeaves.subarray(at, at + SEED_BYTES)).some((byte) => byte !== 0)) {
      throw new DecodeError("a punctured leaf is not zero");
    }
  }
  return value;
});
