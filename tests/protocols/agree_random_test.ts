import assert from "node:assert/strict";
import { type PartyId, partyId, sessionId } from "../../src/base/brands.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { fixed, struct } from "../../src/base/codec.ts";
import { seededRng } from "../../src/base/rng.ts";
import { commit } from "../../src/primitives/commitment.ts";
import { hash, xof } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import { AGREE_BITS_MAX, AGREE_BITS_MIN, agreeNonce, agreeRandom } from "../../src/protocols/agree_random.ts";
import { type LocalMessage, type LocalOptions, runLocally } from "../../src/protocols/local.ts";
import { blames, flipped, tamperWith, valuesOf } from "./support.ts";

const commitmentCodec = struct({ commitment: fixed(32) });
const openingCodec = struct({ r: fixed(32), s: fixed(32) });
const confirmationCodec = struct({ confirmation: fixed(32) });
const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];

function parties(n: number): PartyId[] {
  return Array.from({ length: n }, (_, i) => partyId(i + 1));
}

function run(n: number, bits: number, seed: string, options: Partial<LocalOptions> = {}) {
  const participants = parties(n);
  return runLocally(participants, (s) => agreeRandom.run(s, { bits, participants }), {
    rng: seededRng(seed),
    ...options,
  });
}

Deno.test("agreeRandom() gives 2 to 7 parties the same value of the wanted length", () => {
  for (const n of [2, 3, 5, 7]) {
    for (const bits of [AGREE_BITS_MIN, 256, 1000, AGREE_BITS_MAX]) {
      const values = [...valuesOf(run(n, bits, `${n}/${bits}`)).values()].map((value) => value.toHex());
      assert.equal(new Set(values).size, 1);
      assert.equal(values[0]?.length, bits / 4);
    }
  }
});

Deno.test("agreeRandom() gives other values in other sessions and for other contributions", () => {
  const values = ["a", "b"].flatMap((seed) =>
    [1, 2].map((sid) =>
      valuesOf(run(2, 256, seed, { sid: sessionId(new Uint8Array(32).fill(sid)) })).get(ALICE)?.toHex()
    )
  );
  assert.equal(new Set(values).size, 4);
});

Deno.test("agreeRandom() computes what SPEC 5 says", () => {
  const sid = sessionId(new Uint8Array(32).fill(7));
  const sent: LocalMessage[] = [];
  const outcomes = run(2, 512, "spec", {
    sid,
    tamper: (message) => {
      sent.push(message);
      return message.body;
    },
  });
  const body = (round: number, from: PartyId) => {
    const message = sent.find((m) => m.round === round && m.from === from);
    assert.ok(message !== undefined);
    return message.body;
  };
  const [r1, r2] = [ALICE, BOB].map((party) => body(2, party).slice(0, 32));
  const expected = xof(64, Tag.agreeOut, sid, r1 as Uint8Array, r2 as Uint8Array);
  assert.deepEqual(valuesOf(outcomes).get(ALICE), expected);
  assert.deepEqual(body(3, BOB), hash(Tag.agreeOk, sid, expected));
  const [r, s] = [body(2, BOB).slice(0, 32), body(2, BOB).slice(32)];
  assert.deepEqual(body(1, BOB), commit({ tag: Tag.agreeCommit, sid, party: BOB, message: r, salt: s }));
  assert.deepEqual([1, 2, 3].map((round) => body(round, ALICE).length), [32, 64, 32]);
});

for (
  const [what, tamper, round, why] of [
    [
      "commitment",
      tamperWith(commitmentCodec, { round: 1, from: BOB }, (m) => ({ commitment: flipped(m.commitment) })),
      2,
      "committed to",
    ],
    [
      "contribution",
      tamperWith(openingCodec, { round: 2, from: BOB }, (m) => ({ ...m, r: flipped(m.r) })),
      2,
      "committed to",
    ],
    [
      "salt",
      tamperWith(openingCodec, { round: 2, from: BOB }, (m) => ({ ...m, s: flipped(m.s) })),
      2,
      "committed to",
    ],
    [
      "confirmation",
      tamperWith(
        confirmationCodec,
        { round: 3, from: BOB },
        (m) => ({ confirmation: flipped(m.confirmation) }),
      ),
      3,
      "another value",
    ],
  ] as const
) {
  Deno.test(`agreeRandom() names the party that changes its ${what}`, () => {
    const outcomes = run(3, 256, "tamper", { tamper });
    for (const party of [ALICE, CAROL]) blames(outcomes.get(party), { round, culprits: [BOB], what: why });
  });
}

Deno.test("agreeRandom() refuses a commitment and opening copied from another party", () => {
  let commitment: LocalMessage["body"] | undefined;
  let opening: LocalMessage["body"] | undefined;
  const outcomes = run(3, 256, "copy", {
    tamper(message) {
      if (message.from === ALICE && message.round === 1) commitment = message.body;
      if (message.from === ALICE && message.round === 2) opening = message.body;
      if (message.from !== BOB) return message.body;
      return (message.round === 1 ? commitment : message.round === 2 ? opening : undefined) ?? message.body;
    },
  });
  blames(outcomes.get(CAROL), { round: 2, culprits: [BOB], what: "committed to" });
});

Deno.test("agreeRandom() names all parties that cheat in one round", () => {
  const outcomes = run(4, 256, "two", {
    tamper: (message) => message.round === 2 && message.from <= 2 ? flipped(message.body) : message.body,
  });
  blames(outcomes.get(CAROL), { round: 2, culprits: [ALICE, BOB], what: "committed to" });
});

Deno.test("agreeRandom() reveals nothing before all commitments are there", () => {
  const rounds: number[] = [];
  const outcomes = run(3, 256, "withheld", {
    tamper(message) {
      rounds.push(message.round);
      return message.from === CAROL ? undefined : message.body;
    },
  });
  assert.ok([ALICE, BOB].every((party) => outcomes.get(party)?.ok === false));
  assert.ok(rounds.every((round) => round === 1 || round === 2));
  // Carol has every commitment and opens; nobody else does.
  assert.equal(rounds.filter((round) => round === 2).length, 2);
});

Deno.test("agreeRandom.proposal() binds the length and refuses impossible ones", () => {
  const participants = parties(2);
  for (const bits of [0, 120, 129, 65544, 256.5, NaN]) {
    assert.throws(() => agreeRandom.proposal({ bits, participants }), { code: "USAGE" });
  }
  assert.throws(() => agreeRandom.proposal({ bits: 256, participants: parties(1) }), { code: "USAGE" });
  const { payload } = agreeRandom.proposal({ bits: 256, participants });
  assert.deepEqual(payload, [{ name: "number of bits", value: utf8("256") }]);
  assert.deepEqual(agreeRandom.rounds({ bits: 256, participants }).map((round) => round.echo), [
    "next",
    "none",
    "none",
  ]);
});

Deno.test("agreeNonce() gives all parties one fresh value, and its round is echoed before it ends", () => {
  const participants = parties(3);
  const go = (seed: string) =>
    runLocally(participants, (s) => agreeNonce.run(s, { participants }), { rng: seededRng(seed) });
  const values = ["a", "b"].map((seed) => new Set([...valuesOf(go(seed)).values()].map((v) => v.toHex())));
  assert.ok(values.every((set) => set.size === 1));
  assert.notDeepEqual(values[0], values[1]);
  assert.deepEqual(agreeNonce.rounds({ participants }).map((round) => round.echo), ["own"]);
  assert.throws(() => agreeNonce.proposal({ participants: parties(1) }), { code: "USAGE" });
});
