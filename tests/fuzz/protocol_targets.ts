/** The messages of every round of every protocol, taken from runs in which all are honest. */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, EMPTY } from "../../src/base/bytes.ts";
import { type Codec, decode, DecodeError, encode } from "../../src/base/codec.ts";
import { sha256 } from "../../src/base/crypto.ts";
import type { Rng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { agreeNonce, agreeRandom } from "../../src/protocols/agree_random.ts";
import { dkg } from "../../src/protocols/dkg/dkg.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import { frostDkg } from "../../src/protocols/frost/dkg.ts";
import type { FrostKeyShare } from "../../src/protocols/frost/key.ts";
import { frostRefresh, type FrostRefreshResult } from "../../src/protocols/frost/refresh.ts";
import { frostRepair, type FrostRepairInput } from "../../src/protocols/frost/repair.ts";
import { frostSign } from "../../src/protocols/frost/sign.ts";
import type { KeyShare } from "../../src/protocols/key_share.ts";
import { type LocalOptions, runLocally } from "../../src/protocols/local.ts";
import type { Protocol, Session, Step } from "../../src/protocols/protocol.ts";
import { refresh } from "../../src/protocols/reshare/refresh.ts";
import { repair } from "../../src/protocols/reshare/repair.ts";
import { reshare } from "../../src/protocols/reshare/reshare.ts";
import { sync } from "../../src/protocols/reshare/sync.ts";
import { dealKey, signInput } from "../protocols/ecdsa/support.ts";
import { dealFrostKey, frostInput, SCHEMES, storedFrostKey } from "../protocols/frost/support.ts";
import { CAROL, Keyring } from "../protocols/reshare/support.ts";
import { makeGroup } from "../protocols/support.ts";
import type { Target } from "./targets.ts";

const POLICY = "2 of (alice, bob, carol)";
const INPUTS_MAX = 4;

/** The targets. */
export function protocolTargets(rng: Rng): Target[] {
  const recorder = new Recorder(rng);
  const parties = [1, 2, 3].map(partyId);
  recorder.run(parties, "agree-random", (s) => agreeRandom.run(s, { bits: 256, participants: parties }));
  recorder.run(parties, "agree-nonce", (s) => agreeNonce.run(s, { participants: parties }));
  const group = makeGroup(POLICY);
  const { identities } = group;
  recorder.run(group.parties, "key generation", (s) => dkg.run(s, group.input(s.self)), { identities });
  recorder.ecdsa();
  for (const scheme of SCHEMES) {
    recorder.frost(scheme);
    recorder.frostEpochs(scheme);
  }
  recorder.epochs();
  return recorder.targets();
}

/** Collects what parties say, by protocol, round and kind. */
class Recorder {
  readonly #rng: Rng;
  readonly #heard = new Map<string, { readonly codec: Codec<unknown>; readonly inputs: Uint8Array[] }>();

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  run<T>(
    parties: Parameters<typeof runLocally<T>>[0],
    name: string,
    start: (session: Session) => Protocol<T>,
    options: Partial<LocalOptions> = {},
  ): void {
    const outcomes = runLocally(parties, (session) => this.#listen(name, start(session)), {
      rng: this.#rng,
      ...options,
    });
    for (const outcome of outcomes.values()) if (!outcome.ok) throw outcome.error;
  }

  ecdsa(): void {
    const key = dealKey(secp256k1, POLICY, this.#rng);
    const signers = [1, 2].map(partyId);
    this.run(signers, "pair set-up", (s) => {
      const share = key.shares.get(s.self) as KeyShare;
      return pairSetUp.run(s, { share, peer: partyId(3 - s.self), admit: () => {} });
    });
    const digest = sha256(EMPTY);
    const inputs = new Map(signers.map((self) => [self, signInput(key, self, { digest }, signers)]));
    const offers = new Map([...inputs].map(([self, input]) => [self, sign.offer?.(input) ?? EMPTY]));
    this.run(signers, "sign", (s) => sign.run(s, inputs.get(s.self) as ReturnType<typeof signInput>), {
      offers,
    });
  }

  frost(scheme: typeof SCHEMES[number]): void {
    const group = makeGroup(POLICY);
    const inputOf = (self: typeof group.parties[number]) => frostInput(group, scheme, self);
    const offers = new Map(group.parties.map((self) => [self, frostDkg.offer?.(inputOf(self)) ?? EMPTY]));
    const { identities } = group;
    this.run(group.parties, `FROST key generation, ${scheme}`, (s) => frostDkg.run(s, inputOf(s.self)), {
      identities,
      offers,
    });
    const key = dealFrostKey(scheme, POLICY);
    const signers = [1, 2].map(partyId);
    this.run(signers, `FROST sign, ${scheme}`, (s) => {
      const share = key.shares.get(s.self) as FrostKeyShare;
      return frostSign.run(s, { share, signers, message: sha256(EMPTY) });
    });
  }

  epochs(): void {
    const heard = <I, O>(name: string, definition: { run(session: Session, input: I): Protocol<O> }) => ({
      start: (session: Session, input: I) => this.#listen(name, definition.run(session, input)),
    });
    new Keyring(POLICY).refresh(heard("refresh", refresh) as never);
    new Keyring(POLICY).reshare("2 of (alice, bob, dave)", [], heard("reshare", reshare) as never);
    const lost = new Keyring(POLICY);
    lost.store(CAROL).rows.clear();
    lost.repair("carol", ["alice", "bob"], heard("repair", repair) as never);
    const moved = new Keyring(POLICY);
    moved.reshare("2 of (alice, bob, dave)");
    moved.sync(["carol", "dave"], heard("sync", sync) as never);
  }

  frostEpochs(scheme: typeof SCHEMES[number]): void {
    const { group, stores } = storedFrostKey(scheme, POLICY);
    const heldBy = (self: PartyId) => ({ keyName: "treasury", self, held: stores.of(self) });
    const offersOf = <I>(offer: ((input: I) => Bytes) | undefined, inputOf: (self: PartyId) => I) =>
      new Map(group.parties.map((self) => [self, offer?.(inputOf(self)) ?? EMPTY]));
    const { identities } = group;
    const results = new Map<PartyId, FrostRefreshResult>();
    this.run(group.parties, `FROST refresh, ${scheme}`, function* (s) {
      results.set(s.self, yield* frostRefresh.run(s, heldBy(s.self)));
    }, { identities, offers: offersOf(frostRefresh.offer, heldBy) });
    const [alice, bob, carol] = group.parties as [PartyId, PartyId, PartyId];
    const repairAt = (self: PartyId): FrostRepairInput => ({
      keyName: "treasury",
      scheme,
      helpers: [alice, bob],
      lost: carol,
      self,
      identityOf: (party) => group.members.find(({ index }) => index === party)?.identity,
      ...(self === carol ? {} : { holding: results.get(self) as FrostRefreshResult }),
    });
    this.run(group.parties, `FROST repair, ${scheme}`, (s) => frostRepair.run(s, repairAt(s.self)), {
      identities,
      offers: offersOf(frostRepair.offer, repairAt),
    });
  }

  targets(): Target[] {
    return [...this.#heard].map(([name, { codec, inputs }]) => ({
      name,
      inputs,
      read: (input) => encode(codec, decode(codec, input)),
      refuses: (error) => error instanceof DecodeError,
    }));
  }

  /** Runs a protocol and writes down what it sends. */
  *#listen<T>(name: string, protocol: Protocol<T>): Protocol<T> {
    let next = protocol.next();
    while (!next.done) {
      this.#note(name, next.value);
      let answer: unknown;
      try {
        answer = yield next.value;
      } catch (error) {
        next = protocol.throw(error);
        continue;
      }
      next = protocol.next(answer);
    }
    return next.value;
  }

  #note(name: string, step: Step): void {
    if (step.kind !== "exchange") return;
    const { round, outbox } = step;
    if (round.broadcast !== undefined && outbox.broadcast !== undefined) {
      this.#add(`${name}, round ${round.number}, to all`, round.broadcast, outbox.broadcast);
    }
    for (const value of outbox.direct?.values() ?? []) {
      if (round.direct !== undefined) {
        this.#add(`${name}, round ${round.number}, to one`, round.direct, value);
      }
    }
  }

  #add(name: string, codec: Codec<unknown>, value: unknown): void {
    const entry = this.#heard.get(name) ?? { codec, inputs: [] };
    if (entry.inputs.length < INPUTS_MAX) entry.inputs.push(encode(codec, value));
    this.#heard.set(name, entry);
  }
}
