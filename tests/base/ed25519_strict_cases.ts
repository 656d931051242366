/**
 * Makes the cases of ed25519_strict.json: signatures on which Ed25519 implementations disagree (SPEC 0.2), from a seed phrase,
 * with whether `verifyStrict` accepts them. Every case fails, or passes, for one reason only.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, utf8 } from "../../src/base/bytes.ts";

/** One case, in hexadecimal. */
export interface StrictCase {
  readonly name: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
  /** Whether the key is one that may be used at all. */
  readonly keyValid: boolean;
  /** Whether the signature verifies. */
  readonly valid: boolean;
}

const { Point } = ed25519;
type Point = typeof Point.BASE;
const L = Point.Fn.ORDER;
const P = 2n ** 255n - 19n;

/** All cases, always the same. */
export function strictCases(): StrictCase[] {
  const message = utf8("quorate strict cases");
  const a = scalarOf("a");
  const r = scalarOf("r");
  const A = Point.BASE.multiply(a);
  const R = Point.BASE.multiply(r);
  const torsion = torsionPoints();
  const cases: StrictCase[] = [];

  /** `R‖S` with S = r + k·a for the hash k over exactly these bytes, so that only the group can object. */
  const add = (
    name: string,
    given: {
      R?: Uint8Array;
      A?: Uint8Array;
      r?: bigint;
      a?: bigint;
      S?: (s: bigint) => bigint;
      keyValid?: boolean;
    },
    valid = false,
  ) => {
    const encodedR = given.R ?? R.toBytes();
    const encodedA = given.A ?? A.toBytes();
    const k = little(sha512(concat(encodedR, encodedA, message))) % L;
    const s = ((given.r ?? r) + k * (given.a ?? a)) % L;
    const signature = concat(encodedR, bytesLittle((given.S ?? ((x) => x))(s)));
    cases.push({
      name,
      publicKey: encodedA.toHex(),
      message: message.toHex(),
      signature: signature.toHex(),
      keyValid: given.keyValid ?? true,
      valid,
    });
  };

  add("honest", {}, true);
  add("honest, R the identity", { R: Point.ZERO.toBytes(), r: 0n }, true);
  torsion.forEach((T, i) => add(`R + T_${i + 1}`, { R: R.add(T).toBytes() }));
  torsion.forEach((T, i) => add(`R = T_${i + 1}`, { R: T.toBytes(), r: 0n }));
  torsion.forEach((T, i) => add(`A + T_${i + 1}`, { A: A.add(T).toBytes(), keyValid: false }));
  torsion.forEach((T, i) => add(`A = T_${i + 1}`, { A: T.toBytes(), a: 0n, keyValid: false }));
  add("A the identity", { A: Point.ZERO.toBytes(), a: 0n, keyValid: false });
  add("A the identity, y + p", { A: bytesLittle(1n + P), a: 0n, keyValid: false });
  add("A the identity, sign of zero set", { A: signSet(Point.ZERO.toBytes()), a: 0n, keyValid: false });
  add("A not on the curve", { A: bytesLittle(2n), keyValid: false });
  add("S + l", { S: (s) => s + L });
  add("S + 8 l", { S: (s) => s + 8n * L });
  add("S = l - S", { S: (s) => L - s });
  add("S + 1", { S: (s) => (s + 1n) % L });
  add("S with the highest bit", { S: (s) => s + (1n << 255n) });
  add("R the identity, y + p", { R: bytesLittle(1n + P), r: 0n });
  add("R the identity, sign of zero set", { R: signSet(Point.ZERO.toBytes()), r: 0n });
  add("R of order 2, sign of zero set", { R: signSet(bytesLittle(P - 1n)), r: 0n });
  add("R of order 4, y = p", { R: bytesLittle(P), r: 0n });
  add("R of order 4, y = p, sign set", { R: signSet(bytesLittle(P)), r: 0n });
  add("R not on the curve", { R: bytesLittle(2n) });
  add("R all ones", { R: new Uint8Array(32).fill(255) });
  add("R negated", { R: R.negate().toBytes() });
  return cases;
}

/** T_1..T_7: the points of small order other than the identity, as multiples of one of order 8. */
function torsionPoints(): Point[] {
  for (let y = 2n;; y++) {
    let point: Point;
    try {
      point = Point.fromBytes(bytesLittle(y), false);
    } catch {
      continue;
    }
    const T = point.multiplyUnsafe(L - 1n).add(point); // l·P is in the torsion subgroup.
    if (T.double().double().is0()) continue;
    const out = [T];
    while (out.length < 7) out.push((out[out.length - 1] as Point).add(T));
    return out;
  }
}

function scalarOf(label: string): bigint {
  return little(sha512(utf8(`quorate/strict/${label}`))) % L;
}

function little(bytes: Uint8Array): bigint {
  return BigInt("0x" + bytes.toReversed().toHex());
}

function bytesLittle(value: bigint): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(64, "0")).toReversed();
}

function signSet(encoded: Uint8Array): Uint8Array {
  const out = encoded.slice();
  out[31] = (out[31] as number) | 0x80;
  return out;
}
