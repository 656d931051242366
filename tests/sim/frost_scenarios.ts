/**
 * FROST keys: generation, signing, refresh and repair. Where there is a key it is in its second epoch.
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, hex, u16, u8, utf8 } from "../../src/base/bytes.ts";
import { ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { type Curve, p256, type Point, type Scalar, secp256k1 } from "../../src/math/curve.ts";
import { parsePolicy, solve } from "../../src/primitives/access.ts";
import type { Endorsement } from "../../src/protocols/dkg/messages.ts";
import { verifyFrostCertificate } from "../../src/protocols/frost/certificate.ts";
import {
  type FrostDealing,
  type FrostDealtShare,
  frostDkg,
  type FrostDkgInput,
  type FrostDkgResult,
} from "../../src/protocols/frost/dkg.ts";
import { encodeFrostHeld, type FrostHeldEpoch } from "../../src/protocols/frost/held.ts";
import { encodeFrostRecord, type FrostKeyShare, shareScalar } from "../../src/protocols/frost/key.ts";
import type { NonceCommitment } from "../../src/protocols/frost/nonces.ts";
import {
  frostRefresh,
  type FrostRefreshCommitment,
  type FrostRefreshInput,
  type FrostRefreshShare,
} from "../../src/protocols/frost/refresh.ts";
import {
  frostRepair,
  type FrostRepairAnnouncement,
  type FrostRepairInput,
  type FrostRepairPart,
  type FrostRepairSum,
} from "../../src/protocols/frost/repair.ts";
import { frostSign, type FrostSignInput } from "../../src/protocols/frost/sign.ts";
import { decodeFrostStoredKey } from "../../src/protocols/frost/stored_key.ts";
import { FROST_SUITES, type FrostScheme } from "../../src/protocols/frost/suite.ts";
import type { Definition, JournalRecord, Round } from "../../src/protocols/protocol.ts";
import { runFrostDkg, runFrostRefresh } from "../protocols/frost/support.ts";
import { MemoryStore } from "../protocols/reshare/support.ts";
import { type Group, valuesOf } from "../protocols/support.ts";
import { epochsFault, flipped, newestCertified } from "./epoch_scenarios.ts";
import type { EpochOptions } from "./epoch_scenarios.ts";
import { altered, type Ending, holds, type Lie, type Lies, offers, says, tells } from "./lies.ts";
import { GenerationStores, same, type Scenario, startLater } from "./scenario.ts";
import { NAMES } from "./world.ts";

/** Key generation by all n parties. */
export function frostGenerating(n: number, curve: Curve): Scenario {
  const scheme = schemeOf(curve);
  const { members } = groupOf(n);
  const policy = parsePolicy(policyOf(n));
  const stores = new GenerationStores();
  const inputOf = (self: PartyId): FrostDkgInput => {
    const kept = stores.of(self);
    const stored = kept && { state: kept.state, key: decodeFrostStoredKey(kept.key) };
    return { keyName: "treasury", scheme, policy, members, self, ...(stored && { stored }) };
  };
  const { group } = FROST_SUITES[scheme];
  return {
    protocol: "frost-dkg",
    rounds: frostDkg.rounds(inputOf(partyId(1))),
    lies: {
      "wrong-dealing": tells<FrostDealtShare>(2, "culprit", "target", ({ share }) => ({
        share: group.add(share, group.scalar(1n)),
      })),
      "wrong-proof": says<FrostDealing>(1, "culprit", ({ commitments, proof }) => ({
        commitments,
        proof: flipped(proof),
      })),
      "wrong-signature": wrongSignature,
    },
    start: (world, party, wrap = same, delayMs = 0) => [{
      party,
      participants: world.parties,
      slot: startLater(world, party, delayMs, () => ({ definition: wrap(frostDkg), input: inputOf(party) })),
    }],
    fault: (values) => resultsFault(values as FrostDkgResult[]),
    record: (party, record) => stores.write(party, record),
    halfDone: (parties) => stores.halfDone(parties),
  };
}

/** All n parties sign; no commitment is ever used twice. */
export function frostSigning(n: number, curve: Curve): Scenario {
  const ring = baseOf(n, curve).fork({});
  const message = sha256(utf8("simulated"));
  const parties = ring.parties;
  const inputOf = (self: PartyId): FrostSignInput => ({
    share: ring.holding(self)?.share as FrostKeyShare,
    signers: parties,
    message,
  });
  const { suite, publicKey } = inputOf(partyId(1)).share.record;
  const used = new Set<string>();
  let reused: string | undefined;
  const watched = (party: PartyId): typeof frostSign => ({
    ...frostSign,
    run: (session, input) =>
      altered(frostSign.run(session, input), (step) => {
        if (step.kind !== "exchange" || step.round.number !== 1) return step;
        const { hiding } = step.outbox.broadcast as NonceCommitment;
        const commitment = hex(suite.group.encodePoint(hiding));
        if (used.has(commitment)) reused = `S3: party ${party} used a nonce twice`;
        used.add(commitment);
        return step;
      }, (_step, answer) => answer),
  });
  return {
    protocol: "frost-sign",
    rounds: frostSign.rounds(inputOf(partyId(1))),
    lies: {
      "wrong-share": holds<FrostSignInput>("culprit", (input) => ({
        ...input,
        share: withShare(input.share, suite.group.scalar(1n)),
      })),
    },
    start: (world, party, wrap = same, delayMs = 0) => [{
      party,
      participants: parties,
      slot: world.start(party, wrap(watched(party)), inputOf(party), { delayMs }),
    }],
    fault: (values) =>
      (values as (Bytes | undefined)[]).every((value) =>
          value !== undefined && suite.verify(publicKey, message, value)
        )
        ? undefined
        : "a signature does not verify",
    record: () => {},
    halfDone: () => reused,
  };
}

/** Refresh by all n parties. */
export function frostRefreshing(n: number, curve: Curve, options: EpochOptions): Scenario {
  const base = baseOf(n, curve);
  const ring = base.fork(options);
  const { group } = FROST_SUITES[ring.scheme];
  const inputOf = (self: PartyId): FrostRefreshInput => ({
    keyName: "treasury",
    self,
    held: ring.held(self),
  });
  const more = ({ share }: FrostRefreshShare) => ({ share: group.add(share, group.scalar(1n)) });
  return {
    ...state(ring, options, frostRefresh, inputOf),
    protocol: "frost-refresh",
    rounds: frostRefresh.rounds(inputOf(partyId(1))) as Round[],
    lies: {
      "wrong-dealing": tells<FrostRefreshShare>(2, "culprit", "target", more),
      // The dealing of one more than zero: every share is one more.
      "nonzero-constant": tells<FrostRefreshShare>(2, "culprit", "all", more),
      "wrong-commitment": says<FrostRefreshCommitment>(1, "culprit", ({ commitment }) => ({
        commitment: flipped(commitment),
      })),
      "wrong-signature": wrongSignature,
      "stale-epoch": holds<FrostRefreshInput>("fail", (input) => ({
        ...input,
        held: base.earlier.held(input.self),
      })),
      ...offerLies,
    },
  };
}

/** Repair of the last party's share by all others. */
export function frostRepairing(n: number, curve: Curve, options: EpochOptions): Scenario {
  const base = baseOf(n, curve);
  const ring = base.fork(options);
  const { scheme, parties } = ring;
  const { group } = FROST_SUITES[scheme];
  const lost = partyId(n), helpers = parties.slice(0, -1);
  const inputFrom = (from: FrostRing, self: PartyId): FrostRepairInput => {
    const holding = self === lost ? undefined : from.holding(self);
    return {
      keyName: "treasury",
      scheme,
      helpers,
      lost,
      self,
      identityOf: (party) => groupOf(n).members.find(({ index }) => index === party)?.identity,
      ...(holding && { holding }),
    };
  };
  const inputOf = (self: PartyId) => inputFrom(ring, self);
  ring.store(lost).rows.clear();
  const isBack = () => ring.holding(lost) !== undefined;
  const kept = state(ring, options, frostRepair, inputOf);
  return {
    ...kept,
    protocol: "frost-repair",
    rounds: frostRepair.rounds(inputOf(lost)) as Round[],
    lies: {
      "wrong-part": tells<FrostRepairPart>(2, "culprit", "target", ({ part }) => ({
        part: group.add(part, group.scalar(1n)),
      })),
      "wrong-sum": tells<FrostRepairSum>(3, "culprit", "all", ({ sum, announced }) => ({
        sum: group.add(sum, group.scalar(1n)),
        announced,
      })),
      "wrong-key": says<FrostRepairAnnouncement>(1, "culprit", (said) => ({
        ...said,
        record: flipped(said.record),
      })),
      "wrong-certificate": says<FrostRepairAnnouncement>(1, "culprit", (said) => ({
        ...said,
        certificate: flipped(said.certificate),
      })),
      "wrong-share": holds<FrostRepairInput>("culprit", (input) =>
        input.holding && {
          ...input,
          holding: { ...input.holding, share: withShare(input.holding.share, group.scalar(1n)) },
        }),
      "stale-epoch": holds<FrostRepairInput>(
        "fail",
        (input) => input.self === lost ? undefined : inputFrom(base.earlier, input.self),
      ),
    },
    fault: (values) =>
      resultsFault((values as (FrostDkgResult | undefined)[]).filter((value) => value !== undefined)),
    halfDone: (all) => kept.halfDone(all.filter((party) => party !== lost || isBack())),
    // Helpers have the certificate themselves; and a hash that differs in round 3 says that somebody lied, and not who.
    isChecked: ({ kind, round }, _from, receivers) =>
      kind === "broadcast" ? receivers.includes(lost) : round !== 3,
    again: { isDue: () => !isBack(), fault: () => isBack() ? undefined : "the share is not back" },
  };
}

function state<I, O>(
  ring: FrostRing,
  { faulty }: EpochOptions,
  definition: Definition<I, O>,
  inputOf: (party: PartyId) => I,
): Pick<Scenario, "start" | "fault" | "record" | "halfDone" | "again"> {
  const honest = ring.parties.filter((party) => party !== faulty);
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
    fault: (values) => resultsFault(values as FrostDkgResult[]),
    record(party, record) {
      ring.store(party).write(record);
      const newest = newestCertified(ring, honest);
      broken ??= newest < newestEver ? "the certified epoch is gone" : epochsFault(ring, honest);
      newestEver = Math.max(newest, newestEver);
    },
    halfDone: (parties) => broken ?? epochsFault(ring, parties),
    again: { isDue: () => true, fault: () => ring.sharingFault() },
  };
}

/** A key of n parties, and what each has stored. */
export class FrostRing {
  readonly scheme: FrostScheme;
  readonly parties: readonly PartyId[];
  readonly stores: ReadonlyMap<PartyId, MemoryStore>;

  constructor(scheme: FrostScheme, stores: ReadonlyMap<PartyId, MemoryStore>) {
    this.scheme = scheme;
    this.parties = [...stores.keys()];
    this.stores = stores;
  }

  /** The key of n parties, one for each number and curve. */
  static of(n: number, curve: Curve): FrostRing {
    return baseOf(n, curve).fork({});
  }

  /** The same key; what the parties store from now on is its own. */
  fork(stores: ReadonlyMap<PartyId, MemoryStore> = this.stores): FrostRing {
    return new FrostRing(
      this.scheme,
      new Map([...stores].map(([party, store]) => [party, store.clone()])),
    );
  }

  store(party: PartyId): MemoryStore {
    return this.stores.get(party) as MemoryStore;
  }

  refreshInput(self: PartyId): FrostRefreshInput {
    return { keyName: "treasury", self, held: this.held(self) };
  }

  held(party: PartyId): FrostHeldEpoch[] {
    return [...this.store(party).rows].sort(([a], [b]) => a - b).map(([, { state, encoded }]) => ({
      state: state === "active" ? "active" : "pending",
      key: decodeFrostStoredKey(encoded),
    }));
  }

  /** The ACTIVE share. */
  holding(party: PartyId): { readonly share: FrostKeyShare; readonly certificate: Bytes } | undefined {
    const active = [...this.store(party).rows.values()].findLast(({ state }) => state === "active");
    if (active === undefined) return undefined;
    return {
      share: decodeFrostStoredKey(active.encoded).share,
      certificate: active.certificate as Bytes,
    };
  }

  /** Everybody has the same newest epoch and nothing else, and every quorum has the key. */
  sharingFault(): string | undefined {
    const shares = new Map(this.parties.map((party) => [party, this.holding(party)?.share]));
    const [first] = shares.values();
    if (first === undefined) return "somebody has no active share";
    const { policy, members, publicKey, suite: { group } } = first.record;
    const wanted = hex(encodeFrostRecord(first.record));
    for (const party of this.parties) {
      const { share, certificate } = this.holding(party) ?? {};
      if (share === undefined || hex(encodeFrostRecord(share.record)) !== wanted) {
        return `party ${party} is in another epoch`;
      }
      verifyFrostCertificate(share.record, certificate as Bytes);
      if (this.store(party).rows.size !== 1) return `party ${party} keeps an old share`;
    }
    for (const without of members) {
      const names = members.filter((member) => member !== without).map(({ name }) => name);
      const solution = solve(policy, new Set(names), group) ??
        solve(policy, new Set(members.map(({ name }) => name)), group);
      let x = group.scalar(0n);
      for (const [name, c] of solution?.coefficients ?? []) {
        const index = members.find((member) => member.name === name)?.index as PartyId;
        x = group.add(x, group.mul(c as Scalar, shareScalar(shares.get(index) as FrostKeyShare)));
      }
      if (!group.mulBase(x).equals(publicKey)) return "the shares are not those of the key";
    }
    return undefined;
  }
}

interface Base {
  readonly earlier: FrostRing;
  fork(options: EpochOptions): FrostRing;
}

const bases = new Map<string, Base>();

function baseOf(n: number, curve: Curve): Base {
  const scheme = schemeOf(curve);
  const id = `${n}/${scheme}`;
  let base = bases.get(id);
  if (base === undefined) {
    const group = groupOf(n);
    const stores = new Map(group.parties.map((party) => [party, new MemoryStore()]));
    const options = {
      onPersist: (party: PartyId, record: JournalRecord) => (stores.get(party) as MemoryStore).write(record),
    };
    valuesOf(runFrostDkg(group, scheme, options));
    const earlier = new FrostRing(scheme, stores).fork();
    const ring = new FrostRing(scheme, stores);
    valuesOf(runFrostRefresh(group, (party) => ring.held(party), options));
    base = { earlier, fork: (wanted) => (wanted.earlier === true ? earlier : ring).fork() };
    bases.set(id, base);
  }
  return base;
}

/** The parties of a simulated world. */
function groupOf(n: number): Group {
  const policy = parsePolicy(policyOf(n));
  const parties = NAMES.slice(0, n).map((_, k) => partyId(k + 1));
  const identities = new Map(parties.map((party) => [party, sha256(u8(7), u16(party))]));
  const members = parties.map((index) => ({
    index,
    name: NAMES[index - 1] as string,
    identity: ed25519Signer(identities.get(index) as Bytes).publicKey,
  }));
  return {
    parties,
    members,
    identities,
    rng: seededRng(`frost/${n}`),
    input: (self) => ({ keyName: "treasury", curve: secp256k1, policy, members, self }),
  };
}

function policyOf(n: number): string {
  return `${n > 3 ? 3 : 2} of (${NAMES.slice(0, n).join(", ")})`;
}

/** The simulator's plans name curves; each stands for one of the schemes. */
function schemeOf(curve: Curve): FrostScheme {
  return curve.id === p256.id ? "ed25519" : "bip340";
}

/** S1: one key, under one certificate, and shares that are those of its public shares. */
function resultsFault(results: readonly Pick<FrostDkgResult, "share" | "certificate">[]): string | undefined {
  if (new Set(results.map(({ share }) => hex(encodeFrostRecord(share.record)))).size > 1) {
    return "honest parties have different records";
  }
  for (const { share, certificate } of results) {
    verifyFrostCertificate(share.record, certificate);
    const X = share.record.suite.group.mulBase(shareScalar(share));
    if (!X.equals(share.record.publicShares.get(share.self) as Point)) {
      return "a share is not that of its public share";
    }
  }
  return undefined;
}

function withShare(key: FrostKeyShare, by: Scalar): FrostKeyShare {
  const { group } = key.record.suite;
  return { ...key, share: new Secret(group.encodeScalar(group.add(shareScalar(key), by))) };
}

const wrongSignature: Lie = says<Endorsement>(3, "culprit", ({ proof, signature }) => ({
  proof,
  signature: flipped(signature),
}));

/** Lies about what is stored. */
const offerLies: Lies = {
  "offer-ahead": offered("finish", (last, held) => [...held, pending(last, 1000)]),
  "offer-beyond": offered("fail", (last, held) => [...held, pending(last, 1001)]),
  "offer-certified": offered("fail", (last) => [{ ...pending(last, 1), state: "active" }]),
};

function offered(
  ends: Ending,
  change: (last: FrostHeldEpoch, held: readonly FrostHeldEpoch[]) => FrostHeldEpoch[],
): Lie {
  return offers<FrostRefreshInput>(ends, ({ held }) => {
    const last = held.at(-1);
    return last && encodeFrostHeld(change(last, held));
  });
}

function pending({ key }: FrostHeldEpoch, by: number): FrostHeldEpoch {
  const { record } = key.share;
  return {
    state: "pending",
    key: { ...key, share: { ...key.share, record: { ...record, epoch: record.epoch + by } } },
  };
}
