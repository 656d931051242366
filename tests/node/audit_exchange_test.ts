import assert from "node:assert/strict";
import { cosignaturesOf, originOf } from "../../src/audit/checkpoint.ts";
import { decodeRecord } from "../../src/audit/events.ts";
import { readRecords } from "../../src/audit/records.ts";
import { listSegments } from "../../src/audit/segments.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import { provesFork, witnessPath } from "../../src/audit/witness.ts";
import { CHECKPOINT_ANSWER, WITNESS_MESSAGE } from "../../src/audit/witness_messages.ts";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { AuditExchange } from "../../src/node/audit_exchange.ts";
import { loadConfig, partyConfig } from "../../src/node/config.ts";
import { type LocalParty, openLocal } from "../../src/node/local_party.ts";
import type { Clock, LinkEvent, Links } from "../../src/session/links.ts";
import { NO_SESSION } from "../../src/session/opening.ts";
import type { LogFields, LogLevel } from "../../src/telemetry/log.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { memoryNetwork } from "../../src/transport/memory.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import { Cluster } from "./fixture.ts";

const NAMES = ["alice", "bob", "carol"];
const ROUND_MS = 2_000;

/** Time that passes when the test says so. */
class TestClock implements Clock {
  #now = 0;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  timer(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.push(timer);
    return () => this.#timers = this.#timers.filter((other) => other !== timer);
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = end;
  }
}

/** What was said is heard, and answered. */
async function settled(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setTimeout(resolve, 0));
}

interface LogLine extends LogFields {
  readonly level: LogLevel;
  readonly text: string;
}

/** One node, as far as audit logs are concerned; it can be stopped and started again on the same disk. */
class Node {
  readonly lines: LogLine[] = [];
  local: LocalParty;
  exchange: AuditExchange;
  /** Frames that it sent since somebody looked. */
  sent = 0;
  /** Changes what it sends: undefined for nothing. */
  change: (payload: Bytes) => Bytes | undefined = (payload) => payload;
  readonly #world: World;
  #hears: ((event: LinkEvent) => void) | undefined;
  readonly #up = new Map<PartyId, Bytes>();

  constructor(world: World, local: LocalParty) {
    this.#world = world;
    this.local = local;
    world.links(local.party.index).listen((event) => {
      if (event.kind === "up") this.#up.set(event.peer, event.bootId);
      if (event.kind === "down") this.#up.delete(event.peer);
      this.#hears?.(event);
    });
    this.exchange = this.#start();
  }

  get name(): string {
    return this.local.party.name;
  }

  get directory(): string {
    return this.local.party.audit.directory;
  }

  /** Something happens. */
  grow(count: number, what = "event"): void {
    for (let i = 0; i < count; i++) {
      this.local.audit.log.commit({
        type: "security_event",
        outcome: "ok",
        details: { what: `${what} ${i}` },
      });
    }
  }

  standing(): [size: number, signed: number, cosigned: number] {
    const { size, signed, cosigned } = this.local.audit.log.status();
    return [size, signed, cosigned];
  }

  /** Who cosigned the newest checkpoint. */
  cosigners(): string[] {
    const { signed } = this.local.audit.log;
    if (signed === undefined) return [];
    return cosignaturesOf(signed, this.local.audit.peers.map(({ key }) => key)).cosigned.map(({ name }) =>
      name
    );
  }

  codes(): (string | undefined)[] {
    return this.lines.map(({ code }) => code);
  }

  records() {
    this.local.audit.log.flush();
    return [...readRecords(listSegments(this.directory), this.name)].map(({ line }) => decodeRecord(line));
  }

  metrics(): string {
    const metrics = new Metrics();
    this.exchange.collect(metrics);
    return metrics.text();
  }

  verify(witnesses: readonly Node[] = []) {
    const { config } = this.local;
    const keyOf = (party: string) => ({
      name: originOf(config.cluster, party),
      verifier: config.roster.named(party).identity,
    });
    return verifyLog({
      directory: this.directory,
      party: this.name,
      key: keyOf(this.name),
      cosigners: NAMES.filter((name) => name !== this.name).map(keyOf),
      checkpoints: witnesses.map((witness) => ({
        source: witness.name,
        text: Deno.readTextFileSync(witnessPath(`${witness.directory}/witness`, this.name)),
      })),
    });
  }

  /** Says something to a peer that this program would not say. */
  say(to: Node, payload: Bytes): void {
    this.#world.links(this.local.party.index).send(to.local.party.index, frameOf(payload));
  }

  /** Ends as a process that is killed. */
  kill(): void {
    this.#hears = undefined;
    void this.exchange[Symbol.asyncDispose]();
    this.local[Symbol.dispose]();
  }

  /** Begins from what is on disk. */
  async start(): Promise<void> {
    this.local = await this.#world.open(this.name);
    this.exchange = this.#start();
  }

  #start(): AuditExchange {
    const { index } = this.local.party;
    const links = this.#world.links(index);
    const exchange = new AuditExchange({
      audit: this.local.audit,
      roster: this.local.config.roster,
      signer: this.local.identity(),
      log: { write: (level, text, fields) => this.lines.push({ level, text, ...fields }) },
      clock: this.#world.clock,
      links: {
        self: index,
        bootId: (peer) => links.bootId(peer),
        closeLink: (peer, code, why) => links.closeLink(peer, code, why),
        send: (peer, frame) => {
          const payload = this.change(frame.payload);
          this.sent++;
          return payload === undefined || links.send(peer, { ...frame, payload });
        },
        listen: (receiver) => this.#hears = receiver,
      },
    });
    for (const [peer, bootId] of this.#up) this.#hears?.({ kind: "up", peer, bootId });
    return exchange;
  }
}

class World implements AsyncDisposable {
  readonly clock = new TestClock();
  readonly nodes: Node[] = [];
  readonly #cluster: Cluster;
  readonly #network = memoryNetwork(NAMES.map((_, i) => partyId(i + 1)));

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  static async make(section = ""): Promise<World> {
    const cluster = await Cluster.make(NAMES);
    if (section !== "") Deno.writeTextFileSync(cluster.configPath, section, { append: true });
    Object.assign(cluster, { config: loadConfig(cluster.configPath) });
    const world = new World(cluster);
    for (const name of NAMES) world.nodes.push(new Node(world, await world.open(name)));
    await settled();
    return world;
  }

  get three(): [Node, Node, Node] {
    return this.nodes as [Node, Node, Node];
  }

  links(party: PartyId): Links {
    return this.#network.links(party);
  }

  cut(a: Node, b: Node): void {
    this.#network.cut(a.local.party.index, b.local.party.index);
  }

  restore(a: Node, b: Node): void {
    this.#network.restore(a.local.party.index, b.local.party.index);
  }

  open(name: string): Promise<LocalParty> {
    return openLocal(this.#cluster.config, name, { command: "test", timeoutMs: 1000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { exchange, local } of this.nodes) {
      const closed = exchange[Symbol.asyncDispose]();
      await this.clock.pass(10_000);
      await closed;
      local[Symbol.dispose]();
    }
    this.#cluster[Symbol.dispose]();
  }
}

function frameOf(payload: Bytes) {
  return { type: NodeMessageType.WITNESS, session: NO_SESSION, payload };
}

Deno.test("X1 three nodes cosign each other's logs, and nothing more is said until something happens", async () => {
  await using world = await World.make();
  for (const [i, node] of world.nodes.entries()) node.grow(i + 1);
  await world.clock.pass(ROUND_MS);
  for (const [i, node] of world.nodes.entries()) {
    assert.deepEqual(node.standing(), [i + 1, i + 1, i + 1], node.name);
    const others = NAMES.filter((name) => name !== node.name).map((name) => originOf("demo", name));
    assert.deepEqual(node.cosigners(), others);
    const kept = world.nodes.filter((other) => other !== node);
    const { ok, checkpoints } = node.verify(kept);
    assert.deepEqual([ok, checkpoints.length], [true, 4]);
    assert.deepEqual(node.exchange.unready(), []);
    node.sent = 0;
  }
  await world.clock.pass(10 * ROUND_MS);
  assert.deepEqual(world.nodes.map(({ sent }) => sent), [0, 0, 0]);
  // One record more costs one request and one answer for each witness: they know what the others have.
  const [alice, bob, carol] = world.three;
  alice.grow(1);
  await world.clock.pass(ROUND_MS);
  assert.deepEqual(world.nodes.map(({ sent }) => sent), [2, 1, 1]);
  assert.deepEqual([alice.standing(), bob.standing()], [[2, 2, 2], [2, 2, 2]]);
  assert.match(alice.metrics(), /^quorate_audit_cosigned_records\{peer="carol"\} 2$/m);
  assert.match(
    carol.metrics(),
    /^quorate_audit_witness_requests_total\{peer="alice",result="cosigned"\} 2$/m,
  );
  assert.deepEqual(world.nodes.flatMap((node) => node.codes()), []);
});

Deno.test("X1 a witness that is down or silent stops nothing, and cosigns when it is back", async () => {
  await using world = await World.make();
  const [alice, bob, carol] = world.three;
  alice.grow(1);
  world.cut(alice, bob);
  await world.clock.pass(ROUND_MS);
  assert.deepEqual([alice.standing(), alice.cosigners()], [[1, 1, 1], [carol.local.audit.log.key.name]]);
  world.restore(alice, bob);
  await world.clock.pass(ROUND_MS);
  assert.equal(alice.cosigners().length, 2);
  // It takes requests and says nothing: it is waited for once, and asked again after a while.
  bob.change = () => undefined;
  alice.grow(1);
  await world.clock.pass(ROUND_MS + 5_000);
  assert.deepEqual([alice.standing(), alice.cosigners()], [[2, 2, 2], [carol.local.audit.log.key.name]]);
  assert.deepEqual(alice.lines.map(({ code, peer, text }) => [code, peer, text]), [
    ["AUDIT_NOT_COSIGNED", "bob", "bob does not cosign the audit log: no answer within 5 s"],
  ]);
  alice.grow(1);
  alice.sent = 0;
  await world.clock.pass(ROUND_MS);
  assert.deepEqual([alice.sent, alice.standing()], [1, [3, 3, 3]]);
  await world.clock.pass(20_000);
  assert.deepEqual(alice.codes(), ["AUDIT_NOT_COSIGNED"], "the same again is not said again");
  bob.change = (payload) => payload;
  await world.clock.pass(16_000);
  assert.equal(alice.cosigners().length, 2);
  assert.deepEqual(alice.codes(), ["AUDIT_NOT_COSIGNED", "AUDIT_COSIGNED"]);
  assert.deepEqual(alice.verify([bob, carol]).findings, []);
  // A link that ends while an answer is waited for.
  bob.change = () => undefined;
  alice.grow(1);
  await world.clock.pass(ROUND_MS);
  world.cut(alice, bob);
  await settled();
  assert.deepEqual(alice.codes().slice(2), ["AUDIT_NOT_COSIGNED"]);
  assert.match(alice.lines.at(-1)?.text as string, /the link ended$/);
  // A new link is a reason to ask at once.
  bob.change = (payload) => payload;
  world.restore(alice, bob);
  await world.clock.pass(ROUND_MS);
  assert.equal(alice.cosigners().length, 2);
});

Deno.test("X1 a node that was cut back is refused by all peers, who raise an alarm with its name, and learns it itself", async () => {
  await using world = await World.make();
  const [alice, bob, carol] = world.three;
  alice.grow(5);
  await world.clock.pass(ROUND_MS);
  alice.kill();
  // Whoever has alice's host and her key makes everything there fit a shorter log.
  const [segment] = listSegments(alice.directory);
  const path = segment?.path as string;
  const lines = Deno.readTextFileSync(path).split("\n");
  Deno.writeTextFileSync(path, lines.slice(0, 3).map((line) => `${line}\n`).join(""));
  for (const name of ["checkpoint", "checkpoint.cosigned", "tree"]) {
    Deno.removeSync(`${alice.directory}/${name}`);
  }
  assert.deepEqual(alice.verify().findings, []);
  const [finding] = alice.verify([carol]).findings;
  assert.deepEqual([finding?.index, alice.verify([bob]).findings.length], [3, 1]);
  assert.match(
    finding?.what as string,
    /records 3 to 4 are missing: the checkpoint in carol, cosigned by quorate\/demo\/carol, has 5 records/,
  );
  await alice.start();
  await world.clock.pass(ROUND_MS);
  assert.deepEqual(alice.cosigners(), []);
  for (const node of [bob, carol]) {
    const alarms = node.records().filter(({ type }) => type === "audit_witness_alarm");
    assert.deepEqual(alarms.map(({ remote, details }) => [remote, details]), [
      ["alice", { reason: "rollback", size: 5, offered: 3, conclusive: false }],
    ]);
    assert.match(node.lines.at(-1)?.text as string, /the audit log of alice did not only grow \(rollback\)/);
    assert.match(node.metrics(), /^quorate_audit_witness_alarms_total\{peer="alice",reason="rollback"\} 1$/m);
  }
  // Alice's own checkpoint, which the peers have, says so to her, to her operators, and to audit verify.
  assert.deepEqual(alice.lines.map(({ level, code, peer }) => [level, code, peer]), [
    ["error", "AUDIT_REFUSED", "bob"],
    ["error", "AUDIT_REFUSED", "carol"],
  ]);
  assert.deepEqual(alice.exchange.unready().map(({ reason }) => reason), ["audit", "audit"]);
  assert.match(
    alice.exchange.unready()[0]?.text as string,
    /bob has a checkpoint of 5 records that this party/,
  );
  const refused = alice.records().filter(({ type }) => type === "audit_checkpoint_refused");
  assert.deepEqual(refused.map(({ remote, details }) => [remote, details]), [
    ["bob", { reason: "rollback", size: 5, offered: 3, contradicted: true }],
    ["carol", { reason: "rollback", size: 5, offered: 3, contradicted: true }],
  ]);
  const [known] = alice.verify().findings;
  assert.equal(known?.index, 0);
  assert.match(
    known?.what as string,
    /one of the records 0 to 4 was changed: .*contradiction\.bob\.checkpoint /,
  );
  // She asks seldom from now on.
  await world.clock.pass(30_000);
  assert.match(bob.metrics(), /alarms_total\{peer="alice",reason="rollback"\} 1$/m);
  assert.ok(!/requests_total\{peer="alice",result="fork"\}/.test(bob.metrics()));
  await world.clock.pass(60_000);
  assert.match(bob.metrics(), /requests_total\{peer="alice",result="fork"\} 1$/m);
});

Deno.test("X1 a witness that was restarted does not sign a fork: it has kept what it signed", async () => {
  await using world = await World.make();
  const [alice, bob, carol] = world.three;
  alice.grow(4);
  await world.clock.pass(ROUND_MS);
  const before = Deno.readTextFileSync(`${bob.directory}/witness/alice.checkpoint`);
  bob.kill();
  alice.kill();
  Deno.removeSync(alice.directory, { recursive: true });
  await Promise.all([bob.start(), alice.start()]);
  // As many records, and others.
  alice.grow(4, "another event");
  await world.clock.pass(ROUND_MS);
  assert.deepEqual(alice.cosigners(), []);
  for (const node of [bob, carol]) {
    const [alarm] = node.records().filter(({ type }) => type === "audit_witness_alarm");
    assert.deepEqual(alarm?.details, { reason: "fork", size: 4, offered: 4, conclusive: true });
    const evidence = [...Deno.readDirSync(`${node.directory}/witness`)].filter(({ name }) =>
      /^alice\..*\.evidence\.json$/.test(name)
    );
    assert.equal(evidence.length, 1);
    const content = Deno.readFileSync(`${node.directory}/witness/${evidence[0]?.name}`);
    const { config } = node.local;
    const key = { name: originOf("demo", "alice"), verifier: config.roster.named("alice").identity };
    assert.ok(provesFork(content, key));
  }
  assert.equal(Deno.readTextFileSync(`${bob.directory}/witness/alice.checkpoint`), before);
  // A longer fork is none the better.
  alice.grow(3);
  await world.clock.pass(60_000);
  assert.deepEqual(alice.cosigners(), []);
  const reasons = carol.records().filter(({ type }) => type === "audit_witness_alarm").map(({ details }) =>
    (details as { reason: string }).reason
  );
  assert.deepEqual(reasons, ["fork", "inconsistent"]);
  // Each kind is said once, and counted.
  alice.grow(1);
  await world.clock.pass(62_000);
  assert.deepEqual(carol.codes(), ["AUDIT_ALARM", "AUDIT_ALARM"]);
  assert.match(carol.metrics(), /alarms_total\{peer="alice",reason="inconsistent"\} 2$/m);
  assert.deepEqual(alice.codes().length, 4, "two kinds of refusal by two peers");
  assert.match(alice.verify().findings[0]?.what as string, /one of the records 0 to 3 was changed/);
});

Deno.test("AuditExchange answers a peer that asks without end as often as it may, and counts the rest once", async () => {
  await using world = await World.make();
  const [alice, bob] = world.three;
  alice.grow(1);
  const requests: Bytes[] = [];
  alice.change = (payload) => {
    requests.push(payload);
    return payload;
  };
  await world.clock.pass(ROUND_MS);
  bob.sent = 0;
  for (let i = 0; i < 50; i++) alice.say(bob, requests[0] as Bytes);
  await settled();
  assert.ok(bob.sent <= 10, `${bob.sent}`);
  await world.clock.pass(ROUND_MS);
  alice.say(bob, requests[0] as Bytes);
  await settled();
  assert.ok(bob.sent <= 11, "a peer that waits is answered again");
  const limited = bob.records().filter(({ type }) => type === "rate_limited");
  assert.deepEqual(limited.map(({ remote }) => remote), ["alice"]);
  assert.match(bob.metrics(), /^quorate_audit_witness_requests_total\{peer="alice",result="limited"\} 4\d$/m);
});

Deno.test("AuditExchange ends the link of a peer whose message does not decode", async () => {
  await using world = await World.make();
  const [alice, bob] = world.three;
  for (const payload of [new Uint8Array(3), new Uint8Array([0, 0, 0, 1, 2, 0, 0, 0, 0])]) {
    alice.say(bob, payload);
    await settled();
    assert.equal(world.links(partyId(2)).bootId(partyId(1)), undefined);
    world.restore(alice, bob);
    await settled();
  }
  // What does not decode inside of a message is answered.
  alice.say(bob, encode(WITNESS_MESSAGE, { id: 1, isAnswer: false, body: new Uint8Array(3) }));
  await settled();
  assert.match(bob.metrics(), /requests_total\{peer="alice",result="malformed"\} 1$/m);
});

Deno.test("AuditExchange takes an answer from the peer that was asked, to what was asked", async () => {
  await using world = await World.make();
  const [alice, bob, carol] = world.three;
  const answers: Bytes[] = [];
  carol.change = (payload) => {
    answers.push(payload);
    return undefined;
  };
  const other = encode(CHECKPOINT_ANSWER, {
    kind: "refused",
    reason: "fork",
    size: 9,
    checkpoint: undefined,
  });
  bob.change = () => undefined;
  alice.grow(1);
  await world.clock.pass(ROUND_MS);
  const answer = decode(WITNESS_MESSAGE, answers[0] as Bytes);
  // Bob says it for carol; carol says it with another number; then as it should be.
  bob.say(alice, encode(WITNESS_MESSAGE, { ...answer, body: other }));
  carol.say(alice, encode(WITNESS_MESSAGE, { ...answer, id: answer.id + 7, body: other }));
  await settled();
  carol.say(alice, answers[0] as Bytes);
  carol.say(alice, encode(WITNESS_MESSAGE, { ...answer, body: other }));
  await world.clock.pass(5_000);
  assert.deepEqual(alice.cosigners(), [carol.local.audit.log.key.name]);
  assert.deepEqual(alice.lines.map(({ code, peer }) => [code, peer]), [["AUDIT_NOT_COSIGNED", "bob"]]);
});

Deno.test("AuditExchange says once that a disk is full, and goes on when there is room", async () => {
  await using world = await World.make();
  const [alice] = world.three;
  alice.grow(1);
  const { log } = alice.local.audit;
  const { checkpoint } = log;
  log.checkpoint = () => {
    throw new UsageError("AUDIT_UNWRITABLE", "the audit log cannot be written: No space left on device");
  };
  await world.clock.pass(3 * ROUND_MS);
  assert.deepEqual(alice.lines.map(({ level, code }) => [level, code]), [["error", "AUDIT_UNWRITABLE"]]);
  log.checkpoint = checkpoint;
  await world.clock.pass(ROUND_MS);
  assert.equal(alice.cosigners().length, 2);
});

Deno.test("AuditExchange says once that a witness cannot keep what it would cosign, at both", async () => {
  await using world = await World.make();
  const [alice, bob] = world.three;
  alice.grow(1);
  await world.clock.pass(ROUND_MS);
  const path = `${bob.directory}/witness/alice.checkpoint`;
  const kept = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, "nothing that can be read");
  for (let i = 0; i < 3; i++) {
    alice.grow(1);
    bob.grow(1);
    await world.clock.pass(12_000);
  }
  assert.deepEqual(alice.lines.map(({ code, peer, text }) => [code, peer, text]), [
    [
      "AUDIT_NOT_COSIGNED",
      "bob",
      "bob does not cosign the audit log: it cannot read or write what it keeps of the log",
    ],
  ]);
  assert.deepEqual(bob.lines.map(({ level, code }) => [level, code]), [["error", "AUDIT_UNREADABLE"]]);
  assert.match(bob.lines[0]?.text as string, /alice\.checkpoint is no checkpoint of a log/);
  assert.deepEqual(alice.exchange.unready(), []);
  Deno.writeTextFileSync(path, kept);
  await world.clock.pass(12_000);
  assert.deepEqual([alice.cosigners().length, alice.codes().at(-1)], [2, "AUDIT_COSIGNED"]);
});

Deno.test("AuditExchange has what is there at the end cosigned, and waits a moment for that", async () => {
  await using world = await World.make();
  const [alice, bob, carol] = world.three;
  alice.grow(3);
  await alice.exchange[Symbol.asyncDispose]();
  assert.deepEqual([alice.standing(), alice.cosigners().length], [[3, 3, 3], 2]);
  carol.change = () => undefined;
  bob.grow(2);
  const closed = bob.exchange[Symbol.asyncDispose]();
  await world.clock.pass(1_000);
  await closed;
  assert.deepEqual(bob.standing(), [2, 2, 0], "alice answers no more, and carol never did");
  // Nobody is asked or answered afterwards.
  alice.grow(1);
  await world.clock.pass(10 * ROUND_MS);
  assert.equal(alice.standing()[1], 3);
});

Deno.test("a log that records messages does not record those about itself: it would grow without end", async () => {
  await using world = await World.make("\n[audit]\nmessages = true\nwitnesses = 2\n");
  const [alice] = world.three;
  const types: number[] = [];
  const links = world.links(partyId(1));
  const recorded = alice.local.audit.recorded({
    self: links.self,
    bootId: () => undefined,
    closeLink: () => {},
    send: (_, { type }) => types.push(type) > 0,
    listen: () => {},
  });
  recorded.send(partyId(2), frameOf(new Uint8Array(1)));
  recorded.send(partyId(2), { ...frameOf(new Uint8Array(1)), type: NodeMessageType.VOTE });
  assert.deepEqual(types, [NodeMessageType.WITNESS, NodeMessageType.VOTE]);
  const sent = alice.records().filter(({ type }) => type === "message_sent");
  assert.deepEqual(sent.map(({ details }) => details), [{ message: "VOTE", bytes: 1 }]);
});

Deno.test("[audit] witnesses says how many peers must have cosigned for the log to count as cosigned", async () => {
  await using world = await World.make("\n[audit]\nwitnesses = 2\n");
  const [alice, bob] = world.three;
  assert.equal(partyConfig(alice.local.config, "alice").audit.witnesses, 2);
  world.cut(alice, bob);
  alice.grow(2);
  await world.clock.pass(ROUND_MS);
  assert.deepEqual([alice.standing(), alice.cosigners().length], [[2, 2, 0], 1]);
  world.restore(alice, bob);
  await world.clock.pass(ROUND_MS);
  assert.deepEqual([alice.standing(), alice.cosigners().length], [[2, 2, 2], 2]);
});
