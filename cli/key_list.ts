/**
 * `quorate key list` and `quorate key show`.
 *
 * @module
 */

import type { Command } from "commander";
import { listCommand, showCommand } from "../src/node/key_commands.ts";
import { withNode } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

/** Adds `key list`. */
export function addKeyList(key: Command): void {
  key.command("list")
    .description("keys of which this party has a share")
    .option("--all", "also attempts to generate a key whose name another key has by now")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly all?: boolean }>(command);
      await withNode(options, "key list", async (node) => {
        const stored = await node.call(listCommand, {});
        const keys = stored.filter(({ superseded }) => superseded !== true || options.all === true);
        const rows = keys.map((row) => [
          row.key,
          kindText(row),
          row.superseded === true ? "superseded" : row.state,
          `epoch ${row.epoch}`,
          row.keyId.slice(0, 16),
          backupText(row),
          ...bannedText(row),
        ]);
        print(options.json, keys, table(rows));
      });
    });
}

/** The curve, the scheme where the curve has another one, and what the key is for where that is something special. */
function kindText(
  { curve, scheme, purpose }: { readonly curve: string; readonly scheme?: string; readonly purpose: string },
): string {
  const kind = scheme === undefined || scheme === curve ? curve : `${curve} ${scheme}`;
  return purpose === "plain" ? kind : `${kind} for ${purpose}`;
}

function backupText(
  { backedUp, backupEpoch }: { readonly backedUp?: boolean; readonly backupEpoch?: number | null },
): string {
  if (backedUp === undefined) return "";
  if (backedUp) return "backed up";
  return typeof backupEpoch === "number" ? `not backed up since epoch ${backupEpoch}` : "not backed up";
}

function bannedText({ banned = [] }: { readonly banned?: readonly string[] }): string[] {
  return banned.length === 0 ? [] : [`banned: ${banned.join(", ")}`];
}

/** Adds `key show`. */
export function addKeyShow(key: Command): void {
  key.command("show")
    .description("what everybody may know of a key, and how this party stands")
    .requiredOption("--key <name>", "name of the key")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly key: string }>(command);
      await withNode(options, "key show", async (node) => {
        const { record, pairs, unknown, bans } = await node.call(showCommand, { key: options.key });
        const rows = [
          ...pairs.map(({ peer, status }) => [`pair ${peer}`, status]),
          ...unknown.map((payload) => ["unknown", payload]),
          ...bans.map(({ signer, at, reason }) => ["banned", `${signer}: ${reason} (${at})`]),
        ];
        print(options.json, { ...record, pairs, unknown, bans }, describeKey(record) + table(rows));
      });
    });
}

/** The public record of a key for people. */
export function describeKey(record: Readonly<Record<string, unknown>>): string {
  const names = ["key", "curve", "scheme", "purpose", "policy", "publicKey", "keyId", "epoch"];
  return table(names.filter((name) => name in record).map((name) => [name, String(record[name])]));
}
