/**
 * Groups of parties for FROST, and keys dealt by one trusted process.
 *
 * @module
 */

import { type PartyId, partyId, type SessionId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, EMPTY } from "../../../src/base/bytes.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import type { Point, Scalar } from "../../../src/math/curve.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import { deal } from "../../../src/primitives/feldman.ts";
import { frostDkg, type FrostDkgInput, type FrostDkgResult } from "../../../src/protocols/frost/dkg.ts";
import type { FrostHeldEpoch } from "../../../src/protocols/frost/held.ts";
import { type FrostKeyRecord, type FrostKeyShare, makeFrostKeyId } from "../../../src/protocols/frost/key.ts";
import {
  frostRefresh,
  type FrostRefreshInput,
  type FrostRefreshResult,
} from "../../../src/protocols/frost/refresh.ts";
import { frostSign, type FrostSignInput } from "../../../src/protocols/frost/sign.ts";
import { decodeFrostStoredKey } from "../../../src/protocols/frost/stored_key.ts";
import { FROST_SUITES, type FrostScheme } from "../../../src/protocols/frost/suite.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import type { JournalRecord, Protocol, Session } from "../../../src/protocols/protocol.ts";
import { type Group, makeGroup, valuesOf } from "../support.ts";

export const SCHEMES: readonly FrostScheme[] = ["ed25519", "bip340"];

/** A key with all its shares. */
export interface DealtFrostKey {
  readonly group: Group;
  readonly record: FrostKeyRecord;
  readonly secret: Scalar;
  readonly shares: ReadonlyMap<PartyId, FrostKeyShare>;
  /** The session that would have made it. */
  readonly sid: SessionId;
}

/** Deals a key over a threshold policy. */
export function dealFrostKey(scheme: FrostScheme, text: string, rng: Rng = seededRng(text)): DealtFrostKey {
  const suite = FROST_SUITES[scheme];
  const parties = makeGroup(text);
  const policy = parsePolicy(text);
  const secret = suite.group.randomScalar(rng);
  const dealing = deal(policy, secret, suite.group, rng);
  const members = parties.members;
  const x = new Map(members.map(({ index, name }) => [index, dealing.shares.get(name) as Scalar]));
  const publicKey = dealing.commitments[0] as Point;
  const sid = sessionId(rng.bytes(32));
  const record: FrostKeyRecord = {
    keyId: makeFrostKeyId({ sid, suite, publicKey, policy, members, purpose: "plain" }),
    purpose: "plain",
    epoch: 0,
    suite,
    policy,
    members,
    publicKey,
    publicShares: new Map([...x].map(([index, x_i]) => [index, suite.group.mulBase(x_i)])),
  };
  const shares = new Map(
    [...x].map(([self, x_i]) => [self, { record, self, share: new Secret(suite.group.encodeScalar(x_i)) }]),
  );
  return { group: parties, record, secret, shares, sid };
}

/** The input of key generation for one party of a group. */
export function frostInput(group: Group, scheme: FrostScheme, self: PartyId): FrostDkgInput {
  const { keyName, policy, members } = group.input(self);
  return { keyName, scheme, policy, members, self };
}

/** Runs key generation; `party` may replace the generator or the input of some. */
export function runFrostDkg(
  group: Group,
  scheme: FrostScheme,
  options: Partial<LocalOptions> = {},
  party: {
    readonly input?: (self: PartyId) => Partial<FrostDkgInput>;
    readonly start?: (session: Session) => Protocol<FrostDkgResult> | undefined;
  } = {},
): Map<PartyId, LocalOutcome<FrostDkgResult>> {
  const inputOf = (self: PartyId) => ({ ...frostInput(group, scheme, self), ...party.input?.(self) });
  const offers = new Map(
    group.parties.map((self) => [self, frostDkg.offer?.(inputOf(self)) ?? EMPTY as Bytes]),
  );
  return runLocally(
    group.parties,
    (session) => party.start?.(session) ?? frostDkg.run(session, inputOf(session.self)),
    { rng: group.rng, identities: group.identities, offers, ...options },
  );
}

/** How a run of signers is to differ from an honest one. */
export interface FrostSignRun extends Partial<LocalOptions> {
  readonly signers?: readonly number[];
  readonly receivers?: readonly number[];
  /** What a party is given instead. */
  readonly inputOf?: (input: FrostSignInput) => FrostSignInput;
  /** What a party sees of its session. */
  readonly sessionOf?: (session: Session) => Session;
}

/** Signs with all parties in this process. */
export function runFrostSign(
  key: Pick<DealtFrostKey, "shares">,
  message: Bytes,
  { signers, receivers, inputOf, sessionOf, ...options }: FrostSignRun = {},
): Map<PartyId, LocalOutcome<Bytes | undefined>> {
  const parties = (signers ?? [...key.shares.keys()]).map(partyId);
  return runLocally(parties, (session) => {
    const input: FrostSignInput = {
      share: key.shares.get(session.self) as FrostKeyShare,
      signers: parties,
      message,
      ...(receivers === undefined ? {} : { receivers: receivers.map(partyId) }),
    };
    return frostSign.run(sessionOf?.(session) ?? session, inputOf?.(input) ?? input);
  }, { rng: seededRng("frost sign"), ...options });
}

/** What the parties of a group have stored, as their journals say. */
export class Stores {
  readonly #held = new Map<PartyId, FrostHeldEpoch[]>();

  /** Notes a record, for `onPersist`. */
  write(party: PartyId, record: JournalRecord): void {
    if (record.kind === "key-pending") {
      const key = decodeFrostStoredKey(record.key.expose());
      this.of(party).push({ state: "pending", key });
    }
    if (record.kind === "key-active") {
      const epochs = this.of(party);
      const at = epochs.findIndex(({ key }) => key.share.record.epoch === record.epoch);
      epochs[at] = { state: "active", key: (epochs[at] as FrostHeldEpoch).key };
    }
  }

  /** Stores with the same content. */
  copy(): Stores {
    const out = new Stores();
    for (const [party, held] of this.#held) out.#held.set(party, [...held]);
    return out;
  }

  /** Ascending by epoch. */
  of(party: PartyId): FrostHeldEpoch[] {
    const held = this.#held.get(party) ?? [];
    this.#held.set(party, held);
    return held;
  }
}

/** A key of all parties of a group, with what they store. It is made once; the stores are the caller's. */
export function storedFrostKey(
  scheme: FrostScheme,
  text: string,
): { readonly group: Group; readonly stores: Stores } {
  const name = `${scheme} ${text}`;
  let made = madeKeys.get(name);
  if (made === undefined) {
    const stores = made = new Stores();
    valuesOf(
      runFrostDkg(makeGroup(text), scheme, { onPersist: (party, record) => stores.write(party, record) }),
    );
    madeKeys.set(name, made);
  }
  return { group: makeGroup(text), stores: made.copy() };
}

const madeKeys = new Map<string, Stores>();

/** Refreshes with all parties in this process. */
export function runFrostRefresh(
  group: Group,
  heldOf: (party: PartyId) => readonly FrostHeldEpoch[],
  options: Partial<LocalOptions> = {},
): Map<PartyId, LocalOutcome<FrostRefreshResult>> {
  const inputOf = (self: PartyId): FrostRefreshInput => ({ keyName: "treasury", self, held: heldOf(self) });
  const offers = new Map(
    group.parties.map((self) => [self, frostRefresh.offer?.(inputOf(self)) ?? EMPTY as Bytes]),
  );
  return runLocally(group.parties, (session) => frostRefresh.run(session, inputOf(session.self)), {
    rng: group.rng,
    identities: group.identities,
    offers,
    ...options,
  });
}
