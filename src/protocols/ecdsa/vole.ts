/**
 * Random vector OLE for two inputs (DKLs23, eprint 2023/765, over SoftSpokenOT; SPEC 2.5).
 *
 * R draws b, S brings a_0 and a_1; they end with c_u + d_u = a_0·b and c_v + d_v = a_1·b, where S holds c and R holds d.
 *
 * | here | is |
 * |---|---|
 * | beta_j | R's ξ choice bits; b = Σ beta_j·g_j for a public gadget g |
 * | alpha0, alpha1 | S's pads: hashes of column j of W, and of W ⊕ Δ |
 * | p | R's pads: hashes of column j of V, equal to alpha0 or alpha1 as beta_j is 0 or 1 |
 * | aTilde | corrections alpha0 − alpha1 + a, for a_0, a_1 and a random eta |
 * | theta | hash of the corrections, folds the three columns into the one that is checked |
 *
 * Arithmetic on secrets is BigInt, which is constant-time in its sequence of operations only.
 *
 * @module
 */

import { type Bytes, concat, equalSecret, erase, u16, u8 } from "../../base/bytes.ts";
import { type Codec, fixed, struct } from "../../base/codec.ts";
import { aes128Ecb } from "../../base/crypto.ts";
import { invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import type { PartyId, SessionId } from "../../base/brands.ts";
import { type Curve, encodeCurve, type Scalar } from "../../math/curve.ts";
import { hash, hashToScalar, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type BitMatrix, bytesOf, words } from "./bits.ts";
import { ROW_BYTES, type SymSuite, WIDTH, XI } from "./params.ts";
import {
  deltaColumn,
  extendReceiver,
  extendSender,
  type ExtensionContext,
  type ExtensionMessage,
} from "./soft_spoken.ts";

/** What both sides of one VOLE know. */
export interface VoleContext extends ExtensionContext {
  /** Whose scalars are multiplied. */
  readonly curve: Curve;
}

/** The sender's message. */
export interface VoleMessage {
  /** ξ × 3 scalars. */
  readonly aTilde: Bytes;
  /** ε = η + θ_0·a_0 + θ_1·a_1. */
  readonly epsilon: Scalar;
  /** μ: hash of the folded pads. */
  readonly mu: Bytes;
}

/** 40,000 bytes. A correction that is not below the order is found by {@linkcode voleFinish}. */
export function voleMessageCodec(curve: Curve): Codec<VoleMessage> {
  return struct({ aTilde: fixed(XI * WIDTH * 32), epsilon: curve.scalarCodec, mu: fixed(32) });
}

/** What R keeps between its message and the answer. */
export interface VoleReceiverState {
  /** The VOLE that it belongs to. */
  readonly context: VoleContext;
  /** beta_j in bit j. */
  readonly choices: Bytes;
  /** ξ columns of V. */
  readonly columns: BitMatrix;
  /** R's random input. */
  readonly b: Scalar;
}

/** The context of the VOLE with receiver R and sender S in a session. */
export function voleContext(
  input: {
    readonly sid: SessionId;
    readonly receiver: PartyId;
    readonly sender: PartyId;
    readonly suite: SymSuite;
    readonly curve: Curve;
  },
): VoleContext {
  const vsid = hash(Tag.vole, input.sid, u16(input.receiver), u16(input.sender));
  return { suite: input.suite, vsid, curve: input.curve };
}

/** R's first step: draws b and makes the extension message. @source SPEC 2.5, "R, message 1" */
export function voleReceive(
  context: VoleContext,
  leaves: Bytes,
  rng: Rng,
): { readonly message: ExtensionMessage; readonly state: VoleReceiverState } {
  const g = gadget(context.curve);
  for (;;) {
    const e = rng.bytes(ROW_BYTES); // beta ‖ check bits
    const either: [bigint, bigint] = [0n, 0n];
    let sum = 0n;
    for (let j = 0; j < XI; j++) {
      either[1] = g[j] as bigint;
      sum += either[choice(e, j)];
    }
    const b = context.curve.scalar(sum); // b = Σ beta_j·g_j
    if (b === 0n) continue;
    const { message, columns } = extendReceiver(context, leaves, e);
    return { message, state: { context, choices: e, columns, b } };
  }
}

/**
 * S's check of R's message.
 *
 * @returns the columns of W for {@linkcode voleSend}, or undefined: burn the pair.
 */
export function voleCheck(
  context: VoleContext,
  state: { readonly leaves: Bytes; readonly delta: Bytes },
  message: ExtensionMessage,
): BitMatrix | undefined {
  return extendSender(context, state, message);
}

/**
 * S's answer for the inputs a_0 and a_1.
 *
 * @param columns from {@linkcode voleCheck}; erased.
 * @source SPEC 2.5, "S, message 2"
 */
export function voleSend(
  context: VoleContext,
  input: {
    readonly columns: BitMatrix;
    readonly delta: Bytes;
    readonly a: readonly [Scalar, Scalar];
    readonly rng: Rng;
  },
): { readonly message: VoleMessage; readonly c: readonly [Scalar, Scalar] } {
  const { curve } = context;
  const q = curve.order;
  const alpha0 = pads(context, input.columns.words);
  const alpha1 = pads(context, shifted(input.columns.words, deltaColumn(input.delta)));
  const eta = curve.randomScalar(input.rng);
  const inputs = [...input.a, eta];

  const corrections = new Array<Scalar>(XI * WIDTH);
  for (let i = 0; i < XI * WIDTH; i++) {
    // aTilde_{j,c} = alpha0_{j,c} − alpha1_{j,c} + a_c; q is added to keep it positive.
    corrections[i] = ((alpha0[i] as bigint) - (alpha1[i] as bigint) + (inputs[i % WIDTH] as bigint) + q) %
      q as Scalar;
  }
  const aTilde = curve.encodeScalars(corrections);
  const [theta_0, theta_1] = foldingFactors(context, aTilde);
  const epsilon = curve.scalar(eta + theta_0 * input.a[0] + theta_1 * input.a[1]);

  const folded = new Array<Scalar>(XI);
  for (let j = 0, i = 0; j < XI; j++, i += WIDTH) {
    folded[j] = ((alpha0[i + 2] as bigint) + theta_0 * (alpha0[i] as bigint) +
      theta_1 * (alpha0[i + 1] as bigint)) % q as Scalar;
  }
  const mu = checkHash(context, folded);
  const c_u = curve.neg(gadgetSum(curve, alpha0, 0));
  const c_v = curve.neg(gadgetSum(curve, alpha0, 1));
  input.columns.words.fill(0);
  return { message: { aTilde, epsilon, mu }, c: [c_u, c_v] };
}

/**
 * R's last step. Erases the state.
 *
 * @returns d_u and d_v, or undefined where the message is not consistent: S cheated.
 * @source SPEC 2.5, "R, finish"
 */
export function voleFinish(
  state: VoleReceiverState,
  message: VoleMessage,
): readonly [Scalar, Scalar] | undefined {
  const { context, choices } = state;
  const { curve } = context;
  const q = curve.order;
  const corrections = curve.decodeScalars(message.aTilde);
  const d = pads(context, state.columns.words);
  const [theta_0, theta_1] = foldingFactors(context, message.aTilde);
  const folded = new Array<Scalar>(XI);
  const either: [bigint, bigint] = [0n, 0n]; // both values are computed and one is chosen
  for (let j = 0, i = 0; j < XI; j++, i += WIDTH) {
    const beta_j = choice(choices, j);
    for (let c = 0; c < WIDTH; c++) {
      either[0] = d[i + c] as bigint;
      either[1] = either[0] + (corrections?.[i + c] ?? 0n);
      d[i + c] = either[beta_j] as Scalar; // d = p + beta_j·aTilde, reduced where it is used
    }
    either[0] = (d[i + 2] as bigint) + theta_0 * (d[i] as bigint) + theta_1 * (d[i + 1] as bigint);
    either[1] = either[0] + q - message.epsilon;
    folded[j] = either[beta_j] % q as Scalar;
  }
  const consistent = equalSecret(checkHash(context, folded), message.mu);
  const result = [gadgetSum(curve, d, 0), gadgetSum(curve, d, 1)] as const;
  eraseReceiver(state);
  return corrections !== undefined && consistent ? result : undefined;
}

/** Erases what R keeps, where {@linkcode voleFinish} is never reached. A second call does nothing. */
export function eraseReceiver({ choices, columns }: VoleReceiverState): void {
  erase(choices);
  columns.words.fill(0);
}

const gadgets = new Map<string, readonly Scalar[]>();

/** g_j = HS("vole/gadget"; curve, j): one constant vector per curve. */
function gadget(curve: Curve): readonly Scalar[] {
  let g = gadgets.get(curve.name);
  if (g === undefined) {
    g = Array.from(
      { length: XI },
      (_, j) => hashToScalar(curve, Tag.voleGadget, encodeCurve(curve), u16(j)),
    );
    gadgets.set(curve.name, g);
  }
  return g;
}

/** Σ g_j·value_{j,c}: summed first, reduced once. */
function gadgetSum(curve: Curve, values: readonly Scalar[], c: number): Scalar {
  const g = gadget(curve);
  let sum = 0n;
  for (let j = 0; j < XI; j++) sum += (g[j] as bigint) * (values[j * WIDTH + c] as bigint);
  return curve.scalar(sum);
}

function choice(bits: Uint8Array, j: number): 0 | 1 {
  return ((bits[j >> 3] as number) >> (j & 7) & 1) as 0 | 1;
}

function shifted(columns: Uint32Array, delta: Uint32Array): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(columns);
  for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) ^ (delta[i & 3] as number);
  return out;
}

function foldingFactors({ vsid, curve }: VoleContext, aTilde: Bytes): readonly [Scalar, Scalar] {
  const digest = hash(Tag.voleA, aTilde);
  const factor = (i: number) => hashToScalar(curve, Tag.voleTheta, vsid, digest, u8(i));
  return [factor(0), factor(1)];
}

function checkHash({ vsid, curve }: VoleContext, folded: readonly Scalar[]): Bytes {
  return hash(Tag.voleMu, vsid, curve.encodeScalars(folded));
}

/** Three scalars for each of the ξ columns of 128 bits. */
function pads(context: VoleContext, columns: Uint32Array<ArrayBuffer>): Scalar[] {
  const bytes = context.suite === "aes" ? padsAes(context.vsid, columns) : padsHash(context.vsid, columns);
  const scalars = context.curve.reduce48(bytes, context.suite === "aes" ? "little" : "big");
  erase(bytes);
  invariant(scalars.length === XI * WIDTH, "three scalars for each column");
  return scalars;
}

function padsHash(vsid: Bytes, columns: Uint32Array<ArrayBuffer>): Bytes {
  const bytes = bytesOf(columns);
  return concat(
    ...Array.from(
      { length: XI },
      (_, j) => xof(48 * WIDTH, Tag.softSpokenPad, vsid, u16(j), bytes.subarray(16 * j, 16 * (j + 1))),
    ),
  );
}

/** B_i = π(π(v_j) ⊕ (16j+i)) ⊕ π(v_j) with a key of the session (TMMO: Guo, Katz, Wang, Yu, eprint 2019/074). */
function padsAes(vsid: Bytes, columns: Uint32Array<ArrayBuffer>): Bytes {
  const key = hash(Tag.voleAesPad, vsid).subarray(0, 16);
  const inner = words(aes128Ecb(key, bytesOf(columns)));
  const input = new Uint32Array(XI * PAD_BLOCKS * 4);
  for (let j = 0, at = 0; j < XI; j++) {
    const w0 = inner[4 * j] as number, w1 = inner[4 * j + 1] as number;
    const w2 = inner[4 * j + 2] as number, w3 = inner[4 * j + 3] as number;
    for (let i = 0; i < PAD_BLOCKS; i++, at += 4) {
      input[at] = w0 ^ (16 * j + i);
      input[at + 1] = w1;
      input[at + 2] = w2;
      input[at + 3] = w3;
    }
  }
  const out = aes128Ecb(key, bytesOf(input));
  const outer = words(out);
  for (let j = 0, at = 0; j < XI; j++) {
    for (let i = 0; i < PAD_BLOCKS; i++, at += 4) {
      for (let w = 0; w < 4; w++) outer[at + w] = (outer[at + w] as number) ^ (inner[4 * j + w] as number);
    }
  }
  inner.fill(0);
  input.fill(0);
  return out;
}

// Blocks of 16 bytes for three scalars of 48 bytes.
const PAD_BLOCKS = 9;
