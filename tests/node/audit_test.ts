import assert from "node:assert/strict";
import { decodeRecord } from "../../src/audit/events.ts";
import { readRecords } from "../../src/audit/records.ts";
import { listSegments } from "../../src/audit/segments.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import { originOf, signCheckpoint, type TreeHead } from "../../src/audit/checkpoint.ts";
import { CHECKPOINT_ANSWER, CHECKPOINT_REQUEST } from "../../src/audit/witness_messages.ts";
import { partyId } from "../../src/base/brands.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { CheaterError, TransportError } from "../../src/base/errors.ts";
import { p256 } from "../../src/math/curve.ts";
import { linkEvent, linkEventType, sessionEvents } from "../../src/node/audit_events.ts";
import { type Config, parseConfig, partyConfig } from "../../src/node/config.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import { LINK_CODES } from "../../src/transport/faults.ts";
import { Cluster, rejects, values } from "./fixture.ts";

const NAMES = ["alice", "bob"];
const POLICY = parsePolicy("2 of (alice, bob)");

function typesIn(config: Config, name: string): string[] {
  return recordsIn(config, name).map(({ type, outcome }) => `${type} ${outcome}`);
}

function recordsIn(config: Config, name: string) {
  const { audit } = partyConfig(config, name);
  return [...readRecords(listSegments(audit.directory), name)].map(({ line }) => decodeRecord(line));
}

function verify(config: Config, name: string) {
  const { audit } = partyConfig(config, name);
  const keyOf = (party: string) => ({
    name: originOf(config.cluster, party),
    verifier: config.roster.named(party).identity,
  });
  return verifyLog({ directory: audit.directory, party: name, key: keyOf(name), cosigners: [] });
}

Deno.test("a party records what it does with keys, in a log that verifies", async () => {
  using cluster = await Cluster.make(NAMES);
  const digest = sha256(utf8("message"));
  values(
    await cluster.all(NAMES, async (party) => {
      await party.generateKey({ name: "k", curve: p256, policy: POLICY });
      await party.sign({ name: "k", digest });
      await party.refreshKey({ name: "k" });
      await party.generateFrostKey({ name: "e", scheme: "ed25519", policy: POLICY });
      await party.signMessage({ name: "e", message: utf8("message") });
      await party.agreeRandom(128);
    }),
  );
  for (const name of NAMES) {
    const report = verify(cluster.config, name);
    assert.deepEqual([report.ok, report.warnings, report.checkpoints.length], [true, [], 1]);
    const records = recordsIn(cluster.config, name);
    const types = typesIn(cluster.config, name);
    const order = [
      "session_started started",
      "connection_established ok",
      "session_opened ok",
      "key_generated ok",
      "sign_requested started",
      "signature_made ok",
      "key_refreshed ok",
      "random_agreed ok",
    ].map((type) => types.indexOf(type));
    assert.deepEqual(order, order.toSorted((a, b) => a - b), types.join("\n"));
    assert.ok(!order.includes(-1), types.join("\n"));
    for (const type of ["sign_requested", "signature_made"]) {
      const digests = records.filter((record) => record.type === type)
        .map(({ details }) => (details as { digest: string }).digest);
      assert.deepEqual(digests, [digest.toHex(), digest.toHex()], "both keys sign one message");
    }
    // Whatever was started has ended, and each request was on disk before its session.
    const count = (wanted: string) => records.filter(({ type }) => type === wanted).length;
    assert.equal(count("session_started"), count("session_ended"));
    assert.equal(types[types.indexOf("sign_requested started") + 1], "session_started started");
  }
});

Deno.test("FAULTS D1: while the audit log cannot be written no session opens, and afterwards all goes on", async () => {
  using cluster = await Cluster.make(NAMES);
  values(
    await cluster.all(NAMES, async (party, name) => {
      await party.generateKey({ name: "k", curve: p256, policy: POLICY });
      const sign = () => party.sign({ name: "k", digest: new Uint8Array(32) });
      if (name === "alice") {
        const { syncDataSync } = Deno.FsFile.prototype;
        const { log } = party.local.audit;
        const commit = log.commit.bind(log);
        log.commit = (event) => {
          Deno.FsFile.prototype.syncDataSync = () => {
            throw new Error("No space left on device (os error 28)");
          };
          try {
            return commit(event);
          } finally {
            Deno.FsFile.prototype.syncDataSync = syncDataSync;
          }
        };
        await rejects(sign(), "AUDIT_UNWRITABLE", /No space left on device.*nothing is signed until it can/);
        log.commit = commit;
      }
      const { signature } = await sign();
      assert.ok(signature !== undefined);
    }),
  );
  const sessions = recordsIn(cluster.config, "alice")
    .filter(({ type, details }) =>
      type === "session_opened" && (details as { protocol: string }).protocol === "ecdsa-sign"
    );
  assert.equal(sessions.length, 1, "the request that could not be recorded opened no session");
  assert.ok(verify(cluster.config, "alice").ok);
});

Deno.test("a party whose audit log was changed does not start", async () => {
  using cluster = await Cluster.make(NAMES);
  values(await cluster.all(NAMES, (party) => party.agreeRandom(128)));
  const { audit } = partyConfig(cluster.config, "alice");
  const [segment] = listSegments(audit.directory);
  const path = segment?.path as string;
  Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replace('"agree-random"', '"agree-nothing"'));
  await rejects(
    cluster.open("alice"),
    "AUDIT_CORRUPT",
    /record 0 is not the one whose hash was kept.*audit verify/,
  );
  // Its lock is free again, and its other side is untouched.
  await rejects(cluster.open("alice"), "AUDIT_CORRUPT", /record 0/);
});

Deno.test("a session that fails is recorded with its reason", async () => {
  using cluster = await Cluster.make(NAMES);
  const alice = await cluster.open("alice", { timeoutMs: 1000 });
  await rejects(alice.agreeRandom(128), "TIMEOUT", /bob/);
  await alice.close();
  const records = recordsIn(cluster.config, "alice");
  const ended = records.find(({ type }) => type === "session_ended");
  assert.equal(ended?.outcome, "failed");
  assert.equal((ended?.details as { code: string }).code, "TIMEOUT");
  // A peer that is down is dialled again and again, and that is recorded once or twice.
  const failed = records.filter(({ type }) => type === "connection_failed");
  assert.ok(failed.length >= 1 && failed.length <= 2, `${failed.length}`);
  assert.equal(failed[0]?.remote, "bob");
});

Deno.test("[audit] says where the log is, when files end, and whether messages are recorded", async () => {
  using cluster = await Cluster.make(NAMES);
  const text = Deno.readTextFileSync(cluster.configPath);
  const section = '\n[audit]\npath = "logs/{party}"\nsegment_bytes = 4096\nwitnesses = 1\nmessages = true\n';
  const changed = parseConfig(text + section, cluster.configPath);
  const { audit } = partyConfig(changed, "bob");
  assert.deepEqual(audit, {
    directory: `${cluster.root}/demo/logs/bob`,
    segmentBytes: 4096,
    witnesses: 1,
    messages: true,
  });
  Deno.writeTextFileSync(cluster.configPath, text + section);
  Object.assign(cluster, { config: changed });
  values(await cluster.all(NAMES, (party) => party.agreeRandom(128)));
  const types = new Set(typesIn(changed, "bob"));
  assert.ok(types.has("message_sent ok") && types.has("message_received ok"), [...types].join("\n"));
  const messages = recordsIn(changed, "bob").filter(({ type }) => type === "message_sent");
  assert.ok(messages.some(({ details }) => (details as { message: string }).message === "ENVELOPE"));
  assert.throws(
    () => parseConfig(text + '\n[audit]\nmessages = "yes"\n', "x"),
    /audit\.messages must be true or false/,
  );
  assert.throws(
    () => parseConfig(text + "\n[audit]\nfile = 1\n", "x"),
    /there is no key audit\.file: expected are path,/,
  );
});

Deno.test("new keys of a link are recorded, in both directions", async () => {
  using cluster = await Cluster.make(NAMES);
  const rotation = { frames: 3, bytes: 2 ** 36, ms: 3_600_000 };
  values(await cluster.all(NAMES, (party) => party.agreeRandom(128), { transport: { rotation } }));
  const rotated = recordsIn(cluster.config, "alice").filter(({ type }) => type === "link_key_rotated");
  const directions = rotated.map(({ details }) => (details as { direction: string }).direction);
  assert.deepEqual([...new Set(directions)].sort(), ["in", "out"]);
  assert.ok(rotated.every(({ remote }) => remote === "bob"));
});

Deno.test("what a peer can repeat without end is counted, and does not fill the log", async () => {
  using cluster = await Cluster.make(NAMES);
  const alice = await cluster.open("alice");
  const { audit } = alice.local;
  const dropped: SessionEvent = {
    kind: "dropped",
    protocol: "sign",
    round: 1,
    rounds: 3,
    roundName: "x",
    deadlineMs: 0,
    participants: [partyId(1), partyId(2)],
    waitingFor: [],
    peer: partyId(2),
    why: "a message of no round",
  };
  for (let i = 0; i < 40; i++) {
    audit.link({ code: "LINK_UP", peer: "bob", direction: "in", address: `127.0.0.1:${i}`, text: "up" });
    audit.session(dropped);
  }
  await alice.close();
  const records = recordsIn(cluster.config, "alice");
  const repeated = (wanted: string) =>
    records.filter(({ type }) => type === wanted).map(({ details }) =>
      (details as { repeated?: number }).repeated ?? 0
    );
  assert.deepEqual(repeated("connection_established"), [...Array.from({ length: 16 }, () => 0), 23]);
  assert.deepEqual(repeated("message_invalid"), [0, 38]);
});

Deno.test("parties witness each other's logs, and audit verify counts them", async () => {
  using cluster = await Cluster.make(NAMES);
  values(await cluster.all(NAMES, (party) => party.agreeRandom(128)));
  const alice = await cluster.open("alice");
  const bob = await cluster.open("bob");
  const witness = bob.local.audit.witness(bob.local.identity());
  const ask = (_: string, request: Uint8Array) => Promise.resolve(witness.handle("alice", request));
  const [outcome] = await alice.local.audit.cosign(ask);
  assert.deepEqual([outcome?.peer, outcome?.kind], ["bob", "cosigned"]);
  const { config } = cluster;
  const keyOf = (party: string) => ({
    name: originOf(config.cluster, party),
    verifier: config.roster.named(party).identity,
  });
  const { audit } = partyConfig(config, "alice");
  const log = { directory: audit.directory, party: "alice", key: keyOf("alice"), witnesses: 1 };
  assert.ok(verifyLog({ ...log, cosigners: [keyOf("bob")] }).ok);
  // Alice's log with another last record, signed with her key.
  const head = alice.local.audit.log.signed as TreeHead;
  const checkpoint = signCheckpoint({ ...head, root: new Uint8Array(32) }, alice.local.identity());
  const request = encode(CHECKPOINT_REQUEST, { from: head.size, proof: [], checkpoint });
  assert.equal(
    (decode(CHECKPOINT_ANSWER, witness.handle("alice", request)) as { reason: string }).reason,
    "fork",
  );
  await alice.close();
  await bob.close();
  const alarm = recordsIn(config, "bob").find(({ type }) => type === "audit_witness_alarm");
  assert.deepEqual([alarm?.remote, alarm?.details], [
    "alice",
    { reason: "fork", size: head.size, offered: head.size, conclusive: true },
  ]);
});

Deno.test("linkEvent() gives every reason class of the transport a type that fits it", () => {
  const expected: Readonly<Record<string, string>> = {
    SEQUENCE: "replay_refused",
    SEAL_NONCE: "replay_refused",
    SEAL_MAC: "encryption_failed",
    FRAME_INVALID: "message_invalid",
    CERT_EXPIRED: "authentication_failed",
    PIN_MISMATCH: "authentication_failed",
    PEER_IDENTITY_MISMATCH: "authentication_failed",
    HELLO_SIGNATURE: "authentication_failed",
    TLS_FAILED: "connection_failed",
    DIAL_FAILED: "connection_failed",
    DEADLINE_HELLO: "connection_failed",
    EVICTED: "rate_limited",
    SILENT: "connection_closed",
    INTERNAL: "link_fault",
  };
  for (const [code, type] of Object.entries(expected)) {
    assert.ok(code in LINK_CODES, code);
    assert.equal(linkEventType(code), type, code);
  }
  const event = {
    code: "CERT_EXPIRED",
    peer: "bob",
    direction: "in",
    address: "10.0.0.1:5",
    text: "expired",
  } as const;
  assert.deepEqual(linkEvent(event, 3), {
    type: "authentication_failed",
    outcome: "refused",
    remote: "bob",
    details: { code: "CERT_EXPIRED", reason: "expired", direction: "in", address: "10.0.0.1:5", repeated: 3 },
  });
  assert.deepEqual(linkEvent({ code: "LINK_UP", text: "up" }, 0), {
    type: "connection_established",
    outcome: "ok",
    details: {},
  });
  const again = { type: "connection_established", outcome: "ok", details: { repeated: 2 } };
  assert.deepEqual(linkEvent({ code: "LINK_UP", text: "up" }, 2), again);
  const rotated = { code: "KEY_ROTATED", peer: "bob", direction: "in", epoch: 4, text: "new keys" } as const;
  assert.deepEqual(linkEvent(rotated, 0), {
    type: "link_key_rotated",
    outcome: "ok",
    remote: "bob",
    details: { direction: "in", epoch: 4 },
  });
  assert.deepEqual(linkEvent(rotated, 5)?.details, { direction: "in", epoch: 4, repeated: 5 });
  assert.equal(linkEvent({ code: "LISTENING", text: "" }, 0), undefined);
});

Deno.test("a session that is told of its first round with each message of it is recorded once", async () => {
  using cluster = await Cluster.make(NAMES);
  const alice = await cluster.open("alice");
  const base = {
    protocol: "sign",
    rounds: 4,
    roundName: "",
    participants: [1, 2],
    waitingFor: [],
    deadlineMs: 0,
  };
  const told = (kind: SessionEvent["kind"], sid: number) =>
    alice.local.audit.session(
      { ...base, kind, round: 1, sid: new Uint8Array(32).fill(sid) } as unknown as SessionEvent,
    );
  for (const sid of [1, 1, 2, 1]) told("round", sid);
  told("done", 1);
  told("done", 2);
  told("round", 2);
  await alice.close();
  const types = recordsIn(cluster.config, "alice").map(({ type, session }) =>
    `${type} ${session?.slice(-1)}`
  );
  assert.deepEqual(types, [
    ...["session_opened 1", "session_opened 2", "session_ended 1", "session_ended 2", "session_opened 2"],
  ]);
});

Deno.test("sessionEvents() records evidence, unknown outcomes and messages that were not accepted", () => {
  const base = {
    protocol: "sign",
    round: 2,
    rounds: 4,
    roundName: "",
    participants: [1, 2],
    waitingFor: [],
    deadlineMs: 0,
  } as unknown as SessionEvent;
  const nameOf = (index: number) => ["", "alice", "bob"][index] as string;
  assert.deepEqual(sessionEvents({ ...base, kind: "round" }, nameOf), []);
  assert.deepEqual(sessionEvents({ ...base, kind: "opening" }, nameOf), []);
  const [opened] = sessionEvents({ ...base, kind: "round", round: 1 }, nameOf);
  assert.deepEqual(opened?.details, { protocol: "sign", participants: ["alice", "bob"] });
  const [dropped] = sessionEvents(
    { ...base, kind: "dropped", peer: 2, why: "twice" } as SessionEvent,
    nameOf,
  );
  assert.deepEqual([dropped?.type, dropped?.remote, (dropped?.details as { reason: string }).reason], [
    "message_invalid",
    "bob",
    "twice",
  ]);
  const error = new CheaterError({ code: "CHEATED", round: 2, culprits: [2], what: "a check" });
  const evidence = [{
    sid: new Uint8Array(32),
    protocol: "sign",
    culprit: 2,
    kind: "message",
    envelopes: [],
  }];
  const failed = sessionEvents(
    { ...base, kind: "failed", error, evidence } as unknown as SessionEvent,
    nameOf,
  );
  assert.deepEqual(failed.map(({ type, outcome, remote }) => [type, outcome, remote]), [
    ["evidence_recorded", "failed", "bob"],
    ["session_ended", "failed", undefined],
  ]);
  const outcomes = (["OUTCOME_UNKNOWN", "PEER_REFUSED", "TIMEOUT"] as const).map((code) =>
    sessionEvents({ ...base, kind: "failed", error: new TransportError(code, "x") }, nameOf)[0]?.outcome
  );
  assert.deepEqual(outcomes, ["unknown", "refused", "failed"]);
});
