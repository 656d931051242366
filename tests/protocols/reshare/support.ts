/**
 * Parties with stores in memory, and runs of refresh, reshare, repair and sync among them.
 */

import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../../src/base/brands.ts";
import { type Bytes, copy, equal, hex } from "../../../src/base/bytes.ts";
import { ed25519Signer } from "../../../src/base/crypto.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import { bytesToBigint, type Curve, type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import { leavesOf, parsePolicy } from "../../../src/primitives/access.ts";
import { deal } from "../../../src/primitives/feldman.ts";
import { encodeCertificate, endorse, verifyCertificate } from "../../../src/protocols/dkg/certificate.ts";
import { endorsementCodec } from "../../../src/protocols/dkg/messages.ts";
import {
  decodeStoredDeparture,
  decodeStoredKey,
  encodeStoredKey,
  isStoredDeparture,
  type StoredKey,
} from "../../../src/protocols/dkg/stored_key.ts";
import {
  makeKeyId,
  type Member,
  policyHashOf,
  type PublicKeyRecord,
  quorumOf,
} from "../../../src/protocols/key_share.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import type { Definition, JournalRecord, Protocol, Session } from "../../../src/protocols/protocol.ts";
import {
  activeShare,
  type EpochState,
  type HeldEpoch,
  recordOfStored,
} from "../../../src/protocols/reshare/held.ts";
import type { EpochResult } from "../../../src/protocols/reshare/certify.ts";
import { refresh, type RefreshInput } from "../../../src/protocols/reshare/refresh.ts";
import { repair, type RepairInput } from "../../../src/protocols/reshare/repair.ts";
import { reshare, type ReshareInput } from "../../../src/protocols/reshare/reshare.ts";
import { sync, type SyncInput } from "../../../src/protocols/reshare/sync.ts";
import { encode } from "../../../src/base/codec.ts";
import { sessionId } from "../../../src/base/brands.ts";

export const NAMES = ["alice", "bob", "carol", "dave", "erin"];
export const [ALICE, BOB, CAROL, DAVE, ERIN] = [1, 2, 3, 4, 5].map(partyId) as [
  PartyId,
  PartyId,
  PartyId,
  PartyId,
  PartyId,
];

interface Row {
  state: EpochState;
  readonly encoded: Bytes;
  certificate: Bytes | undefined;
}

/** What one party has on its disk: the rules of `LocalStore`, in a few lines. */
export class MemoryStore {
  readonly rows = new Map<number, Row>();
  readonly log: JournalRecord["kind"][] = [];
  readonly others: JournalRecord[] = [];

  write(record: JournalRecord): void {
    this.log.push(record.kind);
    if (record.kind === "key-pending") {
      const former = this.rows.get(record.epoch);
      const encoded = copy(record.key.expose());
      assert.ok(former === undefined || equal(former.encoded, encoded), "an epoch is stored once");
      if (former === undefined) {
        this.rows.set(record.epoch, { state: "pending", encoded, certificate: undefined });
      }
    } else if (record.kind === "key-active") {
      const row = this.rows.get(record.epoch);
      assert.ok(row !== undefined, "a key is activated that is not stored");
      row.state = isStoredDeparture(row.encoded) ? "left" : "active";
      row.certificate = record.certificate;
      for (const epoch of [...this.rows.keys()]) if (epoch < record.epoch) this.rows.delete(epoch);
    } else this.others.push(record);
  }

  held(): HeldEpoch[] {
    return [...this.rows.keys()].sort((a, b) => a - b).map((epoch) => this.heldAt(epoch) as HeldEpoch);
  }

  heldAt(epoch: number): HeldEpoch | undefined {
    const row = this.rows.get(epoch);
    if (row === undefined) return undefined;
    const { state, encoded } = row;
    return {
      state,
      key: isStoredDeparture(encoded) ? decodeStoredDeparture(encoded) : decodeStoredKey(encoded),
    };
  }

  active(): StoredKey | undefined {
    return activeShare(this.held());
  }

  clone(): MemoryStore {
    const copied = new MemoryStore();
    for (const [epoch, row] of this.rows) copied.rows.set(epoch, { ...row });
    return copied;
  }
}

/** A cluster of five with a key among some of them. */
export class Keyring {
  readonly curve: Curve;
  readonly rng: Rng;
  readonly roster: readonly Member[];
  readonly identities: ReadonlyMap<PartyId, Bytes>;
  readonly stores: Map<PartyId, MemoryStore>;
  readonly record: PublicKeyRecord;
  readonly certificate: Bytes;

  constructor(
    policy: string,
    options: {
      readonly curve?: Curve;
      readonly seed?: string;
      readonly allowSingle?: boolean;
      readonly identityOf?: (party: PartyId) => Bytes;
    } = {},
  ) {
    this.curve = options.curve ?? secp256k1;
    this.rng = seededRng(options.seed ?? policy);
    const seeds = NAMES.map((_, k) => options.identityOf?.(partyId(k + 1)) ?? this.rng.bytes(32));
    this.roster = NAMES.map((name, k) => ({
      index: partyId(k + 1),
      name,
      identity: ed25519Signer(seeds[k] as Bytes).publicKey,
    }));
    this.identities = new Map(this.roster.map(({ index }, k) => [index, seeds[k] as Bytes]));
    this.stores = new Map(this.roster.map(({ index }) => [index, new MemoryStore()]));
    const made = this.#deal(policy, options.allowSingle === true);
    this.record = made.record;
    this.certificate = made.certificate;
  }

  /** A certified key of epoch 0, as key generation leaves it. */
  #deal(text: string, allowSingle: boolean): { record: PublicKeyRecord; certificate: Bytes } {
    const { curve, rng } = this;
    const policy = parsePolicy(text, { allowSingle });
    const members = this.members(leavesOf(policy));
    const dealing = deal(policy, curve.randomScalar(rng), curve, rng);
    const x = new Map(members.map(({ index, name }) => [index, dealing.shares.get(name) as Scalar]));
    const publicShares = new Map([...x].map(([index, x_i]) => [index, curve.mulBase(x_i)]));
    const sid = sessionId(rng.bytes(32));
    const publicKey = dealing.commitments[0] as PublicKeyRecord["publicKey"];
    const purpose = "plain" as const;
    const policyHash = policyHashOf({ policy, members });
    const keyId = makeKeyId({ curve, sid, publicKey, policyHash, purpose });
    const record = {
      keyId,
      purpose,
      epoch: 0,
      curve,
      policy,
      members,
      publicKey,
      publicShares,
      chainCode: rng.bytes(32),
    };
    const transcript = rng.bytes(32);
    const keys = members.map(({ index }): StoredKey => {
      const share = { record, self: index, share: new Secret(curve.encodeScalar(x.get(index) as Scalar)) };
      const signer = ed25519Signer(this.identities.get(index) as Bytes);
      const endorsement = endorse({ record, sid, transcript }, share, (message) => signer.sign(message), rng);
      return {
        keyName: "treasury",
        share,
        sid,
        transcript,
        endorsement: encode(endorsementCodec(curve), endorsement),
      };
    });
    const endorsements = keys.map(({ endorsement }) => endorsement);
    const certificate = encodeCertificate(curve, {
      sid,
      transcript,
      endorsements: endorsements.map((bytes) => ({
        proof: {
          T: curve.decodePoint(bytes.slice(0, 33)),
          s: (curve.decodeScalars(bytes.slice(33, 65)) as Scalar[])[0] as Scalar,
        },
        signature: bytes.slice(65),
      })),
    });
    for (const key of keys) {
      using encoded = encodeStoredKey(key);
      const store = this.store(key.share.self);
      store.rows.set(0, { state: "active", encoded: copy(encoded.expose()), certificate });
    }
    return { record, certificate };
  }

  /** The same key; what the parties store from now on is its own. */
  fork(stores: ReadonlyMap<PartyId, MemoryStore> = this.stores): Keyring {
    const copies = new Map([...this.stores].map(([party, own]) => [party, stores.get(party) ?? own]));
    return Object.assign(Object.create(Keyring.prototype), this, {
      stores: new Map([...copies].map(([party, store]) => [party, store.clone()])),
    });
  }

  store(party: PartyId): MemoryStore {
    return this.stores.get(party) as MemoryStore;
  }

  members(names: readonly string[]): Member[] {
    return names.map((name) => this.roster.find((member) => member.name === name) as Member)
      .sort((a, b) => a.index - b.index);
  }

  refreshInput(self: PartyId, change: Partial<RefreshInput> = {}): RefreshInput {
    return { keyName: "treasury", self, held: this.store(self).held(), pairs: "renew", ...change };
  }

  reshareInput(
    self: PartyId,
    policy: string,
    dealers: readonly string[] = [],
    change: Partial<ReshareInput> = {},
  ): ReshareInput {
    const tree = parsePolicy(policy, { allowSingle: true });
    const names = leavesOf(tree);
    return {
      keyName: "treasury",
      self,
      policy: tree,
      members: this.members(names),
      witnesses: this.members(dealers.filter((name) => !names.includes(name))),
      roster: this.roster,
      held: this.store(self).held(),
      ...change,
    };
  }

  repairInput(self: PartyId, lost: string, helpers: readonly string[]): RepairInput {
    const rows = [...this.store(self).rows.values()];
    return {
      keyName: "treasury",
      self,
      lost: this.members([lost])[0] as Member,
      helpers: this.members(helpers),
      roster: this.roster,
      held: this.store(self).held(),
      certificate: rows.find(({ state }) => state === "active")?.certificate,
    };
  }

  syncInput(self: PartyId, names: readonly string[]): SyncInput {
    const store = this.store(self);
    return {
      keyName: "treasury",
      self,
      participants: this.members(names),
      held: store.held(),
      certificate: (epoch) => store.rows.get(epoch)?.certificate as Bytes,
    };
  }

  /** Runs a definition at the parties of its proposal. */
  run<I, O>(
    definition: Definition<I, O>,
    inputOf: (self: PartyId) => I,
    parties: readonly PartyId[],
    options: Partial<LocalOptions> & {
      readonly start?: (session: Session, input: I) => Protocol<O> | undefined;
      /** Who does not look at the offers. */
      readonly lenient?: readonly PartyId[];
    } = {},
  ): Map<PartyId, LocalOutcome<O>> {
    const inputs = new Map(parties.map((party) => [party, inputOf(party)]));
    for (const input of inputs.values()) assert.deepEqual(definition.proposal(input).participants, parties);
    const offers = new Map([...inputs].map(([party, input]) => [party, definition.offer?.(input) as Bytes]));
    const { start, onPersist, lenient, ...rest } = options;
    return runLocally(parties, function* (session): Protocol<O> {
      const input = inputs.get(session.self) as I;
      if (lenient?.includes(session.self) !== true) {
        definition.unsettled?.(input, session.self, session.offers);
      }
      return yield* start?.(session, input) ?? definition.run(session, input);
    }, {
      rng: this.rng,
      identities: this.identities,
      offers,
      onPersist: (party, record) => {
        onPersist?.(party, record);
        this.store(party).write(record);
      },
      ...rest,
    });
  }

  refresh(options: Parameters<Keyring["run"]>[3] = {}): Map<PartyId, LocalOutcome<EpochResult>> {
    return this.refreshWith(() => ({}), this.active().record.members.map(({ index }) => index), options);
  }

  refreshWith(
    change: (self: PartyId) => Partial<RefreshInput>,
    parties: readonly PartyId[],
    options: Parameters<Keyring["run"]>[3] = {},
  ): Map<PartyId, LocalOutcome<EpochResult>> {
    return this.run(refresh, (self) => this.refreshInput(self, change(self)), parties, options as never);
  }

  /** The newest active share of anybody. */
  active(): StoredKey["share"] {
    const shares = [...this.stores.values()].flatMap((store) => store.active()?.share ?? []);
    return shares.toSorted((a, b) => a.record.epoch - b.record.epoch).at(-1) as StoredKey["share"];
  }

  reshare(policy: string, dealers: readonly string[] = [], options: Parameters<Keyring["run"]>[3] = {}) {
    const names = [...new Set([...leavesOf(parsePolicy(policy, { allowSingle: true })), ...dealers])];
    const parties = this.members(names).map(({ index }) => index);
    return this.run(reshare, (self) => this.reshareInput(self, policy, dealers), parties, options as never);
  }

  repair(lost: string, helpers: readonly string[], options: Parameters<Keyring["run"]>[3] = {}) {
    const parties = this.members([lost, ...helpers]).map(({ index }) => index);
    return this.run(repair, (self) => this.repairInput(self, lost, helpers), parties, options as never);
  }

  sync(names: readonly string[], options: Parameters<Keyring["run"]>[3] = {}) {
    const parties = this.members(names).map(({ index }) => index);
    return this.run(sync, (self) => this.syncInput(self, names), parties, options as never);
  }

  /** Asserts that every qualified set of the members' stores has the key, in one epoch, under a valid certificate. */
  holds(epoch: number, names: readonly string[]): PublicKeyRecord {
    const shares = new Map<PartyId, StoredKey>();
    for (const { index, name } of this.members(names)) {
      const active = this.store(index).active();
      assert.equal(active?.share.record.epoch, epoch, `${name} has epoch ${active?.share.record.epoch}`);
      assert.deepEqual(
        [...this.store(index).rows.keys()].filter((e) => e < epoch),
        [],
        `${name} keeps an old share`,
      );
      shares.set(index, active as StoredKey);
    }
    const { record } = ([...shares.values()][0] as StoredKey).share;
    assert.deepEqual(record.members.map(({ name }) => name), this.members(names).map(({ name }) => name));
    for (const [party, { share }] of shares) {
      assert.equal(hex(share.record.keyId), hex(this.record.keyId));
      verifyCertificate(share.record, this.store(party).rows.get(epoch)?.certificate as Bytes);
    }
    for (const set of subsets(record.members.map(({ index }) => index))) {
      const quorum = quorumOf(record, set);
      if (quorum === undefined) continue;
      let x = this.curve.scalar(0n);
      for (const [party, c] of quorum.coefficients) {
        x = this.curve.add(x, this.curve.mul(c, secretOf(shares.get(party))));
      }
      assert.ok(this.curve.mulBase(x).equals(this.record.publicKey), `${set} have the key`);
    }
    return record;
  }
}

/** The share as a number. */
export function secretOf(key: StoredKey | undefined): Scalar {
  assert.ok(key !== undefined);
  const { share, record } = key.share;
  return record.curve.scalar(bytesToBigint(share.expose()));
}

export function recordAt(store: MemoryStore, epoch: number): PublicKeyRecord | undefined {
  const held = store.held().map(({ key }) => recordOfStored(key));
  return held.find((record) => record.epoch === epoch);
}

export function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((all, item) => [...all, ...all.map((set) => [...set, item])], [[]]);
}
