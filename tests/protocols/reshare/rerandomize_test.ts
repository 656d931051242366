import assert from "node:assert/strict";
import type { PartyId } from "../../../src/base/brands.ts";
import { type Bytes, copy } from "../../../src/base/bytes.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import { seededRng } from "../../../src/base/rng.ts";
import type { JournalRecord } from "../../../src/protocols/protocol.ts";
import { PairState } from "../../../src/protocols/ecdsa/pair_state.ts";
import { CURVES, secp256k1 } from "../../../src/math/curve.ts";
import { coinOf, confirmationOf, rerandomized } from "../../../src/protocols/reshare/rerandomize.ts";
import { refreshRounds } from "../../../src/protocols/reshare/messages.ts";
import { sessionId } from "../../../src/base/brands.ts";
import { hash } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import { allValues, dealPair, runSign } from "../ecdsa/support.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { ALICE, BOB, CAROL, Keyring } from "./support.ts";

type Pairs = Map<PartyId, Map<PartyId, PairState>>;

/** Fresh states of all pairs of a ring's key. */
function dealPairs(ring: Keyring): Pairs {
  const members = ring.record.members.map(({ index }) => index);
  const pairs: Pairs = new Map(members.map((index) => [index, new Map()]));
  for (const i of members) {
    for (const j of members) if (i < j) dealPair({ record: ring.record, pairs }, i, j, ring.rng);
  }
  return pairs;
}

/** Runs a re-randomising refresh; returns the pair records of all parties, decoded. */
function turn(
  ring: Keyring,
  pairs: Pairs,
  options: Record<string, unknown> = {},
  burned: (self: PartyId, peer: PartyId) => boolean = () => false,
): {
  outcomes: ReturnType<Keyring["refresh"]>;
  kept: Pairs;
  records: { party: PartyId; record: JournalRecord }[];
} {
  const kept: Pairs = new Map();
  const records: { party: PartyId; record: JournalRecord }[] = [];
  const parties = ring.record.members.map(({ index }) => index);
  const outcomes = ring.refreshWith(
    (self) => ({
      pairs: "rerandomize",
      pairState: (peer) => pairs.get(self)?.get(peer),
      burned: (peer) => burned(self, peer),
    }),
    parties,
    {
      onPersist: (party: PartyId, record: JournalRecord) => {
        records.push({ party, record });
        if (record.kind !== "pair") return;
        const own = kept.get(party) ?? new Map<PartyId, PairState>();
        kept.set(party, own.set(record.peer, PairState.decode(copy(record.state.expose()))));
      },
      ...options,
    },
  );
  return { outcomes, kept, records };
}

for (const curve of Object.values(CURVES)) {
  Deno.test(`refresh turns pair states over, and every pair signs with them on ${curve.name}`, () => {
    const ring = new Keyring("2 of (alice, bob, carol)", { curve });
    const pairs = dealPairs(ring);
    const { outcomes, kept, records } = turn(ring, pairs);
    allValues(outcomes);
    const record = ring.holds(1, ["alice", "bob", "carol"]);
    const shares = new Map(
      [ALICE, BOB, CAROL].map((party) => [party, ring.store(party).active()?.share as never]),
    );
    for (const signers of [[1, 2], [1, 3], [2, 3]]) {
      const key = { record, shares, pairs: kept, secret: curve.scalar(0n) };
      const digest = sha256(Uint8Array.from(signers));
      for (const signature of allValues(runSign(key, { digest }, { signers }))) {
        const given = {
          publicKey: ring.record.publicKey,
          digest,
          signature: signature?.compact as Bytes,
          lowS: true,
        };
        assert.ok(curve.verifyEcdsa(given));
      }
    }
    for (const party of [ALICE, BOB, CAROL]) {
      const written = records.filter((entry) => entry.party === party).map((entry) => entry.record.kind);
      assert.deepEqual(written, ["key-pending", "pair", "pair", "key-active"]);
    }
    const before = pairs.get(ALICE)?.get(BOB) as PairState, after = kept.get(ALICE)?.get(BOB) as PairState;
    assert.notDeepEqual(after.tag, before.tag);
    for (const field of ["zeroSeed", "receiveLeaves", "sendLeaves", "delta"] as const) {
      assert.notDeepEqual(after.expose()[field], before.expose()[field], field);
    }
  });
}

Deno.test("rerandomized() keeps all leaves but one in common, as SPEC 2.9 says", () => {
  const ring = new Keyring("and(alice, bob)");
  const pairs = dealPairs(ring);
  const [mine, theirs] = [pairs.get(ALICE)?.get(BOB), pairs.get(BOB)?.get(ALICE)] as [PairState, PairState];
  const sid = sessionId(ring.rng.bytes(32));
  const toss = { sid, epoch: 1, coin: ring.rng.bytes(32) };
  const [a, b] = [rerandomized(mine, toss).expose(), rerandomized(theirs, toss).expose()];
  for (let y = 0; y < 32; y++) {
    for (let z = 0; z < 16; z++) {
      const at = (y * 16 + z) * 32;
      const [full, punctured] = [a.receiveLeaves.slice(at, at + 32), b.sendLeaves.slice(at, at + 32)];
      assert.deepEqual(punctured, b.delta[y] === z ? new Uint8Array(32) : full);
    }
  }
  assert.deepEqual(a.zeroSeed, b.zeroSeed);
  assert.deepEqual([a.psidLow, a.psidHigh, a.epoch], [b.psidLow, b.psidHigh, 1]);
  assert.deepEqual(
    confirmationOf(new PairState(a), toss),
    hash(
      Tag.pairRerandomizedOk,
      toss.coin,
      Uint8Array.of(0, 0, 0, 1),
      a.psidLow,
      a.psidHigh,
      hash(Tag.pairZeroSeedOk, a.zeroSeed),
    ),
  );
});

Deno.test("coinOf() gives both sides the same coin, and another one for every session, pair and half", () => {
  const rng = seededRng("coins");
  const [sid, other] = [sessionId(rng.bytes(32)), sessionId(rng.bytes(32))];
  const [k, m] = [rng.bytes(32), rng.bytes(32)];
  const mine = { party: ALICE, value: k }, theirs = { party: BOB, value: m };
  const coin = coinOf(sid, mine, theirs);
  assert.deepEqual(coinOf(sid, theirs, mine), coin);
  for (
    const changed of [
      coinOf(other, mine, theirs),
      coinOf(sid, mine, { party: CAROL, value: m }),
      coinOf(sid, { party: ALICE, value: m }, { party: BOB, value: k }),
      coinOf(sid, mine, { party: BOB, value: k }),
    ]
  ) assert.notDeepEqual(changed, coin);
});

Deno.test("a pair that is absent on one side, or differs, is absent after a re-randomising refresh; nobody is blamed", () => {
  const ring = new Keyring("2 of (alice, bob, carol)");
  const pairs = dealPairs(ring), others = dealPairs(ring);
  pairs.get(ALICE)?.delete(BOB);
  pairs.get(CAROL)?.set(BOB, others.get(CAROL)?.get(BOB) as PairState);
  const { outcomes, kept } = turn(ring, pairs);
  allValues(outcomes);
  assert.deepEqual([...kept.get(ALICE)?.keys() ?? []], [CAROL]);
  assert.deepEqual([...kept.get(CAROL)?.keys() ?? []], [ALICE]);
  assert.equal(kept.get(BOB), undefined);
});

Deno.test("a banned pair stays banned after a re-randomising refresh", () => {
  const ring = new Keyring("2 of (alice, bob, carol)");
  const { outcomes, kept, records } = turn(
    ring,
    dealPairs(ring),
    {},
    (self, peer) => self === ALICE && peer === BOB,
  );
  allValues(outcomes);
  assert.deepEqual([...kept.get(ALICE)?.keys() ?? []], [CAROL]);
  assert.deepEqual([...kept.get(BOB)?.keys() ?? []], [CAROL]);
  const burns = records.filter(({ record }) => record.kind === "burn");
  assert.deepEqual(
    burns.map(({ party, record }) => [party, record.kind === "burn" && [record.peer, record.epoch]]),
    [
      [ALICE, [BOB, 1]],
    ],
  );
});

const rounds = refreshRounds(secp256k1);
const R1 = rounds.commit.direct as NonNullable<typeof rounds.commit.direct>;
const R2 = rounds.open.direct as NonNullable<typeof rounds.open.direct>;
for (
  const [what, tamper] of [
    [
      "the commitment to its coin",
      tamperWith(R1, { round: 1, kind: "direct", from: BOB, receiver: ALICE }, (m) => ({
        coin: m.coin && flipped(m.coin),
      })),
    ],
    [
      "its coin",
      tamperWith(R2, { round: 2, kind: "direct", from: BOB, receiver: ALICE }, (m) => ({
        ...m,
        coin: m.coin && { ...m.coin, value: flipped(m.coin.value) },
      })),
    ],
    [
      "the salt of its coin",
      tamperWith(R2, { round: 2, kind: "direct", from: BOB, receiver: ALICE }, (m) => ({
        ...m,
        coin: m.coin && { ...m.coin, salt: flipped(m.coin.salt) },
      })),
    ],
    [
      "whether it opens its coin",
      tamperWith(R2, { round: 2, kind: "direct", from: BOB, receiver: ALICE }, (m) => ({
        ...m,
        coin: undefined,
      })),
    ],
  ] as const
) {
  Deno.test(`refresh names the party that changes ${what}`, () => {
    const ring = new Keyring("2 of (alice, bob, carol)");
    const { outcomes } = turn(ring, dealPairs(ring), { tamper });
    blames(outcomes.get(ALICE), { round: 2, culprits: [BOB], what: "its half of the coin" });
  });
}

Deno.test("refresh names a party that opens a coin to which one of the two did not commit", () => {
  const ring = new Keyring("and(alice, bob)");
  const pairs = dealPairs(ring);
  pairs.get(ALICE)?.clear();
  const { outcomes } = turn(ring, pairs, {
    tamper: tamperWith(R2, { round: 2, kind: "direct", from: BOB }, (m) => ({
      ...m,
      coin: { value: new Uint8Array(32), salt: new Uint8Array(32) },
    })),
  });
  blames(outcomes.get(ALICE), { round: 2, culprits: [BOB], what: "its half of the coin" });
});

Deno.test("a confirmation that is wrong leaves the pair absent, on that side only", () => {
  const ring = new Keyring("and(alice, bob)");
  const R3 = rounds.certify.direct as NonNullable<typeof rounds.certify.direct>;
  const { outcomes, kept } = turn(ring, dealPairs(ring), {
    tamper: tamperWith(R3, { round: 3, kind: "direct", from: BOB }, (m) => ({
      confirmation: m.confirmation && flipped(m.confirmation),
    })),
  });
  allValues(outcomes);
  assert.deepEqual([...kept.keys()], [BOB]);
});
