import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import { type LockOptions, lockParty, readHolder } from "../../src/storage/lock.ts";
import { id, Place } from "./fixture.ts";

function options(place: Place, changes: Partial<LockOptions> = {}): LockOptions {
  return {
    directory: place.directory(),
    party: "alice",
    bootId: id("boot").slice(0, 16),
    command: "key generate",
    timeoutMs: 0,
    ...changes,
  };
}

async function failsWith(promise: Promise<unknown>, code: string, match: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.code, code);
    assert.match(error.message, match);
    return true;
  });
}

Deno.test("lockParty() says who holds the lock, and that it is free again afterwards", async () => {
  using place = new Place();
  {
    using _held = await lockParty(options(place));
    assert.equal(readHolder(`${place.directory()}/lock`)?.pid, Deno.pid);
    await failsWith(
      lockParty(options(place, { command: "key sign" })),
      "PARTY_BUSY",
      new RegExp(`alice is busy with "key generate" \\(process ${Deno.pid}\\)`),
    );
  }
  using held = await lockParty(options(place, { command: "key sign" }));
  assert.equal(readHolder(`${place.directory()}/lock`)?.command, "key sign");
  held[Symbol.dispose]();
});

Deno.test("lockParty() waits for the holder and tells once whom it waits for", async () => {
  using place = new Place();
  const held = await lockParty(options(place));
  const told: (string | undefined)[] = [];
  const waiting = lockParty(
    options(place, {
      timeoutMs: 30_000,
      onWait: (holder) => {
        told.push(holder?.command);
        setTimeout(() => held[Symbol.dispose](), 120);
      },
    }),
  );
  (await waiting)[Symbol.dispose]();
  assert.deepEqual(told, ["key generate"]);
});

Deno.test("lockParty() takes the lock of a process that was killed, with no more than read and write", async () => {
  using place = new Place();
  const path = `${place.directory()}/lock`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--frozen", new URL("./lock_holder.ts", import.meta.url).pathname, place.directory()],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await failsWith(lockParty(options(place)), "PARTY_BUSY", /"held by a child"/);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  assert.equal(readHolder(path)?.command, "held by a child", "the leftover still names it");
  (await lockParty(options(place)))[Symbol.dispose]();
});

Deno.test("lockParty() refuses a directory that others can reach, or that is not there", async () => {
  using place = new Place();
  Deno.chmodSync(place.directory(), 0o750);
  await failsWith(lockParty(options(place)), "LOOSE_PERMISSIONS", /chmod 0700/);
  await failsWith(
    lockParty(options(place, { directory: `${place.root}/nobody` })),
    "STORE_UNWRITABLE",
    /quorate init/,
  );
});

Deno.test("lockParty() refuses a disk that does not take what is written", async () => {
  using place = new Place();
  Deno.symlinkSync("/dev/full", `${place.directory()}/lock`);
  await failsWith(
    lockParty(options(place)),
    "STORE_UNWRITABLE",
    /^cannot lock the data directory of alice: [^;]+$/,
  );
});

Deno.test({
  name: "lockParty() needs no permission beyond its directory",
  async fn() {
    using place = new Place();
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--frozen",
        `--allow-read=${place.directory()}`,
        `--allow-write=${place.directory()}`,
        new URL("./lock_holder.ts", import.meta.url).pathname,
        place.directory(),
        "once",
      ],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
  },
});

Deno.test("announce() says where requests are taken, and a command that waits learns of it", async () => {
  using place = new Place();
  using held = await lockParty(options(place, { command: "node run" }));
  const told: (string | undefined)[] = [];
  const waiting = lockParty(
    options(place, {
      timeoutMs: 30_000,
      onWait: (holder) => {
        told.push(holder?.operator);
        if (holder?.operator !== undefined) throw new Error("handed over");
        held.announce("127.0.0.1:9201");
      },
    }),
  );
  await assert.rejects(waiting, /handed over/);
  assert.deepEqual(told, [undefined, "127.0.0.1:9201"]);
  held.announce(undefined);
  assert.equal(readHolder(`${place.directory()}/lock`)?.operator, undefined);
  assert.equal(readHolder(`${place.directory()}/lock`)?.command, "node run");
});
