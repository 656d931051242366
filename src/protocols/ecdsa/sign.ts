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
import { equal } from "../../base/bytes.ts";
import { CheaterError, UsageError } from "../../base/errors.ts";
import { bytesToBigint, type Curve, type Point, type Scalar } from "../../math/curve.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { boundRelease } from "../bound.ts";
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
} from "../protocol.ts";
import type { BitMatrix } from "./bits.ts";
import { hedgedRng } from "./hedge.ts";
import { sumNonces } from "./sign_checks.ts";
import { type CommitMessage, type MultiplyMessage, type ShareMessage, signRounds } from "./sign_messages.ts";
import {
  receiversOf,
  refuseBurned,
  type SignInput,
  signOffer,
  signProposal,
  unsettledPairs,
} from "./sign_opening.ts";
import {
  answerVole,
  checkExtensions,
  commitmentsHash,
  commitTo,
  drawNonces,
  finishVoles,
  type Signing,
  startVole,
} from "./sign_steps.ts";
import { type EcdsaSignature, finishSignature } from "./signature.ts";
import { eraseReceiver, type VoleReceiverState } from "./vole.ts";

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

/** What a run holds between its rounds and can erase. */
interface Scratch {
  /** This party as VOLE receiver. */
  readonly receiving: Map<PartyId, VoleReceiverState>;
  /** This party as VOLE sender: W. */
  readonly columns: Map<PartyId, BitMatrix>;
}

function* runSign(session: Session, input: SignInput): Protocol<EcdsaSignature | undefined> {
  const scratch: Scratch = { receiving: new Map(), columns: new Map() };
  try {
    return yield* signWith(session, input, scratch);
  } finally {
    for (const state of scratch.receiving.values()) eraseReceiver(state);
    for (const { words } of scratch.columns.values()) words.fill(0);
  }
}

function* signWith(
  session: Session,
  input: SignInput,
  { receiving, columns }: Scratch,
): Protocol<EcdsaSignature | undefined> {
  const { curve } = input.share.record;
  const proposal = signProposal(input);
  const rng = hedgedRng(session, input.share);
  const signing: Signing = { session, input, curve, peers: peersOf(session), sym: input.sym ?? "aes", rng };
  const rounds = signRounds(curve);
  const derived = derivedKey(input);
  const own = drawNonces(signing);

  // Round 1: commit to R_i; VOLE receiver towards everybody.
  const commitment = commitTo(signing, session.self, own.R, own.salt);
  const commits = new Map<PartyId, CommitMessage>();
  for (const peer of signing.peers) {
    const { message, state } = yield* compute(() => startVole(signing, peer), undefined);
    receiving.set(peer, state);
    commits.set(peer, { commitment, extension: message });
  }
  const first = (yield* exchange(rounds.commit, { direct: commits })).direct;
  const transcript = commitmentsHash(signing, commitment, first);
  for (const [peer, W] of yield* checkExtensions(signing, first)) columns.set(peer, W);

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

  // Round 3: to the receivers only. A pair that another session burned meanwhile ends this one too.
  refuseBurned(input);
  const { keyId, epoch } = input.share.record;
  yield* persist({
    kind: "release",
    keyId,
    epoch,
    sid: session.id,
    payloadHash: payloadHash(proposal.payload),
    ...boundRelease(input.bound),
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
