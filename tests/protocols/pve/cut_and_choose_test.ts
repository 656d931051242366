import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY } from "../../../src/base/bytes.ts";
import { InvariantError } from "../../../src/base/errors.ts";
import { bigintToBytes, bytesToBigint, p256, type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import { ed25519 } from "../../../src/math/ed25519.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import {
  challengeOf,
  type Column,
  type Commitment,
  openedHalf,
  type OpenRow,
  type Proof,
  proofFault,
  prove,
  recover,
  type Row,
  type RowScheme,
} from "../../../src/protocols/pve/cut_and_choose.ts";
import { encapsulationOf, openWith } from "../../../src/protocols/pve/pke.ts";
import { batchScheme, quorumScheme, singleScheme } from "../../../src/protocols/pve/row_schemes.ts";
import { flipped } from "../support.ts";
import { custodian, makeShare, rng } from "./support.ts";

const LABEL = rng.bytes(20);
const key = custodian("x25519");

interface Case {
  readonly name: string;
  readonly scheme: RowScheme;
  readonly secrets: readonly Scalar[];
}

function makeColumns(groups: readonly Column["group"][]): { columns: Column[]; secrets: Scalar[] } {
  const shares = groups.map((group) => makeShare(group));
  const secrets = shares.map(({ group, share }) => {
    const bytes = group === ed25519 ? share.expose().toReversed() : share.expose();
    return group.scalar(bytesToBigint(bytes));
  });
  return { columns: shares, secrets };
}

const group = {
  policy: parsePolicy("2 of (north, south, east)"),
  keys: new Map(["north", "south", "east"].map((name) => [name, custodian("x25519", name).publicKey])),
};
const one = makeColumns([secp256k1]), many = makeColumns([p256, ed25519, secp256k1]);
const CASES: readonly Case[] = [
  {
    name: "one share",
    scheme: singleScheme({ columns: one.columns, label: LABEL, to: key.publicKey }),
    secrets: one.secrets,
  },
  {
    name: "many shares",
    scheme: batchScheme({ columns: many.columns, label: LABEL, to: key.publicKey }),
    secrets: many.secrets,
  },
  {
    name: "a quorum",
    scheme: quorumScheme({ columns: one.columns, label: LABEL, to: group }),
    secrets: one.secrets,
  },
];
const [single, batch] = CASES as readonly [Case, Case];

function opener({ aad }: RowScheme): OpenRow {
  return (_row, _half, sealed) => {
    const sharedSecret = key.decapsulate(encapsulationOf(key.publicKey, sealed));
    return sharedSecret && openWith(key.publicKey, { aad, sealed, sharedSecret });
  };
}

function withRow(proof: Proof, row: number, change: Partial<Row>): Proof {
  return { ...proof, rows: proof.rows.map((found, i) => i === row ? { ...found, ...change } : found) };
}

/** Makes a proof with `rows` rows whose halves are of the test's choice. */
function cheat(
  { scheme, secrets }: Case,
  rows: number,
  spoil: (row: number, commitment: Commitment, x1: Bytes) => { commitment: Commitment; x1: Bytes },
): Proof {
  const made = Array.from({ length: rows }, (_, row) => {
    const seeds = scheme.seedBytes.map((length) => rng.bytes(length)) as [Bytes, Bytes];
    const x0 = scheme.draw(row, seeds[0]);
    const x1 = concat(
      ...scheme.columns.map(({ group }, j) =>
        group.encodeScalar(group.sub(secrets[j] as Scalar, x0[j] as Scalar))
      ),
    );
    const commitment: Commitment = {
      sealed: [scheme.first(row, seeds[0]), scheme.second(row, seeds[1], x1)],
      points: scheme.columns.map(({ group }, j) => group.mulBase(x0[j] as Scalar)),
    };
    return { seeds, ...spoil(row, commitment, x1) };
  });
  const challenge = challengeOf(scheme, made.map(({ commitment }) => commitment));
  return {
    challenge,
    rows: made.map(({ seeds, commitment, x1 }, row) => {
      const half = openedHalf(challenge, row);
      return {
        seed: seeds[half],
        scalars: half === 1 ? x1 : EMPTY,
        sealed: commitment.sealed[1 - half] as Bytes,
      };
    }),
  };
}

for (const { name, scheme, secrets } of CASES) {
  Deno.test(`proofFault() accepts what prove() makes for ${name}, and refuses every changed byte`, () => {
    const rows = 4;
    const proof = prove(scheme, secrets, rng, rows);
    assert.equal(proofFault(scheme, proof, rows), undefined);
    for (let at = 0; at < proof.challenge.length; at++) {
      const changed = { ...proof, challenge: flipped(proof.challenge, at) };
      assert.notEqual(proofFault(scheme, changed, rows), undefined);
    }
    for (const [row, published] of proof.rows.entries()) {
      for (const field of ["seed", "scalars", "sealed"] as const) {
        // The bytes of a field are alike: a few of each, and its ends.
        const step = Math.max(1, Math.floor(published[field].length / 6));
        for (let at = 0; at < published[field].length; at += step) {
          const changed = withRow(proof, row, { [field]: flipped(published[field], at) });
          assert.notEqual(proofFault(scheme, changed, rows), undefined, `${field} of row ${row}, byte ${at}`);
        }
        const longer = withRow(proof, row, { [field]: concat(published[field], new Uint8Array(1)) });
        assert.match(proofFault(scheme, longer, rows) ?? "", /another length|too many/);
      }
    }
  });

  Deno.test(`proofFault() refuses swapped, missing and repeated rows, and another subject, for ${name}`, () => {
    const rows = 6;
    const proof = prove(scheme, secrets, rng, rows);
    const bits = proof.rows.map((_, row) => openedHalf(proof.challenge, row));
    const [a, b] = [0, 1].map((half) =>
      bits.map((bit, row) => bit === half ? row : -1).filter((row) => row >= 0)
    )
      .find((list) => list.length >= 2) as [number, number];
    const swapped = proof.rows.map((row, i) =>
      i === a ? proof.rows[b] as Row : i === b ? proof.rows[a] as Row : row
    );
    assert.notEqual(proofFault(scheme, { ...proof, rows: swapped }, rows), undefined);
    assert.match(
      proofFault(scheme, { ...proof, rows: proof.rows.slice(1) }, rows) ?? "",
      /5 rows instead of 6/,
    );
    assert.match(
      proofFault(scheme, { ...proof, rows: [...proof.rows, proof.rows[0] as Row] }, rows) ?? "",
      /7 rows/,
    );
    assert.match(proofFault(scheme, proof) ?? "", /6 rows instead of 128/);
    const [first, ...others] = scheme.columns as [Column, ...Column[]];
    const shifted = { ...first, publicShare: first.publicShare.add(first.group.base) };
    assert.notEqual(proofFault({ ...scheme, columns: [shifted, ...others] }, proof, rows), undefined);
    assert.notEqual(proofFault({ ...scheme, aad: rng.bytes(32) }, proof, rows), undefined);
  });
}

Deno.test("proofFault() refuses scalars that are not below the order", () => {
  const proof = prove(single.scheme, single.secrets, rng, 8);
  const row = proof.rows.findIndex((_, i) => openedHalf(proof.challenge, i) === 1);
  const cases = [secp256k1.order, 2n ** 256n - 1n];
  for (const value of cases) {
    const changed = withRow(proof, row, { scalars: bigintToBytes(value, 32) });
    assert.match(proofFault(single.scheme, changed, 8) ?? "", /not below the group order/);
  }
});

Deno.test("proofFault() refuses rows in which one half is the secret itself", () => {
  // x1 = x, so that X0 would be the identity, which has no encoding.
  const { scheme, secrets: [x] } = single;
  const proof = prove(scheme, single.secrets, rng, 8);
  const second = proof.rows.findIndex((_, i) => openedHalf(proof.challenge, i) === 1);
  const whole = withRow(proof, second, { scalars: secp256k1.encodeScalar(x as Scalar) });
  assert.match(proofFault(scheme, whole, 8) ?? "", /half of a secret is 0/);
  const first = proof.rows.findIndex((_, i) => openedHalf(proof.challenge, i) === 0);
  const nothing = {
    ...scheme,
    draw: (row: number, seed: Bytes) => row === first ? [0n as Scalar] : scheme.draw(row, seed),
  };
  assert.match(proofFault(nothing, proof, 8) ?? "", /half of a secret is 0/);
});

Deno.test("a prover with m bad rows passes with probability 2^-m, and is found when the backup is opened", () => {
  const trials = 100, rows = 4;
  const { scheme } = single;
  for (const m of [1, 2, 3]) {
    let passed = 0;
    for (let trial = 0; trial < trials; trial++) {
      // Nothing can be recovered from the bad rows if the other half is the one that is opened.
      const proof = cheat(single, rows, (row, { sealed: [c0, c1], points }, x1) => {
        const sealed: readonly [Bytes, Bytes] = (row + trial) % 2 === 0
          ? [rng.bytes(c0.length), c1]
          : [c0, rng.bytes(c1.length)];
        return { commitment: { sealed: row < m ? sealed : [c0, c1], points }, x1 };
      });
      if (proofFault(scheme, proof, rows) !== undefined) continue;
      passed++;
      const { secrets, badRows } = recover(scheme, proof, opener(scheme), { allRows: true });
      assert.deepEqual([secrets, badRows], [single.secrets, m]);
    }
    const mean = trials / 2 ** m, deviation = Math.sqrt(mean * (1 - 2 ** -m));
    assert.ok(Math.abs(passed - mean) < 4 * deviation, `${passed} of ${trials} passed with ${m} bad rows`);
  }
});

Deno.test("a prover whose halves do not add up in one row passes just when the wrong half stays closed", () => {
  let passed = 0;
  const trials = 60;
  for (let trial = 0; trial < trials; trial++) {
    const proof = cheat(single, 2, (row, commitment, x1) => {
      if (row === 1) return { commitment, x1 };
      const wrong = secp256k1.encodeScalar(secp256k1.add(bytesToBigint(x1) as Scalar, 1n as Scalar));
      return { commitment, x1: wrong };
    });
    const fault = proofFault(single.scheme, proof, 2);
    assert.equal(fault === undefined, openedHalf(proof.challenge, 0) === 0);
    if (fault === undefined) passed++;
  }
  assert.ok(passed > 14 && passed < 46, `${passed} of ${trials}`);
});

Deno.test("recover() finds the secrets in the first row that opens, or goes on to count the bad ones", () => {
  for (const { scheme, secrets } of [single, batch]) {
    const rows = 8;
    const honest = prove(scheme, secrets, rng, rows);
    const open = opener(scheme);
    const every = { allRows: true }, first = { allRows: false };
    assert.deepEqual(recover(scheme, honest, open, first), { secrets, badRows: 0 });
    assert.deepEqual(recover(scheme, honest, open, every), { secrets, badRows: 0 });
    for (let bad = 0; bad < rows; bad++) {
      const { sealed } = honest.rows[bad] as Row;
      const damaged = withRow(honest, bad, { sealed: flipped(sealed, sealed.length - 1) });
      assert.deepEqual(recover(scheme, damaged, open, every), { secrets, badRows: 1 });
      assert.deepEqual(recover(scheme, damaged, open, first), { secrets, badRows: bad === 0 ? 1 : 0 });
    }
    const rest = honest.rows.map((row, i) => i === 5 ? row : { ...row, sealed: flipped(row.sealed, 40) });
    assert.deepEqual(recover(scheme, { ...honest, rows: rest }, open, first), { secrets, badRows: 5 });
    assert.deepEqual(recover(scheme, honest, () => undefined, first), { secrets: undefined, badRows: rows });
    for (const change of [{ seed: EMPTY }, { scalars: rng.bytes(31) }, { sealed: EMPTY }]) {
      assert.deepEqual(recover(scheme, withRow(honest, 0, change), open, first), { secrets, badRows: 1 });
    }
  }
});

Deno.test("recover() takes no row that opens to something else than the secrets", () => {
  for (const { scheme, secrets } of [single, batch]) {
    const proof = prove(scheme, secrets, rng, 8);
    const open = opener(scheme);
    const changes: ((text: Bytes) => Bytes)[] = [
      (text) => flipped(text, text.length - 1),
      (text) => text.slice(1),
      (text) => concat(text, new Uint8Array(1)),
      (text) => new Uint8Array(text.length).fill(255),
      () => EMPTY,
    ];
    for (const change of changes) {
      const lie: OpenRow = (row, half, sealed) => {
        const text = open(row, half, sealed);
        return text && row < 7 ? change(text) : text;
      };
      assert.deepEqual(recover(scheme, proof, lie, { allRows: false }), { secrets, badRows: 7 });
    }
  }
});

Deno.test("prove() refuses secrets that are not those of the public shares", () => {
  const { scheme, secrets: [x] } = single;
  assert.throws(() => prove(scheme, [secp256k1.add(x as Scalar, 1n as Scalar)], rng, 2), InvariantError);
  assert.throws(() => prove(scheme, [], rng, 2), InvariantError);
});

Deno.test("prove() shows no secret even when its generator always gives the same bytes", () => {
  const stuck = { bytes: (length: number) => new Uint8Array(length) };
  const { scheme, secrets } = single;
  const proof = prove(scheme, secrets, stuck, 16);
  const seeds = proof.rows.map(({ seed }) => seed.toHex());
  assert.equal(new Set(seeds).size, 16);
  assert.deepEqual(prove(scheme, secrets, stuck, 16), proof);
  const other = makeColumns([secp256k1]);
  const elsewhere = prove({ ...scheme, columns: other.columns }, other.secrets, stuck, 16);
  assert.ok(elsewhere.rows.every(({ seed }) => !seeds.includes(seed.toHex())));
});

Deno.test("prove() erases the seeds and scalars of the halves that stay closed", () => {
  const { scheme, secrets } = single;
  const seen: { seed: Bytes; scalars: Bytes }[] = [];
  const watched: RowScheme = {
    ...scheme,
    draw(row, seed) {
      seen[2 * row] = { seed, scalars: EMPTY };
      return scheme.draw(row, seed);
    },
    second(row, seed, scalars) {
      seen[2 * row + 1] = { seed, scalars };
      return scheme.second(row, seed, scalars);
    },
  };
  const { challenge, rows } = prove(watched, secrets, rng, 16);
  for (const [row, { seed, scalars }] of rows.entries()) {
    const half = openedHalf(challenge, row);
    const closed = seen[2 * row + 1 - half] as typeof seen[0] & object;
    assert.ok(closed.seed.every((byte) => byte === 0) && closed.scalars.every((byte) => byte === 0));
    assert.ok(seed.some((byte) => byte !== 0) && scalars.length === 32 * half);
  }
});
