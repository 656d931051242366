/**
 * Threshold ECDSA in three rounds (DKLs23: Doerner, Kondi, Lee, shelat, eprint 2023/765; SPEC 2.6).
 *
 * | here | is |
 * |---|---|
 * | sk_i | this party's additive share of the (derived) key, masked by a sharing of zero |
 * | r_i, R_i | its part of the nonce, and r_i·G |
 * | phi_i | its part of the inverse mask |
 * | chi_ij | its random VOLE input towards j |
 * | c_u, c_v / d_u, d_v | VOLE outputs: c + d = r_i·chi_ji and sk_i·chi_ji, c at i and d at j |
 * | psi_ij | phi_i − chi_ij |
 * | u, w | shares of k·phi and of (digest·phi + r·key·phi): s = w/u |
 *
 * Nothing of round 3 leaves before all checks of all peers have passed; from then on a valid signature may exist whatever
 * happens here, and the engine calls every failure an unknown outcome.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, equal, u16 } from "../../base/bytes.ts";
import { encode } from "../../base/codec.ts";
import { CheaterError, invariant, UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { bytesToBigint, type Curve, type Point, type Scalar } from "../../math/curve.ts";
import { commit } from "../../primitives/commitment.ts";
import { hash, hashToScalar } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import {
  blame,
  compute,
  type Definition,
  exchange,
  payloadHash,
  peersOf,
  persist,
  type Protocol,
  type Session,
  type Step,
} from "../protocol.ts";
import type { BitMatrix } from "./bits.ts";
import { hedgedRng } from "./hedge.ts";
import type { SymSuite } from "./params.ts";
import {
  livePair,
  receiversOf,
  type SignInput,
  signOffer,
  signProposal,
  unsettledPairs,
} from "./sign_opening.ts";
import { type CommitMessage, type MultiplyMessage, type ShareMessage, signRounds } from "./sign_messages.ts";
import { type EcdsaSignature, finishSignature } from "./signature.ts";
import { multiplyFault, sumNonces } from "./sign_checks.ts";
import { voleCheck, voleContext, voleFinish, voleReceive, type VoleReceiverState, voleSend } from "./vole.ts";

/** Signing. The result is the signature at its receivers, and undefined at the other signers. */
export const sign: Definition<SignInput, EcdsaSignature | undefined> = {
  name: "ecdsa-sign",
  version: 1,
  proposal: signProposal,
  offer: signOffer,
  unsettled: unsettledPairs,
  rounds(input) {
    const { commit, multiply, share } = signRounds(input.share.record.curve);
    return [commit, multiply, share];
  },
  run: runSign,
};

/** What stays the same through one run. */
interface Signing {
  readonly session: Session;
  readonly input: SignInput;
  readonly curve: Curve;
  readonly peers: readonly PartyId[];
  readonly sym: SymSuite;
  readonly rng: Rng;
}

/** This party's secrets of one run. */
interface Nonces {
  readonly sk: Scalar;
  readonly pk: Point;
  readonly r: Scalar;
  readonly R: Point;
  readonly phi: Scalar;
  readonly salt: Bytes;
}

function* runSign(session: Session, input: SignInput): Protocol<EcdsaSignature | undefined> {
  const { curve } = input.share.record;
  const proposal = signProposal(input);
  const rng = hedgedRng(session, input.share);
  const signing: Signing = { session, input, curve, peers: peersOf(session), sym: input.sym ?? "aes", rng };
  const rounds = signRounds(curve);
  const derived = derivedKey(input);
  const own = drawNonces(signing);

  // Round 1: commit to R_i; VOLE receiver towards everybody.
  const commitment = commitTo(signing, session.self, own.R, own.salt);
  const receiving = new Map<PartyId, VoleReceiverState>();
  const commits = new Map<PartyId, CommitMessage>();
  for (const peer of signing.peers) {
    const { message, state } = yield* compute(() => startVole(signing, peer), undefined);
    receiving.set(peer, state);
    commits.set(peer, { commitment, extension: message });
  }
  const first = (yield* exchange(rounds.commit, { direct: commits })).direct;
  const transcript = commitmentsHash(signing, commitment, first);
  const columns = yield* checkExtensions(signing, first);

  // Round 2: open; VOLE sender towards everybody, with r_i and sk_i.
  const c = new Map<PartyId, readonly [Scalar, Scalar]>();
  const multiplies = new Map<PartyId, MultiplyMessage>();
  for (const peer of signing.peers) {
    const chi = (receiving.get(peer) as VoleReceiverState).b;
    const sent = yield* compute(
      () => answerVole(signing, peer, own, columns.get(peer) as BitMatrix),
      undefined,
    );
    c.set(peer, sent.c);
    multiplies.set(peer, {
      transcript,
      vole: sent.message,
      R: own.R,
      salt: own.salt,
      pk: own.pk,
      Gamma_u: curve.mulBase(sent.c[0]),
      Gamma_v: curve.mulBase(sent.c[1]),
      psi: curve.sub(own.phi, chi),
    });
  }
  const second = (yield* exchange(rounds.multiply, { direct: multiplies })).direct;

  // Checks. The transcript comes before anything is opened: a commitment that differed is nobody's proven fault here.
  if ([...second.values()].some((message) => !equal(message.transcript, transcript))) {
    throw unattributable(2, "the signers did not receive the same commitments: one was equivocated");
  }
  blame(
    rounds.multiply,
    second,
    "its opening does not fit its commitment",
    (peer, { R, salt }) =>
      !equal((first.get(peer) as CommitMessage).commitment, commitTo(signing, peer, R, salt)),
  );
  const d = yield* finishVoles(signing, receiving, second);
  checkKey(signing, own.pk, second, derived);
  const nonce = sumNonces(curve, [own.R, ...[...second.values()].map((message) => message.R)]);
  if (nonce === undefined) throw unattributable(2, "the nonces add up to nothing");
  const { R, r } = nonce;

  // u_i and w_i.
  let Psi = own.phi, products_u = 0n as Scalar, products_v = 0n as Scalar;
  for (const [peer, message] of second) {
    const [c_u, c_v] = c.get(peer) as readonly [Scalar, Scalar];
    const [d_u, d_v] = d.get(peer) as readonly [Scalar, Scalar];
    Psi = curve.add(Psi, message.psi); // Ψ = φ_i + Σ_j ψ_ji
    products_u = curve.add(products_u, curve.add(c_u, d_u));
    products_v = curve.add(products_v, curve.add(c_v, d_v));
  }
  const u = curve.add(curve.mul(own.r, Psi), products_u); // u_i = r_i·Ψ + Σ_j (c^u_ij + d^u_ij)
  const v = curve.add(curve.mul(own.sk, Psi), products_v); // v_i = sk_i·Ψ + Σ_j (c^v_ij + d^v_ij)
  const m = curve.scalar(bytesToBigint(input.digest));
  const w = curve.add(curve.mul(m, own.phi), curve.mul(r, v)); // w_i = m·φ_i + r·v_i

  // Round 3: to the receivers only.
  const { keyId, epoch } = input.share.record;
  yield* persist({
    kind: "release",
    keyId,
    epoch,
    sid: session.id,
    payloadHash: payloadHash(proposal.payload),
  });
  const share: ShareMessage = { u, w, check: hash(Tag.signR, session.id, curve.encodePoint(R)) };
  const receivers = receiversOf(input);
  const isReceiver = receivers.includes(session.self);
  const third = (yield* exchange(
    rounds.share,
    {
      direct: new Map(
        receivers.filter((party) => party !== session.self).map((party) => [party, share] as const),
      ),
    },
    { from: isReceiver ? signing.peers : [] },
  )).direct;
  if (!isReceiver) return undefined;
  blame(rounds.share, third, "it signs with another nonce", (_, { check }) => !equal(check, share.check));
  const s = combine(curve, share, third);
  const signature = s === undefined ? undefined : finishSignature({
    curve,
    publicKey: derived,
    digest: input.digest,
    R,
    s,
    lowS: input.lowS ?? true,
  });
  if (signature === undefined) throw unattributable(3, "the signature does not verify");
  return signature;
}

/** Q' = Q + δ·G. */
function derivedKey({ share, tweak }: SignInput): Point {
  const { curve, publicKey } = share.record;
  const derived = tweak === undefined || tweak === 0n ? publicKey : publicKey.add(curve.mulBase(tweak));
  if (derived.is0()) throw new UsageError("USAGE", "this derivation has no key: use the next index");
  return derived;
}

function drawNonces(signing: Signing): Nonces {
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

function commitTo({ session, curve }: Signing, party: PartyId, R: Point, salt: Bytes): Bytes {
  return commit({ tag: Tag.signCommit, sid: session.id, party, message: curve.encodePoint(R), salt });
}

function startVole(signing: Signing, peer: PartyId): ReturnType<typeof voleReceive> {
  const { session, input, curve, sym, rng } = signing;
  const { receiveLeaves } = livePair(input, peer, session.offers).expose();
  const context = voleContext({ sid: session.id, receiver: session.self, sender: peer, suite: sym, curve });
  return voleReceive(context, receiveLeaves, rng);
}

/** D = H("sign-r1"; sid, com of all A in order). */
function commitmentsHash(
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
 */
function* checkExtensions(
  signing: Signing,
  first: ReadonlyMap<PartyId, CommitMessage>,
): Generator<Step, ReadonlyMap<PartyId, BitMatrix>, unknown> {
  const { session, input, curve, sym } = signing;
  const { keyId, epoch } = input.share.record;
  const codec = signRounds(curve).commit.direct;
  invariant(codec !== undefined, "round 1 has direct messages");
  const hashes = new Map(
    [...first].map(([peer, message]) => [peer, hash(Tag.message, encode(codec, message))]),
  );
  yield* persist({
    kind: "check-begin",
    keyId,
    epoch,
    checks: [...hashes].map(([peer, messageHash]) => ({ peer, sid: session.id, messageHash })),
  });
  const columns = new Map<PartyId, BitMatrix>();
  for (const [peer, { extension }] of first) {
    const W = yield* compute(() => {
      const { sendLeaves: leaves, delta } = livePair(input, peer, session.offers).expose();
      const context = voleContext({
        sid: session.id,
        receiver: peer,
        sender: session.self,
        suite: sym,
        curve,
      });
      return voleCheck(context, { leaves, delta }, extension);
    }, undefined);
    if (W !== undefined) columns.set(peer, W);
  }
  const culprits = signing.peers.filter((peer) => !columns.has(peer));
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
    input.pairs(peer)?.[Symbol.dispose]();
  }
  yield* persist({ kind: "check-end", keyId, epoch, sid: session.id });
  if (culprits.length > 0) {
    throw new CheaterError({
      code: "PAIR_BURNED",
      round: 1,
      culprits,
      what: "its oblivious-transfer extension failed a check; the pair is banned in this epoch",
    });
  }
  return columns;
}

function answerVole(
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
function* finishVoles(
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

/** (c): Σ pk = Q'. With two signers it is the peer's; with more, one of them used another key share. */
function checkKey(
  { peers }: Signing,
  own: Point,
  second: ReadonlyMap<PartyId, MultiplyMessage>,
  derived: Point,
): void {
  const sum = [...second.values()].reduce((total, message) => total.add(message.pk), own);
  if (sum.equals(derived)) return;
  const what = "the signers' key shares do not add up to the key";
  if (peers.length > 1) throw unattributable(2, what);
  throw new CheaterError({ code: "CHEATED", round: 2, culprits: peers, what });
}

/** s = Σw / Σu; undefined where one of them is 0. */
function combine(
  curve: Curve,
  own: ShareMessage,
  others: ReadonlyMap<PartyId, ShareMessage>,
): Scalar | undefined {
  let u = own.u, w = own.w;
  for (const share of others.values()) {
    u = curve.add(u, share.u);
    w = curve.add(w, share.w);
  }
  if (u === 0n || w === 0n) return undefined;
  return curve.mul(w, curve.invertVartime(u)); // u and w are known to all receivers: they may be inverted as they are
}

function unattributable(round: number, what: string): CheaterError {
  return new CheaterError({ code: "UNATTRIBUTABLE", round, culprits: [], what });
}
