/**
 * Custodians: those who hold the private keys that open backups. Their keys are standard files, PKCS #8 and
 * SubjectPublicKeyInfo in PEM, so that other tools and hardware can make them.
 *
 * @module
 */

import { type Bytes, concat, copy, equal, erase, hex, u16, u8, utf8 } from "../../base/bytes.ts";
import { bytes, type Codec, DecodeError, map, struct, U8 } from "../../base/codec.ts";
import { rsaGenerate } from "../../base/crypto.ts";
import { RSA_BITS, rsaSpkiOfPrivate } from "../../base/crypto_rsa.ts";
import { UsageError } from "../../base/errors.ts";
import { fromPem, toPem } from "../../base/pem.ts";
import type { Rng } from "../../base/rng.ts";
import { Secret } from "../../base/secret.ts";
import { type AccessTree, checkPolicy, encodePolicy, leavesOf } from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { P256_KEM, X25519_KEM } from "./hpke.ts";
import { checkCustodianKey, type CustodianPublicKey, type CustodianSuite, pkeOf, PKES } from "./pke.ts";

/** What opens backups: a key file, or a device that keeps the private key to itself. */
export interface Decapsulator {
  /** Its public half: ek. */
  readonly publicKey: CustodianPublicKey;
  /** The shared secret of an encapsulation; undefined where it is malformed. */
  decapsulate(encapsulation: Uint8Array): Bytes | undefined;
}

/** Several custodians, of whom a quorum opens a backup. */
export interface CustodianGroup {
  /** Who may open together. A policy that one custodian alone satisfies is allowed. */
  readonly policy: AccessTree;
  /** The key of every leaf of the policy, by name. */
  readonly keys: ReadonlyMap<string, CustodianPublicKey>;
}

/** A custodian's private key. Dispose of it after use: that erases it. */
export class CustodianKey implements Decapsulator, Disposable {
  /** Its public half: ek. */
  readonly publicKey: CustodianPublicKey;
  /** The private key of HPKE, or the PKCS #8 of RSA. */
  readonly #privateKey: Secret;

  /** Takes ownership of the private key. */
  constructor(publicKey: CustodianPublicKey, privateKey: Secret) {
    this.publicKey = publicKey;
    this.#privateKey = privateKey;
  }

  /** The shared secret of an encapsulation; undefined where it is malformed. */
  decapsulate(encapsulation: Uint8Array): Bytes | undefined {
    const { bytes } = this.publicKey;
    return pkeOf(this.publicKey).decapsulate(this.#privateKey.expose(), bytes, encapsulation);
  }

  /** The PKCS #8 PEM file. Secret. */
  toPem(): string {
    const secret = this.#privateKey.expose();
    const { suite, bytes } = this.publicKey;
    const der = suite === "x25519"
      ? concat(PKCS8_X25519, secret)
      : suite === "p256"
      ? concat(PKCS8_P256, secret, PKCS8_P256_PUBLIC, bytes)
      : copy(secret);
    const pem = toPem("PRIVATE KEY", der);
    erase(der);
    return pem;
  }

  /** Erases the private key. */
  [Symbol.dispose](): void {
    this.#privateKey[Symbol.dispose]();
  }
}

/**
 * Draws a custodian key.
 *
 * @param rng the runtime draws RSA keys itself.
 */
export function generateCustodianKey(suite: CustodianSuite, rng: Rng): CustodianKey {
  if (suite === "rsa") return keyOf("rsa", rsaGenerate(RSA_BITS.min)) as CustodianKey;
  const seed = rng.bytes(32);
  const { privateKey, publicKey } = KEMS[suite].deriveKeyPair(seed);
  erase(seed);
  return new CustodianKey({ suite, bytes: publicKey }, new Secret(privateKey));
}

/** The PEM file of a public key. */
export function formatCustodianKey({ suite, bytes }: CustodianPublicKey): string {
  return toPem("PUBLIC KEY", suite === "rsa" ? bytes : concat(SPKI[suite], bytes));
}

/**
 * Reads a public key file.
 *
 * @param what for messages: the name of the file.
 * @throws UsageError IDENTITY_INVALID where it is none, or one of small order.
 */
export function parseCustodianKey(text: string, what: string): CustodianPublicKey {
  const der = derOf("PUBLIC KEY", text, what);
  const suite = (["x25519", "p256"] as const).find((name) => startsWith(der, SPKI[name])) ?? "rsa";
  const publicKey: CustodianPublicKey = {
    suite,
    bytes: suite === "rsa" ? der : der.slice(SPKI[suite].length),
  };
  checkCustodianKey(publicKey, `the custodian's key in ${what}`);
  return publicKey;
}

/**
 * Reads a private key file. The caller disposes of the key.
 *
 * @param what for messages: the name of the file.
 * @throws UsageError IDENTITY_INVALID; the message never repeats the text.
 */
export function parseCustodianPrivateKey(text: string, what: string): CustodianKey {
  const der = derOf("PRIVATE KEY", text, what);
  const isX25519 = der.length === PKCS8_X25519.length + 32 && startsWith(der, PKCS8_X25519);
  const isP256 = der.length === PKCS8_P256.length + 32 + PKCS8_P256_PUBLIC.length + 65 &&
    startsWith(der, PKCS8_P256);
  const key = isX25519
    ? keyOf("x25519", der.slice(PKCS8_X25519.length))
    : isP256
    ? keyOf("p256", der.slice(PKCS8_P256.length, PKCS8_P256.length + 32))
    : keyOf("rsa", copy(der));
  // The file also says the public key of P-256: a file that contradicts itself is not used.
  const isWhole = key !== undefined &&
    (!isP256 || startsWith(der.subarray(PKCS8_P256.length + 32), PKCS8_P256_PUBLIC) &&
        equal(der.subarray(-65), key.publicKey.bytes));
  erase(der);
  if (key !== undefined && isWhole) return key;
  key?.[Symbol.dispose]();
  throw new UsageError(
    "IDENTITY_INVALID",
    `${what} holds no private key for X25519, P-256 or RSA of ${RSA_BITS.min} bits or more in PKCS #8`,
  );
}

/** Which custodian it is: 32 bytes. */
export function custodianId({ suite, bytes }: CustodianPublicKey): Bytes {
  return hash(Tag.pveCustodian, u8(PKES[suite].id), bytes);
}

/** Which custodian it is, for people: 16 hexadecimal digits. */
export function custodianName(publicKey: CustodianPublicKey): string {
  return hex(custodianId(publicKey).slice(0, 8));
}

/**
 * Refuses a group whose keys and leaves are not the same, one to one, or whose keys cannot be encrypted to.
 *
 * @throws UsageError POLICY_INVALID or IDENTITY_INVALID
 */
export function checkCustodianGroup({ policy, keys }: CustodianGroup): void {
  checkPolicy(policy, { allowSingle: true });
  const leaves = leavesOf(policy);
  const missing = leaves.find((name) => !keys.has(name));
  if (missing !== undefined) {
    throw new UsageError("POLICY_INVALID", `no key is given for the custodian ${missing}`);
  }
  const stranger = [...keys.keys()].find((name) => !leaves.includes(name));
  if (stranger !== undefined) {
    throw new UsageError("POLICY_INVALID", `a key is given for ${stranger}, whom the policy does not name`);
  }
  const holders = new Map<string, string>();
  for (const [name, key] of keys) {
    checkCustodianKey(key, `the key of the custodian ${name}`);
    const id = custodianName(key), other = holders.get(id);
    if (other !== undefined) {
      throw new UsageError(
        "POLICY_INVALID",
        `${other} and ${name} have one key: one custodian would count twice`,
      );
    }
    holders.set(id, name);
  }
}

/** What the hashes of a group's backups begin with: the policy, and the map of leaves to keys in the order of the tree. */
export function encodeCustodianGroup({ policy, keys }: CustodianGroup): Bytes[] {
  const leaves = leavesOf(policy);
  return [
    encodePolicy(policy),
    u16(leaves.length),
    ...leaves.flatMap((name) => {
      const { suite, bytes } = keys.get(name) as CustodianPublicKey;
      return [utf8(name), u8(PKES[suite].id), bytes];
    }),
  ];
}

/** A public key: its suite and its bytes. Reading refuses one that cannot be encrypted to. */
export const custodianKeyCodec: Codec<CustodianPublicKey> = map(
  struct({ suite: U8, bytes: bytes(1100) }),
  ({ suite, bytes }: CustodianPublicKey) => ({ suite: PKES[suite].id, bytes }),
  ({ suite: id, bytes }) => {
    const suite = (Object.keys(PKES) as CustodianSuite[]).find((name) => PKES[name].id === id);
    if (suite === undefined) throw new DecodeError("a custodian key of an unknown suite");
    const fault = PKES[suite].fault(bytes);
    if (fault !== undefined) throw new DecodeError(`a custodian key cannot be used: ${fault}`);
    return { suite, bytes };
  },
);

/** The key of private bytes; erases them and gives undefined where they are none. */
function keyOf(suite: CustodianSuite, privateKey: Bytes): CustodianKey | undefined {
  const bytes = suite === "rsa" ? rsaSpkiOfPrivate(privateKey) : KEMS[suite].publicKeyOf(privateKey);
  if (bytes !== undefined && PKES[suite].fault(bytes) === undefined) {
    return new CustodianKey({ suite, bytes }, new Secret(privateKey));
  }
  erase(privateKey);
  return undefined;
}

function derOf(label: string, text: string, what: string): Bytes {
  if (text.length > FILE_CHARACTERS_MAX) {
    throw new UsageError("IDENTITY_INVALID", `${what} is too long for a key file`);
  }
  return fromPem(label, text, what);
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return equal(bytes.subarray(0, prefix.length), prefix);
}

const KEMS = { x25519: X25519_KEM, p256: P256_KEM } as const;
const FILE_CHARACTERS_MAX = 16 * 1024;
// RFC 8410, and RFC 5480 with RFC 5915: everything before the bytes that differ from key to key.
const SPKI = {
  x25519: Uint8Array.fromHex("302a300506032b656e032100"),
  p256: Uint8Array.fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
} as const;
const PKCS8_X25519 = Uint8Array.fromHex("302e020100300506032b656e04220420");
const PKCS8_P256 = Uint8Array.fromHex(
  "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420",
);
const PKCS8_P256_PUBLIC = Uint8Array.fromHex("a144034200");
