import assert from "node:assert/strict";
import {
  cosign,
  parseCheckpoint,
  signCheckpoint,
  verifyCheckpoint,
  verifyCosignature,
} from "../../src/audit/checkpoint.ts";
import {
  type AskWitness,
  collectCosignatures,
  type WitnessMemory,
  type WitnessPeer,
} from "../../src/audit/cosigning.ts";
import { decodeRecord } from "../../src/audit/events.ts";
import type { AuditLog } from "../../src/audit/log.ts";
import { formatNote, parseNote } from "../../src/audit/note.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import {
  provesFork,
  Witness,
  type WitnessAlarm,
  type WitnessOptions,
  witnessPath,
} from "../../src/audit/witness.ts";
import {
  CHECKPOINT_ANSWER,
  CHECKPOINT_REQUEST,
  type CheckpointAnswer,
  type CheckpointRequest,
  REFUSALS,
  WITNESS_MESSAGE,
} from "../../src/audit/witness_messages.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import type { UsageError } from "../../src/base/errors.ts";
import { payloadCap } from "../../src/transport/limits.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import {
  alice,
  bob,
  carol,
  fileOf,
  fill,
  Folder,
  type Keeper,
  linesIn,
  note,
  onFullDisk,
  openAt,
  writeLines,
} from "./support.ts";

const KEYS = new Map([alice, bob, carol].map(({ name, key }) => [name, key]));
const SECONDS = 1_700_000_000;

/** Bob as the witness of alice's log, in one folder. */
class World implements Disposable {
  readonly folder = new Folder();
  readonly alarms: WitnessAlarm[] = [];
  readonly failures: UsageError[] = [];
  log: AuditLog = this.folder.open();
  bob: Witness = this.witness(bob);

  witness(who: Keeper, options: Partial<WitnessOptions> = {}): Witness {
    return new Witness({
      directory: this.directoryOf(who),
      name: who.key.name,
      signer: who.signer,
      logOf: (party) => KEYS.get(party),
      now: () => SECONDS * 1000 + 999,
      onAlarm: (alarm) => this.alarms.push(alarm),
      onFailure: (error) => this.failures.push(error),
      ...options,
    });
  }

  directoryOf(who: Keeper): string {
    return `${this.folder.path}/${who.name}`;
  }

  kept(): string | undefined {
    try {
      return Deno.readTextFileSync(witnessPath(this.directoryOf(bob), "alice"));
    } catch {
      return undefined;
    }
  }

  evidence(): Bytes[] {
    const directory = this.directoryOf(bob);
    return [...Deno.readDirSync(directory)].map(({ name }) => name).filter((name) =>
      name.endsWith(".evidence.json")
    )
      .sort().map((name) => Deno.readFileSync(`${directory}/${name}`));
  }

  /** Grows alice's log and asks bob for what it has then. */
  grow(count: number, from: number): CheckpointAnswer {
    for (let i = 0; i < count; i++) this.log.append(note("x"));
    const checkpoint = this.log.checkpoint() as string;
    return this.ask({ from, proof: this.log.consistencyProof(from, this.log.size), checkpoint });
  }

  ask(request: CheckpointRequest, party = "alice"): CheckpointAnswer {
    return decode(CHECKPOINT_ANSWER, this.bob.handle(party, encode(CHECKPOINT_REQUEST, request)));
  }

  [Symbol.dispose](): void {
    this.log[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

function refusal(answer: CheckpointAnswer): [string, number] {
  assert.equal(answer.kind, "refused");
  return answer.kind === "refused" ? [answer.reason, answer.size] : ["", 0];
}

Deno.test("a witness cosigns a log that grows, and keeps what it cosigned", () => {
  using world = new World();
  for (const [from, to] of [[0, 3], [3, 8], [8, 9]] as const) {
    const answer = world.grow(to - from, from);
    assert.equal(answer.kind, "cosigned");
    const kept = parseCheckpoint(world.kept() as string);
    assert.equal(kept.size, to);
    assert.ok(verifyCheckpoint(kept, alice.key));
    assert.deepEqual(verifyCosignature(kept, bob.key), { name: bob.key.name, timestamp: SECONDS });
    // A witness that was restarted has not forgotten.
    world.bob = world.witness(bob);
  }
  const again = world.ask({ from: 0, proof: [], checkpoint: world.log.checkpoint() as string });
  assert.equal(again.kind, "cosigned", "the same checkpoint is cosigned again, without a proof");
  assert.deepEqual(world.alarms, []);
});

Deno.test("a witness keeps the log's line and its own, and no line that it did not check", () => {
  using world = new World();
  world.log.commit(note("x"));
  const checkpoint = world.log.checkpoint() as string;
  const stranger = `\u2014 quorate/demo/carol ${new Uint8Array(76).toBase64()}\n`;
  assert.equal(world.ask({ from: 0, proof: [], checkpoint: checkpoint + stranger }).kind, "cosigned");
  const { signatures } = parseNote(world.kept() as string);
  assert.deepEqual(signatures.map(({ name }) => name), [alice.key.name, bob.key.name]);
});

Deno.test("a witness writes what it cosigns before it answers: without room there is no cosignature", () => {
  using world = new World();
  assert.equal(world.grow(1, 0).kind, "cosigned");
  const before = world.kept();
  world.log.append(note("x"));
  const checkpoint = world.log.checkpoint() as string;
  const request = { from: 1, proof: world.log.consistencyProof(1, 2), checkpoint };
  const answer = onFullDisk(10, () => world.ask(request));
  assert.deepEqual(refusal(answer), ["unavailable", 0]);
  assert.equal(world.failures[0]?.code, "AUDIT_UNWRITABLE");
  assert.equal(world.kept(), before);
  assert.equal(world.ask(request).kind, "cosigned");
});

Deno.test("a witness tells the size that it has to a log that begins its proof elsewhere", () => {
  using world = new World();
  world.grow(3, 0);
  const answer = world.grow(2, 2);
  assert.deepEqual(refusal(answer), ["size", 3]);
  assert.equal(answer.kind === "refused" && answer.checkpoint, world.kept());
  assert.deepEqual(refusal(world.grow(0, 0)), ["size", 3]);
  assert.deepEqual(world.alarms, []);
});

Deno.test("X1 a witness refuses a log that was rolled back, and keeps both checkpoints", () => {
  using world = new World();
  world.grow(2, 0);
  const old = world.log.checkpoint() as string;
  world.grow(2, 2);
  const newest = world.kept();
  assert.deepEqual(refusal(world.ask({ from: 2, proof: [], checkpoint: old })), ["rollback", 4]);
  assert.deepEqual(world.alarms.map(({ party, reason, kept, offered }) => [party, reason, kept, offered]), [
    ["alice", "rollback", newest, old],
  ]);
  assert.equal(world.kept(), newest);
  const [evidence] = world.evidence() as [Bytes];
  assert.deepEqual(JSON.parse(new TextDecoder().decode(evidence)), { ...world.alarms[0] });
  assert.ok(!provesFork(evidence, alice.key), "an older checkpoint was signed rightly once");
});

Deno.test("X1 a witness refuses a fork, and the evidence convinces a third party", () => {
  using world = new World();
  world.grow(2, 0);
  const newest = world.kept();
  const other = openAt(`${world.folder.path}/other`);
  fill(other, 2);
  const forked = Deno.readTextFileSync(`${world.folder.path}/other/checkpoint`);
  // The same size with other records. (Fill writes other texts than grow.)
  assert.deepEqual(refusal(world.ask({ from: 2, proof: [], checkpoint: forked })), ["fork", 2]);
  assert.deepEqual([world.alarms[0]?.reason, world.kept()], ["fork", newest]);
  const [evidence] = world.evidence() as [Bytes];
  assert.ok(provesFork(evidence, alice.key));
  assert.ok(!provesFork(evidence, bob.key), "another party's key");
  const text = new TextDecoder().decode(evidence);
  const same = JSON.parse(text);
  assert.ok(
    !provesFork(utf8(text.replace(JSON.stringify(same.offered), JSON.stringify(same.kept))), alice.key),
  );
  assert.ok(!provesFork(utf8(text.replace("fork", "f\\u006frk")), alice.key), "not canonical");
  assert.ok(!provesFork(utf8("null"), alice.key));
  // The same again is no second alarm.
  assert.deepEqual(refusal(world.ask({ from: 2, proof: [], checkpoint: forked })), ["fork", 2]);
  assert.deepEqual([world.alarms.length, world.evidence().length], [1, 1]);
});

Deno.test("X1 a witness refuses a longer log with another beginning, whatever proof comes with it", () => {
  using world = new World();
  world.grow(2, 0);
  const other = openAt(`${world.folder.path}/other`);
  for (let i = 0; i < 5; i++) other.append(note(`other ${i}`));
  const checkpoint = other.checkpoint() as string;
  const proof = other.consistencyProof(2, 5);
  other[Symbol.dispose]();
  assert.deepEqual(refusal(world.ask({ from: 2, proof, checkpoint })), ["inconsistent", 2]);
  assert.equal(world.alarms[0]?.proof.length, proof.length);
  assert.ok(!provesFork(world.evidence()[0] as Bytes, alice.key), "a wrong proof is signed by nobody");
  // A first checkpoint needs no proof, and must come with none.
  const fresh = decode(
    CHECKPOINT_ANSWER,
    world.witness(carol).handle("alice", encode(CHECKPOINT_REQUEST, { from: 0, proof, checkpoint })),
  );
  assert.deepEqual(refusal(fresh), ["inconsistent", 0]);
});

Deno.test("a witness keeps a bounded number of files of evidence", () => {
  using world = new World();
  world.grow(1, 0);
  const head = parseCheckpoint(world.kept() as string);
  for (let i = 0; i < 40; i++) {
    const root = new Uint8Array(32).fill(i);
    const checkpoint = signCheckpoint({ origin: head.origin, size: 1, root }, alice.signer);
    assert.deepEqual(refusal(world.ask({ from: 1, proof: [], checkpoint })), ["fork", 1]);
  }
  assert.deepEqual([world.alarms.length, world.evidence().length], [40, 32]);
  // What there is of a party whose name begins in the same way is counted for that one.
  for (const name of [...Deno.readDirSync(world.directoryOf(bob))].map(({ name }) => name).slice(0, 9)) {
    const path = `${world.directoryOf(bob)}/${name}`;
    if (name.endsWith(".evidence.json")) Deno.renameSync(path, path.replace("alice.", "alice.b."));
  }
  const root = new Uint8Array(32).fill(99);
  const checkpoint = signCheckpoint({ origin: head.origin, size: 1, root }, alice.signer);
  world.ask({ from: 1, proof: [], checkpoint });
  assert.equal(world.evidence().length, 33);
});

Deno.test("a witness refuses a log that is not the asker's, is not signed by it, or cannot be read", () => {
  using world = new World();
  world.log.commit(note("x"));
  const checkpoint = world.log.checkpoint() as string;
  const request = { from: 0, proof: [], checkpoint };
  assert.deepEqual(refusal(world.ask(request, "carol")), ["foreign", 0]);
  assert.deepEqual(refusal(world.ask(request, "mallory")), ["foreign", 0]);
  const { origin, size, root } = parseCheckpoint(checkpoint);
  const forged = signCheckpoint({ origin, size, root }, carol.signer);
  assert.deepEqual(refusal(world.ask({ ...request, checkpoint: forged })), ["unsigned", 0]);
  assert.deepEqual(refusal(world.ask({ ...request, checkpoint: "no note" })), ["malformed", 0]);
  const answer = decode(CHECKPOINT_ANSWER, world.bob.handle("alice", new Uint8Array([1, 2, 3])));
  assert.deepEqual(refusal(answer), ["malformed", 0]);
  assert.equal(world.kept(), undefined);
});

Deno.test("a witness whose own file was changed does not measure a log by it", () => {
  using world = new World();
  world.grow(2, 0);
  const path = witnessPath(world.directoryOf(bob), "alice");
  Deno.writeTextFileSync(path, (world.kept() as string).replace("\n2\n", "\n1\n"));
  assert.deepEqual(refusal(world.grow(1, 2)), ["unavailable", 0]);
  assert.match(world.failures[0]?.message as string, /alice\.checkpoint is not signed by alice/);
  Deno.writeTextFileSync(path, "");
  assert.deepEqual(refusal(world.grow(1, 2)), ["unavailable", 0]);
  assert.match(world.failures[1]?.message as string, /is no checkpoint of a log/);
});

Deno.test("collectCosignatures() asks all peers, learns the sizes that they have, and keeps their lines", async () => {
  using world = new World();
  const witnesses = new Map([["bob", world.bob], ["carol", world.witness(carol)]]);
  let asked = 0;
  const ask: AskWitness = (peer, request) => {
    asked++;
    return Promise.resolve((witnesses.get(peer) as Witness).handle("alice", request));
  };
  const peers: WitnessPeer[] = [bob, carol];
  assert.deepEqual(await collectCosignatures(world.log, peers, ask), []);
  fillOpen(world.log, 3);
  const cosigned = (size: number) =>
    ["bob", "carol"].map((peer) => ({ peer, kind: "cosigned", size, timestamp: SECONDS }));
  const memory: WitnessMemory = new Map();
  assert.deepEqual(await collectCosignatures(world.log, peers, ask, memory), cosigned(3));
  fillOpen(world.log, 2);
  assert.deepEqual(await collectCosignatures(world.log, peers, ask, memory), cosigned(5));
  assert.equal(asked, 4);
  fillOpen(world.log, 1);
  // A process that just started does not know yet what the others have.
  assert.deepEqual(await collectCosignatures(world.log, peers, ask), cosigned(6));
  assert.equal(asked, 8);
  for (const name of ["checkpoint", "checkpoint.cosigned"]) {
    const kept = parseCheckpoint(Deno.readTextFileSync(`${world.folder.log}/${name}`));
    assert.equal(kept.size, 6);
    for (const { key } of peers) assert.equal(verifyCosignature(kept, key)?.timestamp, SECONDS, name);
  }
  fillOpen(world.log, 1);
  world.log.checkpoint();
  assert.deepEqual([world.log.status().signed, world.log.status().cosigned], [7, 6]);
});

Deno.test("collectCosignatures() gives the others' answers where one peer is gone, lies or signs badly", async () => {
  using world = new World();
  fillOpen(world.log, 1);
  const answers: Readonly<Record<string, () => Bytes>> = {
    gone: () => {
      throw new Error("bob is not connected");
    },
    nonsense: () => new Uint8Array([7]),
    "a line that is none": () => encode(CHECKPOINT_ANSWER, { kind: "cosigned", line: "x" }),
    "a line that was made for another checkpoint": () => {
      const other = signCheckpoint(
        { origin: alice.key.name, size: 1, root: new Uint8Array(32) },
        alice.signer,
      );
      const line = cosign(parseCheckpoint(other), {
        name: bob.key.name,
        signer: bob.signer,
        seconds: SECONDS,
      });
      return encode(CHECKPOINT_ANSWER, { kind: "cosigned", line });
    },
    "another's line": () => world.witness(carol).handle("alice", request as Bytes),
    "a size that grows with every answer": () =>
      encode(CHECKPOINT_ANSWER, { kind: "refused", reason: "size", size: 1, checkpoint: undefined }),
  };
  let request: Bytes | undefined;
  for (const [what, answer] of Object.entries(answers)) {
    let asked = 0;
    const ask: AskWitness = async (peer, bytes) => {
      asked++;
      await Promise.resolve();
      request = bytes;
      return peer === "bob" ? answer() : world.witness(carol).handle("alice", bytes);
    };
    const [first, second] = await collectCosignatures(world.log, [bob, carol], ask);
    assert.deepEqual([first?.peer, second?.kind], ["bob", "cosigned"], what);
    assert.ok(first?.kind === "failed" || (first?.kind === "refused" && asked === 3), what);
  }
  const { signatures } = parseNote(world.log.checkpoint() as string);
  assert.deepEqual(signatures.map(({ name }) => name), [alice.key.name, carol.key.name]);
});

Deno.test("addCosignatures() does not keep a cosignature of a checkpoint that is not the newest any more", async () => {
  using world = new World();
  fillOpen(world.log, 1);
  const ask: AskWitness = (_, request) => {
    const answer = world.bob.handle("alice", request);
    fillOpen(world.log, 1);
    world.log.checkpoint();
    return Promise.resolve(answer);
  };
  const [outcome] = await collectCosignatures(world.log, [bob], ask);
  assert.equal(outcome?.kind, "cosigned");
  assert.deepEqual([world.log.status().signed, world.log.status().cosigned], [2, 0]);
  assert.equal(world.log.signed?.note.signatures.length, 1);
});

Deno.test("X1 a log that was cut and went on learns from its witness that it was", async () => {
  using world = new World();
  const ask: AskWitness = (_, request) => Promise.resolve(world.bob.handle("alice", request));
  fillOpen(world.log, 4);
  await collectCosignatures(world.log, [bob], ask);
  const contradiction = { checkpoint: world.kept(), size: 4 };
  world.log.close();
  // The whole directory is taken back to a time before: nothing in it says so.
  const lines = linesIn(world.folder.log).slice(0, 2);
  for (const name of ["checkpoint", "checkpoint.cosigned", "tree"]) {
    Deno.removeSync(`${world.folder.log}/${name}`);
  }
  writeLines(world.folder.log, lines);
  world.log = world.folder.open();
  const [behind] = await collectCosignatures(world.log, [bob], ask);
  assert.deepEqual(behind, {
    peer: "bob",
    kind: "refused",
    reason: "rollback",
    size: 4,
    contradiction,
  });
  fillOpen(world.log, 6, "another event");
  const [ahead] = await collectCosignatures(world.log, [bob], ask);
  assert.deepEqual(ahead, {
    peer: "bob",
    kind: "refused",
    reason: "inconsistent",
    size: 4,
    contradiction,
  });
  // The same refusal again is not recorded again, by a process that remembers.
  const memory: WitnessMemory = new Map();
  for (let i = 0; i < 3; i++) await collectCosignatures(world.log, [bob], ask, memory);
  world.log.flush();
  const records = linesIn(world.folder.log).map((line) => decodeRecord(utf8(line)));
  const refusals = records.filter(({ type }) => type === "audit_checkpoint_refused");
  assert.deepEqual(refusals.map(({ details }) => (details as { reason: string }).reason), [
    "rollback",
    "inconsistent",
    "inconsistent",
  ]);
  // From now on the directory itself says so, with the index.
  const { findings } = verifyLog({
    directory: world.folder.log,
    party: "alice",
    key: alice.key,
    cosigners: [bob.key],
  });
  assert.deepEqual(findings.map(({ index }) => index), [0]);
  assert.match(
    findings[0]?.what as string,
    /one of the records 0 to 3 was changed: .*contradiction\.bob\.checkpoint /,
  );
  assert.ok(Deno.statSync(fileOf(world.folder.log)).isFile);
});

Deno.test("collectCosignatures() takes a refusal for what it is where the peer's checkpoint is of this log", async () => {
  using world = new World();
  fillOpen(world.log, 2);
  const checkpoint = world.log.checkpoint() as string;
  fillOpen(world.log, 2);
  const ask: AskWitness = () =>
    Promise.resolve(encode(CHECKPOINT_ANSWER, { kind: "refused", reason: "fork", size: 2, checkpoint }));
  const [outcome] = await collectCosignatures(world.log, [bob], ask);
  assert.deepEqual(outcome, {
    peer: "bob",
    kind: "refused",
    reason: "fork",
    size: 2,
    contradiction: undefined,
  });
});

Deno.test("collectCosignatures() believes no peer that shows a checkpoint which this party did not sign", async () => {
  using world = new World();
  fillOpen(world.log, 1);
  const checkpoint = signCheckpoint(
    { origin: alice.key.name, size: 9, root: new Uint8Array(32) },
    bob.signer,
  );
  const ask: AskWitness = () =>
    Promise.resolve(encode(CHECKPOINT_ANSWER, { kind: "refused", reason: "rollback", size: 9, checkpoint }));
  const [outcome] = await collectCosignatures(world.log, [bob], ask);
  assert.ok(outcome?.kind === "refused" && outcome.contradiction === undefined);
});

Deno.test("collectCosignatures() takes from a witness no line in another's name: it would take the place of that one", async () => {
  using world = new World();
  const carols = world.witness(carol);
  const honest: AskWitness = (peer, request) =>
    Promise.resolve((peer === "bob" ? world.bob : carols).handle("alice", request));
  fillOpen(world.log, 1);
  await collectCosignatures(world.log, [bob, carol], honest);
  const before = world.log.checkpoint() as string;
  // Bob has cosigned this very checkpoint. Then he answers with a line that looks like alice's own signature, or carol's.
  const { signatures } = parseNote(before);
  const own = signatures.find(({ name }) => name === bob.key.name);
  assert.ok(own !== undefined);
  const lines = [
    ...signatures.filter((signature) => signature !== own).map((signature) => ({
      ...signature,
      signature: new Uint8Array(72),
    })),
    // His own signature under the number of a key that nobody has: each such line would stay for good.
    { ...own, keyId: new Uint8Array(4) },
    { ...own, name: "bob" },
  ];
  for (const { name, keyId, signature } of lines) {
    const text = formatNote({ text: "x\n", signatures: [{ name, keyId, signature }] });
    const line = text.slice(text.indexOf("\u2014"));
    const ask: AskWitness = () => Promise.resolve(encode(CHECKPOINT_ANSWER, { kind: "cosigned", line }));
    const [outcome] = await collectCosignatures(world.log, [bob], ask);
    assert.equal(outcome?.kind, "failed", name);
    assert.equal(world.log.checkpoint(), before, name);
  }
  world.log.close();
  world.log = world.folder.open();
});

Deno.test("a witness asks for no more work than one signature: a checkpoint with two lines of its log is not signed", () => {
  using world = new World();
  world.log.commit(note("x"));
  const checkpoint = world.log.checkpoint() as string;
  const [, line] = checkpoint.split("\n\n");
  const request = { from: 0, proof: [], checkpoint: checkpoint + line };
  assert.deepEqual(refusal(world.ask(request)), ["unsigned", 0]);
  assert.equal(world.ask({ ...request, checkpoint }).kind, "cosigned");
});

Deno.test("a witness that is asked for the same again says the same, and writes nothing", () => {
  using world = new World();
  const first = world.grow(2, 0);
  assert.deepEqual(onFullDisk(0, () => world.grow(0, 2)), first);
  // A line that somebody spoilt is made anew.
  const path = witnessPath(world.directoryOf(bob), "alice");
  const kept = world.kept() as string;
  const { text, signatures } = parseNote(kept);
  const [own, line] = signatures;
  assert.ok(own !== undefined && line !== undefined);
  const spoilt = { ...line, signature: line.signature.with(70, (line.signature[70] as number) ^ 1) };
  Deno.writeTextFileSync(path, formatNote({ text, signatures: [own, spoilt] }));
  assert.deepEqual(world.grow(0, 2), first);
  assert.equal(world.kept(), kept);
});

Deno.test("a witness raises its alarm where the evidence cannot be kept", () => {
  using world = new World();
  world.grow(2, 0);
  const old = world.log.checkpoint() as string;
  world.grow(1, 2);
  const answer = onFullDisk(0, () => world.ask({ from: 2, proof: [], checkpoint: old }));
  assert.deepEqual([refusal(answer), world.alarms.length], [["rollback", 3], 1]);
  assert.deepEqual([world.evidence().length, world.failures[0]?.code], [0, "AUDIT_UNWRITABLE"]);
});

Deno.test("a log counts as cosigned when as many peers cosigned as are wanted", async () => {
  using folder = new Folder();
  using world = new World();
  world.log = folder.open({ witnesses: 2 });
  const carols = world.witness(carol);
  let isDown = false;
  const ask: AskWitness = (peer, request) =>
    peer === "carol" && isDown
      ? Promise.reject(new Error("down"))
      : Promise.resolve((peer === "bob" ? world.bob : carols).handle("alice", request));
  const state = () => {
    const { signed, cosigned } = world.log.status();
    return [signed, cosigned];
  };
  fillOpen(world.log, 3);
  await collectCosignatures(world.log, [bob, carol], ask);
  assert.deepEqual(state(), [3, 3]);
  isDown = true;
  fillOpen(world.log, 1);
  await collectCosignatures(world.log, [bob, carol], ask);
  assert.deepEqual(state(), [4, 3], "one of two");
  isDown = false;
  await collectCosignatures(world.log, [carol], ask);
  assert.deepEqual(state(), [4, 4]);
  const kept = parseCheckpoint(Deno.readTextFileSync(`${folder.log}/checkpoint.cosigned`));
  assert.deepEqual(
    kept.note.signatures.map(({ name }) => name),
    [alice, bob, carol].map(({ key }) => key.name),
  );
});

Deno.test("the messages of a witness have one encoding, and nothing else decodes", () => {
  const answers: CheckpointAnswer[] = [
    { kind: "cosigned", line: "\u2014 a b\n" },
    ...REFUSALS.map((reason) =>
      ({ kind: "refused", reason, size: 2 ** 53 - 1, checkpoint: undefined }) as const
    ),
    { kind: "refused", reason: "size", size: 0, checkpoint: "note" },
  ];
  for (const answer of answers) {
    assert.deepEqual(decode(CHECKPOINT_ANSWER, encode(CHECKPOINT_ANSWER, answer)), answer);
  }
  const request = { from: 1, proof: [new Uint8Array(32)], checkpoint: "note" };
  assert.deepEqual(decode(CHECKPOINT_REQUEST, encode(CHECKPOINT_REQUEST, request)), request);
  const message = { id: 7, isAnswer: true, body: new Uint8Array([1, 2]) };
  assert.deepEqual(decode(WITNESS_MESSAGE, encode(WITNESS_MESSAGE, message)), message);
  for (const size of [CHECKPOINT_REQUEST.sizeMax, CHECKPOINT_ANSWER.sizeMax]) {
    const body = new Uint8Array(size);
    assert.ok(
      encode(WITNESS_MESSAGE, { ...message, body }).length <= (payloadCap(NodeMessageType.WITNESS) ?? 0),
    );
  }
  const refused = encode(CHECKPOINT_ANSWER, answers[1] as CheckpointAnswer);
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ["neither", new Uint8Array([0, 0])],
    ["both", new Uint8Array([1, 0, 0, ...refused.subarray(1)])],
    ["an unknown reason", refused.with(2, 99)],
    ["a size above 2^53", refused.with(3, 255)],
  ];
  for (const [what, bytes] of wrong) assert.throws(() => decode(CHECKPOINT_ANSWER, bytes), DecodeError, what);
  const size = encode(CHECKPOINT_REQUEST, request).with(0, 255);
  assert.throws(() => decode(CHECKPOINT_REQUEST, size), DecodeError);
});

function fillOpen(log: AuditLog, count: number, what = "event"): void {
  for (let i = 0; i < count; i++) log.append(note(`${what} ${i}`));
}
