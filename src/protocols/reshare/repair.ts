/**
 * Repair of one lost share by others, who learn nothing of it (SPEC 2.10). The share is a fixed combination Σ e_i·x_i of those of
 * the helpers. Each splits its term into random parts, one for each helper; each helper adds what it gets and sends the sum to
 * the party that lost its share. The parts are published times G, so that a wrong one is seen and named.
 *
 * | symbol | |
 * |---|---|
 * | e_i | coefficient of helper i: Σ e_i·row_i is the row of the lost leaf in the share matrix (SPEC 3.3) |
 * | d_ik, D_ik | part that i sends to k, and D_ik = d_ik·G; Σ_k d_ik = e_i·x_i |
 * | σ_k | Σ_i d_ik: what k sends to the party that is repaired |
 *
 * With a policy that needs every party, as `2 of 2` does, nobody's share follows from the others': only a backup helps there.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal, utf8 } from "../../base/bytes.ts";
import { bytes, type Codec, list, optional, struct } from "../../base/codec.ts";
import { invariant, QuorateError, UsageError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { bytesToBigint, type Curve, type Point, type Scalar, secp256k1 } from "../../math/curve.ts";
import { multiScalarVartime } from "../../math/multi_scalar.ts";
import { ACCESS_LIMITS, formatPolicy, shareMatrix } from "../../primitives/access.ts";
import { type Certificate, type Endorsed, verifyCertificate } from "../dkg/certificate.ts";
import { encodeStoredKey, type StoredKey, storedKeyOf } from "../dkg/stored_key.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import type { KeyShare, Member, PublicKeyRecord } from "../key_share.ts";
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
import { blameFaults } from "./certify.ts";
import {
  activeShare,
  encodeHeld,
  endorsedOf,
  epochDigest,
  type HeldEpoch,
  type HeldOffer,
  type OfferedEpoch,
  readHeld,
} from "./held.ts";
import { endorsedCodec } from "./messages.ts";

/** What a party must know to take part. Equal at all participants but for `self`, `held` and `certificate`. */
export interface RepairInput {
  /** What people call the key. */
  readonly keyName: string;
  /** This party. */
  readonly self: PartyId;
  /** Who has lost its share. */
  readonly lost: Member;
  /** Who helps, ascending by index. */
  readonly helpers: readonly Member[];
  /** All parties that this one knows, with their identity keys: the key that is restored must have these. */
  readonly roster: readonly Member[];
  /** What this party has stored of the key, ascending by epoch. The secrets in it stay the caller's. */
  readonly held: readonly HeldEpoch[];
  /** Of a helper: the certificate of the ACTIVE epoch. */
  readonly certificate: Bytes | undefined;
}

/** What came of it. */
export interface RepairResult {
  /** The key. */
  readonly record: PublicKeyRecord;
  /** Its certificate. */
  readonly certificate: Bytes;
  /** The restored share, or the own one of a helper. The caller owns the secret in it. */
  readonly share: KeyShare;
}

/** Round 1, to all, from helpers: the key, and D_ik for every helper k. */
export interface RepairStatement {
  /** Nothing from the party that is repaired. */
  readonly said: {
    readonly endorsed: Endorsed;
    readonly certificate: Bytes;
    readonly parts: readonly Point[];
  } | undefined;
}

/** Round 1 and 2, to each: d_ik among helpers, σ_k to the party that is repaired. */
export interface RepairPart {
  /** Secret: for the receiver only. */
  readonly part: Scalar | undefined;
}

/** The rounds of a repair. */
export interface RepairRounds {
  /** Round 1. */
  readonly split: Round<RepairStatement, RepairPart>;
  /** Round 2. */
  readonly sum: Round<never, RepairPart>;
}

const CERTIFICATE_BYTES_MAX = 32 * 1024;

/** The rounds on one curve. Their messages have the same sizes on every curve. */
export function repairRounds(curve: Curve): RepairRounds {
  const part = struct({ part: optional(curve.scalarCodec) });
  const said = struct({
    endorsed: endorsedCodec,
    certificate: bytes(CERTIFICATE_BYTES_MAX),
    parts: list(curve.pointCodec, ACCESS_LIMITS.leavesMax),
  });
  return {
    split: {
      number: 1,
      name: "split",
      broadcast: struct({ said: optional(said) }) as Codec<RepairStatement>,
      direct: part,
      echo: "next",
    },
    sum: { number: 2, name: "sum", direct: part, echo: "none" },
  };
}

/**
 * The coefficients e_i with Σ e_i·x_i = x_lost, of the helpers that are needed.
 *
 * @returns undefined where the helpers' shares do not determine the lost one.
 */
export function repairCoefficients(
  record: Pick<PublicKeyRecord, "policy" | "curve">,
  lost: string,
  helpers: readonly string[],
): ReadonlyMap<string, Scalar> | undefined {
  const { curve, policy } = record;
  const rows = shareMatrix(policy, curve);
  const target = rows.get(lost);
  const columns = helpers.map((name) => rows.get(name));
  if (target === undefined || columns.includes(undefined)) return undefined;
  const solved = solveVartime(curve, columns as (readonly Scalar[])[], target);
  return solved &&
    new Map(helpers.flatMap((name, k) => solved[k] === 0n ? [] : [[name, solved[k] as Scalar]]));
}

/** Repair. @source SPEC 2.10 */
export const repair: Definition<RepairInput, RepairResult> = {
  name: "repair",
  version: 1,
  proposal,
  offer: ({ held }) => encodeHeld(held),
  unsettled(input, _self, offers) {
    baseOf(input, offers);
    return { mine: [], others: [] };
  },
  // Which curve it is, the party that is repaired learns from the offers.
  rounds() {
    const { split, sum } = repairRounds(secp256k1);
    return [split, sum] as Round[];
  },
  run,
};

function* run(session: Session, input: RepairInput): Protocol<RepairResult> {
  const base = baseOf(input, session.offers);
  invariant(base !== undefined, "a session has the offers of all");
  return input.self === input.lost.index ? yield* restore(input, base) : yield* help(session, input, base);
}

/** A helper's side. */
function* help(session: Session, input: RepairInput, base: Base): Generator<Step, RepairResult, unknown> {
  const active = activeShare(input.held);
  invariant(active !== undefined && input.certificate !== undefined, "a helper has an active share");
  const { certificate, self, helpers, lost } = input;
  const { record } = active.share;
  const { curve } = record;
  const { split: R1, sum: R2 } = repairRounds(curve);
  const own = yield* compute(() => splitOwn(session, input, active), undefined);
  const others = session.parties.filter((party) => party !== self);
  const said = { endorsed: endorsedOf(active), certificate, parts: own.points };
  const given = yield* exchange(R1, {
    broadcast: { said },
    direct: new Map(others.map((party) => [party, { part: own.parts.get(party) }])),
  });
  const stated = new Map([...given.broadcast].filter(([party]) => party !== lost.index));
  const faults = yield* compute(() => statementFaults(input, base, record, stated), undefined);
  const place = helpers.findIndex(({ index }) => index === self);
  let sum = own.parts.get(self) as Scalar;
  for (const [party, { said: theirs }] of stated) {
    const part = given.direct.get(party)?.part;
    const D = theirs?.parts[place];
    if (faults.has(party)) continue;
    if (part === undefined || D === undefined || !curve.mulBase(part).equals(D)) {
      faults.set(party, "the part that it sent to this party does not match the one that it published");
    } else sum = curve.add(sum, part);
  }
  blameFaults(R1, faults);
  yield* exchange(R2, {
    direct: new Map(others.map((party) => [party, { part: party === lost.index ? sum : undefined }])),
  });
  return { record, certificate, share: { ...active.share, share: active.share.share.clone() } };
}

/** The side of the party that lost its share. */
function* restore(input: RepairInput, base: Base): Generator<Step, RepairResult, unknown> {
  const { split: R1, sum: R2 } = repairRounds(base.curve);
  const { self, helpers, keyName } = input;
  const nothing = new Map(helpers.map(({ index }) => [index, { part: undefined }]));
  const stated = (yield* exchange(R1, { broadcast: { said: undefined }, direct: nothing })).broadcast;
  const first = [...stated.values()].find(({ said }) => said !== undefined && isOfBase(said.endorsed, base))
    ?.said;
  const faults = yield* compute(
    () => statementFaults(input, base, first?.endorsed.record, stated),
    undefined,
  );
  blameFaults(R1, faults);
  invariant(first !== undefined, "there is a helper");
  const { endorsed: { record }, certificate } = first;
  refuseUnknown(input, record);
  const { curve } = record;

  const sums = (yield* exchange(R2, { direct: nothing })).direct;
  let x = curve.scalar(0n);
  for (const [k, { index }] of helpers.entries()) {
    const part = sums.get(index)?.part;
    const D = [...stated.values()].reduce((all, { said }) => all.add(said?.parts[k] as Point), curve.zero);
    if (part === undefined || !curve.mulBase(part).equals(D)) {
      faults.set(index, "its sum is not that of the parts that were sent to it");
    } else x = curve.add(x, part);
  }
  blameFaults(R2, faults);
  invariant(
    curve.mulBase(x).equals(record.publicShares.get(self) as Point),
    "the restored share is not the logarithm of its public share",
  );
  const share: KeyShare = { record, self, share: new Secret(curve.encodeScalar(x)) };
  const key = storedKeyOf({ keyName, share, certificate });
  const { keyId, epoch } = record;
  using encoded = encodeStoredKey(key);
  yield* persist({ kind: "key-pending", keyId, epoch, name: keyName, key: encoded });
  yield* persist({ kind: "key-active", keyId, epoch, certificate });
  return { record, certificate, share };
}

/** d_ik for every helper k, and D_ik in the order of the helpers. */
function splitOwn(
  session: Session,
  { helpers, lost, self }: RepairInput,
  { share }: StoredKey,
): { readonly parts: ReadonlyMap<PartyId, Scalar>; readonly points: readonly Point[] } {
  const { curve } = share.record;
  const rng = hedgedRng(session, share);
  const coefficients = repairCoefficients(share.record, lost.name, helpers.map(({ name }) => name));
  const name = helpers.find(({ index }) => index === self)?.name as string;
  const e_i = coefficients?.get(name) ?? curve.scalar(0n);
  let rest = curve.mul(e_i, curve.scalar(bytesToBigint(share.share.expose())));
  const parts = new Map<PartyId, Scalar>();
  for (const { index } of helpers.slice(1)) {
    const part = curve.randomScalar(rng);
    parts.set(index, part);
    rest = curve.sub(rest, part);
  }
  parts.set(helpers[0]?.index as PartyId, rest);
  const points = curve.normalize(helpers.map(({ index }) => curve.mulBase(parts.get(index) as Scalar)));
  return { parts, points };
}

/** Every check of what the helpers broadcast: the same certified key, and parts that add up to their terms. */
function statementFaults(
  { helpers, lost }: RepairInput,
  base: Base,
  record: PublicKeyRecord | undefined,
  stated: ReadonlyMap<PartyId, RepairStatement>,
): Map<PartyId, string> {
  const names = helpers.map(({ name }) => name);
  const faults = new Map<PartyId, string>();
  const coefficients = record && repairCoefficients(record, lost.name, names);
  for (const [party, { said }] of stated) {
    const fault = said === undefined || !isOfBase(said.endorsed, base)
      ? "it states another key than it has offered"
      : record === undefined || coefficients === undefined
      ? "it states a key in which the share cannot be computed by these helpers"
      : certificateFault(said.endorsed, said.certificate) ??
        partsFault(record, party, coefficients.get(nameIn(helpers, party)), said.parts, helpers.length);
    if (fault !== undefined) faults.set(party, fault);
  }
  return faults;
}

/** The digest binds the key; its curve is the one that the messages were decoded with. */
function isOfBase(endorsed: Endorsed, { digest, curve }: Base): boolean {
  return equal(epochDigest(endorsed), digest) && endorsed.record.curve.id === curve.id;
}

/** Σ_k D_ik = e_i·X_i, for every helper. Variable time: all of it is public. */
function partsFault(
  { curve, publicShares }: PublicKeyRecord,
  party: PartyId,
  e_i: Scalar | undefined,
  parts: readonly Point[],
  count: number,
): string | undefined {
  if (parts.length !== count) return `it published ${parts.length} parts for ${count} helpers`;
  const sum = parts.reduce((all, part) => all.add(part), curve.zero);
  const X = publicShares.get(party);
  const term = e_i === undefined || X === undefined ? curve.zero : multiScalarVartime(curve, [X], [e_i]);
  return sum.equals(term) ? undefined : "the parts that it published are not those of its share";
}

function certificateFault(endorsed: Endorsed, certificate: Bytes): string | undefined {
  let read: Certificate;
  try {
    read = verifyCertificate(endorsed.record, certificate);
  } catch (error) {
    if (error instanceof QuorateError) return error.message;
    throw error;
  }
  const same = equal(read.sid, endorsed.sid) && equal(read.transcript, endorsed.transcript);
  return same ? undefined : "its certificate is of another session than it states";
}

/** The restored share is put in the place of the lost one: it must be a key of this cluster, and of this party. */
function refuseUnknown({ roster, lost, keyName }: RepairInput, { members }: PublicKeyRecord): void {
  const isPinned = ({ index, name, identity }: Member) =>
    roster.some((known) => known.index === index && known.name === name && equal(known.identity, identity));
  const stranger = members.find((member) => !isPinned(member));
  if (stranger === undefined && members.some(({ index }) => index === lost.index)) return;
  throw new UsageError(
    "NOT_A_MEMBER",
    stranger === undefined
      ? `${lost.name} is no member of the key ${keyName} of the helpers`
      : `the key ${keyName} has a member ${stranger.name} whose identity key is not the one in the configuration`,
    { party: stranger?.name ?? lost.name },
  );
}

/** The epoch that is repaired. */
type Base = OfferedEpoch & Pick<HeldOffer, "curve">;

/** The epoch that all helpers have ACTIVE. @throws UsageError where there is none, or the share cannot or need not be repaired. */
function baseOf(input: RepairInput, offers: ReadonlyMap<PartyId, Bytes>): Base | undefined {
  const { keyName, lost, helpers, held } = input;
  let base: Base | undefined;
  for (const { index, name } of helpers) {
    const bytes = offers.get(index);
    if (bytes === undefined) continue;
    const offer = readHeld(index, bytes);
    const active = offer?.epochs.find(({ state }) => state === "active");
    if (offer === undefined || active === undefined) {
      throw new UsageError(
        "KEY_UNKNOWN",
        `${name} has no active share of the key ${keyName} and cannot help`,
        {
          party: name,
        },
      );
    }
    base ??= { ...active, curve: offer.curve };
    if (!equal(active.digest, base.digest) || offer.curve.id !== base.curve.id) {
      throw new UsageError(
        "EPOCH_MISMATCH",
        `${name} has the key ${keyName} in epoch ${active.epoch}, and ${
          helpers[0]?.name
        } in epoch ${base.epoch}: run key sync at both`,
        { party: name },
      );
    }
  }
  const ours = activeShare(held)?.share.record;
  if (ours !== undefined && input.self !== lost.index) refuseImpossible(input, ours);
  const lostOffer = offers.get(lost.index);
  const theirs = lostOffer === undefined ? undefined : readHeld(lost.index, lostOffer);
  if (base !== undefined && theirs !== undefined) refuseNeedless(input, base, theirs);
  const complete = lostOffer !== undefined && helpers.every(({ index }) => offers.has(index));
  return complete ? base : undefined;
}

function refuseNeedless({ keyName, lost }: RepairInput, base: Base, { epochs }: HeldOffer): void {
  const active = epochs.some(({ state, epoch }) => state === "active" && epoch >= base.epoch);
  const pending = epochs.some(({ epoch, digest }) => epoch === base.epoch && equal(digest, base.digest));
  if (!active && !pending) return;
  throw new UsageError(
    "KEY_EXISTS",
    `${lost.name} has its share of the key ${keyName}: ${
      active ? "there is nothing to repair" : "key sync gives it the certificate that it lacks"
    }`,
    { party: lost.name },
  );
}

function refuseImpossible({ keyName, lost, helpers }: RepairInput, record: PublicKeyRecord): void {
  const members = new Set(record.members.map(({ index }) => index));
  const stranger = [lost, ...helpers].find(({ index }) => !members.has(index));
  if (stranger !== undefined) {
    throw new UsageError("NOT_A_MEMBER", `${stranger.name} has no share of the key ${keyName}`, {
      party: stranger.name,
    });
  }
  const names = helpers.map(({ name }) => name);
  if (repairCoefficients(record, lost.name, names) !== undefined) return;
  const others = record.members.map(({ name }) => name).filter((name) => name !== lost.name);
  const possible = repairCoefficients(record, lost.name, others) !== undefined;
  throw new UsageError(
    "NOT_QUALIFIED",
    `with the policy ${formatPolicy(record.policy)} the share of ${lost.name} does not follow from ${
      possible
        ? `those of ${names.join(", ")} alone: name more helpers`
        : "those of the others: recover it from a backup"
    }`,
    { party: lost.name },
  );
}

function nameIn(helpers: readonly Member[], party: PartyId): string {
  return helpers.find(({ index }) => index === party)?.name ?? "";
}

/**
 * Σ_k e_k·column_k = target, by Gaussian elimination; columns that are not needed get 0.
 *
 * @returns undefined where there is no solution.
 */
function solveVartime(
  curve: Curve,
  columns: readonly (readonly Scalar[])[],
  target: readonly Scalar[],
): Scalar[] | undefined {
  const rows = target.map((value, r) => [...columns.map((column) => column[r] as Scalar), value]);
  const pivots: number[] = [];
  for (let k = 0; k < columns.length; k++) {
    const at = rows.findIndex((row, r) => r >= pivots.length && row[k] !== 0n);
    if (at < 0) continue;
    const [pivot] = rows.splice(at, 1) as [Scalar[]];
    const inverse = curve.invertVartime(pivot[k] as Scalar);
    const scaled = pivot.map((value) => curve.mul(value, inverse));
    for (const row of rows) {
      const factor = row[k] as Scalar;
      if (factor === 0n) continue;
      for (let c = 0; c < row.length; c++) {
        row[c] = curve.sub(row[c] as Scalar, curve.mul(factor, scaled[c] as Scalar));
      }
    }
    rows.splice(pivots.length, 0, scaled);
    pivots.push(k);
  }
  if (rows.slice(pivots.length).some((row) => row.at(-1) !== 0n)) return undefined;
  const solution = columns.map(() => curve.scalar(0n));
  for (const [r, k] of pivots.entries()) solution[k] = rows[r]?.at(-1) as Scalar;
  return solution;
}

/** What must be equal at all participants. The party that is repaired knows nothing of the key but its name. */
function proposal({ keyName, self, lost, helpers }: RepairInput): Proposal {
  const participants = [lost, ...helpers].map(({ index }) => index).sort((a, b) => a - b);
  const wrong = helpers.length === 0
    ? "at least one party helps"
    : new Set(participants).size !== participants.length
    ? `${lost.name} cannot help to repair its own share, and nobody helps twice`
    : !participants.includes(self)
    ? "this party is neither the one that lost its share nor a helper"
    : undefined;
  if (wrong !== undefined) throw new UsageError("USAGE", wrong);
  return {
    params: [],
    policyHash: new Uint8Array(32),
    keyId: EMPTY,
    epoch: 0,
    participants,
    payload: [
      { name: "key name", value: utf8(keyName) },
      { name: "purpose", value: utf8("repair") },
      { name: "lost share", value: utf8(lost.name) },
      { name: "helpers", value: utf8(helpers.map(({ name }) => name).join(", ").slice(0, 1000)) },
    ],
  };
}
