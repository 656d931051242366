/**
 * While a new epoch is made, waits for somebody, is cancelled or ends half-way, the old one signs; and nobody signs with shares of
 * two epochs (S5, FAULTS.md C2).
 */

import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import { u16, u8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import type { QuorateError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import type { PairState } from "../../src/protocols/ecdsa/pair_state.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import type { EcdsaSignature } from "../../src/protocols/ecdsa/signature.ts";
import { type KeyShare, type PublicKeyRecord, quorumOf } from "../../src/protocols/key_share.ts";
import { refresh } from "../../src/protocols/reshare/refresh.ts";
import { reshare } from "../../src/protocols/reshare/reshare.ts";
import type { Outcome } from "../../src/session/session_types.ts";
import { dealPair } from "../protocols/ecdsa/support.ts";
import { ALICE, BOB, CAROL, DAVE, Keyring } from "../protocols/reshare/support.ts";
import { epochsFault } from "./epoch_scenarios.ts";
import { type Slot, World } from "./world.ts";

const DIGEST = sha256(u8(1));
const THREE = "2 of (alice, bob, carol)";

/** A world whose parties have a key, and pair states of alice and bob for every epoch. */
class Scene {
  readonly ring = new Keyring(THREE, { seed: "scene", identityOf: (party) => sha256(u8(7), u16(party)) });
  readonly world: World;
  readonly #pairs = new Map<number, ReadonlyMap<PartyId, Map<PartyId, PairState>>>();

  constructor(options: { readonly crash?: { readonly party: PartyId; readonly step: number } } = {}) {
    this.world = new World({
      seed: "scene",
      parties: 4,
      timeoutMs: 10_000,
      onRecord: (party, record) => {
        if (record.kind.startsWith("key-")) this.ring.store(party).write(record);
      },
      ...options,
    });
  }

  reshareAt(party: PartyId): { readonly slot: Slot<unknown>; readonly cancel: () => void } {
    const input = this.ring.reshareInput(party, "2 of (alice, bob, dave)");
    const slot: Slot<unknown> = {};
    const cancel = this.world.host(party).observe(reshare, input, {}, {
      outcome: (outcome: Outcome) => {
        slot.outcome = outcome as Slot<unknown>["outcome"] & object;
      },
    });
    return { slot, cancel };
  }

  /** What alice and bob sign with: by default what is ACTIVE at each. */
  signAs(share: (party: PartyId) => KeyShare = (party) => this.activeAt(party)): Slot<unknown>[] {
    return [ALICE, BOB].map((self) => {
      const own = share(self);
      const quorum = quorumOf(own.record, [ALICE, BOB]);
      assert.ok(quorum !== undefined);
      const states = this.#statesOf(own.record).get(self);
      return this.world.start(self, sign, {
        share: own,
        signers: quorum.active,
        coefficients: quorum.coefficients,
        digest: DIGEST,
        pairs: (peer) => states?.get(peer),
        burned: () => false,
      });
    });
  }

  activeAt(party: PartyId): KeyShare {
    const active = this.ring.store(party).active();
    assert.ok(active !== undefined);
    return active.share;
  }

  /** They sign within a second, under the key as it was made. */
  requireSigns(epoch: number): void {
    for (const party of [ALICE, BOB]) assert.equal(this.activeAt(party).record.epoch, epoch);
    const slots = this.signAs();
    this.world.run(this.world.now + 1_000);
    for (const { outcome } of slots) {
      assert.ok(outcome?.ok, outcome?.ok === false ? outcome.error.message : "still waits");
      const { compact } = outcome.value as EcdsaSignature;
      const { publicKey } = this.ring.record;
      assert.ok(secp256k1.verifyEcdsa({ publicKey, digest: DIGEST, signature: compact, lowS: true }));
    }
  }

  #statesOf(record: PublicKeyRecord): ReadonlyMap<PartyId, Map<PartyId, PairState>> {
    let pairs = this.#pairs.get(record.epoch);
    if (pairs === undefined) {
      pairs = new Map([ALICE, BOB].map((party) => [party, new Map<PartyId, PairState>()]));
      dealPair({ record, pairs }, ALICE, BOB, seededRng(`pair ${record.epoch}`));
      this.#pairs.set(record.epoch, pairs);
    }
    return pairs;
  }
}

Deno.test("sim: signing under the old epoch goes on while a reshare waits, and after it was cancelled", () => {
  const scene = new Scene();
  const { ring, world } = scene;
  const started = [ALICE, BOB].map((party) => scene.reshareAt(party));
  world.run(1_000);
  scene.requireSigns(0);
  assert.ok(started.every(({ slot }) => slot.outcome === undefined), "dave is waited for");
  started[0]?.cancel();
  world.run(world.now + 5_000);
  assert.deepEqual(started.map(({ slot }) => codeOf(slot)), ["CANCELLED", "PEER_REFUSED"]);
  for (const party of [ALICE, BOB]) assert.deepEqual([...ring.store(party).rows.keys()], [0]);
  scene.requireSigns(0);

  // Nothing of it stands in the way of the next one.
  const again = [ALICE, BOB, DAVE].map((party) => scene.reshareAt(party).slot);
  world.run(world.now + 5_000);
  for (const { outcome } of again) assert.ok(outcome?.ok, outcome?.ok === false ? outcome.error.message : "");
  ring.holds(1, ["alice", "bob", "dave"]);
  scene.requireSigns(1);
});

Deno.test("sim: signing under the old epoch goes on after a refresh that ended before its certificate", () => {
  const steps = (() => {
    const { world, ring } = new Scene();
    const slots = [ALICE, BOB, CAROL].map((party) => world.start(party, refresh, ring.refreshInput(party)));
    world.run(5_000);
    assert.ok(slots.every(({ outcome }) => outcome?.ok));
    return world.steps(CAROL);
  })();
  let halfWay = 0;
  for (let step = 1; step <= steps; step++) {
    const scene = new Scene({ crash: { party: CAROL, step } });
    const { ring, world } = scene;
    const all = [ALICE, BOB, CAROL];
    const begin = () => all.map((party) => world.start(party, refresh, ring.refreshInput(party)));
    begin();
    world.run(60_000);
    assert.equal(epochsFault(ring, all), undefined);
    const isPending = [ALICE, BOB].every((party) => [...ring.store(party).rows.keys()].join() === "0,1");
    if (!isPending) continue;
    halfWay++;
    scene.requireSigns(0);
    world.restart(CAROL);
    const again = begin();
    world.run(world.now + 60_000);
    for (const { outcome } of again) assert.ok(outcome?.ok, `step ${step}`);
    scene.requireSigns(scene.activeAt(ALICE).record.epoch);
  }
  assert.ok(halfWay > 3, `${halfWay} of ${steps} crashes left an epoch pending`);
});

Deno.test("sim: parties with shares of two epochs end before the first round; none of them sends anything of a signature", () => {
  const scene = new Scene();
  const { ring, world } = scene;
  const former = new Map([ALICE, BOB].map((party) => [party, scene.activeAt(party)]));
  for (const outcome of ring.refresh().values()) assert.ok(outcome.ok);
  for (const old of [ALICE, BOB]) {
    const events = world.events.length;
    const slots = scene.signAs((party) =>
      party === old ? former.get(party) as KeyShare : scene.activeAt(party)
    );
    world.run(world.now + 60_000);
    for (const slot of slots) {
      assert.ok(["PEER_REFUSED", "TIMEOUT"].includes(codeOf(slot) ?? ""), codeOf(slot));
    }
    assert.ok(world.events.slice(events).every(({ event }) => event.kind !== "round"), "a round began");
  }
  assert.ok(world.records.every(({ record }) => record.kind !== "release"));
});

function codeOf({ outcome }: Slot<unknown>): QuorateError["code"] | undefined {
  return outcome?.ok === false ? outcome.error.code : undefined;
}
