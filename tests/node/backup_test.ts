import assert from "node:assert/strict";
import { join } from "node:path";
import { hex } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { seededRng, systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import type { Point } from "../../src/math/curve.ts";
import {
  backedUpEpoch,
  createKeyBackup,
  noteKeyBackup,
  recoverKeyBackup,
  verifyKeyBackup,
} from "../../src/node/backup.ts";
import { type LocalParty, openLocal } from "../../src/node/local_party.ts";
import { type PublicKeyInfo, publicKeyInfo } from "../../src/node/party.ts";
import { formatPublicKey, recordOf } from "../../src/node/public_key.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { CURVES } from "../../src/math/curve.ts";
import { encodeStoredKey, type StoredKey } from "../../src/protocols/dkg/stored_key.ts";
import { type CustodianKey, generateCustodianKey } from "../../src/protocols/pve/custodian.ts";
import { Cluster, recordedKeys, rejects, values } from "./fixture.ts";

const NAMES = ["alice", "bob"];

/** A cluster whose parties have the keys of these names, and a custodian. */
class Scene implements Disposable {
  readonly custodian: CustodianKey = generateCustodianKey("x25519", seededRng("custodian"));

  private constructor(readonly cluster: Cluster, readonly infos: ReadonlyMap<string, PublicKeyInfo>) {}

  static async make(...keys: string[]): Promise<Scene> {
    const cluster = await Cluster.make(NAMES);
    const infos = new Map<string, PublicKeyInfo>();
    for (const name of keys) {
      const policy = parsePolicy("and(alice, bob)");
      const [made] = values(
        await cluster.all(NAMES, (party) => party.generateKey({ name, curve: CURVES.secp256k1, policy })),
      );
      infos.set(name, made as PublicKeyInfo);
    }
    return new Scene(cluster, infos);
  }

  info(name: string): PublicKeyInfo {
    return this.infos.get(name) as PublicKeyInfo;
  }

  local(name = "alice"): Promise<LocalParty> {
    return openLocal(this.cluster.config, name, { command: "test", timeoutMs: 10_000 });
  }

  async backup(...names: string[]): Promise<Uint8Array> {
    using local = await this.local();
    return createKeyBackup(local, { names, to: this.custodian.publicKey }).bytes;
  }

  /** The party loses its store. */
  loseStore(): void {
    const directory = this.cluster.config.parties[0]?.dataDirectory as string;
    for (const name of ["quorate.sqlite", "high-water"]) Deno.removeSync(join(directory, name));
  }

  [Symbol.dispose](): void {
    this.custodian[Symbol.dispose]();
    this.cluster[Symbol.dispose]();
  }
}

function refuses(action: () => unknown, code: string, match: RegExp): Promise<void> {
  return rejects((async () => await action())(), code, match);
}

Deno.test("parsePublicRecord() reads what is exported, and refuses it with any field changed", async () => {
  using scene = await Scene.make("treasury");
  const info = scene.info("treasury");
  const text = formatPublicKey(info, "record");
  assert.deepEqual(recordOf(parsePublicRecord(text, "file")), recordOf(info));

  const file = JSON.parse(text);
  const other = hex(CURVES.secp256k1.encodePoint(CURVES.secp256k1.base));
  const [alice, bob] = file.members;
  const changes: Record<string, unknown>[] = [
    { version: 2 },
    { key: "" },
    { key: "x".repeat(129) },
    { keyId: "00".repeat(32) },
    { epoch: 1 },
    { epoch: 0.5 },
    { curve: "p256" },
    { curve: "curve25519" },
    { policy: "or(alice, bob)" },
    { policy: "and(bob, alice)" },
    { policy: "and(alice, carol)" },
    { publicKey: other },
    { publicKey: "02" + "ff".repeat(32) },
    { chainCode: "00".repeat(32) },
    { members: [bob, alice] },
    { members: [alice] },
    { members: [{ ...alice, publicShare: bob.publicShare }, bob] },
    { members: [{ ...alice, identity: bob.identity }, bob] },
    { members: [{ ...alice, index: 3 }, bob] },
    { members: [{ ...alice, name: "mallory" }, bob] },
    { certificate: "" },
    { certificate: file.certificate.slice(0, -2) + (file.certificate.endsWith("00") ? "01" : "00") },
    { more: true },
  ];
  for (const change of changes) {
    const changed = JSON.stringify({ ...file, ...change });
    await refuses(
      () => parsePublicRecord(changed, "file"),
      "RECORD_INVALID",
      /^file holds no valid public record: ./,
    );
  }
  const unnamed = JSON.stringify({ ...file, policy: "and(alice, carol)" });
  await refuses(() => parsePublicRecord(unnamed, "file"), "RECORD_INVALID", /bob is listed as a member/);
  for (const wrong of ["", "no JSON", "[]", text.slice(0, -10)]) {
    await refuses(() => parsePublicRecord(wrong, "file"), "RECORD_INVALID", /the file: /);
  }
});

Deno.test("createKeyBackup() backs up several keys, and verifyKeyBackup() wants a record of each", async () => {
  using scene = await Scene.make("treasury", "cold");
  const to = scene.custodian.publicKey;
  const [treasury, cold] = [scene.info("treasury"), scene.info("cold")];
  using local = await scene.local();
  const twice = () => createKeyBackup(local, { names: ["cold", "cold"], to });
  await refuses(twice, "USAGE", /each key once/);
  await refuses(() => createKeyBackup(local, { names: ["gold"], to }), "KEY_UNKNOWN", /gold/);
  const { bytes, keys } = createKeyBackup(local, { to });
  assert.deepEqual(keys.map(({ name }) => name), ["cold", "treasury"]);

  const both = verifyKeyBackup(bytes, { to, records: [treasury, cold] });
  assert.deepEqual([both.party, both.keys.map(({ name }) => name)], ["alice", ["treasury", "cold"]]);
  const one = verifyKeyBackup(bytes, { to, records: [cold], names: ["cold"] });
  assert.deepEqual(one.keys.map(({ name }) => name), ["cold"]);
  const cases: [Partial<Parameters<typeof verifyKeyBackup>[1]>, string, RegExp][] = [
    [{ records: [cold] }, "BACKUP_INVALID", /which was not expected/],
    [{ records: [cold], names: ["treasury"] }, "USAGE", /no record of the key treasury/],
    [{ records: [cold, treasury, cold] }, "USAGE", /two records of the key cold/],
    [{ records: [cold, treasury], party: "bob" }, "BACKUP_INVALID", /alice.*bob/],
    [{ records: [cold, treasury], party: "carol" }, "NOT_A_MEMBER", /carol has no share/],
  ];
  for (const [change, code, match] of cases) {
    await refuses(() => verifyKeyBackup(bytes, { to, records: [], ...change }), code, match);
  }
  // A record that says another epoch or public share is not what the backup holds.
  const record = { ...cold.record, epoch: 1 };
  const newer = () => verifyKeyBackup(bytes, { to, records: [{ ...cold, record }, treasury] });
  await refuses(newer, "BACKUP_STALE", /epoch 0.*epoch 1/);
  const publicShares = new Map(
    cold.record.members.map(({ index }) => [index, treasury.record.publicKey as Point]),
  );
  const otherShares = () =>
    verifyKeyBackup(bytes, {
      to,
      records: [{ ...cold, record: { ...cold.record, publicShares } }, treasury],
    });
  await refuses(otherShares, "BACKUP_INVALID", /public share/);
});

Deno.test("recoverKeyBackup() restores what is lost, and leaves alone what is there", async () => {
  using scene = await Scene.make("treasury", "cold");
  const { custodian } = scene;
  const [treasury, cold] = [scene.info("treasury"), scene.info("cold")];
  const bytes = await scene.backup("treasury", "cold"), single = await scene.backup("treasury");
  const means = { keys: [custodian], answers: [] };
  let stored: StoredKey;
  {
    using local = await scene.local();
    assert.equal(backedUpEpoch(local.store, treasury.record.keyId), undefined);
    const { keys } = recoverKeyBackup(local, bytes, { ...means, records: [] });
    assert.deepEqual(keys.map(({ outcome }) => outcome), ["unchanged", "unchanged"]);
    assert.equal(backedUpEpoch(local.store, treasury.record.keyId), 0);
    stored = local.openKey(local.store.active("treasury"));
  }
  using _share = stored.share.share;
  scene.loseStore();
  {
    using local = await scene.local();
    const from = (input: Partial<Parameters<typeof recoverKeyBackup>[2]>, file = single) => () =>
      recoverKeyBackup(local, file, { ...means, records: [treasury], ...input });
    await refuses(from({ records: [] }), "USAGE", /--record is missing/);
    await refuses(from({ keys: [] }), "USAGE", /exactly one/);
    await refuses(from({ keys: [custodian, custodian] }), "USAGE", /exactly one/);
    await refuses(from({ answers: [bytes] }), "USAGE", /exactly one/);
    const forged = { ...treasury, certificate: cold.certificate };
    await refuses(from({ records: [forged] }), "STORE_CORRUPT", /certificate/);
    assert.deepEqual(local.store.keys(), []);

    const { keys } = recoverKeyBackup(local, bytes, { ...means, records: [cold], names: ["cold"] });
    assert.deepEqual(keys.map(({ name, outcome }) => [name, outcome]), [["cold", "restored"]]);
    await refuses(from({ records: [{ ...treasury, name: "cold" }] }), "KEY_EXISTS", /another key/);

    // A share that waits for its certificate is completed by it.
    const { keyId, epoch } = treasury.record;
    using key = encodeStoredKey(stored);
    local.store.write({ kind: "key-pending", keyId, epoch, name: "treasury", key });
    assert.equal(from({})().keys[0]?.outcome, "restored");
    using back = local.openKey(local.store.active("treasury")).share.share;
    assert.deepEqual(back.expose(), stored.share.share.expose());
  }
  const recovered = recordedKeys(scene.cluster.config, "alice").filter((event) =>
    /^key_recovered/.test(event)
  );
  assert.deepEqual(recovered, ["key_recovered cold 0", "key_recovered treasury 0"]);
});

Deno.test("recoverKeyBackup() refuses another share of the same epoch, an older epoch, and strangers", async () => {
  using scene = await Scene.make("treasury");
  using elsewhere = await Scene.make("treasury");
  const { cluster, custodian } = scene;
  const treasury = scene.info("treasury");
  const bytes = await scene.backup("treasury");
  const input = { keys: [custodian], answers: [], records: [treasury] };
  let first: StoredKey;
  {
    using local = await scene.local();
    first = local.openKey(local.store.active("treasury"));
    first.share.share[Symbol.dispose]();
    const foreign = { ...input, keys: [elsewhere.custodian], records: [elsewhere.info("treasury")] };
    const theirs = await elsewhere.backup("treasury");
    await refuses(() => recoverKeyBackup(local, theirs, foreign), "NOT_A_MEMBER", /alice.*configuration/);
  }
  values(await cluster.all(NAMES, (party) => party.refreshKey({ name: "treasury" })));
  {
    using local = await scene.local();
    await refuses(() => recoverKeyBackup(local, bytes, input), "BACKUP_STALE", /epoch 0.*knows its epoch 1/);
    const renewed = { ...input, records: [publicKeyInfo(local, "treasury")] };
    await refuses(() => recoverKeyBackup(local, bytes, renewed), "BACKUP_STALE", /epoch 0.*epoch 1 now/);
    noteKeyBackup(local, createKeyBackup(local, { to: custodian.publicKey }));
    assert.equal(backedUpEpoch(local.store, treasury.record.keyId), 1);
  }
  assert.equal(recordedKeys(cluster.config, "alice").at(-1), "key_backed_up treasury 1");
  scene.loseStore();
  using local = await scene.local();
  const { record } = treasury;
  const { curve, keyId, epoch } = record;
  const self = local.party.index;
  const x = curve.randomScalar(systemRng);
  const publicShares = new Map(record.publicShares).set(self, curve.mulBase(x));
  using share = new Secret(curve.encodeScalar(x));
  using key = encodeStoredKey({ ...first, share: { record: { ...record, publicShares }, self, share } });
  local.store.write({ kind: "key-pending", keyId, epoch, name: "treasury", key });
  await refuses(() => recoverKeyBackup(local, bytes, input), "KEY_EXISTS", /another share/);
  assert.equal(local.store.keys()[0]?.state, "pending");
});

Deno.test("sign() with a path signs for the child, and refuses signers who derive another one", async () => {
  using scene = await Scene.make("treasury");
  const { record } = scene.info("treasury");
  const digest = sha256(new Uint8Array(3));
  const request = { name: "treasury", digest };
  const results = values(
    await scene.cluster.all(NAMES, (party) => party.sign({ ...request, path: "m/0/5" })),
  );
  for (const { signature, signingKey: { publicKey, path } } of results) {
    assert.deepEqual(path, [0, 5]);
    const compact = signature?.compact as Uint8Array;
    assert.ok(record.curve.verifyEcdsa({ publicKey, digest, signature: compact, lowS: true }));
    assert.ok(
      !record.curve.verifyEcdsa({ publicKey: record.publicKey, digest, signature: compact, lowS: true }),
    );
  }
  const mixed = await scene.cluster.all(
    NAMES,
    (party, name) => party.sign({ ...request, path: name === "alice" ? "m/0/5" : "m/0/6" }),
  );
  for (const result of mixed) {
    assert.ok(result.status === "rejected");
    await rejects(Promise.reject(result.reason), "PEER_REFUSED", /derivation path.*m\/0\/[56].*m\/0\/[56]/);
  }
});
