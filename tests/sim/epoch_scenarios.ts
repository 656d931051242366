/**
 * Refresh, reshare and repair of ECDSA keys. The key is in its second epoch, so that there is an earlier one to replay.
 */

import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, copy, hex, u16, u8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { Secret } from "../../src/base/secret.ts";
import type { Curve, Point, Scalar } from "../../src/math/curve.ts";
import { leavesOf, parsePolicy } from "../../src/primitives/access.ts";
import { type Endorsed, verifyCertificate } from "../../src/protocols/dkg/certificate.ts";
import type { StoredKey } from "../../src/protocols/dkg/stored_key.ts";
import { frostEpochDigest } from "../../src/protocols/frost/held.ts";
import { decodeFrostStoredKey, isFrostStoredKey } from "../../src/protocols/frost/stored_key.ts";
import { encodeRecord, type PublicKeyRecord } from "../../src/protocols/key_share.ts";
import type { Definition, JournalRecord, Round, Session } from "../../src/protocols/protocol.ts";
import type { EpochResult } from "../../src/protocols/reshare/certify.ts";
import { encodeHeld, endorsedOf, epochDigest, type HeldEpoch } from "../../src/protocols/reshare/held.ts";
import type {
  EpochEndorsement,
  Opening,
  RefreshCommitment,
  ReshareCommitment,
  ReshareShare,
} from "../../src/protocols/reshare/messages.ts";
import { refresh } from "../../src/protocols/reshare/refresh.ts";
import {
  repair,
  type RepairInput,
  type RepairPart,
  type RepairResult,
  type RepairStatement,
} from "../../src/protocols/reshare/repair.ts";
import { reshare } from "../../src/protocols/reshare/reshare.ts";
import { type DealContext, dealOwn, type OwnDealing } from "../../src/protocols/reshare/steps.ts";
import { sync } from "../../src/protocols/reshare/sync.ts";
import { Keyring, type MemoryStore, NAMES } from "../protocols/reshare/support.ts";
import { computes, type Ending, holds, type Lie, type Lies, offers, says, tells } from "./lies.ts";
import { same, type Scenario, startLater } from "./scenario.ts";
import type { Place } from "./adversary.ts";

/** Which key, and who is to have it: by the number of parties. */
const REFRESHED: Readonly<Record<number, string>> = {
  2: "2 of (alice, bob)",
  3: "2 of (alice, bob, carol)",
  5: "and(alice, 2 of (bob, carol, 2 of (dave, erin)))",
};
const RESHARED: Readonly<
  Record<number, { readonly from: string; readonly to: string; readonly dealers: readonly string[] }>
> = {
  2: { from: "and(alice, bob)", to: "2 of (bob, alice)", dealers: [] },
  3: { from: "and(alice, bob)", to: "and(bob, carol)", dealers: ["alice"] },
  5: { from: "2 of (alice, bob, carol)", to: "and(carol, 2 of (bob, dave, erin))", dealers: ["alice"] },
};
/** The last one of the parties has lost its share. Of two, one can help the other only where either would do. */
const REPAIRED: Readonly<Record<number, string>> = {
  2: "and(carol, or(alice, bob))",
  3: "2 of (alice, bob, carol)",
  5: "and(alice, 3 of (bob, carol, dave, erin))",
};

/** How a scenario of epochs begins. */
export interface EpochOptions {
  /** One epoch earlier, for what is replayed. */
  readonly earlier?: boolean;
  /** Whose store says nothing of what honest parties have. */
  readonly faulty?: PartyId;
}

/** Refresh by all n parties. */
export function refreshing(n: number, curve: Curve, options: EpochOptions): Scenario {
  const policy = REFRESHED[n] as string;
  const base = baseOf(policy, curve);
  const ring = base.fork(options);
  const inputOf = (party: PartyId) => ring.refreshInput(party);
  const context = contextOf("refresh", base.recordOf(options), policy, ring);
  return {
    protocol: "refresh",
    rounds: refresh.rounds(inputOf(partyId(1))) as Round[],
    lies: {
      ...dealingLies(context),
      "wrong-dealing": tells<{ readonly share: Scalar }>(2, "culprit", "target", (said) => ({
        ...said,
        share: curve.add(said.share, curve.scalar(1n)),
      })),
      "nonzero-constant": redeals((_own, session) =>
        dealOwn(context(session.id, session.self), curve.scalar(1n), session.rng)
      ),
      "wrong-commitment": says<RefreshCommitment>(1, "culprit", ({ commitment }) => ({
        commitment: flipped(commitment),
      })),
      ...offerLies("fail", "finish"),
      "stale-epoch": holds<ReturnType<typeof inputOf>>("fail", (input) => ({
        ...input,
        held: base.earlier.store(input.self).held(),
      })),
    },
    ...epochs(ring, refresh, inputOf, n, leavesOf(parsePolicy(policy)), options),
  };
}

/** Reshare to another policy; of more than two parties one only deals, and others only receive. */
export function resharing(n: number, curve: Curve, options: EpochOptions): Scenario {
  const { from, to, dealers } = RESHARED[n] as typeof RESHARED[number];
  const base = baseOf(from, curve);
  const ring = base.fork(options);
  const inputOf = (party: PartyId) => ring.reshareInput(party, to, dealers);
  const context = contextOf("reshare", base.recordOf(options), to, ring);
  return {
    protocol: "reshare",
    rounds: reshare.rounds(inputOf(partyId(1))) as Round[],
    lies: {
      ...dealingLies(context),
      "wrong-dealing": tells<ReshareShare>(
        2,
        "culprit",
        "target",
        ({ share }) => share && { share: curve.add(share, curve.scalar(1n)) },
      ),
      "wrong-share": redeals((_own, session) =>
        dealOwn(context(session.id, session.self), curve.randomScalar(session.rng), session.rng)
      ),
      "wrong-commitment": says<ReshareCommitment>(
        1,
        "culprit",
        ({ statement, commitment }) => commitment && { statement, commitment: flipped(commitment) },
      ),
      "wrong-key": says<ReshareCommitment>(
        1,
        "culprit",
        ({ statement, commitment }) => statement && { statement: withOtherKey(statement), commitment },
      ),
      ...offerLies("fail", "finish"),
      "offer-forged": holds<ReturnType<typeof inputOf>>("fail", (input) => ({
        ...input,
        held: [forged(base, input.self)],
      })),
      "stale-epoch": holds<ReturnType<typeof inputOf>>(
        "any",
        (input) =>
          input.held.length === 0 ? undefined : { ...input, held: base.earlier.store(input.self).held() },
      ),
    },
    ...epochs(ring, reshare, inputOf, n, leavesOf(parsePolicy(to)), options),
  };
}

/** Repair of the last party's share by all others. */
export function repairing(n: number, curve: Curve, options: EpochOptions): Scenario {
  const base = baseOf(REPAIRED[n] as string, curve);
  const ring = base.fork(options);
  const names = NAMES.slice(0, n), helpers = names.slice(0, -1);
  const lost = partyId(n), lostName = names[n - 1] as string;
  ring.store(lost).rows.clear();
  const inputOf = (party: PartyId) => ring.repairInput(party, lostName, helpers);
  const { epoch } = base.recordOf(options);
  const isBack = () => ring.store(lost).active()?.share.record.epoch === epoch;
  const state = epochs(ring, repair, inputOf, n, names, options);
  return {
    ...state,
    protocol: "repair",
    rounds: repair.rounds(inputOf(partyId(1))) as Round[],
    lies: repairLies(base, curve, n),
    // Where the share is back and only its certificate is not, the command says that `key sync` gives it.
    start: (world, party, wrap = same, delayMs = 0) => [{
      party,
      participants: world.parties,
      slot: ring.store(lost).rows.has(epoch)
        ? startLater(world, party, delayMs, () => ({ definition: sync, input: ring.syncInput(party, names) }))
        : startLater(world, party, delayMs, () => ({ definition: wrap(repair), input: inputOf(party) })),
    }],
    halfDone: (parties) => state.halfDone(parties.filter((party) => party !== lost || isBack())),
    isChecked({ kind, round }, from, receivers) {
      if (kind !== "direct" || round > 128) return true;
      return from !== lost && receivers.some((party) => (party === lost) === (round === 2));
    },
    again: { isDue: () => !isBack(), fault: () => isBack() ? undefined : "the share is not back" },
  };
}

function repairLies(base: Base, curve: Curve, n: number): Lies {
  const one = curve.scalar(1n);
  const more = ({ part }: RepairPart) => part && { part: curve.add(part, one) };
  const restated = (change: (said: NonNullable<RepairStatement["said"]>) => RepairStatement["said"]): Lie =>
    says<RepairStatement>(1, "culprit", ({ said }) => said && { said: change(said) });
  type Parts = { readonly parts: Map<PartyId, Scalar>; readonly points: readonly Point[] };
  return {
    "wrong-part": tells<RepairPart>(1, "culprit", "target", more),
    "wrong-sum": tells<RepairPart>(2, "culprit", "all", more),
    "wrong-share": computes<Parts>({ kind: "broadcast", round: 1 }, "culprit", (own) => {
      if (own?.points === undefined) return undefined;
      const first = partyId(1);
      const parts = new Map(own.parts).set(first, curve.add(own.parts.get(first) as Scalar, one));
      const points = own.points.map((point, k) => k === 0 ? point.add(curve.mulBase(one)) : point);
      return { parts, points: curve.normalize(points) };
    }),
    "wrong-key": restated((said) => ({ ...said, endorsed: withOtherKey(said.endorsed) })),
    "wrong-certificate": restated((said) => ({ ...said, certificate: flipped(said.certificate) })),
    ...offerLies("any", "any"),
    "stale-epoch": holds<RepairInput>(
      n > 2 ? "fail" : "any",
      (input) =>
        input.held.length === 0 ? undefined : { ...input, ...earlierOf(base.earlier.store(input.self)) },
    ),
  };
}

/** What refresh and reshare have in common: who has what, and what must hold of it. */
function epochs<I extends { readonly self: PartyId }>(
  ring: Keyring,
  definition: Definition<I, unknown>,
  inputOf: (party: PartyId) => I,
  n: number,
  members: readonly string[],
  { faulty }: EpochOptions,
): Pick<Scenario, "start" | "fault" | "record" | "halfDone"> & Required<Pick<Scenario, "again">> {
  const all = NAMES.slice(0, n).map((_, k) => partyId(k + 1));
  const honest = all.filter((party) => party !== faulty);
  let broken: string | undefined, newestEver = newestCertified(ring, honest);
  return {
    start: (world, party, wrap = same, delayMs = 0) => [{
      party,
      participants: world.parties,
      slot: startLater(
        world,
        party,
        delayMs,
        () => ({ definition: wrap(definition), input: inputOf(party) }),
      ),
    }],
    fault: (values) => resultsFault(ring, values as (EpochResult | RepairResult)[]),
    record(party, record: JournalRecord) {
      ring.store(party).write(record);
      const newest = newestCertified(ring, honest);
      broken ??= newest < newestEver ? "the certified epoch is gone" : epochsFault(ring, honest);
      newestEver = Math.max(newest, newestEver);
    },
    halfDone: (parties) => broken ?? epochsFault(ring, parties),
    again: {
      isDue: () => true,
      fault() {
        const newest = newestCertified(ring, all);
        try {
          ring.holds(newest, members);
        } catch (error) {
          return `after another run: ${(error as Error).message}`;
        }
        const below = all.some((party) => [...ring.store(party).rows.keys()].some((epoch) => epoch < newest));
        return below ? "after another run an old share is left" : undefined;
      },
    },
  };
}

/** S1: one epoch, under one certificate, of the key as it was. */
function resultsFault(ring: Keyring, results: readonly (EpochResult | RepairResult)[]): string | undefined {
  const records = new Set(results.map(({ record }) => hex(encodeRecord(record))));
  if (records.size > 1) return "honest parties have different epochs";
  for (const { record, share, certificate } of results) {
    if (!record.publicKey.equals(ring.record.publicKey)) return "the public key changed";
    verifyCertificate(record, certificate);
    if (share === undefined) continue;
    const X = record.curve.mulBase(scalarOf(record.curve, share.share));
    if (!X.equals(record.publicShares.get(share.self) as Point)) {
      return "a share is not that of its public share";
    }
  }
  return undefined;
}

/** What parties have on disk. */
type Stores = Pick<Keyring, "store">;

/**
 * S5, at every moment: those members of the newest certified epoch all have its shares, and no epoch number is certified twice.
 *
 * @param parties whose stores tell the truth.
 */
export function epochsFault(ring: Stores, parties: readonly PartyId[]): string | undefined {
  const digests = new Map<number, string>();
  const newest = newestCertified(ring, parties);
  let record: PublicPart["record"] | undefined;
  for (const party of parties) {
    for (const [epoch, { state, encoded }] of ring.store(party).rows) {
      if (state === "pending") continue;
      const known = publicPartOf(ring.store(party), epoch, encoded);
      if ((digests.get(epoch) ?? known.digest) !== known.digest) return `epoch ${epoch} is certified twice`;
      digests.set(epoch, known.digest);
      if (epoch === newest) record = known.record;
    }
  }
  for (const { index, name } of record?.members ?? []) {
    if (!parties.includes(index)) continue;
    const row = ring.store(index).rows.get(newest);
    const known = row && publicPartOf(ring.store(index), newest, row.encoded);
    if (known?.hasShare !== true || known.digest !== digests.get(newest)) {
      return `${name} has no share of the certified epoch ${newest}`;
    }
  }
  return undefined;
}

/** The newest epoch that any of these parties has certified. */
export function newestCertified(ring: Stores, parties: readonly PartyId[]): number {
  return Math.max(
    -1,
    ...parties.flatMap((party) =>
      [...ring.store(party).rows].flatMap(([epoch, { state }]) => state === "pending" ? [] : [epoch])
    ),
  );
}

interface PublicPart {
  readonly digest: string;
  readonly record: Pick<PublicKeyRecord, "members">;
  readonly hasShare: boolean;
}

const publicParts = new WeakMap<Bytes, PublicPart>();

/** What a row says in public; read once, and kept for all copies of the row. */
function publicPartOf(store: MemoryStore, epoch: number, encoded: Bytes): PublicPart {
  let part = publicParts.get(encoded);
  if (part !== undefined) return part;
  if (isFrostStoredKey(encoded)) {
    const key = decodeFrostStoredKey(encoded);
    part = { digest: hex(frostEpochDigest(key)), record: key.share.record, hasShare: true };
  } else {
    const { key } = store.heldAt(epoch) as HeldEpoch;
    const endorsed = endorsedOf(key);
    part = { digest: hex(epochDigest(endorsed)), record: endorsed.record, hasShare: "share" in key };
  }
  publicParts.set(encoded, part);
  return part;
}

/** A key in epoch 1, and as it was in epoch 0. */
interface Base {
  readonly earlier: Keyring;
  fork(options: EpochOptions): Keyring;
  recordOf(options: EpochOptions): PublicKeyRecord;
}

const bases = new Map<string, Base>();

function baseOf(policy: string, curve: Curve): Base {
  const id = `${policy}/${curve.name}`;
  let base = bases.get(id);
  if (base === undefined) {
    const earlier = new Keyring(policy, {
      curve,
      seed: "sim",
      allowSingle: true,
      identityOf: (party) => sha256(u8(7), u16(party)),
    });
    const ring = earlier.fork();
    for (const outcome of ring.refresh().values()) assert.ok(outcome.ok);
    const { record } = ring.active();
    base = {
      earlier,
      fork: (options) => (options.earlier === true ? earlier : ring).fork(),
      recordOf: (options) => options.earlier === true ? earlier.record : record,
    };
    bases.set(id, base);
  }
  return base;
}

type ContextOf = (sid: DealContext["sid"], self: PartyId) => DealContext;

function contextOf(
  kind: DealContext["kind"],
  base: PublicKeyRecord,
  policy: string,
  ring: Keyring,
): ContextOf {
  const tree = parsePolicy(policy);
  const members = ring.members(leavesOf(tree));
  return (sid, self) => ({ kind, sid, base, epoch: 2, policy: tree, members, constants: new Map(), self });
}

/** Deals something else, and stays consistent with it. */
function redeals(
  change: (own: OwnDealing, session: Session) => OwnDealing,
): Lie {
  const place: Place = { kind: "broadcast", round: 1 };
  return computes<OwnDealing | undefined>(
    place,
    "culprit",
    (own, session) => own?.opening === undefined ? undefined : change(own, session),
  );
}

/** Lies about the own dealing in general, and about the certificate. */
function dealingLies(context: ContextOf): Lies {
  const opened = (change: (opening: Opening, curve: Curve) => Opening): Lie =>
    redeals((own, { id, self }) => ({
      ...own,
      opening: change(own.opening, context(id, self).base.curve),
    }));
  return {
    "longer-dealing": opened((opening, curve) => ({
      ...opening,
      coefficients: [...opening.coefficients, curve.mulBase(curve.scalar(1n))],
    })),
    "wrong-proof": opened((opening, curve) => ({
      ...opening,
      proof: opening.proof && { ...opening.proof, s: curve.add(opening.proof.s, curve.scalar(1n)) },
    })),
    "wrong-signature": says<EpochEndorsement>(3, "culprit", ({ proof, signature }) => ({
      proof,
      signature: flipped(signature),
    })),
  };
}

type HasHeld = { readonly held: readonly HeldEpoch[] };

/** Lies about what is stored: an epoch further, one that cannot be, one that nobody else knows, another key. */
function offerLies(refused: Ending, ahead: Ending): Lies {
  const offered = (ends: Ending, change: (last: HeldEpoch, held: readonly HeldEpoch[]) => HeldEpoch[]): Lie =>
    offers<HasHeld>(ends, ({ held }) => {
      const last = held.at(-1);
      return last === undefined ? undefined : encodeHeld(change(last, held));
    });
  const pending = (last: HeldEpoch, by: number): HeldEpoch => ({
    state: "pending",
    key: withRecord(last.key as StoredKey, (record) => ({ ...record, epoch: record.epoch + by })),
  });
  return {
    "offer-ahead": offered(ahead, (last, held) => [...held, pending(last, 1000)]),
    "offer-beyond": offered(refused, (last, held) => [...held, pending(last, 1001)]),
    "offer-certified": offered(refused, (last) => [{ ...pending(last, 1), state: "active" }]),
    "offer-other-key": offered(refused, (_last, held) =>
      held.map(({ state, key }) => ({
        state,
        key: withRecord(key as StoredKey, (record) => ({ ...record, keyId: flipped(record.keyId) as never })),
      }))),
  };
}

function withRecord(key: StoredKey, change: (record: PublicKeyRecord) => PublicKeyRecord): StoredKey {
  return { ...key, share: { ...key.share, record: change(key.share.record) } };
}

/** An epoch that gives the key to one party, as far as its record goes: every public share is the public key. */
function forged(base: Base, self: PartyId): HeldEpoch {
  const { curve } = base.earlier;
  const real = base.fork({}).active();
  const stored = [...base.fork({}).stores.values()].flatMap((store) => store.active() ?? [])[0] as StoredKey;
  const names = [...new Set([...real.record.members.map(({ name }) => name), NAMES[self - 1] as string])];
  const members = base.earlier.members(names);
  const record: PublicKeyRecord = {
    ...real.record,
    epoch: real.record.epoch + 1,
    policy: parsePolicy(`or(${members.map(({ name }) => name).join(", ")})`, { allowSingle: true }),
    members,
    publicShares: new Map(members.map(({ index }) => [index, real.record.publicKey])),
  };
  const share = { record, self, share: new Secret(curve.encodeScalar(curve.scalar(7n))) };
  return { state: "active", key: { ...stored, share } };
}

function withOtherKey(endorsed: Endorsed): Endorsed {
  const { record } = endorsed;
  const publicKey = record.curve.normalize([record.publicKey.double()])[0] as Point;
  return { ...endorsed, record: { ...record, publicKey } };
}

function earlierOf(store: MemoryStore): Pick<RepairInput, "held" | "certificate"> {
  return { held: store.held(), certificate: [...store.rows.values()].at(-1)?.certificate };
}

function scalarOf(curve: Curve, share: Secret): Scalar {
  return (curve.decodeScalars(copy(share.expose())) as Scalar[])[0] as Scalar;
}

/** The bytes with one bit of the last one changed. */
export function flipped(bytes: Bytes): Bytes {
  const out = copy(bytes);
  out[out.length - 1] = (out.at(-1) as number) ^ 1;
  return out;
}
