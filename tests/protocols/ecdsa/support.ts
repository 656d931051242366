/**
 * Keys and pair states dealt by one trusted process, and a way to run signers on them.
 *
 * @module
 */

import { keyId, type PartyId, partyId } from "../../../src/base/brands.ts";
import type { Bytes } from "../../../src/base/bytes.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import type { Curve } from "../../../src/math/curve.ts";
import { leavesOf, parsePolicy } from "../../../src/primitives/access.ts";
import { deal } from "../../../src/primitives/feldman.ts";
import type { Scalar } from "../../../src/math/curve.ts";
import { LEAVES, SEED_BYTES, TREES } from "../../../src/protocols/ecdsa/params.ts";
import { PairState } from "../../../src/protocols/ecdsa/pair_state.ts";
import { sign } from "../../../src/protocols/ecdsa/sign.ts";
import { type SignInput, signOffer } from "../../../src/protocols/ecdsa/sign_opening.ts";
import type { EcdsaSignature } from "../../../src/protocols/ecdsa/signature.ts";
import { type KeyShare, type PublicKeyRecord, quorumOf } from "../../../src/protocols/key_share.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import type { Session } from "../../../src/protocols/protocol.ts";

/** A key with all its shares and pairs. */
export interface DealtKey {
  readonly record: PublicKeyRecord;
  readonly secret: Scalar;
  readonly shares: ReadonlyMap<PartyId, KeyShare>;
  /** Both halves of every pair: `pairs.get(i).get(j)` is i's. */
  readonly pairs: ReadonlyMap<PartyId, Map<PartyId, PairState>>;
}

/** Deals a key over a policy of the text form; parties have the indices 1, 2, 3, ... in the order of the leaves. */
export function dealKey(curve: Curve, policy: string, rng: Rng = seededRng(policy)): DealtKey {
  const tree = parsePolicy(policy);
  const members = leavesOf(tree).map((name, k) => ({
    index: partyId(k + 1),
    name,
    identity: rng.bytes(32),
  }));
  const secret = curve.randomScalar(rng);
  const dealing = deal(tree, secret, curve, rng);
  const x = new Map(members.map(({ index, name }) => [index, dealing.shares.get(name) as Scalar]));
  const record: PublicKeyRecord = {
    keyId: keyId(rng.bytes(32)),
    purpose: "plain",
    epoch: 0,
    curve,
    policy: tree,
    members,
    publicKey: curve.mulBase(secret),
    publicShares: new Map([...x].map(([index, x_i]) => [index, curve.mulBase(x_i)])),
    chainCode: rng.bytes(32),
  };
  const shares = new Map(
    [...x].map(([self, x_i]) => [self, { record, self, share: new Secret(curve.encodeScalar(x_i)) }]),
  );
  const pairs = new Map(members.map(({ index }) => [index, new Map<PartyId, PairState>()]));
  for (const { index: i } of members) {
    for (const { index: j } of members) if (i < j) dealPair({ record, pairs }, i, j, rng);
  }
  return { record, secret, shares, pairs };
}

/** Deals fresh states of one pair: what a pair set-up would leave. */
export function dealPair(key: Pick<DealtKey, "record" | "pairs">, i: PartyId, j: PartyId, rng: Rng): void {
  const { keyId, epoch } = key.record;
  const shared = { psidLow: rng.bytes(32), psidHigh: rng.bytes(32), zeroSeed: rng.bytes(32) };
  const low = dealTrees(rng), high = dealTrees(rng); // the one whose receiver is i, and the other
  key.pairs.get(i)?.set(
    j,
    new PairState({ keyId, epoch, self: i, peer: j, ...copies(shared), ...low.receiver, ...high.sender }),
  );
  key.pairs.get(j)?.set(
    i,
    new PairState({ keyId, epoch, self: j, peer: i, ...copies(shared), ...high.receiver, ...low.sender }),
  );
}

/** One direction: all leaves for the receiver, all but one of each tree for the sender. */
export function dealTrees(rng: Rng): {
  readonly receiver: { readonly receiveLeaves: Bytes };
  readonly sender: { readonly sendLeaves: Bytes; readonly delta: Bytes };
} {
  const receiveLeaves = rng.bytes(TREES * LEAVES * SEED_BYTES);
  const delta = rng.bytes(TREES).map((byte) => byte % LEAVES);
  const sendLeaves = receiveLeaves.slice();
  for (let y = 0; y < TREES; y++) {
    const at = (y * LEAVES + (delta[y] as number)) * SEED_BYTES;
    sendLeaves.fill(0, at, at + SEED_BYTES);
  }
  return { receiver: { receiveLeaves }, sender: { sendLeaves, delta } };
}

function copies<T extends Record<string, Bytes>>(values: T): T {
  return Object.fromEntries(Object.entries(values).map(([name, bytes]) => [name, bytes.slice()])) as T;
}

/** The input of one signer of a dealt key. */
export function signInput(
  key: DealtKey,
  self: number,
  options: Partial<SignInput> & Pick<SignInput, "digest">,
  signers: readonly number[] = [...key.shares.keys()],
): SignInput {
  const quorum = quorumOf(key.record, signers.map(partyId));
  if (quorum === undefined) throw new Error("not qualified");
  return {
    share: key.shares.get(partyId(self)) as KeyShare,
    signers: quorum.active,
    coefficients: quorum.coefficients,
    pairs: (peer) => key.pairs.get(partyId(self))?.get(peer),
    burned: () => false,
    ...options,
  };
}

/** How a run is to differ from an honest one. */
export interface SignRun extends Partial<LocalOptions> {
  readonly signers?: readonly number[];
  /** What a party is given instead. */
  readonly inputOf?: (self: PartyId, input: SignInput) => SignInput;
  /** What a party sees of its session. */
  readonly sessionOf?: (session: Session) => Session;
}

/** Signs with all parties in this process. */
export function runSign(
  key: DealtKey,
  options: Partial<SignInput> & Pick<SignInput, "digest">,
  run: SignRun = {},
): Map<PartyId, LocalOutcome<EcdsaSignature | undefined>> {
  const inputs = new Map<PartyId, SignInput>();
  const active = signInput(key, 1, options, run.signers).signers;
  for (const party of active) {
    const input = signInput(key, party, options, run.signers);
    inputs.set(party, run.inputOf?.(party, input) ?? input);
  }
  const offers = new Map([...inputs].map(([party, input]) => [party, signOffer(input)]));
  return runLocally(
    active,
    (session) => sign.run(run.sessionOf?.(session) ?? session, inputs.get(session.self) as SignInput),
    { rng: seededRng("sign"), offers, ...run },
  );
}

/** The values of a run in which nobody may fail. */
export function allValues<T>(outcomes: ReadonlyMap<PartyId, LocalOutcome<T>>): T[] {
  return [...outcomes.values()].map((outcome) => {
    if (!outcome.ok) throw outcome.error;
    return outcome.value;
  });
}

/** The error of one party. */
export function errorOf<T>(outcomes: ReadonlyMap<PartyId, LocalOutcome<T>>, party: number): unknown {
  const outcome = outcomes.get(partyId(party));
  if (outcome === undefined || outcome.ok) throw new Error(`party ${party} did not fail`);
  return outcome.error;
}
