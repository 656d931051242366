import assert from "node:assert/strict";
import { keyId, partyId } from "../../../src/base/brands.ts";
import { type Bytes, concat, EMPTY } from "../../../src/base/bytes.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import { p256, secp256k1 } from "../../../src/math/curve.ts";
import { ed25519 } from "../../../src/math/ed25519.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import {
  createBackup,
  describeBackup,
  expectedShare,
  recoverBackup,
  type SecretShare,
  secretShare,
  verifyBackup,
} from "../../../src/protocols/pve/backup.ts";
import { answerDrill, checkDrill, createDrill } from "../../../src/protocols/pve/drill.ts";
import { openedHalf } from "../../../src/protocols/pve/cut_and_choose.ts";
import { BACKUP_LIMITS, decodeBackup, encodeBackup } from "../../../src/protocols/pve/format.ts";
import type { CustodianPublicKey, CustodianSuite } from "../../../src/protocols/pve/pke.ts";
import { dealKey } from "../ecdsa/support.ts";
import { flipped } from "../support.ts";
import { custodian, makeShare, refuses, rng, spliced } from "./support.ts";

const CREATED_AT = 1_790_000_000_000;
const key = custodian("x25519");
const to = key.publicKey;
const share = makeShare(secp256k1);
const backup = createBackup({ to, shares: [share], createdAt: CREATED_AT, rng });
const expected = { to, shares: [share] };
const invalid = (what: RegExp) => refuses("BACKUP_INVALID", what);

// Where the fields of a backup of one share stand.
const HEAD = 2 + (1 + 4 + 32), LABEL = 1 + 8 + 2 + (32 + 4 + 1 + (2 + 5));
const POINT = HEAD + LABEL, CHALLENGE = POINT + 33, ROWS = CHALLENGE + 16;

function valuesOf(shares: readonly SecretShare[]): string[] {
  return shares.map(({ share }) => share.expose().toHex());
}

for (const suite of ["x25519", "p256", "rsa"] as CustodianSuite[]) {
  Deno.test(`createBackup(), verifyBackup() and recoverBackup() agree with ${suite}`, () => {
    const key = custodian(suite), to = key.publicKey;
    const share = makeShare(p256);
    const bytes = createBackup({ to, shares: [share], createdAt: CREATED_AT, rng });
    const info = verifyBackup(bytes, { to, shares: [share] });
    assert.deepEqual([info.purpose, info.createdAt, info.shares.length], ["backup", CREATED_AT, 1]);
    const { shares, badRows } = recoverBackup(bytes, { key, shares: [share], verify: false });
    assert.deepEqual([valuesOf(shares), badRows], [valuesOf([share]), 0]);
    const size = bytes.length;
    const [least, most] = { x25519: [15_000, 18_000], p256: [19_000, 22_500], rsa: [58_000, 65_000] }[suite];
    assert.ok(size > (least as number) && size < (most as number), `${size} bytes`);
  });
}

Deno.test("a backup holds many shares, of any groups, and gives all of them back", () => {
  const shares = [makeShare(secp256k1), makeShare(p256, { leaf: "alice's second leaf" }), makeShare(ed25519)];
  const bytes = createBackup({ to, shares, createdAt: CREATED_AT, rng });
  const info = verifyBackup(bytes, { to, shares: shares.toReversed() });
  assert.deepEqual(info.shares.map(({ keyId }) => keyId), shares.map(({ keyId }) => keyId));
  const recovered = recoverBackup(bytes, { key, shares, verify: false });
  assert.deepEqual(valuesOf(recovered.shares), valuesOf(shares));
  // Per further share: 32 bytes in each of the 128 rows, and its place in the label.
  assert.ok(bytes.length < 25_000 + 3 * 128 * 32);
  for (let missing = 0; missing < 3; missing++) {
    const some = shares.filter((_, k) => k !== missing);
    assert.throws(() => verifyBackup(bytes, { to, shares: some }), invalid(/which was not expected/));
  }
  const more = [...shares, makeShare(p256)];
  assert.throws(() => verifyBackup(bytes, { to, shares: more }), invalid(/has no share of key/));
  const mixed = shares.map((share, k) => k === 1 ? { ...share, publicShare: p256.base } : share);
  assert.throws(() => verifyBackup(bytes, { to, shares: mixed }), invalid(/public share/));
});

Deno.test("expectedShare() and secretShare() take everything from the key's record", () => {
  const dealt = dealKey(secp256k1, "2 of (alice, bob, carol)");
  const bob = dealt.shares.get(partyId(2));
  assert.ok(bob !== undefined);
  const bytes = createBackup({ to, shares: [secretShare(bob)], createdAt: CREATED_AT, rng });
  verifyBackup(bytes, { to, shares: [expectedShare(dealt.record, partyId(2))] });
  assert.throws(
    () => verifyBackup(bytes, { to, shares: [expectedShare(dealt.record, partyId(1))] }),
    invalid(/has the share of bob .* expected was that of alice/),
  );
  assert.throws(() => expectedShare(dealt.record, partyId(4)), refuses("NOT_A_MEMBER", /party 4/));
});

Deno.test("verifyBackup() and recoverBackup() refuse another custodian key", () => {
  const other = custodian("x25519", "two");
  assert.throws(
    () => verifyBackup(backup, { ...expected, to: other.publicKey }),
    invalid(/it is for custodian/),
  );
  assert.throws(() => recoverBackup(backup, { key: other, shares: [share] }), invalid(/it is for custodian/));
  const rsa = custodian("p256").publicKey;
  assert.throws(() => verifyBackup(backup, { ...expected, to: rsa }), invalid(/it is for custodian/));
  // The right key as the backup says, and rows for another one.
  const relabelled = spliced(backup, 2 + 1 + 4, other.publicKey.bytes);
  assert.throws(
    () => verifyBackup(relabelled, { ...expected, to: other.publicKey }),
    invalid(/not those that its challenge/),
  );
});

Deno.test("verifyBackup() refuses another key, leaf, curve, purpose and public share than the record's", () => {
  const refused = (change: Partial<SecretShare>, what: RegExp) =>
    assert.throws(() => verifyBackup(backup, { to, shares: [{ ...share, ...change }] }), invalid(what));
  refused({ keyId: keyId(rng.bytes(32)) }, /which was not expected/);
  refused({ leaf: "bob" }, /share of alice .* expected was that of bob/);
  refused({ group: p256, publicShare: p256.base }, /on secp256k1, and the record on p256/);
  refused({ publicShare: secp256k1.base }, /public share of key .* not that of the record/);
  refused({ publicShare: share.publicShare.negate() }, /public share/);
  assert.throws(() => verifyBackup(backup, { ...expected, purpose: "drill" }), invalid(/it is a backup/));
  assert.throws(() => verifyBackup(backup, { to, shares: [] }), invalid(/not expected/));
});

Deno.test("verifyBackup() knows a backup of an earlier epoch, and a record older than the backup", () => {
  const later = { to, shares: [{ ...share, epoch: 4 }] };
  const stale = refuses("BACKUP_STALE", /epoch 3 .* in epoch 4 now: make a new one/);
  assert.throws(() => verifyBackup(backup, later), stale);
  assert.throws(() => recoverBackup(backup, { key, shares: later.shares }), stale);
  assert.throws(
    () => verifyBackup(backup, { to, shares: [{ ...share, epoch: 2 }] }),
    invalid(/newer record/),
  );
  verifyBackup(backup, expected);
});

Deno.test("verifyBackup() refuses a backup whose label was changed to what is expected", () => {
  const wanted = { ...share, epoch: 4, leaf: "bobby", keyId: keyId(rng.bytes(32)) };
  const label = decodeBackup(backup);
  for (const field of ["epoch", "leaf", "keyId"] as const) {
    const changed = { ...share, [field]: wanted[field] };
    const bytes = encodeBackup({ ...label, shares: [changed] });
    assert.throws(
      () => verifyBackup(bytes, { to, shares: [changed] }),
      invalid(/not those that its challenge/),
    );
  }
  const moved = { ...share, publicShare: share.publicShare.add(secp256k1.base) };
  const other = encodeBackup({ ...label, shares: [moved] });
  assert.throws(() => verifyBackup(other, { to, shares: [moved] }), invalid(/challenge/));
  const drill = encodeBackup({ ...label, purpose: "drill" });
  assert.throws(() => verifyBackup(drill, { ...expected, purpose: "drill" }), invalid(/challenge/));
  const younger = encodeBackup({ ...label, createdAt: CREATED_AT + 1 });
  assert.throws(() => verifyBackup(younger, expected), invalid(/challenge/));
});

Deno.test("verifyBackup() refuses a flipped bit in every field", () => {
  const names = new Map<string, number>();
  for (let at = 0; at < ROWS; at++) {
    // What a label says of the time is checked by the rows alone: once is enough.
    if (at > HEAD + 1 && at < HEAD + 8) continue;
    const bytes = flipped(backup, at);
    assert.throws(
      () => verifyBackup(bytes, expected),
      (error: Error & { code: string }) => {
        names.set(error.code, (names.get(error.code) ?? 0) + 1);
        return error.code === "BACKUP_INVALID" || error.code === "BACKUP_STALE";
      },
      `byte ${at}`,
    );
  }
  assert.ok((names.get("BACKUP_INVALID") as number) > 100);
  // The first and the last row, each of its fields.
  const { proof } = decodeBackup(backup);
  const rowBytes = (row: number) => openedHalf(proof.challenge, row) === 1 ? 32 + 32 + 80 : 32 + 80;
  for (const [start, row] of [[ROWS, 0], [backup.length - rowBytes(127), 127]] as const) {
    for (const at of [0, 31, 32, 64, rowBytes(row) - 1]) {
      assert.throws(() => verifyBackup(flipped(backup, start + at), expected), invalid(/challenge|order/));
    }
  }
});

Deno.test("verifyBackup() refuses truncated and longer files, before it reads the rows", () => {
  const lengths = [0, 1, 2, HEAD, POINT, CHALLENGE, CHALLENGE + 8, ROWS, ROWS + 112, backup.length - 1];
  for (const length of lengths) {
    assert.throws(
      () => verifyBackup(backup.slice(0, length), expected),
      invalid(/expected|instead of/),
      `${length}`,
    );
  }
  assert.throws(() => verifyBackup(concat(backup, Uint8Array.of(0)), expected), invalid(/the rows have/));
  const large = new Uint8Array(BACKUP_LIMITS.bytesMax + 1);
  assert.throws(() => verifyBackup(large, expected), invalid(/more than the cap/));
  const padded = concat(backup, new Uint8Array(BACKUP_LIMITS.bytesPerShareMax));
  assert.throws(() => verifyBackup(padded, expected), invalid(/more than the cap of 1048576/));
});

Deno.test("decodeBackup() refuses unknown versions, kinds, purposes, curves and times, and one key as many", () => {
  const cases: readonly (readonly [number, number, RegExp])[] = [
    [0, 2, /unknown version/],
    [1, 0, /unknown kind/],
    [1, 4, /unknown kind/],
    [1, 2, /one key is not one of many/],
    [HEAD, 0, /purpose/],
    [HEAD, 3, /purpose/],
    [HEAD + 1, 1, /no date/],
    [HEAD + 1 + 8 + 2 + 36, 9, /unknown number/],
    [HEAD + 1 + 8 + 1, 0, /at least one share/],
  ];
  for (const [at, value, what] of cases) {
    const bytes = spliced(backup, at, Uint8Array.of(value));
    assert.throws(() => describeBackup(bytes), invalid(what), `byte ${at}`);
  }
  assert.deepEqual(encodeBackup(decodeBackup(backup)), backup);
});

Deno.test("decodeBackup() refuses one key twice", () => {
  const shares = [makeShare(secp256k1), makeShare(secp256k1)];
  const bytes = createBackup({ to, shares, createdAt: CREATED_AT, rng });
  const [first] = shares as [SecretShare];
  const second = HEAD + 1 + 8 + 2 + (32 + 4 + 1 + 7);
  assert.throws(() => describeBackup(spliced(bytes, second, first.keyId)), invalid(/each key once/));
  const twice = [first, { ...(shares[1] as SecretShare), keyId: first.keyId }];
  assert.throws(
    () => createBackup({ to, shares: twice, createdAt: 0, rng }),
    refuses("USAGE", /each key once/),
  );
});

Deno.test("an X25519 key of small order is refused when it is read, encrypted to and verified with", () => {
  const small: CustodianPublicKey = { suite: "x25519", bytes: new Uint8Array(32) };
  const what = refuses("IDENTITY_INVALID", /small order/);
  assert.throws(() => createBackup({ to: small, shares: [share], createdAt: 0, rng }), what);
  assert.throws(() => verifyBackup(backup, { ...expected, to: small }), what);
  const inside = spliced(backup, 2 + 1 + 4, small.bytes);
  assert.throws(() => describeBackup(inside), invalid(/small order/));
});

Deno.test("recoverBackup() verifies first; without that one bad row does not prevent recovery", () => {
  const damaged = flipped(backup, backup.length - 1), first = flipped(backup, ROWS + 60);
  for (const bytes of [damaged, first]) {
    assert.throws(() => recoverBackup(bytes, { key, shares: [share] }), invalid(/challenge|order/));
    const { shares, badRows } = recoverBackup(bytes, { key, shares: [share], verify: false, allRows: true });
    assert.deepEqual([valuesOf(shares), badRows], [valuesOf([share]), 1]);
  }
  const { badRows } = recoverBackup(backup, { key, shares: [share], allRows: true });
  assert.equal(badRows, 0);
  assert.equal(recoverBackup(first, { key, shares: [share], verify: false }).badRows, 1);
});

Deno.test("recoverBackup() says that no row opens when a device gives wrong secrets", () => {
  const broken = { publicKey: to, decapsulate: () => new Uint8Array(32) };
  assert.throws(
    () => recoverBackup(backup, { key: broken, shares: [share], verify: false }),
    refuses("BACKUP_UNOPENED", /none of the 128 rows/),
  );
  const silent = { publicKey: to, decapsulate: () => undefined };
  assert.throws(
    () => recoverBackup(backup, { key: silent, shares: [share] }),
    refuses("BACKUP_UNOPENED", /none/),
  );
});

Deno.test("createBackup() refuses no shares, too many, and what would be too large", () => {
  const usage = (what: RegExp) => refuses("USAGE", what);
  assert.throws(() => createBackup({ to, shares: [], createdAt: 0, rng }), usage(/at least one/));
  const many = Array.from(
    { length: 1001 },
    (_, k) => ({ ...share, keyId: keyId(sha256(Uint8Array.of(k, k >> 8))) }),
  );
  assert.throws(() => createBackup({ to, shares: many, createdAt: 0, rng }), usage(/at most 1000/));
  // Odd numbers of 3072 bits: nobody needs the private keys to see that 20 ciphertexts in 128 rows are too much.
  const rsa = custodian("rsa").publicKey.bytes;
  const names = Array.from({ length: 20 }, (_, k) => `c${k}`);
  const keys = names.map((name, k) =>
    [name, { suite: "rsa", bytes: spliced(rsa, 60, Uint8Array.of(k)) }] as const
  );
  const group = {
    policy: parsePolicy(`2 of (${names.join(", ")})`),
    keys: new Map<string, CustodianPublicKey>(keys),
  };
  assert.throws(
    () => createBackup({ to: group, shares: [share], createdAt: 0, rng }),
    usage(/more than 1048576 bytes/),
  );
});

Deno.test("a drill shows that the custodian has its key, and nothing else passes for one", () => {
  const drill = createDrill({ to, id: keyId(rng.bytes(32)), createdAt: CREATED_AT, rng });
  assert.equal(describeBackup(drill.backup).purpose, "drill");
  const answer = answerDrill(drill.backup, key);
  assert.ok(checkDrill(drill, answer));
  for (const wrong of [flipped(answer), EMPTY, new Uint8Array(32), new Uint8Array(32).fill(255)]) {
    assert.equal(checkDrill(drill, wrong), false);
  }
  assert.throws(() => answerDrill(backup, key), invalid(/it is a backup, and expected was a drill/));
  assert.throws(() => answerDrill(drill.backup, custodian("x25519", "two")), invalid(/custodian/));
  assert.throws(() => verifyBackup(drill.backup, expected), invalid(/it is a drill/));
});

Deno.test("what comes back is never printed, and is erased on disposal", () => {
  const recovered = recoverBackup(backup, { key, shares: [share], verify: false });
  const secret = share.share.expose().toHex();
  const shown = [
    JSON.stringify(recovered, (_, v) => typeof v === "bigint" ? `${v}` : v),
    Deno.inspect(recovered),
  ];
  const number = BigInt(`0x${secret}`).toString();
  assert.ok(!shown.join().includes(secret) && !shown.join().includes(number));
  const bytes = (recovered.shares[0] as SecretShare).share.expose();
  (recovered.shares[0] as SecretShare).share[Symbol.dispose]();
  assert.deepEqual(bytes, new Uint8Array(32));
  const hex = backup.toHex();
  assert.ok(!hex.includes(secret));
});

Deno.test("backups of version 1 are frozen for a seed", () => {
  const seeded = seededRng("golden backup");
  const x = secp256k1.randomScalar(seeded), y = p256.randomScalar(seeded);
  const label = { epoch: 7, leaf: "alice" };
  const one = {
    ...label,
    group: secp256k1,
    keyId: keyId(new Uint8Array(32).fill(1)),
    publicShare: secp256k1.mulBase(x),
    share: new Secret(secp256k1.encodeScalar(x)),
  };
  const two = {
    ...label,
    group: p256,
    keyId: keyId(new Uint8Array(32).fill(2)),
    publicShare: p256.mulBase(y),
    share: new Secret(p256.encodeScalar(y)),
  };
  const x25519: CustodianPublicKey = {
    suite: "x25519",
    bytes: Uint8Array.fromHex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c"),
  };
  const onP256: CustodianPublicKey = {
    suite: "p256",
    bytes: Uint8Array.fromHex(
      "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c",
    ),
  };
  const group = {
    policy: parsePolicy("and(north, south)"),
    keys: new Map([["north", x25519], ["south", onP256]]),
  };
  const made: readonly Bytes[] = [
    createBackup({ to: x25519, shares: [one], createdAt: CREATED_AT, rng: seeded }),
    createBackup({ to: onP256, shares: [one, two], createdAt: CREATED_AT, rng: seeded }),
    createBackup({ to: group, shares: [one], createdAt: CREATED_AT, rng: seeded }),
  ];
  assert.deepEqual(made.map((bytes) => `${bytes.length} ${sha256(bytes).toHex()}`), [
    "16399 2b8f6488985f0b29548c26de53823043ede10b317d9f98e4deacce8217e11738",
    "27005 a8c97d87d8b2c6cbc6669e664f7c2fec7b862265d601637065bbcbdbe52acea6",
    "39274 ca2192740ecb72d2495240c5f00b352b1f8e3c913a6a46e25365c50f34a07aaf",
  ]);
});
