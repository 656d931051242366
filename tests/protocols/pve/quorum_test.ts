import assert from "node:assert/strict";
import { type Bytes, EMPTY } from "../../../src/base/bytes.ts";
import { p256, secp256k1 } from "../../../src/math/curve.ts";
import { ed25519 } from "../../../src/math/ed25519.ts";
import { type AccessTree, leavesOf, parsePolicy } from "../../../src/primitives/access.ts";
import {
  createBackup,
  recoverBackup,
  type SecretShare,
  verifyBackup,
} from "../../../src/protocols/pve/backup.ts";
import type { CustodianGroup, Decapsulator } from "../../../src/protocols/pve/custodian.ts";
import { challengeOf, openedHalf, type RowScheme } from "../../../src/protocols/pve/cut_and_choose.ts";
import { decodeBackup, encodeBackup, quorumSchemeOf } from "../../../src/protocols/pve/format.ts";
import { answerBackup, BLAME_ROWS, recoverQuorumBackup } from "../../../src/protocols/pve/quorum.ts";
import { flipped } from "../support.ts";
import { custodian, makeShare, refuses, rng } from "./support.ts";

const CREATED_AT = 1_790_000_000_000;
const share = makeShare(secp256k1);
const shares = [share];
const group = groupOf("2 of (north, south, east)");
const backup = createBackup({ to: group, shares, createdAt: CREATED_AT, rng });
const invalid = (what: RegExp) => refuses("BACKUP_INVALID", what);

function groupOf(text: string): CustodianGroup {
  const policy: AccessTree = parsePolicy(text, { allowSingle: true });
  return { policy, keys: new Map(leavesOf(policy).map((name) => [name, keyOf(name).publicKey])) };
}

function keyOf(name: string): Decapsulator {
  return custodian(name === "west" ? "p256" : "x25519", name);
}

const answers = new Map<string, Bytes>();

/** The answer of a custodian, changed in some rows. */
function answer(name: string, lieIn: (row: number) => boolean = () => false): Bytes {
  const true_ = answers.get(name) ?? answerBackup(backup, keyOf(name)).expose();
  answers.set(name, true_);
  const out = true_.slice();
  for (let row = 0; row < 128; row++) {
    const at = placeOf(name, row);
    if (lieIn(row)) out[at + 5] = (out[at + 5] as number) ^ 1;
  }
  return out;
}

/** Where the secret of a row stands in an answer that has all of them: behind its presence byte. */
function placeOf(name: string, row: number): number {
  return 1 + 32 + 2 + name.length + 33 * row + 1;
}

function valuesOf(list: readonly SecretShare[]): string[] {
  return list.map(({ share }) => share.expose().toHex());
}

function recover(answers: readonly Bytes[]) {
  return recoverQuorumBackup(backup, { custodians: group, answers, shares, verify: false });
}

Deno.test("a quorum of custodians opens a backup, whatever quorum it is", () => {
  verifyBackup(backup, { to: group, shares });
  const all = new Map(["north", "south", "east"].map((name) => [name, answer(name)]));
  for (
    const names of [["north", "south"], ["south", "east"], ["east", "north"], ["north", "south", "east"]]
  ) {
    const recovered = recover(names.map((name) => all.get(name) as Bytes));
    assert.deepEqual(valuesOf(recovered.shares), valuesOf(shares));
    assert.deepEqual(recovered.custodians, names.map((name) => ({ name, badRows: 0, lied: false })));
    assert.equal(recovered.badRows, 0);
  }
  const damaged = flipped(backup, backup.length - 1);
  const ofDamaged = (verify: boolean) => () =>
    recoverQuorumBackup(damaged, { custodians: group, answers: [], shares, verify });
  assert.throws(ofDamaged(true), invalid(/challenge/));
  assert.throws(ofDamaged(false), refuses("NOT_QUALIFIED", /no quorum/));
  for (const names of [[], ["north"]]) {
    assert.throws(
      () => recover(names.map((name) => all.get(name) as Bytes)),
      refuses("NOT_QUALIFIED", /no quorum of 2 of/),
    );
  }
});

for (
  const [policy, quorum] of [
    ["and(north, 2 of (south, east, west))", ["north", "west", "south"]],
    ["or(north, and(south, east))", ["north"]],
    ["or(north, and(south, east))", ["south", "east"]],
    ["or(north, south)", ["south"]],
  ] as const
) {
  Deno.test(`a backup of many shares under ${policy} is opened by ${quorum.join(", ")}`, () => {
    const to = groupOf(policy);
    const many = [makeShare(p256), makeShare(ed25519)];
    const bytes = createBackup({ to, shares: many, createdAt: CREATED_AT, rng });
    const answers = quorum.map((name) => answerBackup(bytes, keyOf(name)).expose());
    const recovered = recoverQuorumBackup(bytes, { custodians: to, answers, shares: many, verify: false });
    assert.deepEqual(valuesOf(recovered.shares), valuesOf(many));
  });
}

Deno.test("recoverQuorumBackup() names a custodian whose answers are false, and opens with the others", () => {
  const lie = answer("south", () => true);
  const recovered = recover([lie, answer("north"), answer("east")]);
  assert.deepEqual(valuesOf(recovered.shares), valuesOf(shares));
  assert.deepEqual(recovered.custodians[0], { name: "south", badRows: 128, lied: true });
  assert.ok(recovered.custodians.slice(1).every(({ badRows, lied }) => badRows === 0 && !lied));
  assert.throws(
    () => recover([lie, answer("north")]),
    refuses("BACKUP_UNOPENED", /the answer of south is false; ask others/),
  );
});

Deno.test("recoverQuorumBackup() opens where a liar is part of the quorum but was true in one row", () => {
  const lie = answer("south", (row) => row !== 100);
  const recovered = recover([lie, answer("north")]);
  assert.deepEqual(valuesOf(recovered.shares), valuesOf(shares));
  assert.deepEqual([recovered.badRows, recovered.custodians[0]], [
    100,
    { name: "south", badRows: 127, lied: true },
  ]);
});

Deno.test("recoverQuorumBackup() blames nobody for rows that a maker of bad backups could have spoiled", () => {
  for (const [bad, lied] of [[BLAME_ROWS, false], [BLAME_ROWS + 1, true]] as const) {
    const { custodians } = recover([answer("south", (row) => row < bad), answer("north")]);
    assert.deepEqual(custodians[0], { name: "south", badRows: bad, lied });
    assert.deepEqual(custodians[1], { name: "north", badRows: 0, lied: false });
  }
});

Deno.test("recoverQuorumBackup() refuses answers to another backup, of strangers, twice, and malformed ones", () => {
  const other = createBackup({ to: group, shares, createdAt: CREATED_AT, rng });
  const north = answer("north"), south = answer("south");
  assert.throws(
    () => recover([north, answerBackup(other, keyOf("south")).expose()]),
    invalid(/answer of south is to another backup/),
  );
  assert.throws(
    () => recover([north, south, north]),
    invalid(/of north was not expected, or is there twice/),
  );
  const stranger = south.slice();
  stranger.set(new TextEncoder().encode("sooth"), 35);
  assert.throws(() => recover([north, stranger]), invalid(/of sooth was not expected/));
  for (const bytes of [EMPTY, south.slice(1), south.slice(0, -1), flipped(south)]) {
    assert.throws(() => recover([north, bytes]), invalid(/answer cannot be read/));
  }
});

Deno.test("verifyBackup() refuses another policy, another order of keys and another key of a quorum", () => {
  const north = custodian("x25519", "north").publicKey, south = custodian("x25519", "south").publicKey;
  const east = custodian("x25519", "east").publicKey, west = custodian("p256", "west").publicKey;
  const { policy } = group;
  const others: CustodianGroup[] = [
    { policy: parsePolicy("3 of (north, south, east)"), keys: group.keys },
    { policy: parsePolicy("2 of (south, north, east)"), keys: group.keys },
    { policy, keys: new Map(Object.entries({ north: east, south, east: north })) },
    { policy, keys: new Map(Object.entries({ north, south, east: west })) },
  ];
  for (const to of others) {
    assert.throws(() => verifyBackup(backup, { to, shares }), invalid(/it is for a quorum of custodians/));
    assert.throws(
      () => recoverQuorumBackup(backup, { custodians: to, answers: [], shares }),
      invalid(/it is for a quorum/),
    );
    // The expected group as the backup says, and rows for the other one.
    const relabelled = encodeBackup({ ...decodeBackup(backup), to: { kind: "quorum", custodians: to } });
    assert.throws(() => verifyBackup(relabelled, { to, shares }), invalid(/challenge|rows have/));
  }
  assert.throws(() => verifyBackup(backup, { to: north, shares }), invalid(/expected was custodian/));
  const key = custodian("x25519", "north");
  assert.throws(() => recoverBackup(backup, { key, shares }), invalid(/it is for a quorum/));
  const single = createBackup({ to: north, shares, createdAt: 0, rng });
  assert.throws(() => verifyBackup(single, { to: group, shares }), invalid(/expected was a quorum/));
  assert.throws(() => answerBackup(single, key), invalid(/for one custodian/));
});

Deno.test("createBackup() and verifyBackup() refuse a group with a key too few, or one of small order", () => {
  const { policy, keys } = group;
  const few = { policy, keys: new Map([...keys].slice(1)) };
  const small = {
    policy,
    keys: new Map([...keys, ["east", { suite: "x25519", bytes: new Uint8Array(32) }] as const]),
  };
  for (const [to, code] of [[few, "POLICY_INVALID"], [small, "IDENTITY_INVALID"]] as const) {
    assert.throws(() => createBackup({ to, shares, createdAt: 0, rng }), refuses(code, /custodian/));
    assert.throws(() => verifyBackup(backup, { to, shares }), refuses(code, /custodian/));
  }
});

Deno.test("answerBackup() answers only its own, valid backups", () => {
  assert.throws(
    () => answerBackup(backup, keyOf("west")),
    refuses("NOT_A_MEMBER", /not for the custodian/),
  );
  const damaged = flipped(backup, backup.length - 1);
  assert.throws(() => answerBackup(damaged, keyOf("north")), invalid(/challenge/));
  assert.throws(() => answerBackup(EMPTY, keyOf("north")), invalid(/version/));
});

Deno.test("answerBackup() keeps the secret of a ciphertext that was copied from another backup", () => {
  // Mallory backs up a key of her own to the same custodians, with ciphertexts of the victim's backup in one row: she passes
  // half the time.
  const mine = makeShare(secp256k1);
  const victim = decodeBackup(backup);
  const victimScheme = quorumSchemeOf(victim, group);
  const theirs = victim.proof.rows.findIndex((_, row) => openedHalf(victim.proof.challenge, row) === 0);
  const copied = victimScheme.leafPart("north", victim.proof.rows[theirs]?.sealed as Bytes);
  const head = { purpose: "backup", createdAt: 0, shares: [mine] } as const;
  const scheme = quorumSchemeOf(head, group);
  for (;;) {
    const bytes = forge(scheme, copied);
    if (bytes === undefined) continue;
    verifyBackup(bytes, { to: group, shares: [mine] });
    const given = answerBackup(bytes, keyOf("north")).expose();
    assert.equal(given[placeOf("north", 0) - 1], 0, "the answer of the row is absent");
    const at = placeOf("north", theirs);
    assert.ok(!given.toHex().includes(answer("north").subarray(at, at + 32).toHex()));
    break;
  }

  function forge(scheme: RowScheme, copied: Uint8Array): Bytes | undefined {
    const x = secp256k1.scalar(BigInt("0x" + mine.share.expose().toHex()));
    const made = Array.from({ length: 128 }, (_, row) => {
      const seeds = scheme.seedBytes.map((length) => rng.bytes(length)) as [Bytes, Bytes];
      const [x0] = scheme.draw(row, seeds[0]) as [typeof x];
      const x1 = secp256k1.encodeScalar(secp256k1.sub(x, x0));
      const sealed: [Bytes, Bytes] = [scheme.first(row, seeds[0]), scheme.second(row, seeds[1], x1)];
      if (row === 0) sealed[1].set(copied);
      return { seeds, x1, sealed, points: [secp256k1.mulBase(x0)] };
    });
    const challenge = challengeOf(scheme, made);
    if (openedHalf(challenge, 0) === 1) return undefined;
    const rows = made.map(({ seeds, x1, sealed }, row) => {
      const half = openedHalf(challenge, row);
      return { seed: seeds[half], scalars: half === 1 ? x1 : EMPTY, sealed: sealed[1 - half] as Bytes };
    });
    return encodeBackup({ ...head, to: { kind: "quorum", custodians: group }, proof: { challenge, rows } });
  }
});

Deno.test("answerBackup() gives a secret that is not printed", () => {
  const secret = answerBackup(backup, keyOf("north"));
  assert.equal(
    `${secret} ${Deno.inspect(secret)} ${JSON.stringify(secret)}`,
    '<redacted> <redacted> "<redacted>"',
  );
});
