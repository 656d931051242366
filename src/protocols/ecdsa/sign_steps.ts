/**
 * The steps of signing (SPEC 2.6, 2.7): what a party draws, sends and checks in its VOLEs.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, u16 } from "../../base/bytes.ts";
import { encode } from "../../base/codec.ts";
import { CheaterError, invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { bytesToBigint, type Curve, type Point, type Scalar } from "../../math/curve.ts";
import { commit } from "../../primitives/commitment.ts";
import { hash, hashToScalar } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { compute, persist, type Session, type Step } from "../protocol.ts";
import type { BitMatrix } from "./bits.ts";
import type { SymSuite } from "./params.ts";
import { multiplyFault } from "./sign_checks.ts";
import { type CommitMessage, type MultiplyMessage, signRounds } from "./sign_messages.ts";
import { livePair, type SignInput } from "./sign_opening.ts";
import { voleCheck, voleContext, voleFinish, voleReceive, type VoleReceiverState, voleSend } from "./vole.ts";

/** What stays the same through one run. */
export interface Signing {
  /** The session. */
  readonly session: Session;
  /** This party's input. */
  readonly input: SignInput;
  /** The curve of the key. */
  readonly curve: Curve;
  /** All signers but this one. */
  readonly peers: readonly PartyId[];
  /** The symmetric suite. */
  readonly sym: SymSuite;
  /** Hedged randomness. */
  readonly rng: Rng;
}

/** This party's secrets of one run. */
export interface Nonces {
  /** The additive share of the key, masked. */
  readonly sk: Scalar;
  /** sk_i·G. */
  readonly pk: Point;
  /** r_i. */
  readonly r: Scalar;
  /** r_i·G. */
  readonly R: Point;
  /** φ_i. */
  readonly phi: Scalar;
  /** s_i. */
  readonly salt: Bytes;
}

/** sk_i, and fresh r_i, φ_i and salt. */
export function drawNonces(signing: Signing): Nonces {
  const { curve, rng } = signing;
  const sk = additiveShare(signing);
  const r = curve.randomScalar(rng), phi = curve.randomScalar(rng), salt = rng.bytes(32);
  return { sk, pk: curve.mulBase(sk), r, R: curve.mulBase(r), phi, salt };
}

/** sk_i = c_i·x_i + ζ_i + [i = min A]·δ. */
function additiveShare({ session, input, curve, peers }: Signing): Scalar {
  const { self } = session;
  const c_i = input.coefficients.get(self);
  invariant(c_i !== undefined, "a signer has a coefficient");
  const x_i = curve.scalar(bytesToBigint(input.share.share.expose()));
  let sk = curve.mul(c_i, x_i);
  for (const j of peers) { // ζ_i = Σ_{j>i} F_ij − Σ_{j<i} F_ij
    const { zeroSeed } = livePair(input, j, session.offers).expose();
    const range = [u16(Math.min(self, j)), u16(Math.max(self, j))];
    const F = hashToScalar(curve, Tag.zeroShare, session.id, zeroSeed, ...range);
    sk = j > self ? curve.add(sk, F) : curve.sub(sk, F);
  }
  return self === input.signers[0] ? curve.add(sk, input.tweak ?? 0n as Scalar) : sk;
}

/** com_i = Com(sid, i, R_i; s_i). */
export function commitTo({ session, curve }: Signing, party: PartyId, R: Point, salt: Bytes): Bytes {
  return commit({ tag: Tag.signCommit, sid: session.id, party, message: curve.encodePoint(R), salt });
}

/** Begins the VOLE in which this party is the receiver. */
export function startVole(signing: Signing, peer: PartyId): ReturnType<typeof voleReceive> {
  const { session, input, curve, sym, rng } = signing;
  const { receiveLeaves } = livePair(input, peer, session.offers).expose();
  const context = voleContext({ sid: session.id, receiver: session.self, sender: peer, suite: sym, curve });
  return voleReceive(context, receiveLeaves, rng);
}

/** D = H("sign-r1"; sid, com of all A in order). */
export function commitmentsHash(
  { session, input }: Signing,
  own: Bytes,
  received: ReadonlyMap<PartyId, CommitMessage>,
): Bytes {
  return hash(
    Tag.signRound1,
    session.id,
    ...input.signers.map((party) =>
      party === session.self ? own : (received.get(party) as CommitMessage).commitment
    ),
  );
}

/**
 * All SoftSpoken checks, before anything of round 2 leaves. Marks first, so that a crash inside a check is no free retry;
 * a failure is on disk before anybody learns of it (SPEC 2.7).
 *
 * Between the marks and their end the engine gets no step but records, so that nothing else happens there: another session
 * could have the same pair checked before it is burned, and the order of the two endings would tell the peer which guess was
 * right; and a session that is ended there would leave marks, which count as crashes and burn pairs of honest parties.
 */
export function* checkExtensions(
  signing: Signing,
  first: ReadonlyMap<PartyId, CommitMessage>,
): Generator<Step, ReadonlyMap<PartyId, BitMatrix>, unknown> {
  const { session, input, curve } = signing;
  const { keyId, epoch } = input.share.record;
  const codec = signRounds(curve).commit.direct;
  invariant(codec !== undefined, "round 1 has direct messages");
  const hashes = new Map(
    [...first].map(([peer, message]) => [peer, hash(Tag.message, encode(codec, message))]),
  );
  for (const peer of signing.peers) livePair(input, peer, session.offers);
  yield* persist({
    kind: "check-begin",
    keyId,
    epoch,
    checks: [...hashes].map(([peer, messageHash]) => ({ peer, sid: session.id, messageHash })),
  });
  const columns = new Map<PartyId, BitMatrix>();
  for (const [peer, { extension }] of first) {
    const W = checkExtension(signing, peer, extension);
    if (W !== undefined) columns.set(peer, W);
  }
  const culprits = signing.peers.filter((peer) => !columns.has(peer));
  // Erased first: should the disk refuse a burn, the state is of no use to this process all the same.
  for (const peer of culprits) input.pairs(peer)?.[Symbol.dispose]();
  for (const peer of culprits) {
    yield* persist({
      kind: "burn",
      keyId,
      epoch,
      peer,
      sid: session.id,
      messageHash: hashes.get(peer) as Bytes,
      reason: "its oblivious-transfer extension failed the consistency check",
    });
  }
  yield* persist({ kind: "check-end", keyId, epoch, sid: session.id });
  if (culprits.length === 0) return columns;
  for (const { words } of columns.values()) words.fill(0);
  throw new CheaterError({
    code: "PAIR_BURNED",
    round: 1,
    culprits,
    what: "its oblivious-transfer extension failed a check; the pair is banned in this epoch",
  });
}

/** Answers as VOLE sender, with r_i and sk_i. */
export function answerVole(
  { session, input, curve, sym, rng }: Signing,
  peer: PartyId,
  own: Nonces,
  columns: BitMatrix,
): ReturnType<typeof voleSend> {
  const { delta } = livePair(input, peer, session.offers).expose();
  const context = voleContext({ sid: session.id, receiver: peer, sender: session.self, suite: sym, curve });
  return voleSend(context, { columns, delta, a: [own.r, own.sk], rng });
}

/** Ends every VOLE and checks each peer's inputs to it; then blames all who fail. */
export function* finishVoles(
  signing: Signing,
  receiving: ReadonlyMap<PartyId, VoleReceiverState>,
  second: ReadonlyMap<PartyId, MultiplyMessage>,
): Generator<Step, ReadonlyMap<PartyId, readonly [Scalar, Scalar]>, unknown> {
  const d = new Map<PartyId, readonly [Scalar, Scalar]>();
  const faults = new Map<PartyId, string>();
  for (const [peer, message] of second) {
    const state = receiving.get(peer) as VoleReceiverState;
    yield* compute(() => {
      const outputs = voleFinish(state, message.vole);
      const fault = outputs === undefined
        ? "its multiplication message is not consistent"
        : multiplyFault({ curve: signing.curve, rng: signing.rng, chi: state.b, d: outputs, message });
      if (fault !== undefined) faults.set(peer, fault);
      else d.set(peer, outputs as readonly [Scalar, Scalar]);
    }, undefined);
  }
  if (faults.size > 0) {
    throw new CheaterError({
      code: "CHEATED",
      round: 2,
      culprits: [...faults.keys()],
      what: [...new Set(faults.values())].join("; "),
    });
  }
  return d;
}

/** The columns of W, or undefined where the check fails. */
function checkExtension(
  { session, input, curve, sym }: Signing,
  peer: PartyId,
  extension: CommitMessage["extension"],
): BitMatrix | undefined {
  const { sendLeaves: leaves, delta } = livePair(input, peer, session.offers).expose();
  const context = voleContext({ sid: session.id, receiver: peer, sender: session.self, suite: sym, curve });
  return voleCheck(context, { leaves, delta }, extension);
}
