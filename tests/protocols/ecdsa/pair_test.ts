import assert from "node:assert/strict";
import { inspect } from "node:util";
import { keyId, type PartyId, partyId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, concat, copy, equal, u16, u8 } from "../../../src/base/bytes.ts";
import { sha256, x25519PublicKey } from "../../../src/base/crypto.ts";
import { UsageError } from "../../../src/base/errors.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { secp256k1 } from "../../../src/math/curve.ts";
import { hashToElement } from "../../../src/math/ristretto.ts";
import {
  type PairInput,
  pairRound1,
  pairRound2,
  pairRound3,
  pairSetUp,
} from "../../../src/protocols/ecdsa/pair.ts";
import { pairSessionId, PairState } from "../../../src/protocols/ecdsa/pair_state.ts";
import { LEAVES, SEED_BYTES, TREES } from "../../../src/protocols/ecdsa/params.ts";
import type { KeyShare } from "../../../src/protocols/key_share.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import type { JournalRecord } from "../../../src/protocols/protocol.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { allValues, dealKey, errorOf, runSign } from "./support.ts";

const ALICE = partyId(1), BOB = partyId(2);
const KEY = dealKey(secp256k1, "and(alice, bob)");
const PLACE = { keyId: KEY.record.keyId, epoch: 0 };
const SID = sessionId(sha256(new Uint8Array([8])));

function inputOf(self: PartyId, admit: () => void = () => {}): PairInput {
  return { share: KEY.shares.get(self) as KeyShare, peer: self === ALICE ? BOB : ALICE, admit };
}

function runPair(
  options: Partial<LocalOptions> = {},
  admit: () => void = () => {},
): Map<PartyId, LocalOutcome<PairState>> {
  return runLocally([ALICE, BOB], (session) => pairSetUp.run(session, inputOf(session.self, admit)), {
    rng: seededRng("pair"),
    ...options,
  });
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

const OFFER = pairRound1.direct!, ANSWER = pairRound2.direct!, CONFIRM = pairRound3.direct!;
const bob = { from: BOB, receiver: ALICE };
// Of order 4 on the twist.
const SMALL_ORDER_U = Uint8Array.fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

Deno.test("pairSetUp() refuses a point of small order or not canonical in either branch of an answer", () => {
  for (const branch of [0, 1]) {
    const tamper = tamperWith(ANSWER, { round: 2, ...bob }, (m) => {
      const answers = m.answers.slice();
      answers.set(SMALL_ORDER_U, 64 * 77 + 32 * branch);
      return { ...m, answers };
    });
    blames(runPair({ tamper }).get(ALICE), { round: 2, culprits: [2], what: "of small order" });
  }
});

Deno.test("pairSetUp() refuses a choice whose point is not canonical", () => {
  for (const branch of [0, 1]) {
    const tamper = tamperWith(OFFER, { round: 1, ...bob }, (m) => {
      const points = m.points.slice();
      points.fill(0xff, 64 * 5 + 32 * branch, 64 * 5 + 32 * branch + 32);
      return { ...m, points };
    });
    blames(runPair({ tamper }).get(ALICE), { round: 1, culprits: [2], what: "choice is not canonical" });
  }
});

Deno.test("pairSetUp() refuses a choice that hides the identity", () => {
  // r_0 = −Hg_0(r_1): then A_0 is the identity, and the key of that branch is known without an exponent.
  const psid = pairSessionId({ sid: SID, ...PLACE, receiver: ALICE, sender: BOB });
  const tamper = tamperWith(OFFER, { round: 1, ...bob }, (m) => {
    const points = m.points.slice();
    const r_1 = points.slice(32, 64);
    const H = hashToElement("quorate/v1/pair/ot-hash", concat(psid, u16(0), u8(0), r_1));
    points.set(H.subtract(H).subtract(H).toBytes(), 0);
    return { ...m, points };
  });
  blames(runPair({ tamper, sid: SID }).get(ALICE), { round: 1, culprits: [2], what: "hides the identity" });
});

for (const field of ["corrections", "tagSums", "tagHashes"] as const) {
  Deno.test(`pairSetUp() refuses trees with changed ${field}`, () => {
    // A correction that Alice does not use is no harm to her; the last round sees it.
    const tamper = tamperWith(ANSWER, { round: 2, ...bob }, (m) => {
      const changed = m.trees[field].map((byte, i) => i % 32 === 0 ? byte ^ 1 : byte);
      return { ...m, trees: { ...m.trees, [field]: changed } };
    });
    blames(runPair({ tamper }).get(ALICE), { round: 2, culprits: [2], what: "trees are not consistent" });
  });
}

Deno.test("pairSetUp() refuses trees that hang on other keys than the transfers gave", () => {
  const tamper = tamperWith(ANSWER, { round: 2, ...bob }, (m) => {
    const answers = m.answers.slice();
    answers.set(x25519PublicKey(new Uint8Array(32).fill(3)), 0);
    answers.set(x25519PublicKey(new Uint8Array(32).fill(4)), 32);
    return { ...m, answers };
  });
  blames(runPair({ tamper }).get(ALICE), { round: 2, culprits: [2], what: "trees are not consistent" });
});

Deno.test("pairSetUp() finds a zero-share seed that differs by the confirmation, and stores nothing", () => {
  const stored: JournalRecord[] = [];
  const tamper = tamperWith(OFFER, { round: 1, ...bob }, (m) => ({ ...m, seed: flipped(m.seed) }));
  const outcomes = runPair({ tamper, onPersist: (_, record) => stored.push(record) });
  blames(outcomes.get(ALICE), { round: 3, culprits: [2], what: "confirmation differs" });
  blames(outcomes.get(BOB), { round: 3, culprits: [1], what: "confirmation differs" });
  assert.deepEqual(stored, []);
});

Deno.test("pairSetUp() refuses a changed confirmation", () => {
  const tamper = tamperWith(
    CONFIRM,
    { round: 3, ...bob },
    (m) => ({ confirmation: flipped(m.confirmation) }),
  );
  blames(runPair({ tamper }).get(ALICE), { round: 3, culprits: [2], what: "confirmation differs" });
});

Deno.test("pairSetUp() stores the state once, after the confirmation, under its key and epoch", () => {
  const story: string[] = [];
  let stored: Bytes | undefined;
  const [state] = allValues(runPair({
    onPersist: (party, record) => {
      if (party !== ALICE || record.kind !== "pair") return;
      story.push("pair");
      assert(equal(record.keyId, KEY.record.keyId) && record.epoch === 0 && record.peer === BOB);
      stored = copy(record.state.expose());
    },
    tamper: (message) => {
      if (message.from === ALICE) story.push(`round ${message.round}`);
      return message.body;
    },
  }));
  assert.deepEqual(story, ["round 1", "round 2", "round 3", "pair"]);
  assert(state !== undefined && stored !== undefined);
  assert.deepEqual(PairState.decode(stored).expose(), state.expose());
});

Deno.test("pairSetUp() asks for admission before it starts and before it stores", () => {
  const refusal = new UsageError("PAIR_BURNED", "the pair is banned");
  const refuse = () => {
    throw refusal;
  };
  assert.throws(() => pairSetUp.proposal(inputOf(ALICE, refuse)), refusal);
  const stored: JournalRecord[] = [];
  const outcomes = runPair({ onPersist: (_, record) => stored.push(record) }, refuse);
  assert.equal(errorOf(outcomes, 1), refusal);
  assert.deepEqual(stored, []);
});

Deno.test("pairSetUp() has messages of the documented sizes, frozen for a seed", () => {
  const sizes = new Map<number, number>();
  const bodies: Bytes[] = [];
  runPair({
    tamper: ({ round, body }) => {
      sizes.set(round, body.length);
      bodies.push(body);
      return body;
    },
  });
  assert.deepEqual([...sizes], [[1, 8224], [2, 18432], [3, 32]]);
  assert.equal(
    sha256(...bodies).toHex(),
    "8081364b71813f6db2260f9811c22eb9f2aa98a681a085b2596c3b9ccd065bbd",
  );
});

Deno.test("pairSetUp() sets up states that sign", () => {
  const states = runPair();
  const pairs = new Map([...states].map(([party, outcome]) => {
    if (!outcome.ok) throw outcome.error;
    return [party, new Map([[party === ALICE ? BOB : ALICE, outcome.value]])];
  }));
  allValues(runSign({ ...KEY, pairs }, { digest: new Uint8Array(32).fill(5) }));
});

Deno.test("PairState.decode() reads what encode() writes and refuses everything else", () => {
  const state = KEY.pairs.get(ALICE)?.get(BOB) as PairState;
  using encoded = state.encode();
  const bytes = encoded.expose();
  assert.equal(bytes.length, 1 + 32 + 4 + 2 + 2 + 32 + 32 + 32 + 16384 + 32 + 16384);
  assert.deepEqual(PairState.decode(bytes).encode().expose(), bytes);
  const DELTA = 137 + 16384;
  const changed = (at: number, value: number) => {
    const out = copy(bytes);
    out[at] = value;
    return out;
  };
  for (
    const [wrong, why] of [
      [changed(0, 2), /unknown version/],
      [bytes.slice(0, -1), /bytes expected/],
      [concat(bytes, u8(0)), /more than the cap/],
      [changed(DELTA, 16), /not below 16/],
      [changed(DELTA, (bytes[DELTA] as number) ^ 1), /not zero/],
      [changed(40, bytes[38] as number), /two parties/],
      [concat(bytes.slice(0, 37), u16(0), bytes.slice(39)), /not 0/],
    ] as const
  ) {
    assert.throws(() => PairState.decode(wrong), { name: "DecodeError", message: why });
  }
});

Deno.test("PairState is never printed, and erases itself", () => {
  const state = PairState.decode((KEY.pairs.get(ALICE)?.get(BOB) as PairState).encode().expose());
  const { delta, zeroSeed } = state.expose();
  for (const text of [`${state}`, JSON.stringify(state), Deno.inspect(state), inspect(state)]) {
    assert.match(text, /<redacted>/);
    assert(!text.includes(zeroSeed.toHex()));
  }
  state[Symbol.dispose]();
  state[Symbol.dispose]();
  assert.deepEqual(delta, new Uint8Array(32));
  assert.throws(() => state.expose(), { code: "INVARIANT" });
});

Deno.test("belongsTo() compares key, epoch and both parties", () => {
  const [state] = allValues(runPair());
  assert(state !== undefined);
  const place = { ...PLACE, self: ALICE, peer: BOB };
  assert(state.belongsTo(place));
  assert(!state.belongsTo({ ...place, keyId: keyId(flipped(place.keyId, 31)) }));
  assert(!state.belongsTo({ ...place, epoch: 1 }));
  assert(!state.belongsTo({ ...place, self: partyId(3) }));
  assert(!state.belongsTo({ ...place, peer: partyId(3) }));
});

Deno.test("PairState.tag is equal at both sides and differs for every set-up, key and epoch", () => {
  const alice = KEY.pairs.get(ALICE)?.get(BOB) as PairState,
    bobs = KEY.pairs.get(BOB)?.get(ALICE) as PairState;
  assert.deepEqual(alice.tag, bobs.tag);
  const secrets = alice.expose();
  for (
    const change of [
      { epoch: 1 },
      { keyId: keyId(new Uint8Array(32)) },
      { peer: partyId(3) },
      { psidLow: secrets.psidHigh },
      { psidHigh: secrets.psidLow },
    ]
  ) {
    assert.notDeepEqual(new PairState({ ...secrets, ...change }).tag, alice.tag);
  }
});
