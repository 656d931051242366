import assert from "node:assert/strict";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { Oid, readLeaf, readRevocationList } from "../../src/transport/certificate.ts";
import { der, DerTag } from "../../src/transport/der.ts";

const oid = (hex: string) => der(DerTag.oid, Uint8Array.fromHex(hex));
const sequence = (...parts: Bytes[]) => der(DerTag.sequence, ...parts);
const integer = (...bytes: number[]) => der(DerTag.integer, Uint8Array.from(bytes));
const time = (text: string) => der(DerTag.generalizedTime, utf8(text));
const TRUE = der(DerTag.boolean, Uint8Array.of(0xff));
const NAME = sequence(utf8("") as Bytes);
const ECDSA = sequence(oid(Oid.ecdsaWithSha256));

function extension(hex: string, value: Bytes, options: { critical?: boolean; more?: Bytes[] } = {}): Bytes {
  const critical = options.critical === true ? [TRUE] : [];
  return sequence(oid(hex), ...critical, der(DerTag.octetString, value), ...options.more ?? []);
}

const USAGE = extension(Oid.extendedKeyUsage, sequence(oid(Oid.serverAuth)));

function leaf(extensions: Bytes[], more: Bytes[] = []): Bytes {
  return sequence(sequence(
    der(0xa0, integer(2)),
    integer(0x41, 0x42),
    ECDSA,
    NAME,
    sequence(time("20250101000000Z"), time("20260101000000Z")),
    NAME,
    NAME,
    der(0xa3, sequence(...extensions)),
    ...more,
  ));
}

Deno.test("readLeaf() reads serial, dates, usage and names", () => {
  const names = sequence(der(0x86, utf8("quorate://a/b")), der(0x82, utf8("host")), der(0x86, utf8("x:y")));
  const fields = readLeaf(leaf([
    USAGE,
    extension(Oid.subjectAltName, names, { critical: true }),
    extension(Oid.basicConstraints, sequence(TRUE)),
    extension("2a0304", new Uint8Array()),
  ]));
  assert.deepEqual(fields, {
    serial: "4142",
    notBefore: Date.UTC(2025, 0, 1),
    notAfter: Date.UTC(2026, 0, 1),
    isAuthority: true,
    extendedKeyUsage: [Oid.serverAuth],
    uriNames: ["quorate://a/b", "x:y"],
  });
});

const BAD_LEAVES: readonly (readonly [string, Bytes])[] = [
  ["an extension twice", leaf([USAGE, USAGE])],
  ["an unknown critical extension", leaf([extension("2a0304", new Uint8Array(), { critical: true })])],
  ["an extension with a fourth field", leaf([extension(Oid.extendedKeyUsage, sequence(), { more: [TRUE] })])],
  ["something behind its extensions", leaf([USAGE], [TRUE])],
];

for (const [what, bytes] of BAD_LEAVES) {
  Deno.test(`readLeaf() refuses a certificate with ${what}`, () => {
    assert.throws(() => readLeaf(bytes), { name: "DecodeError" });
  });
}

interface ListParts {
  readonly version?: Bytes[];
  readonly inner?: Bytes;
  readonly outer?: Bytes;
  readonly next?: Bytes[];
  readonly entries?: Bytes[];
  readonly extensions?: Bytes[];
  readonly more?: Bytes[];
  readonly signature?: Bytes;
  readonly behind?: Bytes[];
}

function list(parts: ListParts = {}): Bytes {
  return sequence(
    sequence(
      ...parts.version ?? [integer(1)],
      parts.inner ?? ECDSA,
      NAME,
      time("20250101000000Z"),
      ...parts.next ?? [time("20250201000000Z")],
      ...parts.entries === undefined ? [] : [sequence(...parts.entries)],
      ...parts.extensions === undefined ? [] : [der(0xa0, sequence(...parts.extensions))],
      ...parts.more ?? [],
    ),
    parts.outer ?? ECDSA,
    parts.signature ?? der(DerTag.bitString, Uint8Array.of(0, 1, 2)),
    ...parts.behind ?? [],
  );
}

const entry = (...more: Bytes[]) => sequence(integer(0x41), time("20250101000000Z"), ...more);

Deno.test("readRevocationList() reads dates, serials and what is signed", () => {
  const harmless = extension("551d15", new Uint8Array());
  const fields = readRevocationList(
    list({ entries: [entry(), entry(sequence(harmless))], extensions: [harmless] }),
  );
  assert.equal(fields.thisUpdate, Date.UTC(2025, 0, 1));
  assert.equal(fields.nextUpdate, Date.UTC(2025, 1, 1));
  assert.deepEqual([...fields.revoked], ["41"]);
  assert.equal(fields.algorithm, Oid.ecdsaWithSha256);
  assert.deepEqual(new Uint8Array(fields.signature), Uint8Array.of(1, 2));
  assert.equal(readRevocationList(list()).revoked.size, 0);
});

const critical = extension("551d1b", new Uint8Array(), { critical: true });
const BAD_LISTS: readonly (readonly [string, Bytes])[] = [
  ["without nextUpdate", list({ next: [] })],
  ["of version 1", list({ version: [integer(0)] })],
  ["with two algorithms", list({ outer: sequence(oid(Oid.ed25519)) })],
  ["that covers only a part (critical extension)", list({ extensions: [critical] })],
  ["whose entries are of other issuers (critical extension)", list({ entries: [entry(sequence(critical))] })],
  ["with something behind its extensions", list({ extensions: [], more: [TRUE] })],
  ["with something behind its signature", list({ behind: [TRUE] })],
  [
    "whose signature is not a whole number of bytes",
    list({ signature: der(DerTag.bitString, Uint8Array.of(1, 1, 2)) }),
  ],
];

for (const [what, bytes] of BAD_LISTS) {
  Deno.test(`readRevocationList() refuses a list ${what}`, () => {
    assert.throws(() => readRevocationList(bytes), { name: "DecodeError" });
  });
}
