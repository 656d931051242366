import assert from "node:assert/strict";
import { parseCheckpoint, signCheckpoint, verifyCheckpoint } from "../../src/audit/checkpoint.ts";
import { decodeRecord } from "../../src/audit/events.ts";
import { emptyRoot, leafHash, verifyConsistency, verifyInclusion } from "../../src/audit/merkle.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { type Code, InvariantError, QuorateError } from "../../src/base/errors.ts";
import {
  alice,
  bob,
  fileOf,
  fill,
  Folder,
  linesIn,
  note,
  onFullDisk,
  openAt,
  writeLines,
} from "./support.ts";

function throwsCode(work: () => unknown, code: Code, words: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof QuorateError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
}

Deno.test("append() writes canonical records of what happened, in order, in files of the owner alone", () => {
  using folder = new Folder();
  const log = folder.open();
  log.append({
    type: "rate_limited",
    outcome: "refused",
    remote: "bob",
    details: { code: "FLOOD", reason: "too many" },
  });
  assert.equal(
    log.commit({ type: "session_started", outcome: "started", session: "ab", details: { protocol: "sign" } }),
    1,
  );
  log.close();
  assert.deepEqual(linesIn(folder.log), [
    '{"details":{"code":"FLOOD","reason":"too many"},"index":0,"outcome":"refused","party":"alice","remote":"bob",' +
    '"time":"2023-11-14T22:13:20.000Z","type":"rate_limited","v":1}',
    '{"details":{"protocol":"sign"},"index":1,"outcome":"started","party":"alice","session":"ab",' +
    '"time":"2023-11-14T22:13:20.000Z","type":"session_started","v":1}',
  ]);
  assert.equal((Deno.statSync(folder.log).mode as number) & 0o777, 0o700);
  for (const { name } of Deno.readDirSync(folder.log)) {
    assert.equal((Deno.statSync(`${folder.log}/${name}`).mode as number) & 0o777, 0o600, name);
  }
});

Deno.test("append() writes within a moment, and many events with one fsync", async () => {
  using folder = new Folder();
  const log = folder.open({ batchMs: 1 });
  let syncs = 0;
  const { syncDataSync } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.syncDataSync = function (this: Deno.FsFile): void {
    syncs++;
    syncDataSync.call(this);
  };
  try {
    for (let i = 0; i < 100; i++) log.append(note(`${i}`));
    assert.deepEqual([log.size, log.status().waiting], [0, 100]);
    while (log.size === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  } finally {
    Deno.FsFile.prototype.syncDataSync = syncDataSync;
  }
  assert.deepEqual([log.size, log.status().waiting, syncs], [100, 0, 1]);
  log.close();
});

Deno.test("a log goes on where it ended, across files, and its proofs hold between any two sizes", () => {
  using folder = new Folder();
  const heads = [
    parseCheckpoint(signCheckpoint({ origin: alice.key.name, size: 0, root: emptyRoot() }, alice.signer)),
  ];
  for (let run = 0; run < 6; run++) {
    const log = folder.open({ segmentBytes: 400 });
    for (let i = 0; i < 3; i++) {
      log.append(note(`run ${run}`));
      const checkpoint = parseCheckpoint(log.checkpoint() as string);
      assert.ok(verifyCheckpoint(checkpoint, alice.key));
      heads.push(checkpoint);
    }
    log.close();
  }
  assert.ok([...Deno.readDirSync(folder.log)].filter(({ name }) => name.endsWith(".jsonl")).length > 4);
  const log = folder.open();
  assert.equal(log.size, 18);
  for (const [from, { root: fromRoot }] of heads.entries()) {
    for (const [to, { root: toRoot }] of heads.entries()) {
      if (from > to) continue;
      const proof = log.consistencyProof(from, to);
      assert.ok(verifyConsistency({ from, to, proof, fromRoot, toRoot }), `${from} to ${to}`);
    }
  }
  const lines = [...Deno.readDirSync(folder.log)].map(({ name }) => name).filter((name) =>
    name.endsWith(".jsonl")
  )
    .sort().flatMap((name) => linesIn(folder.log, Number(name.slice(0, 16))));
  for (const [index, line] of lines.entries()) {
    assert.equal(decodeRecord(utf8(line)).index, index);
    const proof = log.inclusionProof(index, 18);
    const root = heads[18]?.root as Uint8Array;
    assert.ok(verifyInclusion({ index, size: 18, leaf: leafHash(utf8(line)), proof, root }));
  }
  log.close();
});

Deno.test("rotate() begins a new file with the next record", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("a"));
  log.rotate();
  log.rotate();
  log.commit(note("b"));
  log.close();
  assert.deepEqual([linesIn(folder.log).length, linesIn(folder.log, 1).length], [1, 1]);
  folder.open().close();
});

Deno.test("rotate() begins no new file before the hashes of the last one are on disk", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("a"));
  const { syncSync } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.syncSync = () => {
    throw new Error("Input/output error (os error 5)");
  };
  try {
    throwsCode(() => log.rotate(), "AUDIT_UNWRITABLE", /Input\/output error/);
  } finally {
    Deno.FsFile.prototype.syncSync = syncSync;
  }
  log.commit(note("b"));
  log.close();
  assert.equal(linesIn(folder.log).length, 2);
});

Deno.test("checkpoint() signs a size once, and nothing for a log without records", () => {
  using folder = new Folder();
  let asked = 0;
  const log = folder.open({
    signer: () => {
      asked++;
      return alice.signer;
    },
  });
  assert.equal(log.checkpoint(), undefined);
  log.append(note("a"));
  const first = log.checkpoint();
  assert.equal(log.checkpoint(), first);
  log.close();
  assert.equal(asked, 1);
  assert.equal(Deno.readTextFileSync(`${folder.log}/checkpoint`), first);
  const again = folder.open();
  assert.equal(again.checkpoint(), first);
  again.close();
});

Deno.test("FAULTS C4: a last record torn at any byte is cut off, recorded, and nothing before it is lost", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("kept"));
  log.checkpoint();
  log.commit(note("torn"));
  log[Symbol.dispose]();
  const whole = Deno.readFileSync(fileOf(folder.log));
  const [kept] = linesIn(folder.log) as [string];
  const tree = Deno.readFileSync(`${folder.log}/tree`);
  for (let length = kept.length + 2; length < whole.length; length++) {
    Deno.writeFileSync(fileOf(folder.log), whole.subarray(0, length));
    // The hash of a record is written after it: mostly it is not there, but it may be.
    Deno.writeFileSync(`${folder.log}/tree`, length % 2 === 0 ? tree : tree.subarray(0, 32));
    const again = folder.open();
    assert.equal(again.size, 2);
    again.commit(note("after"));
    again[Symbol.dispose]();
    const lines = linesIn(folder.log);
    assert.deepEqual([lines.length, lines[0]], [3, kept]);
    const torn = decodeRecord(utf8(lines[1] as string));
    assert.equal(torn.type, "audit_torn_tail");
    assert.deepEqual(torn.details, { code: "AUDIT_TORN_TAIL", bytes: length - kept.length - 1 });
    Deno.writeFileSync(`${folder.log}/tree`, tree.subarray(0, 32));
    writeLines(folder.log, [kept]);
  }
  // Zeros behind the last record are what a power failure leaves on some file systems.
  Deno.writeFileSync(fileOf(folder.log), new Uint8Array(512), { append: true });
  Deno.writeFileSync(`${folder.log}/tree`, new Uint8Array(64), { append: true });
  const again = folder.open();
  assert.equal(again.size, 2);
  again.close();
});

Deno.test("FAULTS C4: open() refuses everything else that is wrong with a log, and says which record it is", () => {
  const damages: readonly (readonly [string, RegExp, (directory: string, lines: string[]) => void])[] = [
    ["an edit that keeps the form", /record 3 is not the one whose hash was kept/, (directory, lines) => {
      writeLines(directory, lines.with(3, (lines[3] as string).replace("event 3", "event X")));
    }],
    ["an edit that breaks the form", /record 3 was changed: not JSON/, (directory, lines) => {
      writeLines(directory, lines.with(3, (lines[3] as string).slice(1)));
    }],
    ["a deletion", /record 3 is missing or was moved: record 4 stands in its place/, (directory, lines) => {
      writeLines(directory, lines.toSpliced(3, 1));
    }],
    ["a swap", /record 3 is missing or was moved: record 4/, (directory, lines) => {
      writeLines(directory, lines.with(3, lines[4] as string).with(4, lines[3] as string));
    }],
    ["another party's record", /record 3 is of bob's log and not of alice's/, (directory, lines) => {
      writeLines(directory, lines.with(3, (lines[3] as string).replace("alice", "bob")));
    }],
    [
      "a cut that a checkpoint covers",
      /records from 4 on are missing: a signed checkpoint has 6/,
      (directory, lines) => {
        writeLines(directory, lines.slice(0, 4));
      },
    ],
    ["a torn record that a checkpoint covers", /records from 5 on are missing: a signed/, (directory) => {
      const content = Deno.readFileSync(fileOf(directory));
      Deno.writeFileSync(fileOf(directory), content.subarray(0, -3));
    }],
    ["no records", /records from 0 on are missing/, (directory) => Deno.removeSync(fileOf(directory))],
    [
      "a cut below the hashes that were kept",
      /records from 4 on are missing: the hashes of 6/,
      (directory, lines) => {
        Deno.removeSync(`${directory}/checkpoint`);
        writeLines(directory, lines.slice(0, 4));
      },
    ],
    [
      "an edit without the hashes",
      /the first 6 records are not those that a checkpoint/,
      (directory, lines) => {
        Deno.removeSync(`${directory}/tree`);
        writeLines(directory, lines.with(3, (lines[3] as string).replace("event 3", "event X")));
      },
    ],
    ["a stranger's checkpoint", /checkpoint is not one that the party signed/, (directory) => {
      const head = { origin: alice.key.name, size: 6, root: emptyRoot() };
      Deno.writeTextFileSync(`${directory}/checkpoint`, signCheckpoint(head, bob.signer));
    }],
  ];
  for (const [what, words, damage] of damages) {
    using folder = new Folder();
    fill(folder.open(), 6);
    damage(folder.log, linesIn(folder.log));
    throwsCode(() => folder.open(), "AUDIT_CORRUPT", words);
    const before = Deno.readFileSync(`${folder.log}/tree`);
    throwsCode(() => folder.open(), "AUDIT_CORRUPT", words);
    assert.deepEqual(Deno.readFileSync(`${folder.log}/tree`), before, `${what}: refused twice for the same`);
  }
});

Deno.test("open() finds what is wrong between files", () => {
  const broken = (damage: (directory: string) => void) => {
    const folder = new Folder();
    for (let i = 0; i < 3; i++) {
      const log = folder.open();
      log.rotate();
      log.append(note("a"));
      log.append(note("b"));
      log.close();
    }
    damage(folder.log);
    return folder;
  };
  const cases: readonly (readonly [RegExp, (directory: string) => void])[] = [
    [/records 2 to 3 are missing/, (directory) => {
      Deno.removeSync(fileOf(directory, 2));
      Deno.removeSync(`${directory}/tree`);
    }],
    [/records 0 to 1 are missing/, (directory) => {
      Deno.removeSync(fileOf(directory, 0));
      Deno.removeSync(`${directory}/tree`);
    }],
    [/record 1 is there twice/, (directory) => {
      Deno.copyFileSync(fileOf(directory, 2), fileOf(directory, 1));
      Deno.removeSync(`${directory}/tree`);
    }],
    [/record 1 is not whole, and others follow it/, (directory) => {
      Deno.truncateSync(fileOf(directory, 0), Deno.statSync(fileOf(directory, 0)).size - 1);
      Deno.removeSync(`${directory}/tree`);
    }],
    // The last file fits its hashes, and the checkpoint says that those of an earlier file were changed.
    [/record 0 is not the one whose hash was kept/, (directory) => {
      const tree = Deno.readFileSync(`${directory}/tree`);
      Deno.writeFileSync(
        `${directory}/tree`,
        tree.with(0, (tree[0] as number) ^ 1).with(64, (tree[64] as number) ^ 1)
          .with(6 * 32, (tree[6 * 32] as number) ^ 1),
      );
    }],
  ];
  for (const [words, damage] of cases) {
    using folder = broken(damage);
    throwsCode(() => folder.open(), "AUDIT_CORRUPT", words);
  }
});

Deno.test("open() makes the hashes again that are not there", () => {
  using folder = new Folder();
  for (let i = 0; i < 3; i++) fill(folder.open({ segmentBytes: 300 }), 4);
  const tree = Deno.readFileSync(`${folder.log}/tree`);
  const damages: readonly (() => void)[] = [
    () => Deno.removeSync(`${folder.log}/tree`),
    () => Deno.truncateSync(`${folder.log}/tree`, 100),
    () => Deno.truncateSync(`${folder.log}/tree`, tree.length - 33),
    () => Deno.writeFileSync(`${folder.log}/tree`, new Uint8Array(tree.length)),
  ];
  for (const damage of damages) {
    damage();
    const log = folder.open();
    assert.equal(log.size, 12);
    log.close();
    assert.deepEqual(Deno.readFileSync(`${folder.log}/tree`), tree);
  }
});

Deno.test("FAULTS D1: on a full disk commit() fails, leaves no part of a record, and works again when there is room", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("before"));
  for (const room of [0, 1, 100]) {
    onFullDisk(room, () => {
      throwsCode(
        () => log.commit(note("never")),
        "AUDIT_UNWRITABLE",
        /No space left on device.*nothing is signed/,
      );
      log.append(note(`waits ${room}`));
      const state = log.writable();
      assert.ok(!state.ok);
      assert.match(state.reason, /cannot be written \(No space left on device\)/);
      assert.match(log.status().failure as string, /No space left/);
    });
    assert.deepEqual(log.writable(), { ok: true });
    assert.equal(log.status().failure, undefined);
  }
  // What is left of a long record would stand behind a short one.
  onFullDisk(900, () => {
    throwsCode(() => log.commit(note("x".repeat(1024))), "AUDIT_UNWRITABLE", /No space/);
  });
  log.commit(note("after"));
  log.close();
  const written = linesIn(folder.log).map((line) =>
    (decodeRecord(utf8(line)).details as { what: string }).what
  );
  assert.deepEqual(written, ["before", "waits 0", "waits 1", "waits 100", "after"]);
  const again = folder.open();
  assert.equal(again.size, 5, "nothing was left behind the last record");
  again.close();
});

Deno.test("after a failed fsync the records are written again", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("before"));
  const { syncDataSync } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.syncDataSync = () => {
    throw new Error("Input/output error (os error 5)");
  };
  try {
    throwsCode(() => log.commit(note("a")), "AUDIT_UNWRITABLE", /Input\/output error/);
  } finally {
    Deno.FsFile.prototype.syncDataSync = syncDataSync;
  }
  log.commit(note("b"));
  log.close();
  assert.deepEqual(linesIn(folder.log).map((line) => decodeRecord(utf8(line)).index), [0, 1]);
  assert.match(linesIn(folder.log)[1] as string, /"what":"b"/);
});

Deno.test("hashes that could not be written wait in memory, and proofs are right meanwhile", () => {
  using folder = new Folder();
  const log = folder.open();
  log.commit(note("a"));
  const before = parseCheckpoint(log.checkpoint() as string);
  const { writeSync } = Deno.FsFile.prototype;
  let calls = 0;
  Deno.FsFile.prototype.writeSync = function (this: Deno.FsFile, content: Uint8Array): number {
    if (++calls === 2) throw new Error("No space left on device (os error 28)");
    return writeSync.call(this, content);
  };
  try {
    log.commit(note("b"));
  } finally {
    Deno.FsFile.prototype.writeSync = writeSync;
  }
  assert.equal(Deno.statSync(`${folder.log}/tree`).size, 32);
  log.commit(note("c"));
  const proof = log.consistencyProof(1, 3);
  const after = parseCheckpoint(log.checkpoint() as string);
  assert.ok(verifyConsistency({ from: 1, to: 3, proof, fromRoot: before.root, toRoot: after.root }));
  log.close();
  folder.open().close();
});

Deno.test("append() counts what is lost while nothing can be written for too long", () => {
  using folder = new Folder();
  const log = folder.open({ batchMs: 60_000 });
  onFullDisk(0, () => {
    for (let i = 0; i < 10_003; i++) log.append(note("x"));
    throwsCode(() => log.flush(), "AUDIT_UNWRITABLE", /No space/);
  });
  log.flush();
  assert.equal(log.size, 10_001);
  const last = decodeRecord(utf8(linesIn(folder.log).at(-1) as string));
  assert.deepEqual([last.type, last.details], ["audit_events_lost", { count: 3 }]);
  log.flush();
  assert.equal(log.size, 10_001);
  log.close();
});

Deno.test("append() refuses at once what no record can hold, and nothing after close()", () => {
  using folder = new Folder();
  const log = folder.open();
  assert.throws(
    () => log.append({ type: "random_agreed", outcome: "ok", details: { bits: NaN } }),
    InvariantError,
  );
  log.append(note("\ud800" + "x".repeat(5000)));
  log.close();
  const { details } = decodeRecord(utf8(linesIn(folder.log)[0] as string));
  assert.deepEqual(details, { what: "\ufffd" + "x".repeat(1023) });
  log.append(note("late"));
  assert.throws(() => log.commit(note("late")), InvariantError);
  assert.equal(linesIn(folder.log).length, 1);
});

Deno.test("open() refuses a directory that others can reach", () => {
  using folder = new Folder();
  folder.open().close();
  Deno.chmodSync(folder.log, 0o755);
  throwsCode(() => folder.open(), "LOOSE_PERMISSIONS", /chmod 0700/);
});

Deno.test("open() says that a log cannot be made", () => {
  using folder = new Folder();
  Deno.writeTextFileSync(folder.log, "");
  throwsCode(() => openAt(`${folder.log}/audit`), "AUDIT_UNWRITABLE", /cannot be written/);
});
