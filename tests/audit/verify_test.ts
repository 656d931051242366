import assert from "node:assert/strict";
import { cosign, parseCheckpoint, signCheckpoint, withSignature } from "../../src/audit/checkpoint.ts";
import { collectCosignatures } from "../../src/audit/cosigning.ts";
import { encodeRecord } from "../../src/audit/events.ts";
import { CompactRange, leafHash } from "../../src/audit/merkle.ts";
import { checkProof, formatProof, parseProof, proofToJson, proveRecord } from "../../src/audit/proof.ts";
import { type AuditReport, verifyLog, type VerifyOptions } from "../../src/audit/verify.ts";
import { Witness, witnessPath } from "../../src/audit/witness.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { QuorateError } from "../../src/base/errors.ts";
import { alice, bob, carol, fileOf, fill, Folder, linesIn, note, openAt, writeLines } from "./support.ts";

/** A log of eight records in two files, of which bob saw five. */
async function witnessed(): Promise<Folder> {
  const folder = new Folder();
  const log = folder.open();
  for (let i = 0; i < 5; i++) log.append(note(`event ${i}`));
  const witness = new Witness({
    directory: `${folder.path}/bob`,
    name: bob.key.name,
    signer: bob.signer,
    logOf: () => alice.key,
    now: () => 1_700_000_000_000,
  });
  const outcomes = await collectCosignatures(
    log,
    [bob],
    (_, request) => Promise.resolve(witness.handle("alice", request)),
  );
  assert.equal(outcomes[0]?.kind, "cosigned");
  log.rotate();
  for (let i = 5; i < 8; i++) log.append(note(`event ${i}`));
  log.close();
  return folder;
}

function verify(folder: Folder, options: Partial<VerifyOptions> = {}): AuditReport {
  return verifyLog({
    directory: folder.log,
    party: "alice",
    key: alice.key,
    cosigners: [bob.key, carol.key],
    ...options,
  });
}

function ofBob(folder: Folder): { source: string; text: string } {
  return { source: "bob", text: Deno.readTextFileSync(witnessPath(`${folder.path}/bob`, "alice")) };
}

/** Everything that the log's own directory says about it, made anew for the records that are there. */
function forgeOwn(folder: Folder): void {
  for (const name of ["checkpoint", "checkpoint.cosigned", "tree"]) {
    try {
      Deno.removeSync(`${folder.log}/${name}`);
    } catch {
      // Not every log has all of them.
    }
  }
  folder.open().close();
}

function first({ ok, findings }: AuditReport): [number | undefined, string] {
  assert.equal(ok, false);
  return [findings[0]?.index, findings[0]?.what ?? ""];
}

Deno.test("verifyLog() finds nothing wrong with a log that is right, and says what it compared", async () => {
  using folder = await witnessed();
  const report = verify(folder, { checkpoints: [ofBob(folder)], witnesses: 1 });
  assert.deepEqual([report.ok, report.size, report.findings, report.warnings], [true, 8, [], []]);
  assert.deepEqual(report.checkpoints.map(({ size, cosigned }) => [size, cosigned.map(({ name }) => name)]), [
    [8, []],
    [5, [bob.key.name]],
    [5, [bob.key.name]],
  ]);
  assert.equal(report.root, parseCheckpoint(Deno.readTextFileSync(`${folder.log}/checkpoint`)).root.toHex());
});

Deno.test("verifyLog() has nothing to say against a party without records", () => {
  using folder = new Folder();
  const { ok, size } = verify(folder);
  assert.deepEqual([ok, size], [true, 0]);
});

Deno.test("X1 verifyLog() finds an edit, a deletion, a swap, an insertion and a cut, with the index", async () => {
  const edited = (line: string | undefined) => (line as string).replace("event", "Event");
  const damages: readonly (readonly [string, number, RegExp, (lines: string[]) => string[]])[] = [
    [
      "edit",
      2,
      /record 2 was changed: it is not what the checkpoint/,
      (lines) => lines.with(2, edited(lines[2])),
    ],
    ["edit of the first", 0, /record 0 was changed/, (lines) => lines.with(0, edited(lines[0]))],
    ["broken form", 2, /record 2 was changed: not JSON/, (lines) => lines.with(2, "{")],
    ["no canonical form", 2, /record 2 was changed: not canonical/, (lines) => lines.with(2, ` ${lines[2]}`)],
    ["deletion", 2, /record 2 is missing or was moved: record 3/, (lines) => lines.toSpliced(2, 1)],
    [
      "swap",
      2,
      /record 2 is missing or was moved: record 3/,
      (lines) => lines.with(2, lines[3] as string).with(3, lines[2] as string),
    ],
    [
      "insertion",
      3,
      /record 3 is missing or was moved: record 2/,
      (lines) => lines.toSpliced(3, 0, lines[2] as string),
    ],
    ["cut of a file", 4, /records 4 to 4 are missing/, (lines) => lines.slice(0, 4)],
  ];
  for (const [what, index, words, damage] of damages) {
    using folder = await witnessed();
    writeLines(folder.log, damage(linesIn(folder.log)));
    const [found, sentence] = first(verify(folder));
    assert.equal(found, index, what);
    assert.match(sentence, words);
  }
});

Deno.test("X1 verifyLog() finds a cut of the tail because the party signed, and because peers cosigned", async () => {
  using folder = await witnessed();
  const lines = linesIn(folder.log, 5);
  writeLines(folder.log, lines.slice(0, 1), 5);
  const [index, sentence] = first(verify(folder));
  assert.equal(index, 6);
  assert.match(sentence, /records 6 to 7 are missing: the checkpoint in .*checkpoint has 8 records/);
  // Whoever has the party's key makes everything in its directory fit. Not what peers keep.
  Deno.removeSync(fileOf(folder.log, 5));
  writeLines(folder.log, linesIn(folder.log).slice(0, 3));
  forgeOwn(folder);
  assert.ok(verify(folder).ok);
  const report = verify(folder, { checkpoints: [ofBob(folder)] });
  assert.equal(first(report)[0], 3);
  assert.match(
    first(report)[1],
    /^records 3 to 4 are missing: the checkpoint in bob, cosigned by quorate\/demo\/bob, has 5 records$/,
  );
});

Deno.test("X1 verifyLog() finds a log that was rewritten with the party's key", async () => {
  using folder = await witnessed();
  writeLines(folder.log, linesIn(folder.log).map((line) => line.replace("event 4", "Event 4")));
  forgeOwn(folder);
  assert.ok(verify(folder).ok);
  const [index, sentence] = first(verify(folder, { checkpoints: [ofBob(folder)] }));
  assert.equal(index, 0);
  assert.match(sentence, /^one of the records 0 to 4 was changed: it is not what the checkpoint in bob/);
  // A checkpoint below the change narrows it down.
  const range = new CompactRange();
  for (const line of linesIn(folder.log).slice(0, 4)) range.append(leafHash(utf8(line)));
  const text = signCheckpoint({ origin: alice.key.name, size: 4, root: range.root() }, alice.signer);
  const early = withSignature(
    text,
    cosign(parseCheckpoint(text), { name: bob.key.name, signer: bob.signer, seconds: 5 }),
  );
  const narrowed = verify(folder, { checkpoints: [ofBob(folder), { source: "early", text: early }] });
  assert.deepEqual(first(narrowed)[0], 4);
  assert.match(first(narrowed)[1], /^record 4 was changed/);
  // One that nobody cosigned may be of the log that took the other one's place.
  assert.equal(first(verify(folder, { checkpoints: [ofBob(folder), { source: "early", text }] }))[0], 0);
});

Deno.test("X1 verifyLog() finds two logs of one size", async () => {
  using folder = await witnessed();
  const root = new Uint8Array(32).fill(7);
  const text = signCheckpoint({ origin: alice.key.name, size: 8, root }, alice.signer);
  const [index, sentence] = first(verify(folder, { checkpoints: [{ source: "bob", text }] }));
  assert.equal(index, undefined);
  assert.match(sentence, /the log was forked: the checkpoint in bob has the same size, 8, and another root/);
});

Deno.test("X1 verifyLog() says where the clock went back", () => {
  using folder = new Folder();
  let time = 1_700_000_000_000;
  const log = folder.open({ now: () => time });
  log.append(note("a"));
  time -= 90_500;
  log.append(note("b"));
  log.append(note("c"));
  log.close();
  const { ok, warnings } = verify(folder);
  assert.ok(ok);
  assert.deepEqual(warnings, [{ index: 1, what: "the clock went back by 90.5 s between records 0 and 1" }]);
});

Deno.test("verifyLog() tells records that were changed from kept hashes that were", async () => {
  const flip = (folder: Folder, place: number) => {
    const tree = Deno.readFileSync(`${folder.log}/tree`);
    Deno.writeFileSync(`${folder.log}/tree`, tree.with(32 * place, (tree[32 * place] as number) ^ 1));
  };
  using folder = await witnessed();
  flip(folder, 1);
  const report = verify(folder);
  assert.ok(report.ok);
  assert.match(
    report.warnings[0]?.what ?? "",
    /the kept hash of record 1 was changed, and the record was not/,
  );
  // A hash that was changed beside another record's does not make that record the wrong one.
  using two = await witnessed();
  writeLines(two.log, linesIn(two.log).map((line) => line.replace("event 3", "Event 3")));
  flip(two, 1);
  assert.deepEqual(first(verify(two))[0], 3);
  assert.match(first(verify(two))[1], /^record 3 was changed/);
  flip(two, 4);
  assert.match(first(verify(two))[1], /^one of the records 0 to 4 was changed/);
  // Behind the last checkpoint only one of the two can be right, and nothing says which.
  using unsigned = new Folder();
  const log = unsigned.open();
  log.commit(note("a"));
  log[Symbol.dispose]();
  writeLines(unsigned.log, linesIn(unsigned.log).map((line) => line.replace('"a"', '"b"')));
  assert.match(first(verify(unsigned))[1], /record 0 was changed: another hash was kept/);
  writeLines(unsigned.log, []);
  assert.deepEqual(first(verify(unsigned)), [0, "records 0 to 0 are missing: their hashes were kept"]);
  // Where both were changed and nothing else was kept, the checkpoint still says that one of them was.
  using both = await witnessed();
  writeLines(both.log, linesIn(both.log).map((line) => line.replace("event 1", "Event 1")));
  Deno.removeSync(`${both.log}/tree`);
  assert.match(first(verify(both))[1], /^one of the records 0 to 4 was changed/);
});

Deno.test("verifyLog() takes a last record in part for what a crash left, and not for a cut", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("a"));
  log.commit(note("b"));
  log[Symbol.dispose]();
  Deno.truncateSync(fileOf(folder.log), Deno.statSync(fileOf(folder.log)).size - 5);
  const { ok, size, warnings } = verify(folder);
  assert.deepEqual([ok, size], [true, 1]);
  assert.match(warnings[0]?.what ?? "", /bytes behind the last record are no whole record/);
});

Deno.test("verifyLog() finds a missing first file, and a line that is longer than any record", async () => {
  using folder = await witnessed();
  Deno.removeSync(fileOf(folder.log));
  assert.deepEqual(first(verify(folder)), [0, "records 0 to 4 are missing: no file has them"]);
  using long = new Folder();
  long.open().close();
  Deno.writeTextFileSync(fileOf(long.log), "x".repeat(400_000), { mode: 0o600 });
  assert.match(first(verify(long))[1], /record 0 was changed: a record is too long/);
});

Deno.test("verifyLog() finds checkpoints that are not signed by whom they say", async () => {
  using folder = await witnessed();
  const text = ofBob(folder).text;
  const cases: readonly (readonly [string, RegExp])[] = [
    [text.replace("\n5\n", "\n4\n"), /the checkpoint in x is not signed by alice/],
    [
      text.replaceAll(alice.key.name, carol.key.name),
      /the checkpoint in x is of another log: quorate\/demo\/carol/,
    ],
    [signCheckpoint({ ...parseCheckpoint(text), size: 5 }, carol.signer), /is not signed by alice/],
    [
      text.replace(/(demo\/bob )(.*)\n/, (_, name, base64) => {
        const bytes = Uint8Array.fromBase64(base64);
        return `${name}${bytes.with(20, (bytes[20] as number) ^ 1).toBase64()}\n`;
      }),
      /the cosignature of quorate\/demo\/bob in x does not verify/,
    ],
  ];
  for (const [forged, words] of cases) {
    assert.match(first(verify(folder, { checkpoints: [{ source: "x", text: forged }] }))[1], words);
  }
  Deno.writeTextFileSync(`${folder.log}/checkpoint`, "");
  assert.match(first(verify(folder))[1], /checkpoint is no checkpoint of a log/);
  assert.throws(
    () => verify(folder, { checkpoints: [{ source: "x", text: "no note" }] }),
    /x is no checkpoint of a log/,
  );
});

Deno.test("verifyLog() counts witnesses", async () => {
  using folder = await witnessed();
  assert.ok(verify(folder, { witnesses: 1 }).ok);
  assert.deepEqual(first(verify(folder, { witnesses: 2 })), [
    undefined,
    "no checkpoint is cosigned by 2 peers",
  ]);
  assert.deepEqual(
    first(verify(folder, { witnesses: 1, cosigners: [carol.key] }))[1],
    "no checkpoint is cosigned by 1 peers",
  );
});

Deno.test("proveRecord() proves every record under a checkpoint, in both forms", async () => {
  using folder = await witnessed();
  const logOf = (origin: string) => origin === alice.key.name ? alice.key : undefined;
  for (let index = 0; index < 8; index++) {
    const proof = proveRecord({ directory: folder.log, party: "alice", index });
    for (const text of [formatProof(proof), JSON.stringify(proofToJson(proof))]) {
      const { record, checkpoint } = checkProof(parseProof(text, "x"), logOf);
      assert.deepEqual([record.index, record.details], [index, { what: `event ${index}` }]);
      // What peers cosigned convinces more people.
      assert.equal(checkpoint.size, index < 5 ? 5 : 8);
    }
  }
  assert.match(
    formatProof(proveRecord({ directory: folder.log, party: "alice", index: 6 })),
    /^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex 6\n(\S{44}\n)+\nquorate\/demo\/alice\n8\n/,
  );
  const refused = (index: number, code: string) =>
    assert.throws(
      () => proveRecord({ directory: folder.log, party: "alice", index }),
      (error) => error instanceof QuorateError && error.code === code,
    );
  refused(8, "USAGE");
  writeLines(folder.log, linesIn(folder.log).map((line) => line.replace("event 3", "Event 3")));
  refused(3, "AUDIT_CORRUPT");
  writeLines(folder.log, linesIn(folder.log).slice(0, 2));
  refused(3, "AUDIT_CORRUPT");
  Deno.truncateSync(`${folder.log}/tree`, 32);
  refused(0, "AUDIT_UNREADABLE");
  Deno.removeSync(`${folder.log}/tree`);
  refused(0, "AUDIT_UNREADABLE");
});

Deno.test("checkProof() refuses a proof in which anything was changed", async () => {
  using folder = await witnessed();
  const proof = proveRecord({ directory: folder.log, party: "alice", index: 2 });
  const keys = new Map([alice, bob].map(({ key }) => [key.name, key]));
  const line = utf8(encodeRecord(note("another"), { index: 2, time: 0, party: "alice" }));
  const moved = utf8(encodeRecord(note("event 2"), { index: 3, time: 0, party: "alice" }));
  const stranger = signCheckpoint(
    { ...parseCheckpoint(proof.checkpoint), origin: carol.key.name },
    carol.signer,
  );
  const forged = signCheckpoint({ ...parseCheckpoint(proof.checkpoint) }, bob.signer);
  const cases: readonly (readonly [Partial<typeof proof>, RegExp])[] = [
    [{ line }, /the hashes do not lead from the record to the signed root/],
    [{ line: moved }, /the record says that its index is 3/],
    [{ line: utf8("{}") }, /does not hold: the version of a record is 1/],
    [{ hashes: proof.hashes.slice(1) }, /the hashes do not lead/],
    [{ checkpoint: stranger }, /a log that nobody here keeps: quorate\/demo\/carol/],
    [{ checkpoint: forged }, /not signed by the log's key/],
    [{ checkpoint: "x" }, /does not hold: a note has an empty line/],
  ];
  for (const [change, words] of cases) {
    assert.throws(
      () => checkProof({ ...proof, ...change }, (origin) => keys.get(origin)),
      (error) =>
        error instanceof QuorateError && error.code === "AUDIT_PROOF_INVALID" && words.test(error.message),
      String(words),
    );
  }
});

Deno.test("parseProof() refuses what is no proof", async () => {
  using folder = await witnessed();
  const proof = proveRecord({ directory: folder.log, party: "alice", index: 2 });
  const text = formatProof(proof);
  const json = proofToJson(proof);
  const hash = proof.hashes[0]?.toBase64() as string;
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /the first line/],
    [text.replace("@v1", "@v2"), /the first line/],
    [text.replace(/extra .*\n/, ""), /the second line is not the record/],
    [text.replace(/extra /, "extra ="), /the second line is not the record/],
    [text.replace("index 2", "index 02"), /the third line is not the index/],
    [text.replace("index 2", "index 9999999999999999"), /the index is below/],
    [text.slice(0, text.indexOf("\n\n")), /there is no checkpoint/],
    [text.slice(0, text.indexOf("\n\n") + 1), /there is no checkpoint/],
    [text.replace(hash, hash.slice(4)), /a hash has 32 bytes/],
    [text.replace(hash, `${hash}\n`.repeat(64) + hash), /too many hashes/],
    ["{", /not JSON/],
    [JSON.stringify({ ...json, index: "2" }), /index, record or checkpoint is missing/],
    [JSON.stringify({ ...json, hashes: 1 }), /hashes are missing/],
    [JSON.stringify({ ...json, hashes: ["00"] }), /a hash has 32 bytes/],
    ["x".repeat(600_000), /too long/],
  ];
  for (const [wrong, words] of cases) {
    assert.throws(
      () => parseProof(wrong, "x"),
      (error) =>
        error instanceof QuorateError && error.code === "AUDIT_PROOF_INVALID" && words.test(error.message),
      String(words),
    );
  }
});

Deno.test("a log of another party in the directory is no log of this one", () => {
  using folder = new Folder();
  fill(openAt(folder.log, {}, bob), 2);
  assert.match(first(verify(folder))[1], /record 0 is of bob's log and not of alice's|of another log/);
});
