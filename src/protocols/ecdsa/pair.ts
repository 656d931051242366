/**
 * Pair set-up: base oblivious transfers, punctured trees and the seed of the zero shares, both directions in one session of
 * two parties (SPEC 2.3). Run after key generation and refresh, or before a signature where the state is missing.
 *
 * A failure ends the session with its choice bits; a retry is a new session. How often that may happen, and that a burned
 * pair is never set up again, is the store's to say: see {@linkcode PairInput.admit}.
 *
 * @module
 */

import type { KeyId, PartyId } from "../../base/brands.ts";
import { type Bytes, concat, equalSecret, erase, u16, u32, u8 } from "../../base/bytes.ts";
import { type Codec, encode, fixed, struct } from "../../base/codec.ts";
import { CheaterError, invariant } from "../../base/errors.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type KeyShare, policyHashOf } from "../key_share.ts";
import {
  compute,
  type Definition,
  exchange,
  persist,
  type Protocol,
  type Round,
  type Session,
  type Step,
} from "../protocol.ts";
import {
  answerOts,
  chooseOt,
  decodeOtPoints,
  isOtAnswer,
  openOt,
  OT_BYTES,
  type OtChoice,
  type OtKeys,
} from "./base_ot.ts";
import { hedgedRng } from "./hedge.ts";
import { pairSessionId, PairState } from "./pair_state.ts";
import { growTrees, punctureTrees, type TreeMessage, treeMessageCodec } from "./pprf.ts";
import { ROWS } from "./params.ts";

/** What a party must know to set a pair up. */
export interface PairInput {
  /** This party's share of the key: names key and epoch, and hedges the randomness. */
  readonly share: KeyShare;
  /** The other party. */
  readonly peer: PartyId;
  /**
   * Called before anything is sent and again before the result is stored.
   *
   * @throws UsageError PAIR_BURNED where the pair is burned, whatever the peer says it has lost; PAIR_LIMIT after three
   * failed checks in this epoch.
   */
  readonly admit: () => void;
}

/** Round 1: the points of this party's choices, and its part of the zero-share seed. */
export interface PairOffer {
  /** r_0 ‖ r_1 of all 128 instances. */
  readonly points: Bytes;
  /** n_i: 32 fresh bytes. */
  readonly seed: Bytes;
}

/** Round 2: the answers to the peer's points, and the trees that hang on them. */
export interface PairAnswer {
  /** B_0 ‖ B_1 of all 128 instances. */
  readonly answers: Bytes;
  /** What hangs the trees on the transfers. */
  readonly trees: TreeMessage;
}

/** Round 3: that both hold halves of the same state. */
export interface PairConfirmation {
  /** c of SPEC 2.3, round 3. */
  readonly confirmation: Bytes;
}

/** Round 1, 8,224 bytes. */
export const pairRound1: Round<never, PairOffer> = {
  number: 1,
  name: "oblivious transfer",
  direct: struct({ points: fixed(ROWS * OT_BYTES), seed: fixed(32) }),
  echo: "none",
};

/** Round 2, 18,432 bytes. */
export const pairRound2: Round<never, PairAnswer> = {
  number: 2,
  name: "trees",
  direct: struct({ answers: fixed(ROWS * OT_BYTES), trees: treeMessageCodec }),
  echo: "none",
};

/** Round 3, 32 bytes. */
export const pairRound3: Round<never, PairConfirmation> = {
  number: 3,
  name: "confirm",
  direct: struct({ confirmation: fixed(32) }),
  echo: "none",
};

/** The pair set-up. The state is stored, confirmed by both sides, when it returns; the caller owns the one returned. */
export const pairSetUp: Definition<PairInput, PairState> = {
  name: "pair",
  version: 1,
  auxiliary: true,
  proposal({ share, peer, admit }) {
    admit();
    const { record, self } = share;
    return {
      params: [],
      policyHash: policyHashOf(record),
      keyId: record.keyId,
      epoch: record.epoch,
      participants: [self, peer].toSorted((a, b) => a - b),
      payload: [],
    };
  },
  rounds: () => [pairRound1, pairRound2, pairRound3],
  run: runPairSetUp,
};

/** Secrets of a set-up, which is ended in many places by what a peer does. */
interface Scratch {
  /** Erased in any case. */
  readonly passing: Bytes[];
  /** Erased unless they became the result. */
  readonly lasting: Bytes[];
}

function* runPairSetUp(session: Session, input: PairInput): Protocol<PairState> {
  const scratch: Scratch = { passing: [], lasting: [] };
  let done = false;
  try {
    const state = yield* setUp(session, input, scratch);
    done = true;
    return state;
  } finally {
    erase(...scratch.passing, ...(done ? [] : scratch.lasting));
  }
}

function* setUp(session: Session, input: PairInput, { passing, lasting }: Scratch): Protocol<PairState> {
  const { peer, share } = input;
  const { keyId, epoch } = share.record;
  const self = session.self;
  invariant(session.parties.length === 2 && session.parties.includes(peer), "a pair set-up has two parties");
  const rng = hedgedRng(session, share);
  const receivePsid = pairSessionId({ sid: session.id, keyId, epoch, receiver: self, sender: peer });
  const sendPsid = pairSessionId({ sid: session.id, keyId, epoch, receiver: peer, sender: self });

  // Round 1, as VOLE sender: choose.
  const choices: OtChoice[] = [];
  const bits = rng.bytes(ROWS / 8);
  passing.push(bits);
  yield* inChunks((l) => {
    const chosen = chooseOt(sendPsid, l, (bits[l >> 3] as number) >> (l & 7) & 1, rng);
    choices.push(chosen);
    passing.push(chosen.key);
  });
  const offer: PairOffer = { points: concat(...choices.map(({ points }) => points)), seed: rng.bytes(32) };
  passing.push(offer.seed);
  const theirOffer = (yield* exchange(pairRound1, toPeer(peer, offer))).direct.get(peer) as PairOffer;
  passing.push(theirOffer.seed);

  // Round 2, as VOLE receiver: answer, and grow the trees.
  const keys: OtKeys[] = [];
  const answers: Bytes[] = [];
  yield* answerAll(receivePsid, peer, theirOffer, rng, (answer, pair) => {
    answers.push(answer);
    keys.push(pair);
    passing.push(...pair);
  });
  const grown = yield* compute(() => growTrees(receivePsid, keys), undefined);
  lasting.push(grown.leaves);
  const answer: PairAnswer = { answers: concat(...answers), trees: grown.message };
  const theirAnswer = (yield* exchange(pairRound2, toPeer(peer, answer))).direct.get(peer) as PairAnswer;

  // Round 3, as VOLE sender: all points are judged before any is used.
  for (let l = 0; l < ROWS; l++) {
    if (!isOtAnswer(theirAnswer.answers.subarray(l * OT_BYTES, (l + 1) * OT_BYTES))) {
      throw cheated(pairRound2, peer, "a point of an oblivious transfer is not canonical or of small order");
    }
  }
  const chosen: Bytes[] = [];
  yield* inChunks((l) => {
    const both = theirAnswer.answers.subarray(l * OT_BYTES, (l + 1) * OT_BYTES);
    const key = openOt(sendPsid, l, choices[l] as OtChoice, both);
    chosen.push(key);
    passing.push(key);
  });
  const punctured = yield* compute(() =>
    punctureTrees(sendPsid, {
      chosen,
      choices: choices.map(({ choice }) => choice),
      message: theirAnswer.trees,
    }), undefined);
  if (punctured === undefined) throw cheated(pairRound2, peer, "its trees are not consistent");
  lasting.push(punctured.delta, punctured.leaves);

  const low = self < peer;
  const zeroSeed = hash(
    Tag.pairZeroSeed,
    session.id,
    keyId,
    u32(epoch),
    u16(Math.min(self, peer)),
    u16(Math.max(self, peer)),
    low ? offer.seed : theirOffer.seed,
    low ? theirOffer.seed : offer.seed,
  );
  lasting.push(zeroSeed);
  const confirmation = confirmationOf({
    session,
    keyId,
    epoch,
    rounds: low ? [[offer, theirOffer], [answer, theirAnswer]] : [[theirOffer, offer], [theirAnswer, answer]],
    zeroSeed,
  });
  const theirs = (yield* exchange(pairRound3, toPeer(peer, { confirmation }))).direct.get(peer);
  if (theirs === undefined || !equalSecret(theirs.confirmation, confirmation)) {
    throw cheated(pairRound3, peer, "its confirmation differs: the two sides hold different states");
  }
  input.admit();
  const state = new PairState({
    keyId,
    epoch,
    self,
    peer,
    psidLow: low ? receivePsid : sendPsid,
    psidHigh: low ? sendPsid : receivePsid,
    zeroSeed,
    receiveLeaves: grown.leaves,
    delta: punctured.delta,
    sendLeaves: punctured.leaves,
  });
  using encoded = state.encode();
  yield* persist({ kind: "pair", keyId, epoch, peer, state: encoded });
  return state;
}

/** Answers all of the peer's instances, a chunk at a time. All its points are decoded before any is used. */
function* answerAll(
  psid: Bytes,
  peer: PartyId,
  offer: PairOffer,
  rng: ReturnType<typeof hedgedRng>,
  take: (answer: Bytes, keys: OtKeys) => void,
): Generator<Step, void, unknown> {
  const instances: { points: Bytes; decoded: NonNullable<ReturnType<typeof decodeOtPoints>> }[] = [];
  yield* inChunks((l) => {
    const points = offer.points.slice(l * OT_BYTES, (l + 1) * OT_BYTES);
    const decoded = decodeOtPoints(points);
    if (decoded !== undefined) instances.push({ points, decoded });
  });
  if (instances.length !== ROWS) throw cheated(pairRound1, peer, "a point of a choice is not canonical");
  for (let first = 0; first < ROWS; first += OT_CHUNK) {
    const chunk = instances.slice(first, first + OT_CHUNK);
    const answered = yield* compute(() => answerOts(psid, first, chunk, rng), undefined);
    if (answered === undefined) throw cheated(pairRound1, peer, "a choice hides the identity");
    for (const { answer, keys } of answered) take(answer, keys);
  }
}

/** Calls `step` for every instance, with a pause for the event loop after each chunk. */
function* inChunks(step: (l: number) => void): Generator<Step, void, unknown> {
  for (let first = 0; first < ROWS; first += OT_CHUNK) {
    yield* compute((from) => {
      for (let l = from; l < from + OT_CHUNK; l++) step(l);
    }, first);
  }
}

/** c of SPEC 2.3, round 3. */
function confirmationOf(
  input: {
    readonly session: Session;
    readonly keyId: KeyId;
    readonly epoch: number;
    /** Of the lower and of the higher index. */
    readonly rounds: readonly [readonly [PairOffer, PairOffer], readonly [PairAnswer, PairAnswer]];
    readonly zeroSeed: Bytes;
  },
): Bytes {
  const [offers, answers] = input.rounds;
  return hash(
    Tag.pairCertificate,
    input.session.id,
    input.keyId,
    u32(input.epoch),
    ...offers.map((message) => roundHash(pairRound1, message)),
    ...answers.map((message) => roundHash(pairRound2, message)),
    hash(Tag.pairZeroSeedOk, input.zeroSeed),
  );
}

function roundHash<D>(round: Round<never, D>, message: D): Bytes {
  return hash(Tag.pairRound, u8(round.number), encode(round.direct as Codec<D>, message));
}

function toPeer<D>(peer: PartyId, message: D): { readonly direct: ReadonlyMap<PartyId, D> } {
  return { direct: new Map([[peer, message]]) };
}

function cheated(round: Round<never, never> | Round, peer: PartyId, what: string): CheaterError {
  return new CheaterError({ code: "CHEATED", round: round.number, culprits: [peer], what });
}

// About 5 ms of work.
const OT_CHUNK = 16;
