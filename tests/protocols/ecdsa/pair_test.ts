import assert from "node:assert/strict";
import { seededRng } from "../../../src/base/rng.ts";
import { partyId } from "../../../src/base/brands.ts";
import { secp256k1 } from "../../../src/math/curve.ts";
import { pairSetUp } from "../../../src/protocols/ecdsa/pair.ts";
import type { PairState } from "../../../src/protocols/ecdsa/pair_state.ts";
import { LEAVES, SEED_BYTES, TREES } from "../../../src/protocols/ecdsa/params.ts";
import type { KeyShare } from "../../../src/protocols/key_share.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import type { PartyId } from "../../../src/base/brands.ts";
import { allValues, dealKey } from "./support.ts";

const ALICE = partyId(1), BOB = partyId(2);
const KEY = dealKey(secp256k1, "and(alice, bob)");

function runPair(options: Partial<LocalOptions> = {}): Map<PartyId, LocalOutcome<PairState>> {
  return runLocally([ALICE, BOB], (session) =>
    pairSetUp.run(session, {
      share: KEY.shares.get(session.self) as KeyShare,
      peer: session.self === ALICE ? BOB : ALICE,
      admit: () => {},
    }), { rng: seededRng("pair"), ...options });
}

Deno.test("pairSetUp() leaves each side the other's trees but one leaf", () => {
  const [alice, bob] = allValues(runPair()).map((state) => state.expose());
  assert(alice !== undefined && bob !== undefined);
  assert.deepEqual(alice.zeroSeed, bob.zeroSeed);
  assert.deepEqual([alice.psidLow, alice.psidHigh], [bob.psidLow, bob.psidHigh]);
  for (const [receiver, sender] of [[alice, bob], [bob, alice]] as const) {
    for (let y = 0; y < TREES; y++) {
      for (let z = 0; z < LEAVES; z++) {
        const at = (y * LEAVES + z) * SEED_BYTES;
        const known = sender.sendLeaves.subarray(at, at + SEED_BYTES);
        const leaf = receiver.receiveLeaves.subarray(at, at + SEED_BYTES);
        assert.deepEqual(known, z === sender.delta[y] ? new Uint8Array(SEED_BYTES) : leaf);
      }
    }
  }
});
