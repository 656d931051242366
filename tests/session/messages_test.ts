import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import { ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import { CheaterError, CODES, TransportError, UsageError } from "../../src/base/errors.ts";
import type { Round } from "../../src/protocols/protocol.ts";
import { envelopeDigest } from "../../src/session/envelope.ts";
import { RoundTable } from "../../src/session/envelope_store.ts";
import { encodeAbort, farewellOf } from "../../src/session/farewell.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import {
  abortCodec,
  firstDifference,
  openCodec,
  openDigest,
  type OpenMessage,
  printable,
  proposalHash,
  readyDigest,
  refusedCodec,
  sessionIdOf,
  type WireProposal,
} from "../../src/session/messages.ts";
import { makeRoster } from "../../src/session/roster.ts";
import { CLOSE, SAY } from "./support.ts";

const BASE: WireProposal = {
  protocol: "toy",
  version: 1,
  params: [{ name: "curve", value: utf8("secp256k1") }],
  rosterHash: filled(1),
  policyHash: filled(2),
  keyId: filled(3),
  epoch: 4,
  participants: [1, 2],
  payload: [{ name: "message", value: utf8("pay 1") }],
  request: filled(5),
};
const CHANGES: readonly [string, Partial<WireProposal>, string, string][] = [
  ["protocol", { protocol: "other" }, "toy", "other"],
  ["protocol version", { version: 2 }, "1", "2"],
  ["roster", { rosterHash: filled(9) }, "0101010101010101…", "0909090909090909…"],
  ["set of participants", { participants: [1, 3] }, "alice,bob", "alice,carol"],
  ["curve", { params: [{ name: "curve", value: utf8("p256") }] }, "secp256k1", "p256"],
  ["curve", { params: [] }, "secp256k1", "nothing"],
  ["key", { keyId: filled(9) }, "0303030303030303…", "0909090909090909…"],
  ["epoch", { epoch: 5 }, "4", "5"],
  ["policy", { policyHash: filled(9) }, "0202020202020202…", "0909090909090909…"],
  ["message", { payload: [{ name: "message", value: utf8("pay 2") }] }, "pay 1", "pay 2"],
  ["request", { request: filled(9) }, "0505050505050505…", "0909090909090909…"],
];
const NAMES = ["alice", "bob", "carol"];

Deno.test("proposalHash() binds every field, and firstDifference() names it with both values", () => {
  const hashes = new Set([proposalHash(BASE).toHex()]);
  for (const [field, change, ours, theirs] of CHANGES) {
    const other = { ...BASE, ...change };
    hashes.add(proposalHash(other).toHex());
    const difference = firstDifference(BASE, other, (party) => NAMES[party - 1] as string);
    assert.deepEqual(difference, { field, ours, theirs });
  }
  assert.equal(hashes.size, CHANGES.length + 1);
  const facts = [{ name: "a", value: utf8("1") }, { name: "b", value: utf8("2") }];
  const swapped = firstDifference(
    { ...BASE, params: facts },
    { ...BASE, params: facts.toReversed() },
    String,
  );
  assert.equal(swapped.field, "order of its facts");
});

Deno.test("firstDifference() always fits a refusal, whatever the names are", () => {
  const many = Array.from({ length: 64 }, (_, i) => i + 1);
  const { field, ours, theirs } = firstDifference(
    { ...BASE, participants: many },
    { ...BASE, participants: many.slice(1), payload: [] },
    () => "名前".repeat(10),
  );
  const parties = many;
  const rest = {
    prop: filled(1),
    nonce: filled(1),
    otherProp: filled(1),
    otherNonce: filled(1),
    parties,
    code: "TIMEOUT",
  };
  assert.ok(encode(refusedCodec, { ...rest, field, ours, theirs, ourCommand: "" }).length > 0);
});

Deno.test("openDigest(), readyDigest() and sessionIdOf() bind each of their parts", () => {
  const entry = { nonce: filled(1), offerHash: filled(2), signature: new Uint8Array(64) };
  const digests = [
    openDigest(1, filled(3), entry),
    openDigest(2, filled(3), entry),
    openDigest(1, filled(4), entry),
    openDigest(1, filled(3), { ...entry, nonce: filled(9) }),
    openDigest(1, filled(3), { ...entry, offerHash: filled(9) }),
    readyDigest(1, filled(3), [entry]),
    readyDigest(2, filled(3), [entry]),
    readyDigest(1, filled(4), [entry]),
    readyDigest(1, filled(3), [entry, entry]),
    readyDigest(1, filled(3), [{ ...entry, nonce: filled(9) }]),
  ];
  const open = (nonce: Bytes, offer: Bytes) => ({ nonce, offer }) as OpenMessage;
  const [a, b] = [open(filled(1), utf8("x")), open(filled(2), utf8("y"))];
  digests.push(
    sessionIdOf(filled(3), [a, b]),
    sessionIdOf(filled(4), [a, b]),
    sessionIdOf(filled(3), [b, a]),
    sessionIdOf(filled(3), [open(filled(9), a.offer), b]),
    sessionIdOf(filled(3), [open(a.nonce, utf8("z")), b]),
  );
  assert.equal(new Set(digests.map((digest) => digest.toHex())).size, digests.length);
});

Deno.test("envelopeDigest() binds session, protocol, round, sender, receiver, echo and body", () => {
  const sid = filled(1) as Parameters<typeof envelopeDigest>[0];
  const envelope = { round: 1, from: partyId(1), to: 0, echo: filled(2), body: utf8("x") };
  const digests = [
    envelopeDigest(sid, "toy", envelope),
    envelopeDigest(filled(9) as typeof sid, "toy", envelope),
    envelopeDigest(sid, "other", envelope),
    ...[{ round: 2 }, { from: partyId(2) }, { to: 1 }, { echo: filled(9) }, { body: utf8("y") }].map((
      change,
    ) => envelopeDigest(sid, "toy", { ...envelope, ...change })),
  ];
  assert.equal(new Set(digests.map((digest) => digest.toHex())).size, digests.length);
});

Deno.test("printable() removes what could steer a terminal and cuts between characters", () => {
  assert.equal(printable("a\u001b[31mb\r\n\u202ec\u2028", 100), "a?[31mb???c?");
  assert.equal(printable("short", 5), "short");
  for (const text of ["名前".repeat(40), "😀".repeat(40), "e\u0301".repeat(90)]) {
    const cut = printable(text, 50);
    assert.ok(utf8(cut).length <= 50 && cut.endsWith("…"), cut);
    assert.ok(!cut.includes("\ufffd"));
  }
});

Deno.test("farewellOf() tells peers nothing of our own state", () => {
  const roster = rosterOf(3);
  const quiet = ["PAIR_BURNED", "INVARIANT", "STORE_UNWRITABLE", "STORE_CORRUPT", "SHARE_ROLLBACK"] as const;
  for (const code of quiet) {
    const error = new CheaterError({ code, round: 1, culprits: [2], what: "a secret reason" });
    assert.deepEqual(farewellOf(error, roster), {
      code: "CANCELLED",
      parties: [],
      text: CODES.CANCELLED.meaning,
    });
  }
  const cheated = farewellOf(
    new CheaterError({ code: "CHEATED", round: 1, culprits: [2], what: "detail" }),
    roster,
  );
  assert.deepEqual(cheated, { code: "CHEATED", parties: [2], text: `bob: ${CODES.CHEATED.meaning}` });
  assert.deepEqual(farewellOf(new UsageError("KEY_EXISTS", "detail"), roster).text, CODES.KEY_EXISTS.meaning);
});

Deno.test("encodeAbort() fits its cap with as much evidence as there is room for", () => {
  const roster = rosterOf(64, "name".repeat(14));
  const parties = roster.parties.map(({ index }) => index);
  const farewell = farewellOf(new TransportError("TIMEOUT", "x", { parties }), roster);
  const sid = filled(1) as Parameters<typeof encodeAbort>[0];
  for (const size of [10, 5_000, 61_440, 70_000]) {
    const abort = encodeAbort(sid, farewell, Array.from({ length: 100 }, () => new Uint8Array(size)));
    assert.ok(abort.length <= SessionLimits.abortBytesMax, `${size}: ${abort.length}`);
    assert.ok(abort.length > Math.min(64, Math.floor(61_440 / size)) * size);
  }
  assert.ok(abortCodec.sizeMax > SessionLimits.abortBytesMax, "the cap is the smaller one");
  assert.ok(openCodec.sizeMax > SessionLimits.openBytesMax);
});

Deno.test("RoundTable refuses rounds that it could not tell apart or echo", () => {
  const rounds = (...all: Partial<Round>[]) => () =>
    new RoundTable(all.map((r) => ({ ...SAY, echo: "none", ...r }) as Round));
  assert.throws(rounds({ number: 1 }, { number: 1 }), /ascend/);
  assert.throws(rounds({ number: 0 }), /ascend/);
  assert.throws(rounds({ number: 128 }), /ascend/);
  assert.throws(rounds({ number: 1, echo: "next" }), /carry its echo/);
  const table = new RoundTable([SAY, CLOSE] as Round[]);
  assert.deepEqual([table.count, table.echoed, table.carriesEcho(1), table.carriesEcho(2)], [
    2,
    [1],
    false,
    true,
  ]);
});

Deno.test("makeRoster() refuses identity keys that are invalid or shared, and names that are", () => {
  const [a, b] = ["a", "b"].map((seed) => ed25519Signer(sha256(utf8(seed))).publicKey) as [Bytes, Bytes];
  const roster = makeRoster("c", [{ name: "alice", identity: a }, { name: "bob", identity: b }]);
  assert.equal(roster.named("bob").index, 2);
  assert.equal(roster.nameOf(0), "party 0");
  assert.throws(() => roster.get(partyId(3)), /there is no party with index 3/);
  assert.throws(() => roster.named("carol"), /alice, bob are/);
  const identityOne = new Uint8Array(32);
  identityOne[0] = 1;
  for (const identity of [identityOne, new Uint8Array(31), filled(255)]) {
    assert.throws(() => makeRoster("c", [{ name: "alice", identity }]), /not a valid Ed25519 public key/);
  }
  assert.throws(
    () => makeRoster("c", [{ name: "alice", identity: a }, { name: "bob", identity: a }]),
    /share/,
  );
  assert.throws(
    () => makeRoster("c", [{ name: "alice", identity: a }, { name: "alice", identity: b }]),
    /share/,
  );
  const hashes = [
    roster,
    makeRoster("d", [{ name: "alice", identity: a }, { name: "bob", identity: b }]),
    makeRoster("c", [{ name: "bob", identity: b }, { name: "alice", identity: a }]),
    makeRoster("c", [{ name: "alice", identity: b }, { name: "bob", identity: a }]),
    makeRoster("c", [{ name: "alice", identity: a }]),
    makeRoster("c", [{ name: "alic", identity: a }, { name: "ebob", identity: b }]),
  ].map(({ hash }) => hash.toHex());
  assert.equal(new Set(hashes).size, hashes.length);
});

function filled(byte: number): Bytes {
  return new Uint8Array(32).fill(byte);
}

function rosterOf(n: number, suffix = "") {
  return makeRoster(
    "c",
    Array.from({ length: n }, (_, i) => ({
      name: `${NAMES[i] ?? `party${i}`}${suffix}`,
      identity: ed25519Signer(sha256(utf8(`${i}`))).publicKey,
    })),
  );
}
