import assert from "node:assert/strict";
import { readSecretFile, reasonOf, requirePrivateDirectory, writeWhole } from "../../src/storage/files.ts";
import { fails, id, Place } from "./fixture.ts";

Deno.test("readSecretFile() refuses a file that is missing, too large, or readable by others", () => {
  using place = new Place();
  const path = `${place.root}/secret`;
  fails(() => readSecretFile(path, "the sealing key of alice", 32), "IDENTITY_INVALID", /alice is missing/);
  fails(() => readSecretFile(place.root, "it", 32), "IDENTITY_INVALID", /there is no file/);
  Deno.writeFileSync(path, id("x"), { mode: 0o600 });
  assert.deepEqual(readSecretFile(path, "it", 32), id("x"));
  fails(() => readSecretFile(path, "it", 31), "IDENTITY_INVALID", /32 bytes, where at most 31/);
  for (const mode of [0o640, 0o604, 0o610, 0o700]) {
    Deno.chmodSync(path, mode);
    fails(() => readSecretFile(path, "it", 32), "LOOSE_PERMISSIONS", /chmod 0600/);
  }
  Deno.chmodSync(path, 0o400);
  readSecretFile(path, "it", 32);
});

Deno.test("requirePrivateDirectory() accepts 0700 and less", () => {
  using place = new Place();
  for (const [mode, ok] of [[0o700, true], [0o500, true], [0o710, false], [0o701, false]] as const) {
    Deno.chmodSync(place.directory(), mode);
    if (ok) requirePrivateDirectory(place.directory());
    else fails(() => requirePrivateDirectory(place.directory()), "LOOSE_PERMISSIONS", /chmod 0700/);
  }
});

Deno.test("writeWhole() replaces a file, or leaves it as it was and nothing beside it", () => {
  using place = new Place();
  const path = `${place.root}/out`;
  writeWhole(path, id("one"));
  writeWhole(path, id("two"), { mode: 0o644, shared: true });
  assert.deepEqual(Deno.readFileSync(path), id("two"));
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o644);
  fails(() => writeWhole(`${place.root}/no/out`, id("x")), "STORE_UNWRITABLE", /cannot write/);
  Deno.mkdirSync(`${place.root}/taken/x`, { recursive: true });
  fails(() => writeWhole(`${place.root}/taken`, id("x"), { code: "FILE_UNWRITABLE" }), "FILE_UNWRITABLE");
  assert.deepEqual([...Deno.readDirSync(place.root)].map(({ name }) => name).toSorted(), ["out", "taken"]);
});

Deno.test("reasonOf() says what the operating system said, and not how the runtime asked", () => {
  try {
    Deno.readFileSync("/nowhere/at/all");
    assert.fail("there is such a file");
  } catch (error) {
    assert.equal(reasonOf(error), "No such file or directory");
  }
  assert.equal(reasonOf("one\n  line"), "one line");
});
