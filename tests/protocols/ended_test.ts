/** What a protocol leaves behind when its session is ended from outside, as an abort or a deadline ends it. */

import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import type { Secret } from "../../src/base/secret.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { dkg } from "../../src/protocols/dkg/dkg.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import { signOffer } from "../../src/protocols/ecdsa/sign_opening.ts";
import type { KeyShare } from "../../src/protocols/key_share.ts";
import { type LocalMessage, runLocally } from "../../src/protocols/local.ts";
import type { Step } from "../../src/protocols/protocol.ts";
import { dealKey, signInput } from "./ecdsa/support.ts";
import { makeGroup, watched } from "./support.ts";

const [ALICE, BOB] = [partyId(1), partyId(2)];
const KEY = dealKey(secp256k1, "and(alice, bob)");

/** Without it the receiver waits, until the run is ended. */
function without(round: number): (message: LocalMessage) => Bytes | undefined {
  return (message) => message.round === round && message.from === BOB ? undefined : message.body;
}

/** What the steps of Alice gave her, by the name of a property that has it. */
class Seen {
  readonly #values: object[] = [];

  see = (_step: Step, answer: unknown): void => {
    for (const value of [answer].flat()) {
      if (typeof value === "object" && value !== null) this.#values.push(value);
    }
  };

  all<T>(name: string): T[] {
    return this.#values.flatMap((value) => name in value ? [(value as Record<string, T>)[name] as T] : []);
  }
}

function isErased(value: Uint8Array | Uint32Array): boolean {
  return value.length > 0 && value.every((word: number) => word === 0);
}

for (const round of [1, 2]) {
  Deno.test(`sign() erases what it holds as VOLE receiver when it is ended in round ${round}`, () => {
    const seen = new Seen();
    const inputOf = (self: PartyId) => signInput(KEY, self, { digest: sha256(new Uint8Array([1])) });
    const offers = new Map([ALICE, BOB].map((self) => [self, signOffer(inputOf(self))]));
    const outcomes = runLocally([ALICE, BOB], (session) => {
      const run = sign.run(session, inputOf(session.self));
      return session.self === ALICE ? watched(run, seen.see) : run;
    }, { rng: seededRng("ended"), offers, tamper: without(round) });
    assert.equal(outcomes.get(ALICE)?.ok, false);
    const [state] = seen.all<{ choices: Bytes; columns: { words: Uint32Array } }>("state");
    assert(state !== undefined && isErased(state.choices) && isErased(state.columns.words));
  });
}

Deno.test("pairSetUp() erases leaves and transfers when it is ended, in every round", () => {
  for (const round of [2, 3]) {
    const seen = new Seen();
    const outcomes = runLocally([ALICE, BOB], (session) => {
      const peer = session.self === ALICE ? BOB : ALICE;
      const share = KEY.shares.get(session.self) as KeyShare;
      const run = pairSetUp.run(session, { share, peer, admit: () => {} });
      return session.self === ALICE ? watched(run, seen.see) : run;
    }, { rng: seededRng("ended"), tamper: without(round) });
    assert.equal(outcomes.get(ALICE)?.ok, false);
    const leaves = seen.all<Bytes>("leaves"), delta = seen.all<Bytes>("delta");
    assert.equal(leaves.length, round - 1);
    assert.equal(delta.length, round - 2);
    const keys = seen.all<readonly Bytes[]>("keys").flat();
    for (const secret of [...leaves, ...delta, ...keys]) assert(isErased(secret));
  }
});

Deno.test("pairSetUp() keeps what became the result", () => {
  const outcomes = runLocally([ALICE, BOB], (session) => {
    const peer = session.self === ALICE ? BOB : ALICE;
    const share = KEY.shares.get(session.self) as KeyShare;
    return pairSetUp.run(session, { share, peer, admit: () => {} });
  }, { rng: seededRng("kept") });
  const outcome = outcomes.get(ALICE);
  assert(outcome?.ok);
  const { receiveLeaves, sendLeaves, delta, zeroSeed } = outcome.value.expose();
  for (const secret of [receiveLeaves, sendLeaves, delta, zeroSeed]) assert(!isErased(secret));
});

Deno.test("dkg erases a share that nobody has seen when it is ended, and one that was not certified", () => {
  for (const ending of ["endorsing", "certifying"] as const) {
    const group = makeGroup("2 of (alice, bob, carol)");
    let share: Secret | undefined;
    const outcomes = runLocally(group.parties, (session) => {
      const run = dkg.run(session, group.input(session.self));
      if (session.self !== ALICE) return run;
      return watched(run, (_step, answer) => {
        if (share !== undefined && ending === "endorsing") throw new Error("the session was ended here");
        if (typeof answer === "object" && answer !== null && "share" in answer) {
          share = answer.share as Secret;
        }
      });
    }, { rng: group.rng, identities: group.identities, tamper: without(3) });
    assert.equal(outcomes.get(ALICE)?.ok, false);
    assert.throws(() => share?.expose(), { code: "INVARIANT" });
  }
});
