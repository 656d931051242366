import assert from "node:assert/strict";
import { keyId, partyId, sessionId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { Secret } from "../../src/base/secret.ts";
import { type Curve, p256, type Scalar, secp256k1 } from "../../src/math/curve.ts";
import type { Config } from "../../src/node/config.ts";
import { exportPrivateKey } from "../../src/node/key_export.ts";
import { membersNamed } from "../../src/node/key_epochs.ts";
import { openLocal } from "../../src/node/local_party.ts";
import { parsePrivateKey } from "../../src/node/private_key.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { ENDORSEMENT_BYTES } from "../../src/protocols/dkg/messages.ts";
import { encodeStoredKey } from "../../src/protocols/dkg/stored_key.ts";
import type { KeyShare } from "../../src/protocols/key_share.ts";
import { Cluster, recordedKeys, rejects } from "./fixture.ts";

const NAMES = ["alice", "bob", "carol"] as const;
const FORM = { name: "old", format: "pem" } as const;

interface Dealing {
  readonly curve?: Curve;
  readonly id?: number;
  /** The key, and the slope of the line that its shares are on. */
  readonly x?: bigint;
  readonly slope?: bigint;
  /** What the record says that the key is. */
  readonly claimed?: bigint;
}

/** The share of one party of a key with the policy 2 of 3, without the certificate, which an export does not need. */
function shareOf(config: Config, self: string, dealing: Dealing = {}): KeyShare {
  const { curve = p256, id = 1, x = 7n, slope = 5n } = dealing;
  const members = membersNamed(config.roster, NAMES);
  const at = (index: number) => curve.scalar(x + slope * BigInt(index));
  const record = {
    keyId: keyId(new Uint8Array(32).fill(id)),
    purpose: "plain" as const,
    epoch: 0,
    curve,
    policy: parsePolicy(`2 of (${NAMES.join(", ")})`),
    members,
    publicKey: curve.mulBase(curve.scalar(dealing.claimed ?? x)),
    publicShares: new Map(members.map(({ index }) => [index, curve.mulBase(at(index))])),
    chainCode: new Uint8Array(32),
  };
  const index = config.roster.named(self).index;
  return { record, self: partyId(index), share: new Secret(curve.encodeScalar(at(index) as Scalar)) };
}

/** Puts a share into a party's store; `while_` runs while it is open, with changes in its write-ahead log. */
async function hold(config: Config, name: string, dealing?: Dealing, while_?: () => void): Promise<void> {
  using local = await openLocal(config, name, { command: "test" });
  const share = shareOf(config, name, dealing);
  using _ = share.share;
  using key = encodeStoredKey({
    keyName: "old",
    share,
    sid: sessionId(new Uint8Array(32)),
    transcript: new Uint8Array(32),
    endorsement: new Uint8Array(ENDORSEMENT_BYTES),
  });
  const place = { keyId: share.record.keyId, epoch: 0 };
  local.store.write({ kind: "key-pending", ...place, name: "old", key });
  local.store.write({ kind: "key-active", ...place, certificate: utf8("c") });
  for (const sid of while_ === undefined ? [] : [1, 2]) {
    const payloadHash = new Uint8Array(32);
    local.store.write({
      kind: "release",
      ...place,
      sid: sessionId(new Uint8Array(32).fill(sid)),
      payloadHash,
    });
  }
  while_?.();
}

function directoryOf(config: Config, name: string): string {
  return config.parties[config.roster.named(name).index - 1]?.dataDirectory as string;
}

/** Every file below a directory, with its content, its permissions and its time. */
function contentsOf(directory: string): Map<string, string> {
  const all = new Map<string, string>();
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    const path = `${directory}/${name}`;
    const { mode, mtime } = Deno.statSync(path);
    if (isDirectory) { for (const [inner, content] of contentsOf(path)) all.set(inner, content); }
    else all.set(path, `${mode} ${mtime?.getTime()} ${Deno.readFileSync(path).toHex()}`);
  }
  return all;
}

function carry(from: string, to: string): void {
  Deno.mkdirSync(to, { mode: 0o700 });
  for (const { name, isFile } of Deno.readDirSync(from)) {
    if (isFile) Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

async function exported(config: Config, request: Partial<Parameters<typeof exportPrivateKey>[1]> = {}) {
  const made = await exportPrivateKey(config, { ...FORM, parties: ["alice", "carol"], ...request });
  using text = made.text;
  using key = parsePrivateKey(new Uint8Array(text.expose()) as Bytes, "made");
  return { ...made, curve: key.curve, x: BigInt(`0x${key.scalar.expose().toHex()}`) };
}

Deno.test("exportPrivateKey() puts the key of a quorum together, in both forms and on both curves", async () => {
  using cluster = await Cluster.make(NAMES);
  const { config } = cluster;
  for (const name of NAMES) await hold(config, name, { curve: secp256k1, x: 0x1234n });
  for (const format of ["pem", "jwk"] as const) {
    const { x, curve, parties, epoch } = await exported(config, { format });
    assert.deepEqual([x, curve.name, parties, epoch], [0x1234n, "secp256k1", ["alice", "carol"], 0]);
  }
  // Three are more than are needed: those who count are named.
  assert.deepEqual((await exported(config, { parties: NAMES })).parties.length, 2);
  await rejects(
    exported(config, { parties: ["bob"] }),
    "NOT_QUALIFIED",
    /bob do not have old between them: its policy is 2 of \(alice, bob, carol\)/,
  );
  await rejects(exported(config, { name: "other" }), "KEY_UNKNOWN", /^at alice: no key other is stored here/);
});

Deno.test("exportPrivateKey() combines no shares of different keys, of different dealings, or that make another key", async () => {
  const cases: [Dealing, string, RegExp][] = [
    [{ id: 2 }, "EPOCH_MISMATCH", /carol and alice have different keys under the name old/],
    [{ slope: 6n }, "EPOCH_MISMATCH", /carol and alice have different shares of old in epoch 0/],
  ];
  for (const [dealing, code, message] of cases) {
    using cluster = await Cluster.make(NAMES);
    await hold(cluster.config, "alice");
    await hold(cluster.config, "carol", dealing);
    await rejects(exported(cluster.config), code, message);
  }
  using cluster = await Cluster.make(NAMES);
  for (const name of NAMES) await hold(cluster.config, name, { claimed: 8n });
  await rejects(exported(cluster.config), "STORE_CORRUPT", /the shares of old do not make its private key/);
});

Deno.test("exportPrivateKey() reads directories that were carried to it, and changes nothing in them", async () => {
  using cluster = await Cluster.make(NAMES);
  const { config, root } = cluster;
  for (const name of NAMES) await hold(config, name);
  const directories = new Map<string, string>();
  for (const name of ["alice", "carol"]) {
    directories.set(name, `${root}/carried-${name}`);
    // The sealing key comes with it; what was there before is gone.
    carry(directoryOf(config, name), `${root}/carried-${name}`);
    Deno.removeSync(directoryOf(config, name), { recursive: true });
    for (const { name: file } of Deno.readDirSync(`${root}/carried-${name}`)) {
      Deno.chmodSync(`${root}/carried-${name}/${file}`, 0o400);
    }
    Deno.chmodSync(`${root}/carried-${name}`, 0o500);
  }
  const before = ["alice", "carol"].map((name) => contentsOf(`${root}/carried-${name}`));
  const temporary = `${root}/tmp`;
  Deno.mkdirSync(temporary);
  // Only here: other tests run in the same process, with the same environment.
  const makeTempDirSync = Deno.makeTempDirSync;
  Deno.makeTempDirSync = (options) => makeTempDirSync({ ...options, dir: temporary });
  try {
    assert.equal((await exported(config, { directories })).x, 7n);
    assert.deepEqual([...Deno.readDirSync(temporary)], [], "no copy is left");
  } finally {
    Deno.makeTempDirSync = makeTempDirSync;
  }
  assert.deepEqual(["alice", "carol"].map((name) => contentsOf(`${root}/carried-${name}`)), before);
  for (const name of ["alice", "carol"]) Deno.chmodSync(`${root}/carried-${name}`, 0o700);
});

Deno.test("exportPrivateKey() sees what a process that was killed had written, and leaves the rest to the next one", async () => {
  using cluster = await Cluster.make(NAMES);
  const { config, root } = cluster;
  await hold(config, "carol");
  // Copied while the store is open: its newest changes are in the write-ahead log.
  await hold(config, "alice", {}, () => carry(directoryOf(config, "alice"), `${root}/killed`));
  assert.ok(Deno.statSync(`${root}/killed/quorate.sqlite-wal`).size > 0);
  const before = contentsOf(`${root}/killed`);
  const directories = new Map([["alice", `${root}/killed`]]);
  assert.equal((await exported(config, { directories })).x, 7n);
  assert.deepEqual(contentsOf(`${root}/killed`), before);
});

Deno.test("exportPrivateKey() refuses where a party runs, where nothing is stored, and where others could read", async () => {
  using cluster = await Cluster.make(NAMES);
  const { config, root } = cluster;
  await hold(config, "alice");
  const none = `there is no store of carol in ${directoryOf(config, "carol")}`;
  await rejects(exported(config), "FILE_UNREADABLE", new RegExp(none));
  await hold(config, "carol");
  {
    using _local = await openLocal(config, "carol", { command: "node run" });
    await rejects(
      exported(config),
      "PARTY_BUSY",
      /carol is busy with "node run" \(process \d+\) in .*stop it/,
    );
  }
  const carried = `${root}/carried`;
  carry(directoryOf(config, "carol"), carried);
  const directories = new Map([["carol", carried]]);
  for (
    const [path, loose, right] of [[carried, 0o755, 0o700], [
      `${carried}/quorate.sqlite`,
      0o644,
      0o600,
    ]] as const
  ) {
    Deno.chmodSync(path, loose);
    await rejects(exported(config, { directories }), "LOOSE_PERMISSIONS", /others could reach it/);
    Deno.chmodSync(path, right);
  }
  assert.equal((await exported(config, { directories })).x, 7n);
});

Deno.test("exportPrivateKey() is on record at the parties whose own directories it reads", async () => {
  using cluster = await Cluster.make(NAMES);
  const { config, root } = cluster;
  for (const name of ["alice", "carol"]) await hold(config, name);
  carry(directoryOf(config, "carol"), `${root}/carried`);
  const stored = (name: string) =>
    [...contentsOf(directoryOf(config, name))].filter(([path]) => /sqlite|high-water|\/lock$/.test(path));
  const before = stored("alice");
  await exported(config, { directories: new Map([["carol", `${root}/carried`]]) });
  assert.deepEqual(stored("alice"), before);
  const hasLog = (name: string) =>
    [...contentsOf(directoryOf(config, name)).keys()].some((path) => path.includes("audit"));
  assert.deepEqual(["alice", "carol"].map(hasLog), [true, false]);
  assert.deepEqual(recordedKeys(config, "alice").map((event) => event.split(" ")[0]), ["key_exported"]);
});
