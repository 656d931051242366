import assert from "node:assert/strict";
import { AUDIT_EVENTS, type AuditEvent, decodeRecord, encodeRecord } from "../../src/audit/events.ts";
import { canonicalJson, type Json } from "../../src/audit/canonical.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";

const place = { index: 7, time: 1_700_000_000_123, party: "alice" };

Deno.test("every type of event is written and read again", () => {
  const values = { text: "a", count: 3, flag: true, texts: ["a", "b"] };
  for (const [type, kinds] of Object.entries(AUDIT_EVENTS)) {
    for (const isFull of [true, false]) {
      const details = Object.fromEntries(
        Object.entries(kinds).filter(([, kind]) => isFull || !kind.endsWith("?"))
          .map(([name, kind]) => [name, values[kind.replace("?", "") as keyof typeof values]]),
      );
      const event = { type, outcome: "ok", remote: "bob", session: "00ff", details } as unknown as AuditEvent;
      const record = decodeRecord(utf8(encodeRecord(event, place)));
      assert.deepEqual(record, {
        ...event,
        v: 1,
        index: 7,
        time: "2023-11-14T22:13:20.123Z",
        party: "alice",
      });
    }
  }
});

Deno.test("the events of a transport's audit log all have a type", () => {
  // The list of seeds/network.md, section 5.
  const types: (keyof typeof AUDIT_EVENTS)[] = [
    "message_sent",
    "message_received",
    "connection_established",
    "connection_failed",
    "authentication_failed",
    "rate_limited",
    "encryption_failed",
    "replay_refused",
    "link_key_rotated",
    "security_event",
  ];
  for (const type of types) assert.ok(type in AUDIT_EVENTS);
});

Deno.test("decodeRecord() refuses every record in which one thing is not as it should be", () => {
  const right: Record<string, Json> = {
    v: 1,
    index: 0,
    time: "2026-01-31T12:00:00.000Z",
    party: "alice",
    type: "signature_made",
    outcome: "ok",
    details: { key: "k", keyId: "00", epoch: 1, digest: "00", signers: ["alice"] },
  };
  decodeRecord(utf8(canonicalJson(right)));
  const details = right["details"] as Record<string, Json>;
  const wrong: readonly (readonly [Record<string, Json | undefined>, RegExp])[] = [
    [{ v: 2 }, /the version/],
    [{ index: -1 }, /the index/],
    [{ index: 1.5 }, /the index/],
    [{ time: "2026-01-31T12:00:00Z" }, /the time/],
    [{ time: "now" }, /the time/],
    [{ time: 5 }, /the time/],
    [{ party: undefined }, /names its party/],
    [{ outcome: "good" }, /the outcome/],
    [{ remote: 5 }, /remote and session/],
    [{ session: 5 }, /remote and session/],
    [{ type: "toString" }, /the type/],
    [{ type: 5 }, /the type/],
    [{ other: 1 }, /no field other/],
    [{ details: undefined }, /the details of a record/],
    [{ details: [] }, /the details of a record/],
    [{ details: { ...details, more: 1 } }, /signature_made has no detail more/],
    [{ details: { ...details, key: 5 } }, /key of signature_made/],
    [{ details: { ...details, epoch: -1 } }, /epoch of signature_made/],
    [{ details: { ...details, signers: "alice" } }, /signers of signature_made/],
    [{ details: { ...details, signers: [5] } }, /signers of signature_made/],
    [
      { type: "key_reshared", details: { key: "k", keyId: "00", epoch: 1, member: 1 } },
      /member of key_reshared/,
    ],
  ];
  for (const [change, words] of wrong) {
    const line = utf8(canonicalJson({ ...right, ...change } as Json));
    assert.throws(
      () => decodeRecord(line),
      (error) => error instanceof DecodeError && words.test(error.message),
      String(words),
    );
  }
  for (const line of [utf8("5"), utf8("[]"), new Uint8Array([255]), new Uint8Array(300_000)]) {
    assert.throws(() => decodeRecord(line), DecodeError);
  }
});

Deno.test("docs/audit.md has every type of event once, and no other", () => {
  const doc = Deno.readTextFileSync(new URL("../../docs/audit.md", import.meta.url));
  const [, table = ""] = /^\| type \| when \|\n(.*?)\n\n/ms.exec(doc) ?? [];
  const listed = table.split("\n").flatMap((line) =>
    [...(line.split("|")[1] ?? "").matchAll(/`([a-z_]+)`/g)].map(([, type]) => type as string)
  );
  assert.deepEqual(listed.toSorted(), Object.keys(AUDIT_EVENTS).sort());
});
