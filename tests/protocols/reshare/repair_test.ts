import assert from "node:assert/strict";
import type { PartyId } from "../../../src/base/brands.ts";
import type { Bytes } from "../../../src/base/bytes.ts";
import { CheaterError } from "../../../src/base/errors.ts";
import { CURVES, type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import { parsePolicy, shareMatrix } from "../../../src/primitives/access.ts";
import type { LocalMessage } from "../../../src/protocols/local.ts";
import { encodeHeld } from "../../../src/protocols/reshare/held.ts";
import {
  repair,
  repairCoefficients,
  type RepairPart,
  repairRounds,
  type RepairStatement,
} from "../../../src/protocols/reshare/repair.ts";
import { allValues } from "../ecdsa/support.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { ALICE, BOB, CAROL, DAVE, Keyring, secretOf, subsets } from "./support.ts";

const THREE = "2 of (alice, bob, carol)";
const rounds = repairRounds(secp256k1);
const one = secp256k1.scalar(1n);

for (const curve of Object.values(CURVES)) {
  for (
    const [policy, lost, helpers] of [
      [THREE, "carol", ["alice", "bob"]],
      [THREE, "alice", ["bob", "carol"]],
      ["and(alice, 2 of (bob, carol, dave))", "bob", ["carol", "dave"]],
      ["and(alice, 2 of (bob, carol, dave))", "dave", ["alice", "bob", "carol"]],
      ["3 of (alice, bob, carol, dave)", "dave", ["alice", "bob", "carol"]],
      ["and(carol, or(alice, bob))", "bob", ["alice"]],
    ] as const
  ) {
    Deno.test(`repair of ${lost} in ${policy} by ${helpers.join(", ")} on ${curve.name}`, () => {
      const ring = new Keyring(policy, { curve });
      const index = ring.members([lost])[0]?.index as PartyId;
      const before = ring.store(index).clone();
      ring.store(index).rows.clear();
      for (const { record, share } of allValues(ring.repair(lost, helpers))) {
        assert.equal(record.epoch, 0);
        share.share.expose();
      }
      assert.equal(secretOf(ring.store(index).active()), secretOf(before.active()));
      assert.deepEqual(
        ring.store(index).rows.get(0),
        before.rows.get(0),
        "the same bytes as before the loss",
      );
    });
  }
}

Deno.test("repairCoefficients() solves exactly where the rows of the share matrix allow it", () => {
  for (
    const text of [
      THREE,
      "and(alice, 2 of (bob, carol, dave))",
      "and(alice, bob)",
      "or(and(alice, bob), 2 of (carol, dave, erin))",
    ]
  ) {
    const policy = parsePolicy(text);
    const rows = shareMatrix(policy, secp256k1);
    let solvable = 0;
    for (const lost of rows.keys()) {
      for (const helpers of subsets([...rows.keys()].filter((name) => name !== lost))) {
        const e = repairCoefficients({ policy, curve: secp256k1 }, lost, helpers);
        if (e === undefined) continue;
        solvable++;
        const target = rows.get(lost) as readonly Scalar[];
        for (const [column, expected] of target.entries()) {
          let sum = secp256k1.scalar(0n);
          for (const [name, c] of e) {
            sum = secp256k1.add(sum, secp256k1.mul(c, rows.get(name)?.[column] as Scalar));
          }
          assert.equal(sum, expected);
        }
      }
    }
    assert.equal(solvable > 0, text !== "and(alice, bob)", text);
  }
  assert.equal(
    repairCoefficients({ policy: parsePolicy(THREE), curve: secp256k1 }, "dave", ["alice", "bob"]),
    undefined,
  );
  assert.equal(
    repairCoefficients({ policy: parsePolicy(THREE), curve: secp256k1 }, "alice", ["bob", "dave"]),
    undefined,
  );
});

Deno.test("a repair uses other parts every time, and shows nobody another share", () => {
  const ring = new Keyring(THREE);
  const seen = new Set<string>();
  for (let run = 0; run < 2; run++) {
    ring.store(CAROL).rows.clear();
    allValues(ring.repair("carol", ["alice", "bob"], {
      tamper: (message) => {
        if (message.kind === "direct" && message.body.length > 1) seen.add(message.body.toHex());
        return message.body;
      },
    }));
  }
  assert.equal(seen.size, 8, "two parts and two sums in each run");
  for (const party of [ALICE, BOB, CAROL]) {
    const secret = secp256k1.encodeScalar(secretOf(ring.store(party).active())).toHex();
    assert.ok(![...seen].some((body) => body.includes(secret)));
  }
});

type Change = (said: NonNullable<RepairStatement["said"]>) => RepairStatement["said"];

function says(change: Change): (message: LocalMessage) => Bytes {
  return tamperWith(
    rounds.split.broadcast as never,
    { round: 1, kind: "broadcast", from: ALICE },
    (m: RepairStatement) => ({
      said: m.said && change(m.said),
    }),
  );
}

const other = new Keyring(THREE, { seed: "other" });
for (
  const [what, why, tamper] of [
    ["states nothing", "another key than it has offered", says(() => undefined)],
    [
      "states another key",
      "another key than it has offered",
      says((said) => ({
        ...said,
        endorsed: { ...said.endorsed, transcript: flipped(said.endorsed.transcript) },
      })),
    ],
    [
      "gives another certificate",
      "is not valid",
      says((said) => ({ ...said, certificate: other.certificate })),
    ],
    ["gives no certificate", "is not valid", says((said) => ({ ...said, certificate: new Uint8Array(1) }))],
    [
      "publishes too few parts",
      "1 parts for 2 helpers",
      says((said) => ({ ...said, parts: said.parts.slice(1) })),
    ],
    [
      "publishes parts of something else",
      "not those of its share",
      says((said) => ({
        ...said,
        parts: said.parts.with(0, secp256k1.base),
      })),
    ],
  ] as const
) {
  Deno.test(`repair names a helper that ${what}, at helpers and at the one that lost its share`, () => {
    const ring = new Keyring(THREE);
    ring.store(CAROL).rows.clear();
    const outcomes = ring.repair("carol", ["alice", "bob"], { tamper });
    for (const party of [BOB, CAROL]) blames(outcomes.get(party), { round: 1, culprits: [ALICE], what: why });
    assert.equal(ring.store(CAROL).rows.size, 0);
  });
}

for (
  const [what, round, at, why] of [
    ["part", 1, BOB, "does not match the one that it published"],
    ["sum", 2, CAROL, "is not that of the parts"],
  ] as const
) {
  for (
    const [how, change] of [["wrong", (part: Scalar) => secp256k1.add(part, one)], [
      "missing",
      () => undefined,
    ]] as const
  ) {
    Deno.test(`repair names a helper whose ${what} is ${how}`, () => {
      const ring = new Keyring(THREE);
      ring.store(CAROL).rows.clear();
      const codec = (round === 1 ? rounds.split : rounds.sum).direct as never;
      const tamper = tamperWith(
        codec,
        { round, kind: "direct", from: ALICE, receiver: at },
        (m: RepairPart) => ({
          part: m.part === undefined ? undefined : change(m.part),
        }),
      );
      blames(ring.repair("carol", ["alice", "bob"], { tamper }).get(at), {
        round,
        culprits: [ALICE],
        what: why,
      });
    });
  }
}

function refused(run: () => ReturnType<Keyring["repair"]>, code: string, words: RegExp): void {
  const errors = [...run().values()].flatMap((outcome) =>
    outcome.ok ? [] : [outcome.error as Error & { code?: string }]
  );
  const ours = errors.filter((error) => error.code !== undefined);
  assert.ok(ours.length > 0);
  for (const error of ours) {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
  }
}

Deno.test("repair says what cannot be repaired, and by whom it can", () => {
  const two = new Keyring("2 of (alice, bob)");
  two.store(BOB).rows.clear();
  refused(
    () => two.repair("bob", ["alice"]),
    "NOT_QUALIFIED",
    /does not follow from those of the others: recover it from a backup/,
  );
  const nested = new Keyring("and(alice, 2 of (bob, carol, dave))");
  nested.store(BOB).rows.clear();
  refused(
    () => nested.repair("bob", ["alice", "carol"]),
    "NOT_QUALIFIED",
    /those of alice, carol alone: name more helpers/,
  );
  nested.store(ALICE).rows.clear();
  refused(() => nested.repair("alice", ["carol", "dave"]), "NOT_QUALIFIED", /recover it from a backup/);
  const ring = new Keyring(THREE);
  refused(() => ring.repair("dave", ["alice", "bob"]), "NOT_A_MEMBER", /dave has no share/);
  refused(
    () => ring.repair("carol", ["alice", "bob"]),
    "KEY_EXISTS",
    /carol has its share .*: there is nothing to repair/,
  );
  ring.store(BOB).rows.clear();
  refused(() => ring.repair("carol", ["alice", "bob"]), "KEY_UNKNOWN", /bob has no active share/);
});

Deno.test("repair refuses helpers in different epochs, and a share that only lacks its certificate", () => {
  const ring = new Keyring(THREE), old = new Keyring(THREE);
  allValues(ring.refresh());
  ring.store(CAROL).rows.clear();
  const kept = ring.store(BOB);
  ring.stores.set(BOB, old.store(BOB));
  refused(
    () => ring.repair("carol", ["alice", "bob"]),
    "EPOCH_MISMATCH",
    /bob has the key treasury in epoch 0, and alice in epoch 1/,
  );
  ring.stores.set(BOB, kept);
  allValues(ring.repair("carol", ["alice", "bob"]));
  const row = ring.store(CAROL).rows.get(1);
  assert.ok(row);
  row.state = "pending";
  refused(() => ring.repair("carol", ["alice", "bob"]), "KEY_EXISTS", /key sync gives it the certificate/);
});

Deno.test("a party that lost its share takes no key with other identity keys, nor one of which it is no member", () => {
  const ring = new Keyring(THREE);
  ring.store(CAROL).rows.clear();
  const strangers = ring.run(repair, (self) => ({
    ...ring.repairInput(self, "carol", ["alice", "bob"]),
    ...(self === CAROL ? { roster: other.roster } : {}),
  }), [ALICE, BOB, CAROL]).get(CAROL);
  assert.ok(strangers?.ok === false);
  assert.match((strangers.error as Error).message, /member alice whose identity key is not the one/);
  assert.equal(ring.store(CAROL).rows.size, 0);
});

Deno.test("repair names helpers whose certificate is of another session than they state", () => {
  const ring = new Keyring(THREE);
  ring.store(CAROL).rows.clear();
  const outcomes = ring.run(repair, (self) => {
    const input = ring.repairInput(self, "carol", ["alice", "bob"]);
    return {
      ...input,
      held: input.held.map(({ state, key }) => ({ state, key: { ...key, transcript: new Uint8Array(32) } })),
    };
  }, [ALICE, BOB, CAROL]);
  blames(outcomes.get(CAROL), {
    round: 1,
    culprits: [ALICE, BOB],
    what: "of another session than it states",
  });
});

Deno.test("repair names helpers that offer the key on another curve than it is on", () => {
  // Half of all x coordinates are on the other curve too: some run gets past the decoding of two points.
  for (let seed = 0;; seed++) {
    assert.ok(seed < 60, "no run got that far");
    const ring = new Keyring(THREE, { seed: `curve ${seed}` });
    ring.store(CAROL).rows.clear();
    const offers = new Map([
      [CAROL, new Uint8Array(0)],
      ...[ALICE, BOB].map((party): [PartyId, Bytes] => {
        const offer = encodeHeld(ring.store(party).held());
        offer[32] = CURVES.p256.id;
        return [party, offer];
      }),
    ]);
    const carol = ring.repair("carol", ["alice", "bob"], { offers }).get(CAROL);
    assert.ok(carol?.ok === false);
    if (!(carol.error instanceof CheaterError)) continue;
    blames(carol, { round: 1, culprits: [ALICE, BOB], what: "another key than it has offered" });
    return;
  }
});

Deno.test("repair.proposal() refuses what cannot be", () => {
  const ring = new Keyring(THREE);
  const at = (self: PartyId, lost: string, helpers: string[]) => () =>
    repair.proposal(ring.repairInput(self, lost, helpers));
  assert.deepEqual(at(ALICE, "carol", ["alice", "bob"])(), at(CAROL, "carol", ["alice", "bob"])());
  assert.throws(at(CAROL, "carol", []), { code: "USAGE", message: /at least one party helps/ });
  assert.throws(at(CAROL, "carol", ["alice", "carol"]), { code: "USAGE", message: /carol cannot help/ });
  assert.throws(at(DAVE, "carol", ["alice", "bob"]), { code: "USAGE", message: /neither/ });
});
