import assert from "node:assert/strict";
import { keyId, partyId, sessionId } from "../../src/base/brands.ts";
import {
  CheaterError,
  CODES,
  invariant,
  InvariantError,
  QuorateError,
  TransportError,
  UsageError,
} from "../../src/base/errors.ts";

Deno.test("CODES have a documented exit code and meaning each", () => {
  for (const [code, { exit, meaning }] of Object.entries(CODES)) {
    assert.match(code, /^[A-Z][A-Z0-9_]+$/);
    assert.ok([1, 2, 3, 4, 64, 65, 69, 73, 77, 78].includes(exit), code);
    assert.ok(meaning.length > 10 && !meaning.endsWith("."), code);
  }
});

Deno.test("errors carry code, party, cause and exit code", () => {
  const cause = new Error("cause");
  const usage = new UsageError("KEY_EXISTS", "a sentence", { party: "bob", cause });
  assert.ok(usage instanceof QuorateError);
  assert.deepEqual([usage.name, usage.code, usage.party, usage.cause], [
    "UsageError",
    "KEY_EXISTS",
    "bob",
    cause,
  ]);
  assert.equal(usage.exitCode, CODES.KEY_EXISTS.exit);
  assert.ok(!("cause" in new UsageError("USAGE", "a sentence")));
  const transport = new TransportError("TIMEOUT", "a sentence", { parties: [2, 3] });
  assert.deepEqual([transport.parties, transport.exitCode], [[2, 3], 4]);
  assert.deepEqual(new TransportError("TIMEOUT", "a sentence").parties, []);
});

Deno.test("CheaterError says round, culprits and check, or that nobody can be named", () => {
  const named = new CheaterError({ code: "CHEATED", round: 2, culprits: [1, 3], what: "its proof is wrong" });
  assert.equal(named.message, "round 2: party 1, 3: its proof is wrong");
  assert.deepEqual([named.round, named.culprits, named.what], [2, [1, 3], "its proof is wrong"]);
  const nobody = new CheaterError({
    code: "UNATTRIBUTABLE",
    round: 3,
    culprits: [],
    what: "the sum is wrong",
  });
  assert.equal(nobody.message, "round 3: the sum is wrong; nobody can be named");
});

Deno.test("invariant() throws InvariantError where its condition fails", () => {
  invariant(true, "holds");
  assert.throws(() => invariant(false, "broken"), (error) => {
    return error instanceof InvariantError && error.code === "INVARIANT" && error.message === "broken";
  });
});

Deno.test("partyId(), sessionId() and keyId() make their brand of the right values only", () => {
  assert.equal(partyId(1), 1);
  assert.equal(partyId(65535), 65535);
  for (const bad of [0, -1, 65536, 1.5, NaN]) assert.throws(() => partyId(bad), { code: "USAGE" });
  for (const make of [sessionId, keyId]) {
    assert.equal(make(new Uint8Array(32)).length, 32);
    for (const length of [0, 31, 33]) assert.throws(() => make(new Uint8Array(length)), { code: "USAGE" });
  }
});
