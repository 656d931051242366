/**
 * Stores in throw-away directories, with keys of a made-up form.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import assert from "node:assert/strict";
import { keyId, type PartyId, partyId, sessionId } from "../../src/base/brands.ts";
import { type Bytes, concat, u16, u32, u8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import type { JournalRecord } from "../../src/protocols/protocol.ts";
import { type KeyFacts, LocalStore, type LocalStoreOptions } from "../../src/storage/local_store.ts";

export const BOB: PartyId = partyId(2);
export const CAROL: PartyId = partyId(3);

/** 32 bytes that differ per text. */
export function id(text: string): Bytes {
  return sha256(new TextEncoder().encode(text));
}

/** Key id, epoch, owner, one byte that says whether the share fits or is none, and the share. */
export function fakeKey(
  input: { name: string; epoch?: number; self?: number; fits?: boolean; departs?: boolean; share?: string },
): { keyId: ReturnType<typeof keyId>; epoch: number; name: string; key: Secret } {
  const { name, epoch = 0, self = 1, fits = true, departs = false, share = `share ${name} ${epoch}` } = input;
  const bytes = concat(id(name), u32(epoch), u16(self), u8(departs ? 2 : fits ? 1 : 0), id(share));
  return { keyId: keyId(id(name)), epoch, name, key: new Secret(bytes) };
}

export function inspectFake(encoded: Bytes): KeyFacts {
  if (encoded.length !== 71) throw new DecodeError("71 bytes expected");
  const view = new DataView(encoded.buffer, encoded.byteOffset);
  const kind = view.getUint8(38);
  if (kind === 0) throw new DecodeError("the share does not belong to the record");
  return {
    keyId: encoded.slice(0, 32),
    epoch: view.getUint32(32),
    curve: "secp256k1",
    self: view.getUint16(36),
    departs: kind === 2,
  };
}

/** A data directory of its own that is removed afterwards. */
export class Place implements Disposable {
  readonly root: string = Deno.makeTempDirSync();

  directory(party = "alice"): string {
    const path = `${this.root}/${party}`;
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  options(changes: Partial<LocalStoreOptions> = {}, party = "alice", index = 1): LocalStoreOptions {
    return {
      directory: this.directory(party),
      owner: { cluster: "test", party, index },
      sealing: { kind: "key", key: new Secret(id("sealing key")) },
      rng: seededRng(`${party} ${performance.now()}`),
      inspect: inspectFake,
      now: () => 1_700_000_000_000,
      ...changes,
    };
  }

  open(changes: Partial<LocalStoreOptions> = {}, party = "alice", index = 1): LocalStore {
    return LocalStore.open(this.options(changes, party, index));
  }

  /** The directory's files as they are now. */
  snapshot(party = "alice"): Map<string, Bytes> {
    const files = new Map<string, Bytes>();
    for (const { name } of Deno.readDirSync(this.directory(party))) {
      files.set(name, Deno.readFileSync(`${this.directory(party)}/${name}`));
    }
    return files;
  }

  /** Puts back some of the files of a snapshot; the database without its log. */
  restore(files: Map<string, Bytes>, names: readonly string[], party = "alice"): void {
    for (const name of names) {
      const content = files.get(name);
      assert.ok(content, `${name} was not there`);
      Deno.writeFileSync(`${this.directory(party)}/${name}`, content, { mode: 0o600 });
      for (const log of ["-wal", "-shm"]) {
        try {
          Deno.removeSync(`${this.directory(party)}/${name}${log}`);
        } catch {
          // A database that was closed has no log.
        }
      }
    }
  }

  /** Changes a closed database behind the store's back. */
  edit(sql: string, party = "alice"): void {
    const database = new DatabaseSync(`${this.directory(party)}/quorate.sqlite`);
    database.exec(sql);
    database.close();
  }

  /** What is in a closed database. */
  query(sql: string, party = "alice"): Record<string, unknown>[] {
    const database = new DatabaseSync(`${this.directory(party)}/quorate.sqlite`);
    const rows = database.prepare(sql).all().map((row) => ({ ...row }));
    database.close();
    return rows;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

/** Asserts that an action fails with a code, in one sentence that matches. */
export function fails(action: () => unknown, code: string, match?: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.ok(error instanceof UsageError, `not a UsageError: ${error}`);
    assert.equal(error.code, code, error.message);
    if (match !== undefined) assert.match(error.message, match);
    return true;
  });
}

/** An active key with a good pair to bob. */
export function withKey(store: LocalStore, name = "treasury"): ReturnType<typeof fakeKey> {
  const key = fakeKey({ name });
  store.write({ kind: "key-pending", ...key });
  store.write({ kind: "key-active", keyId: key.keyId, epoch: 0, certificate: id("certificate") });
  store.write(pairRecord(key));
  return key;
}

export function pairRecord(
  key: Pick<ReturnType<typeof fakeKey>, "keyId" | "epoch">,
  peer: PartyId = BOB,
): JournalRecord {
  return { kind: "pair", keyId: key.keyId, epoch: key.epoch, peer, state: new Secret(id(`pair ${peer}`)) };
}

export function checkBegin(
  key: Pick<ReturnType<typeof fakeKey>, "keyId" | "epoch">,
  sid: string,
  peers: readonly PartyId[] = [BOB],
): JournalRecord {
  const checks = peers.map((peer) => ({ peer, sid: sessionId(id(sid)), messageHash: id(`message ${sid}`) }));
  return { kind: "check-begin", keyId: key.keyId, epoch: key.epoch, checks };
}

export function burnRecord(
  key: Pick<ReturnType<typeof fakeKey>, "keyId" | "epoch">,
  sid: string,
): JournalRecord {
  const place = { keyId: key.keyId, epoch: key.epoch, peer: BOB, sid: sessionId(id(sid)) };
  return { kind: "burn", ...place, messageHash: id(`message ${sid}`), reason: "the check failed" };
}
