/**
 * Signers whose pair states differ, after a crash for instance, set them up anew while the session opens (SPEC 2.6).
 */

import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import { type KeyShare, quorumOf } from "../../src/protocols/key_share.ts";
import { dealKey, dealPair } from "../protocols/ecdsa/support.ts";
import { World } from "./world.ts";

Deno.test("sim: signers whose pair states differ mend them and sign; nobody is burned or blamed", () => {
  const curve = secp256k1;
  const key = dealKey(curve, "3 of (alice, bob, carol)", seededRng("mend"));
  const [alice, bob, carol] = [...key.shares.keys()] as [PartyId, PartyId, PartyId];
  // Bob lost what he had with alice; carol has a newer state with alice than alice herself.
  key.pairs.get(bob)?.delete(alice);
  const kept = key.pairs.get(alice)?.get(carol);
  dealPair(key, alice, carol, seededRng("newer"));
  if (kept !== undefined) key.pairs.get(alice)?.set(carol, kept);

  const world = new World({ seed: "mend", parties: 3, mode: "command" });
  const quorum = quorumOf(key.record, [alice, bob, carol]);
  assert.ok(quorum !== undefined);
  const digest = sha256(new Uint8Array(1));
  const mended: string[] = [];
  const slots = world.parties.map((self) => {
    const share = key.shares.get(self) as KeyShare;
    const input = {
      share,
      signers: quorum.active,
      coefficients: quorum.coefficients,
      digest,
      pairs: (peer: PartyId) => key.pairs.get(self)?.get(peer),
      burned: () => false,
    };
    const mend = (peer: PartyId, done: (error?: Error) => void) => {
      world.host(self).observe(pairSetUp, { share, peer, admit: () => {} }, {}, {
        outcome: (outcome) => {
          if (!outcome.ok) return done(outcome.error);
          key.pairs.get(self)?.set(peer, outcome.value as never);
          mended.push(`${self}${peer}`);
          done();
        },
      });
    };
    return world.start(self, sign, input, { mend, delayMs: self * 40 });
  });
  world.run();
  assert.deepEqual(mended.toSorted(), ["12", "13", "21", "31"]);
  for (const { outcome } of slots) {
    assert.ok(outcome?.ok, outcome?.ok === false ? outcome.error.message : "never ended");
    const signature = outcome.value?.compact as Uint8Array;
    assert.ok(
      curve.verifyEcdsa({
        publicKey: key.record.publicKey,
        digest,
        signature: signature as never,
        lowS: true,
      }),
    );
  }
  assert.ok(world.records.every(({ record }) => record.kind !== "burn"));
});
