/**
 * Refresh: the same key, the same parties, new shares (SPEC 2.8). What was stolen before is worth nothing after it, unless it
 * was enough to sign with.
 *
 * Everybody deals zero along the policy's tree and adds what it is dealt to its share: commit, then open and deal, then certify,
 * as in key generation. The old epoch stays usable until everybody's signature on the new one is here. A run that finds the same
 * PENDING epoch at every party, or one that some have ACTIVE already, exchanges its endorsements again.
 *
 * @module
 */

import type { PartyId, SessionId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal, equalSecret, erase, utf8 } from "../../base/bytes.ts";
import { encode } from "../../base/codec.ts";
import { invariant, UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import type { Scalar } from "../../math/curve.ts";
import { formatPolicy } from "../../primitives/access.ts";
import { commit, COMMITMENT_BYTES, opens } from "../../primitives/commitment.ts";
import { Tag } from "../../primitives/tags.ts";
import { originOf } from "../dkg/certificate.ts";
import type { StoredKey } from "../dkg/stored_key.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import type { PairState } from "../ecdsa/pair_state.ts";
import { policyHashOf, type PublicKeyRecord } from "../key_share.ts";
import {
  compute,
  type Definition,
  exchange,
  persist,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
  type Step,
} from "../protocol.ts";
import { blameFaults, certifyEpoch, type EpochResult, storePending } from "./certify.ts";
import {
  activeShare,
  encodeHeld,
  findHeld,
  type HeldEpoch,
  recordOfStored,
  type Way,
  wayOf,
} from "./held.ts";
import { type CoinConfirmation, type Opening, openingCodec, refreshRounds } from "./messages.ts";
import { coinOf, type CoinToss, confirmationOf, rerandomized } from "./rerandomize.ts";
import { combine, commitTo, type DealContext, dealingFault, dealOwn, transcriptOf } from "./steps.ts";

/** What a party must know to take part. Equal at all members but for `self`, `held` and the pair states. */
export interface RefreshInput {
  /** What people call the key. */
  readonly keyName: string;
  /** This party. */
  readonly self: PartyId;
  /** What this party has stored of the key, ascending by epoch; one is ACTIVE. The secrets in it stay the caller's. */
  readonly held: readonly HeldEpoch[];
  /**
   * What becomes of the pair states: `"renew"` makes new ones after the refresh, which also lifts bans; `"rerandomize"`
   * turns those that are there into new ones, in milliseconds.
   */
  readonly pairs: "renew" | "rerandomize";
  /** For `"rerandomize"`: the state of a pair in the present epoch. */
  readonly pairState?: (peer: PartyId) => PairState | undefined;
  /** For `"rerandomize"`: whether a pair is banned in the present epoch. */
  readonly burned?: (peer: PartyId) => boolean;
}

/**
 * Refresh. Its rounds are commit, open and deal, certify; a completion has the last one only.
 *
 * @source SPEC 2.8
 */
export const refresh: Definition<RefreshInput, EpochResult> = {
  name: "refresh",
  version: 1,
  proposal,
  offer: ({ held }) => encodeHeld(held),
  unsettled(input, _self, offers) {
    wayFor(input, offers);
    return { mine: [], others: [] };
  },
  rounds(input) {
    const { commit, open, certify } = refreshRounds(activeOf(input).share.record.curve);
    return [commit, open, certify] as Round[];
  },
  run,
};

function* run(session: Session, input: RefreshInput): Protocol<EpochResult> {
  const active = activeOf(input);
  const { record: { members, curve } } = active.share;
  invariant(
    session.self === input.self && members.length === session.parties.length &&
      members.every(({ index }, k) => index === session.parties[k]),
    "the session has other parties than the key",
  );
  const way = wayFor(input, session.offers);
  invariant(way !== undefined, "a session has the offers of all");
  const { certify: round } = refreshRounds(curve);
  if (way.kind === "complete") {
    const found = findHeld(input.held, way.digest);
    invariant(found !== undefined && "share" in found.key, "an epoch is completed that is not stored here");
    const { state, key } = found;
    const direct = new Map(
      session.parties.filter((party) => party !== session.self).map((party) =>
        [party, { confirmation: undefined }] as const
      ),
    );
    const certificate = yield* certifyEpoch(session, { key, pending: state === "pending", round, direct });
    const share = { ...key.share, share: key.share.share.clone() };
    return { record: share.record, share, certificate, outcome: "completed" };
  }
  return yield* attempt(session, input, active, way.epoch);
}

/** A new epoch, from the commitments to the certificate. */
function* attempt(
  session: Session,
  input: RefreshInput,
  active: StoredKey,
  epoch: number,
): Generator<Step, EpochResult, unknown> {
  const { record: base } = active.share;
  const { curve, policy, members } = base;
  const { id: sid, self, parties } = session;
  const constants = new Map(parties.map((party) => [party, curve.zero]));
  const context: DealContext = { kind: "refresh", sid, base, epoch, policy, members, constants, self };
  const { commit: R1, open: R2, certify: R3 } = refreshRounds(curve);
  const rng = hedgedRng(session, active.share);
  const peers = parties.filter((party) => party !== self);

  const own = yield* compute(() => dealOwn(context, curve.scalar(0n), rng), undefined);
  const ownCommitment = { commitment: commitTo(context, self, own.opening) };
  const coins = throwCoins(input, peers, rng);
  const coinCommitment = (coin: Coin | undefined) =>
    coin && commit({ tag: Tag.pairCoinCommit, sid, party: self, message: coin.value, salt: coin.salt });
  const committed = yield* exchange(R1, {
    broadcast: ownCommitment,
    direct: new Map(peers.map((party) => [party, { coin: coinCommitment(coins.get(party)) }])),
  });

  const dealt = yield* exchange(R2, {
    broadcast: own.opening,
    direct: new Map(peers.map((party) => {
      const offered = committed.direct.get(party)?.coin !== undefined;
      return [party, {
        share: own.shares.get(party) as Scalar,
        coin: offered ? coins.get(party) : undefined,
      }];
    })),
  });
  const faults = new Map<PartyId, string>();
  for (const [party, { coin }] of dealt.direct) {
    if (!opensCoin(sid, party, committed.direct.get(party)?.coin, coin, coins.has(party))) {
      faults.set(party, "its half of the coin for the pair is not what it committed to");
    }
  }
  for (const [dealer, opening] of dealt.broadcast) {
    const fault = yield* compute(dealingFault, {
      context,
      dealer,
      dealt: {
        commitment: committed.broadcast.get(dealer)?.commitment ?? EMPTY,
        opening,
        share: dealt.direct.get(dealer)?.share,
      },
    });
    if (fault !== undefined && !faults.has(dealer)) faults.set(dealer, fault);
  }
  blameFaults(R2, faults);

  const openings = new Map(dealt.broadcast).set(self, own.opening);
  const shares = new Map([...dealt.direct].map(([party, m]) => [party, m.share]))
    .set(self, own.shares.get(self) as Scalar);
  const { record, share } = yield* compute(
    () => combine(context, openings, { present: active.share.share, dealt: shares }),
    undefined,
  );
  invariant(share !== undefined, "everybody has a share after a refresh");
  const turned = new Map<PartyId, Turned>();
  let done = false;
  try {
    const commitments = new Map(committed.broadcast).set(self, ownCommitment);
    const key = yield* storePending(session, {
      keyName: input.keyName,
      record,
      share,
      transcript: transcriptOf(
        sid,
        parties.map((party) => commitments.get(party)?.commitment as Bytes),
        parties.map((party) => encode(openingCodec(curve), openings.get(party) as Opening)),
      ),
      lineage: { origin: originOf({ ...active, record: base }), parent: base.epoch, witnesses: [] },
    });
    for (const [party, { coin }] of dealt.direct) {
      const value = coins.get(party)?.value;
      const state = input.pairState?.(party);
      if (coin === undefined || value === undefined || state === undefined) continue;
      const kappa = coinOf(sid, { party: self, value }, { party, value: coin.value });
      turned.set(party, yield* compute(() => turn(state, { sid, epoch, coin: kappa }), undefined));
    }
    const certificate = yield* certifyEpoch(session, {
      key,
      pending: true,
      round: R3,
      direct: new Map(peers.map((party) => [party, { confirmation: turned.get(party)?.confirmation }])),
      then: (inbox) => keepPairs(session, input, record, turned, inbox.direct),
    });
    done = true;
    return { record, share: { record, self, share }, certificate, outcome: "dealt" };
  } finally {
    if (!done) share[Symbol.dispose]();
    for (const { state } of turned.values()) state[Symbol.dispose]();
    for (const { value } of coins.values()) erase(value);
  }
}

/** This party's half of κ for one pair: secret. */
interface Coin {
  readonly value: Bytes;
  readonly salt: Bytes;
}

/** A pair state of the new epoch that the peer has not confirmed yet. */
interface Turned {
  readonly state: PairState;
  readonly confirmation: Bytes;
}

/** Halves of coins for the pairs that are there. */
function throwCoins(input: RefreshInput, peers: readonly PartyId[], rng: Rng): ReadonlyMap<PartyId, Coin> {
  if (input.pairs !== "rerandomize") return new Map();
  const ready = peers.filter((peer) =>
    input.burned?.(peer) !== true && input.pairState?.(peer) !== undefined
  );
  return new Map(ready.map((peer) => [peer, { value: rng.bytes(32), salt: rng.bytes(COMMITMENT_BYTES) }]));
}

/** Whether a peer opened what it committed to; it opens nothing where one of the two committed to nothing. */
function opensCoin(
  sid: SessionId,
  party: PartyId,
  commitment: Bytes | undefined,
  coin: Coin | undefined,
  mine: boolean,
): boolean {
  if (commitment === undefined || !mine) return coin === undefined;
  return coin !== undefined &&
    opens(commitment, { tag: Tag.pairCoinCommit, sid, party, message: coin.value, salt: coin.salt });
}

function turn(state: PairState, toss: CoinToss): Turned {
  const next = rerandomized(state, toss);
  const confirmation = confirmationOf(next, toss);
  erase(toss.coin);
  return { state: next, confirmation };
}

/**
 * Stores the pair states that the peers confirmed, beside the old ones: they count from the moment on in which the epoch does. A
 * difference is no attack, two honest parties have it after a crash: the pair is then absent, and set up before it is used. A
 * pair that is banned stays banned.
 */
function* keepPairs(
  session: Session,
  input: RefreshInput,
  { keyId, epoch }: PublicKeyRecord,
  turned: ReadonlyMap<PartyId, Turned>,
  confirmed: ReadonlyMap<PartyId, CoinConfirmation>,
): Generator<Step, void, unknown> {
  if (input.pairs !== "rerandomize") return;
  for (const [peer, { confirmation }] of confirmed) {
    const own = turned.get(peer);
    if (input.burned?.(peer) === true) {
      const reason = "the pair was banned before, and a refresh that does not renew it changes nothing";
      yield* persist({
        kind: "burn",
        keyId,
        epoch,
        peer,
        sid: session.id,
        messageHash: new Uint8Array(32),
        reason,
      });
    } else if (
      own !== undefined && confirmation !== undefined && equalSecret(confirmation, own.confirmation)
    ) {
      using state = own.state.encode();
      yield* persist({ kind: "pair", keyId, epoch, peer, state });
    }
  }
}

/** What the offers say is to be done. @throws UsageError where they show that the session cannot run. */
function wayFor(input: RefreshInput, offers: ReadonlyMap<PartyId, Bytes>): Way | undefined {
  const { record } = activeOf(input).share;
  return wayOf({
    keyName: input.keyName,
    participants: record.members.map((member) => member.index),
    offers,
    isWanted: (digest) => isOfRefresh(findHeld(input.held, digest)?.key, record),
    joins: () => false,
    nameOf: (party) => nameOf(record, party),
  });
}

/** Whether this session has the parties that an epoch's certificate needs. */
function isOfRefresh(key: HeldEpoch["key"] | undefined, record: PublicKeyRecord): boolean {
  return key !== undefined && "share" in key && key.lineage !== undefined &&
    key.lineage.witnesses.length === 0 &&
    equal(policyHashOf(key.share.record), policyHashOf(record));
}

function activeOf({ held, keyName }: RefreshInput): StoredKey {
  const active = activeShare(held);
  if (active !== undefined) return active;
  throw new UsageError("KEY_PENDING", `the key ${keyName} has no active share here`);
}

function nameOf({ members }: PublicKeyRecord, party: PartyId): string {
  return members.find((member) => member.index === party)?.name ?? `party ${party}`;
}

/** The epoch is in the offers, and the session id binds those: parties that complete an epoch have different ones. */
function proposal(input: RefreshInput): Proposal {
  const { record } = activeOf(input).share;
  invariant(
    input.held.every(({ key }) => equal(recordOfStored(key).keyId, record.keyId)),
    "one key is refreshed",
  );
  return {
    params: [
      { name: "curve", value: utf8(record.curve.name) },
      // For people: what is bound is policyHash.
      { name: "policy", value: utf8(formatPolicy(record.policy).slice(0, 200)) },
    ],
    policyHash: policyHashOf(record),
    keyId: record.keyId,
    epoch: 0,
    participants: record.members.map((member) => member.index),
    payload: [
      { name: "key name", value: utf8(input.keyName) },
      { name: "purpose", value: utf8("refresh") },
      { name: "pair states", value: utf8(input.pairs) },
    ],
  };
}
