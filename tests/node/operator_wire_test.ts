import assert from "node:assert/strict";
import { partyId, sessionId } from "../../src/base/brands.ts";
import { CheaterError, TransportError, UsageError } from "../../src/base/errors.ts";
import {
  decodeEvent,
  decodeJson,
  encodeEvent,
  encodeJson,
  errorFromJson,
  errorFromText,
  errorToJson,
  type OperatorEvent,
} from "../../src/node/operator_wire.ts";
import type { SessionEvent } from "../../src/session/context.ts";

const SESSION: SessionEvent = {
  kind: "round",
  protocol: "ecdsa-sign",
  sid: sessionId(new Uint8Array(32).fill(7)),
  round: 2,
  rounds: 3,
  roundName: "multiply",
  participants: [partyId(1), partyId(2)],
  waitingFor: [partyId(2)],
  deadlineMs: 1500,
};

const again = (event: OperatorEvent) => decodeEvent(encodeEvent(event).trimEnd());

Deno.test("decodeEvent() gives what encodeEvent() was given, on one line", () => {
  const events: OperatorEvent[] = [
    { event: "session", session: SESSION },
    { event: "session", session: { ...SESSION, peer: partyId(2), why: "late" } },
    { event: "link", link: { code: "LINK_UP", peer: "bob", direction: "out", address: "x:1", text: "a\nb" } },
    { event: "warn", text: "a sentence\nand another" },
    { event: "data", data: { a: [1, { bytes: new Uint8Array([1]) }] } },
    { event: "result", value: null },
  ];
  for (const event of events) {
    assert.equal(encodeEvent(event).indexOf("\n"), encodeEvent(event).length - 1);
    assert.deepEqual(again(event), event);
  }
});

Deno.test("an error keeps its code, sentence and parties; its class only where it says of whom it is", () => {
  const timeout = new TransportError("TIMEOUT", "bob is late", { party: "bob", parties: [partyId(2)] });
  const told = errorFromJson(errorToJson(timeout));
  assert.ok(told instanceof TransportError);
  assert.deepEqual([told.code, told.message, told.party, told.parties], ["TIMEOUT", "bob is late", "bob", [
    2,
  ]]);
  const cheated = new CheaterError({
    code: "INVALID_MESSAGE",
    round: 2,
    culprits: [2],
    what: "a proof is wrong",
  });
  assert.deepEqual([errorFromJson(errorToJson(cheated)).code, errorFromJson(errorToJson(cheated)).exitCode], [
    cheated.code,
    cheated.exitCode,
  ]);
  const failed = again({ event: "session", session: { ...SESSION, kind: "failed", error: timeout } });
  assert.ok(failed.event === "session" && failed.session.error?.message === "bob is late");
});

Deno.test("an error of a newer node is one that nobody knows here", () => {
  const { code, message } = errorFromJson({ code: "BROKEN_IN_A_NEW_WAY", message: "what to do" });
  assert.deepEqual([code, message], ["INVARIANT", "what to do"]);
  assert.equal(errorFromJson({ code: "toString", message: "" }).code, "INVARIANT");
});

Deno.test("decodeJson() reads bytes, and refuses what is not JSON or has bytes that are none", () => {
  const value = { a: new Uint8Array([1, 2, 3]), b: [new Uint8Array(0)], c: "x" };
  assert.deepEqual(decodeJson(encodeJson(value)), value);
  assert.equal(encodeJson(undefined), "null");
  assert.equal(encodeJson({ n: 2n ** 64n }), '{"n":"18446744073709551616"}');
  for (const text of ["", "{", '{"base64":"A"}']) {
    assert.throws(() => decodeJson(text), { code: "USAGE", message: /not the JSON/ }, text);
  }
  // Whatever else has that name stays as it is.
  assert.deepEqual(decodeJson('{"base64":"AA==","more":1}'), { base64: "AA==", more: 1 });
});

Deno.test("decodeEvent() refuses events that are none", () => {
  const cases = [
    '{"event":"dance"}',
    "[]",
    "1",
    '{"event":"warn"}',
    '{"event":"error","error":{"code":1,"message":""}}',
    '{"event":"session","session":{"kind":"round"}}',
    '{"event":"link","link":{"code":"X","text":"","direction":"up"}}',
  ];
  for (const line of cases) {
    assert.throws(() => decodeEvent(line), { code: "USAGE", message: /this version does not know/ }, line);
  }
});

Deno.test("a session id that is none is left out, and an index that is none refused", () => {
  const line = (change: object) =>
    JSON.stringify({ event: "session", session: { ...SESSION, sid: undefined, ...change } });
  const event = decodeEvent(line({ sid: "0102" }));
  assert.ok(event.event === "session" && event.session.sid === undefined);
  assert.throws(() => decodeEvent(line({ waitingFor: [0] })));
});

Deno.test("errorFromText() reads the answer of a node that refuses, and knows one that is none", () => {
  const refused = errorFromText('{"error":{"code":"PARTY_BUSY","message":"it stops"}}');
  assert.ok(refused instanceof UsageError);
  assert.deepEqual([refused.code, refused.message], ["PARTY_BUSY", "it stops"]);
  assert.match(errorFromText('{"err":1}').message, /this version does not know/);
  assert.throws(() => errorFromText("<html>"), { code: "USAGE" });
});
