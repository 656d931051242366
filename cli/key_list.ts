/**
 * `quorate key list` and `quorate key show`.
 *
 * @module
 */

import type { Command } from "commander";
import { hex } from "../src/base/bytes.ts";
import { backedUpEpoch } from "../src/node/backup.ts";
import { isFrostInfo, kindOfEntry } from "../src/node/frost_keys.ts";
import { type KeyInfo, keyInfo } from "../src/node/party.ts";
import { recordOf } from "../src/node/public_key.ts";
import type { KeyEntry, LocalStore } from "../src/storage/local_store.ts";
import { optionsOf, withLocal } from "./options.ts";
import { print, table } from "./output.ts";

/** Adds `key list`. */
export function addKeyList(key: Command): void {
  key.command("list")
    .description("keys of which this party has a share")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      await withLocal(options, "key list", ({ store }) => {
        const keys = store.keys().map(({ name, keyId, epoch, curve, state }) => ({
          key: name,
          keyId: hex(keyId),
          epoch,
          ...kindOfEntry({ curve }),
          state,
          ...backupOf(store, { keyId, epoch, state }),
        }));
        const rows = keys.map((row) => [
          row.key,
          kindText(row),
          row.state,
          `epoch ${row.epoch}`,
          row.keyId.slice(0, 16),
          backupText(row),
        ]);
        print(options.json, keys, table(rows));
      });
    });
}

/** The curve, and the scheme where the curve has another one. */
function kindText({ curve, scheme }: ReturnType<typeof kindOfEntry>): string {
  return scheme === undefined || scheme === curve ? curve : `${curve} ${scheme}`;
}

/** Whether this epoch of a key is backed up, and the newest one that is. A share that is not in use needs no backup. */
function backupOf(
  store: LocalStore,
  { keyId, epoch, state }: Pick<KeyEntry, "keyId" | "epoch" | "state">,
): { readonly backedUp?: boolean; readonly backupEpoch?: number | null } {
  if (state !== "active") return {};
  const backupEpoch = backedUpEpoch(store, keyId) ?? null;
  return { backedUp: backupEpoch === epoch, backupEpoch };
}

function backupText({ backedUp, backupEpoch }: ReturnType<typeof backupOf>): string {
  if (backedUp === undefined) return "";
  if (backedUp) return "backed up";
  return typeof backupEpoch === "number" ? `not backed up since epoch ${backupEpoch}` : "not backed up";
}

/** Adds `key show`. */
export function addKeyShow(key: Command): void {
  key.command("show")
    .description("what everybody may know of a key, and how this party stands")
    .requiredOption("--key <name>", "name of the key")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly key: string }>(command);
      await withLocal(options, "key show", (local) => {
        const info = keyInfo(local, options.key);
        const { value, text } = describeKey(info);
        const { keyId, epoch, members } = info.record;
        // Keys for Ed25519 and BIP340 have no pairs.
        const paired = isFrostInfo(info) ? [] : members;
        const pairs = paired.filter(({ index }) => index !== local.party.index).map(({ index, name }) => {
          const { status, state } = local.store.pair({ keyId, epoch, peer: index });
          state?.[Symbol.dispose]();
          return { peer: name, status };
        });
        const unknown = local.store.releases(keyId).filter(({ outcome }) => outcome === "unknown")
          .map(({ payloadHash }) => hex(payloadHash));
        const rows = [
          ...pairs.map(({ peer, status }) => [`pair ${peer}`, status]),
          ...unknown.map((payload) => ["unknown", payload]),
        ];
        print(options.json, { ...value, pairs, unknown }, text + table(rows));
      });
    });
}

/** A key for JSON and for people. */
export function describeKey(
  info: KeyInfo,
): { readonly value: Record<string, unknown>; readonly text: string } {
  const value = recordOf(info);
  const names = ["key", "curve", "scheme", "policy", "publicKey", "keyId", "epoch"];
  const rows = names.filter((name) => name in value).map((name) => [name, String(value[name])]);
  return { value, text: table(rows) };
}
