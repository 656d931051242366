/**
 * `quorate key list` and `quorate key show`.
 *
 * @module
 */

import type { Command } from "commander";
import { hex } from "../src/base/bytes.ts";
import { type PublicKeyInfo, publicKeyInfo } from "../src/node/party.ts";
import { recordOf } from "../src/node/public_key.ts";
import { optionsOf, withLocal } from "./options.ts";
import { print } from "./output.ts";

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
          curve,
          state,
        }));
        const rows = keys.map((
          row,
        ) => [row.key, row.curve, row.state, `epoch ${row.epoch}`, row.keyId.slice(0, 16)]);
        print(options.json, keys, table(rows));
      });
    });
}

/** Adds `key show`. */
export function addKeyShow(key: Command): void {
  key.command("show")
    .description("what everybody may know of a key, and how this party stands")
    .requiredOption("--key <name>", "name of the key")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly key: string }>(command);
      await withLocal(options, "key show", (local) => {
        const info = publicKeyInfo(local, options.key);
        const { value, text } = describeKey(info);
        const { keyId, epoch, members } = info.record;
        const pairs = members.filter(({ index }) => index !== local.party.index).map(({ index, name }) => {
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
  info: PublicKeyInfo,
): { readonly value: Record<string, unknown>; readonly text: string } {
  const value = recordOf(info);
  const rows = ["key", "curve", "policy", "publicKey", "keyId", "epoch"].map((
    name,
  ) => [name, String(value[name])]);
  return { value, text: table(rows) };
}

function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd() + "\n")
    .join("");
}
