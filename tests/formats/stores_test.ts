/**
 * What earlier versions wrote to disk is still opened and used: stores, audit logs, backups, records and configurations. `make.ts`
 * made the examples, with the program as it was then.
 */

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { keysOf } from "../../cli/audit_options.ts";
import { originOf } from "../../src/audit/checkpoint.ts";
import type { NamedKey } from "../../src/audit/checkpoint.ts";
import { checkProof, parseProof } from "../../src/audit/proof.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { decode } from "../../src/base/codec.ts";
import { systemRng } from "../../src/base/rng.ts";
import { recoverKeyBackup, verifyKeyBackup } from "../../src/node/backup.ts";
import { type Config, loadConfig } from "../../src/node/config.ts";
import { type LocalParty, openLocal } from "../../src/node/local_party.ts";
import { PairStates } from "../../src/node/pair_states.ts";
import { LedgerVoteStore } from "../../src/node/vote_store.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { verifyCertificate } from "../../src/protocols/dkg/certificate.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import type { EcdsaSignature } from "../../src/protocols/ecdsa/signature.ts";
import { verifyFrostCertificate } from "../../src/protocols/frost/certificate.ts";
import { frostSign } from "../../src/protocols/frost/sign.ts";
import { type KeyShare, quorumOf } from "../../src/protocols/key_share.ts";
import { runLocally } from "../../src/protocols/local.ts";
import type { Session } from "../../src/protocols/protocol.ts";
import { describeBackup } from "../../src/protocols/pve/backup.ts";
import { answerDrill, checkDrill } from "../../src/protocols/pve/drill.ts";
import { parseCustodianKey, parseCustodianPrivateKey } from "../../src/protocols/pve/custodian.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { SqliteStore } from "../../src/storage/sqlite_stores.ts";
import { certificateCodec, certificateFault } from "../../src/voting/certificate.ts";
import { proposalFault } from "../../src/voting/proposal.ts";
import { voteFault } from "../../src/voting/vote.ts";
import type { KeyEntry } from "../../src/storage/local_store.ts";
import { SCHEMA_VERSION } from "../../src/storage/tables.ts";
import { type Files, readArchive, unpack } from "./archive.ts";

const STORES = new URL("stores/", import.meta.url);
const NAMES = [...Deno.readDirSync(STORES)].map(({ name }) => name)
  .sort((a, b) => versionIn(a) - versionIn(b));
const DIGEST = sha256(utf8("m"));

Deno.test("there is a stored example of every version of a party's store", () => {
  const expected = Array.from({ length: SCHEMA_VERSION }, (_, i) => `v${i + 1}.json.gz`);
  assert.deepEqual(
    NAMES,
    expected,
    "make one with tests/formats/make.ts before the next version is released",
  );
  for (const [i, name] of NAMES.entries()) {
    using home = new Home(name);
    const path = join(home.directory, "data/alice/quorate.sqlite");
    using database = new DatabaseSync(path, { readOnly: true });
    assert.equal(database.prepare("PRAGMA user_version").get()?.["user_version"], i + 1);
  }
});

for (const name of NAMES) {
  Deno.test(`stores ${name}: the keys in them open, sign, and stay as they are`, async () => {
    using home = new Home(name);
    for (let time = 0; time < 2; time++) {
      using parties = await home.open();
      const [alice] = parties.all as [LocalParty];
      const active = alice.store.keys().filter(({ state }) => state === "active");
      assert.ok(active.some(({ name }) => name === "treasury"));
      for (const entry of active) {
        // A key that signs what was approved is used by a node.
        if (entry.name === "approved") continue;
        const signature = isFrost(entry) ? frostSigned(parties.all, entry) : signed(parties.all, entry);
        assert.ok(signature, `${name} ${entry.name}`);
      }
      assert.equal(alice.store.active("treasury").epoch, 1);
      const left = parties.all[2]?.store.keys().find((entry) => entry.name === "left" && entry.epoch === 1);
      assert.equal(left?.state, name === "v1.json.gz" ? undefined : "left");
    }
  });

  Deno.test(`stores ${name}: signatures, records, audit logs and configuration are still good`, () => {
    using home = new Home(name);
    const pem = createPublicKey(home.text("treasury.pem"));
    for (const party of ["alice", "bob"]) {
      assert.ok(verify("sha256", utf8("m"), pem, home.bytes(`${party}.sig`)));
    }
    for (const key of ["treasury", "seal"]) {
      if (!home.has(`${key}.json`)) continue;
      assert.equal(parsePublicRecord(home.text(`${key}.json`), key).name, key);
    }
    const keys = keysOf(home.config);
    if (home.has("record.proof")) {
      const proof = parseProof(home.text("record.proof"), "record.proof");
      assert.equal(checkProof(proof, (origin) => keys.get(origin)).record.index, 0);
    }
    for (const { name: party, audit } of home.config.parties) {
      if (!home.has(`data/${party}/audit/tree`)) continue;
      const origin = originOf(home.config.cluster, party);
      const cosigners = [...keys.values()].filter(({ name }) => name !== origin);
      const report = verifyLog({
        directory: audit.directory,
        party,
        key: keys.get(origin) as NamedKey,
        cosigners,
        checkpoints: [],
        witnesses: 0,
      });
      assert.deepEqual([report.ok, report.findings], [true, []]);
      assert.ok(report.size > 0 && report.checkpoints.length > 0);
    }
  });

  if (versionIn(name) >= 4) {
    Deno.test(`stores ${name}: votes, decisions and what was handed to other stores are read`, async () => {
      using home = new Home(name);
      const { membership } = home.config.voting ?? assert.fail("nobody votes");
      using parties = await home.open();
      for (const { store, party } of parties.all) {
        const outbox = new Outbox(store.ledger, { cluster: home.config.cluster, stream: party.name });
        const votes = new LedgerVoteStore({
          ledger: store.ledger,
          outbox,
          membershipAt: () => membership,
          now: Date.now,
        });
        const records = [...votes.load()];
        const decided = records.flatMap((record) => record.kind === "decision" ? [record.certificate] : []);
        assert.deepEqual(decided.map(({ txId }) => txId).sort(), ["pay_7", "tx_001"]);
        for (const certificate of decided) assert.equal(certificateFault(membership, certificate), undefined);
        for (const record of records) {
          if (record.kind === "vote") assert.equal(voteFault(membership, record.vote), undefined);
          if (record.kind === "proposal") assert.equal(proposalFault(membership, record.proposal), undefined);
        }
        const kinds = new Set(records.map(({ kind }) => kind));
        assert.ok(["lock", "vote", "proposal", "decision"].every((kind) => kinds.has(kind as never)));
        if (home.has("tx_001.decision")) {
          const decision = decode(certificateCodec, home.bytes("tx_001.decision"));
          assert.equal(certificateFault(membership, decision), undefined);
        }
        await using shared = SqliteStore.open({ path: join(party.dataDirectory, "shared.sqlite") });
        const { entries } = await shared.list("");
        assert.ok(entries.length > 0);
      }
    });
  }

  Deno.test(`stores ${name}: backups verify, and bring a share back`, async () => {
    using home = new Home(name);
    const records = ["treasury", "left", "seal", "tap"].flatMap((key) =>
      home.has(`${key}.json`) ? [parsePublicRecord(home.text(`${key}.json`), key)] : []
    );
    const of = (key: string) => records.filter((record) => record.name === key);
    const custodian = (path: string) => parseCustodianKey(home.text(path), path);
    const cases = [
      { file: "single.pve", to: "c1", records: of("treasury") },
      { file: "frost.pve", to: "c2", records: of("seal") },
    ].filter(({ file }) => home.has(file));
    for (const { file, to, records } of cases) {
      const { party } = verifyKeyBackup(home.bytes(file), { to: custodian(`${to}.pub`), records });
      assert.equal(party, "alice");
    }
    if (home.has("drill.pve")) {
      using key = parseCustodianPrivateKey(home.text("c1.key"), "c1");
      const [share] = describeBackup(home.bytes("drill.pve")).shares;
      assert.ok(share !== undefined && checkDrill(share, answerDrill(home.bytes("drill.pve"), key)));
    }
    if (!home.has("quorum.pve")) return assert.equal(name, "v1.json.gz");

    Deno.removeSync(join(home.directory, "data/alice/quorate.sqlite"));
    Deno.removeSync(join(home.directory, "data/alice/high-water"));
    using alice = await openLocal(home.config, "alice", { command: "test" });
    for (const { file, to, records } of cases) {
      using key = parseCustodianPrivateKey(home.text(`${to}.key`), to);
      const { keys, badRows } = recoverKeyBackup(alice, home.bytes(file), {
        records,
        keys: [key],
        answers: [],
      });
      assert.deepEqual([keys.map(({ outcome }) => outcome), badRows], [["restored"], 0]);
    }
    using key = parseCustodianPrivateKey(home.text("c2.key"), "c2");
    const { custodians } = recoverKeyBackup(alice, home.bytes("quorum.pve"), {
      records: of("treasury"),
      keys: [key],
      answers: [home.bytes("c1.part")],
    });
    assert.equal(custodians.length, 2);
    using batch = parseCustodianPrivateKey(home.text("c1.key"), "c1");
    const all = recoverKeyBackup(alice, home.bytes("batch.pve"), {
      records: of("treasury"),
      names: ["treasury"],
      keys: [batch],
      answers: [],
    });
    assert.equal(all.badRows, 0);
  });
}

function versionIn(name: string): number {
  return Number(/^v(\d+)\./.exec(name)?.[1]);
}

/** What is on the disks of three parties, removed when disposed. */
class Home implements Disposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "quorate-test-" });
  readonly config: Config;
  readonly #files: Files;

  constructor(name: string) {
    this.#files = readArchive(new URL(name, STORES));
    unpack(this.#files, this.directory);
    this.config = loadConfig(join(this.directory, "quorate.toml"));
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  bytes(path: string): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#files.get(path) as Uint8Array);
  }

  text(path: string): string {
    return new TextDecoder().decode(this.bytes(path));
  }

  /** The stores of all parties. */
  async open(): Promise<{ readonly all: readonly LocalParty[] } & Disposable> {
    const stack = new DisposableStack();
    const all: LocalParty[] = [];
    for (const { name } of this.config.parties) {
      all.push(stack.use(await openLocal(this.config, name, { command: "test" })));
    }
    return { all, [Symbol.dispose]: () => stack.dispose() };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }
}

function isFrost({ curve }: KeyEntry): boolean {
  return curve === "ed25519" || curve === "bip340";
}

/** Whether the first two members sign with what they have stored, the states of their pair included. */
function signed(parties: readonly LocalParty[], { name }: KeyEntry): boolean {
  using stack = new DisposableStack();
  const opened = new Map<PartyId, { readonly share: KeyShare; readonly pairs: PairStates }>();
  for (const party of parties) {
    const entry = party.store.keys().findLast((entry) => entry.name === name && entry.state === "active");
    if (entry === undefined) continue;
    const { share } = party.openKey(entry);
    stack.use(share.share);
    verifyCertificate(share.record, entry.certificate);
    opened.set(party.party.index, { share, pairs: stack.use(new PairStates(party.store)) });
  }
  const { record } = (opened.get(partyId(1)) as { share: KeyShare }).share;
  const quorum = quorumOf(record, record.members.map(({ index }) => index));
  assert.ok(quorum !== undefined);
  const inputOf = (self: PartyId) => {
    const { share, pairs } = opened.get(self) as { share: KeyShare; pairs: PairStates };
    const place = { keyId: record.keyId, epoch: record.epoch };
    return {
      share,
      signers: quorum.active,
      coefficients: quorum.coefficients,
      digest: DIGEST,
      pairs: (peer: PartyId) => pairs.get({ ...place, peer }),
      burned: (peer: PartyId) => pairs.isBurned({ ...place, peer }),
    };
  };
  const offers = new Map(
    quorum.active.map((party) => [party, sign.offer?.(inputOf(party)) ?? new Uint8Array()]),
  );
  const outcomes = runLocally<EcdsaSignature | undefined>(
    quorum.active,
    (session: Session) => sign.run(session, inputOf(session.self)),
    { rng: systemRng, offers },
  );
  return [...outcomes.values()].every((outcome) => {
    if (!outcome.ok) throw outcome.error;
    const signature = (outcome.value as EcdsaSignature).compact;
    return record.curve.verifyEcdsa({ publicKey: record.publicKey, digest: DIGEST, signature, lowS: true });
  });
}

function frostSigned(parties: readonly LocalParty[], { name }: KeyEntry): boolean {
  const signers = parties.slice(1).map(({ party }) => party.index);
  using stack = new DisposableStack();
  const outcomes = runLocally(signers, (session) => {
    const party = parties[session.self - 1] as LocalParty;
    const entry = party.store.active(name);
    const { share } = party.openFrostKey(entry);
    stack.use(share.share);
    verifyFrostCertificate(share.record, entry.certificate);
    return frostSign.run(session, { share, signers, message: DIGEST });
  }, { rng: systemRng });
  // A signature is verified before it is given to a signer.
  return [...outcomes.values()].every((outcome) => {
    if (!outcome.ok) throw outcome.error;
    return outcome.value?.length === 64;
  });
}
