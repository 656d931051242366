/**
 * A verifier of backups that was written from SPEC 4.2 alone, over node:crypto and noble: it shares no code with the one that
 * it is compared with.
 *
 * @module
 */

import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";

type Part = Uint8Array | string | number;

/** What a backup of X25519 custodians says. Big-endian integers have the width of their place in the encoding. */
export interface ReferenceInput {
  readonly kind: "single" | "batch" | "quorum";
  /** Of each custodian, in the order of the policy. */
  readonly recipients: readonly Uint8Array[];
  /** `2 of (a, b, c)` with the names of the custodians: only for a quorum. */
  readonly names?: readonly string[];
  readonly minimum?: number;
  readonly createdAt: number;
  readonly shares: readonly {
    readonly keyId: Uint8Array;
    readonly epoch: number;
    readonly curve: 1 | 2 | 3;
    readonly leaf: string;
    /** Compressed. */
    readonly publicShare: Uint8Array;
  }[];
}

const CURVES = { 1: secp256k1.Point, 2: p256.Point, 3: ed25519.Point } as const;
const Q = secp256k1.Point.Fn.ORDER;

const bytesOf = (hex: string) => Uint8Array.fromHex(hex);
const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));
const integer = (value: number, width: number) => bytesOf(value.toString(16).padStart(2 * width, "0"));
const scalar32 = (value: bigint) => bytesOf(value.toString(16).padStart(64, "0"));
const number = (bytes: Uint8Array) => BigInt("0x" + bytes.toHex());
const textOf = (text: string) => new TextEncoder().encode(text);

const derOf = (prefix: string, key: Uint8Array) => join(bytesOf(prefix), key) as never;

/** H of SPEC 0.2. Numbers are bytes. */
function H(tag: string, ...parts: Part[]): Uint8Array {
  const hash = createHash("sha256");
  const whole = textOf(`quorate/v1/${tag}`);
  hash.update(integer(whole.length, 2)).update(whole).update(integer(parts.length, 2));
  for (const part of parts) {
    const bytes = typeof part === "number"
      ? integer(part, 1)
      : typeof part === "string"
      ? textOf(part)
      : part;
    hash.update(integer(bytes.length, 4)).update(bytes);
  }
  return new Uint8Array(hash.digest());
}

function XOF(length: number, tag: string, ...parts: Part[]): Uint8Array {
  const seed = H(tag, ...parts);
  const blocks = Array.from(
    { length: Math.ceil(length / 32) },
    (_, i) => new Uint8Array(createHash("sha256").update(seed).update(integer(i, 4)).digest()),
  );
  return join(...blocks).slice(0, length);
}

function gcm(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, text: Uint8Array): Uint8Array {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
  return join(cipher.update(text), cipher.final(), cipher.getAuthTag());
}

/** E: HPKE of RFC 9180, base mode, X25519, HKDF-SHA256, AES-256-GCM, ikmE = rho. */
function E(ek: Uint8Array, aad: Uint8Array, text: Uint8Array, rho: Uint8Array): Uint8Array {
  const mac = (key: Uint8Array, data: Uint8Array) =>
    new Uint8Array(createHmac("sha256", key).update(data).digest());
  const empty = new Uint8Array(0);
  const kem = join(textOf("KEM"), integer(0x20, 2));
  const suite = join(textOf("HPKE"), integer(0x20, 2), integer(1, 2), integer(2, 2));
  const extract = (id: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array) =>
    mac(salt, join(textOf("HPKE-v1"), id, textOf(label), ikm));
  const expand = (id: Uint8Array, prk: Uint8Array, label: string, info: Uint8Array, length: number) =>
    mac(prk, join(integer(length, 2), textOf("HPKE-v1"), id, textOf(label), info, Uint8Array.of(1))).slice(
      0,
      length,
    );
  const sk = expand(kem, extract(kem, empty, "dkp_prk", rho), "sk", empty, 32);
  const privateKey = createPrivateKey({
    key: derOf("302e020100300506032b656e04220420", sk),
    format: "der",
    type: "pkcs8",
  });
  const recipient = createPublicKey({
    key: derOf("302a300506032b656e032100", ek),
    format: "der",
    type: "spki",
  });
  const spki = createPublicKey(privateKey as never).export({ format: "der", type: "spki" });
  const enc = new Uint8Array(spki).slice(-32);
  const prk = extract(
    kem,
    empty,
    "eae_prk",
    new Uint8Array(diffieHellman({ privateKey, publicKey: recipient })),
  );
  const shared = expand(kem, prk, "shared_secret", join(enc, ek), 32);
  const context = join(
    Uint8Array.of(0),
    extract(suite, empty, "psk_id_hash", empty),
    extract(suite, empty, "info_hash", textOf("quorate/v1/pve")),
  );
  const secret = extract(suite, shared, "secret", empty);
  const key = expand(suite, secret, "key", context, 32),
    nonce = expand(suite, secret, "base_nonce", context, 12);
  return join(enc, gcm(key, nonce, aad, text));
}

/** True iff the rows behind the head of the file are those that its challenge was made of. */
export function referenceVerify(file: Uint8Array, input: ReferenceInput): boolean {
  const { kind, recipients, shares } = input;
  const n = shares.length;
  const label = join(
    Uint8Array.of(1),
    integer(input.createdAt, 8),
    integer(n, 2),
    ...shares.map(({ keyId, epoch, curve, leaf }) =>
      join(keyId, integer(epoch, 4), Uint8Array.of(curve), integer(leaf.length, 2), textOf(leaf))
    ),
  );
  const [first] = shares as [typeof shares[0] & object];
  const ek = recipients[0] as Uint8Array;
  const columns = shares.flatMap(({ curve, publicShare }) => [curve, publicShare]);
  const names = input.names ?? [], t = input.minimum ?? 0;
  const policy = join(
    Uint8Array.of(1, t, names.length),
    ...names.map((name, i) => join(Uint8Array.of(i + 1, 0), integer(name.length, 2), textOf(name))),
  );
  const map = names.flatMap((name, l): Part[] => [name, 1, recipients[l] as Uint8Array]);
  const aad = kind === "single"
    ? H("pve-aad", 1, ek, first.curve, label, first.publicShare)
    : kind === "batch"
    ? H("pve-batch-aad", 1, ek, integer(n, 2), label, ...columns)
    : H("pve-quorum-aad", integer(n, 2), label, ...columns, policy, integer(names.length, 2), ...map);

  const orderOf = (j: number) => CURVES[shares[j]?.curve as 1].Fn.ORDER;
  const encode = (j: number, x: bigint) => shares[j]?.curve === 3 ? scalar32(x).reverse() : scalar32(x);
  const decode = (j: number, bytes: Uint8Array) =>
    number(shares[j]?.curve === 3 ? bytes.toReversed() : bytes);
  const point = (j: number, x: bigint) => CURVES[shares[j]?.curve as 1].BASE.multiply(x);

  function seal(i: number, half: 0 | 1, text: Uint8Array, t_: Uint8Array): Uint8Array {
    const place = [aad, integer(i, 2), half] as const;
    if (kind === "batch") return E(ek, aad, text, XOF(32, "pve-batch-rho", ...place, t_));
    const K = number(XOF(48, "pve-quorum-key", ...place, t_)) % Q;
    const drawn = XOF(48 * (t - 1), "pve-quorum-shares", ...place, t_);
    const polynomial = [
      K,
      ...Array.from({ length: t - 1 }, (_, k) => number(drawn.slice(48 * k, 48 * k + 48)) % Q),
    ];
    const rhos = XOF(32 * names.length, "pve-quorum-rho", ...place, t_);
    const leaves = names.map((_, l) => {
      const share = polynomial.reduce((sum, a, k) => (sum + a * BigInt(l + 1) ** BigInt(k)) % Q, 0n);
      return E(recipients[l] as Uint8Array, aad, scalar32(share), rhos.slice(32 * l, 32 * l + 32));
    });
    const key = H("pve-quorum-body", ...place, scalar32(K));
    return join(...leaves, gcm(key, new Uint8Array(12), aad, text));
  }

  const sealedBytes = (text: number) => kind === "quorum" ? 80 * names.length + text + 16 : 32 + text + 16;
  const headBytes = kind === "quorum" ? policy.length + 37 * names.length : 37;
  let at = 2 + headBytes + label.length +
    shares.reduce((sum, { publicShare }) => sum + publicShare.length, 0);
  const take = (length: number) => file.slice(at, at += length);
  const e = take(16);
  const hashed: Uint8Array[] = [];
  for (let i = 0; i < 128; i++) {
    if (((e[i >> 3] as number) >> (i & 7) & 1) === 0) {
      const r = take(kind === "single" ? 32 : 64), c1 = take(sealedBytes(32 * n));
      const s0 = r.slice(0, 32), t0 = r.slice(32);
      const drawn = kind === "single"
        ? XOF(80, "pve-row0", aad, integer(i, 2), r)
        : XOF(48 * n, "pve-batch-x0", aad, integer(i, 2), s0);
      const x0 = shares.map((_, j) => number(drawn.slice(48 * j, 48 * j + 48)) % orderOf(j));
      const c0 = kind === "single"
        ? E(ek, aad, encode(0, x0[0] as bigint), drawn.slice(48))
        : seal(i, 0, s0, t0);
      hashed.push(c0, c1, join(...x0.map((x, j) => point(j, x).toBytes())));
    } else {
      const r = take(32), x1 = take(32 * n), c0 = take(sealedBytes(32));
      const c1 = kind === "single"
        ? E(ek, aad, x1, XOF(32, "pve-row1", aad, integer(i, 2), r))
        : seal(i, 1, x1, r);
      const X0 = shares.map(({ curve, publicShare }, j) => {
        const X = CURVES[curve as 1].fromBytes(publicShare);
        return X.subtract(point(j, decode(j, x1.slice(32 * j, 32 * j + 32))) as typeof X).toBytes();
      });
      hashed.push(c0, c1, join(...X0));
    }
  }
  return at === file.length && H("pve-fs", aad, ...hashed).slice(0, 16).toHex() === e.toHex();
}
