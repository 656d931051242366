/**
 * Looks into the store of a party that runs nowhere, and changes nothing there: what is opened is a copy, for as long as it takes.
 * Shares are sealed in the copy as they are in the store.
 *
 * @module
 */

import { join, relative } from "node:path";
import { UsageError } from "../base/errors.ts";
import {
  DIRECTORY_MODE,
  FILE_MODE,
  isThere,
  reasonOf,
  requirePrivateDirectory,
  requirePrivateFile,
} from "../storage/files.ts";
import { readHolder } from "../storage/lock.ts";
import { type Config, type PartyConfig, partyConfig } from "./config.ts";
import { type LocalParty, openLocal } from "./local_party.ts";

/** Whose store is meant, and where it is. */
export interface StorePlace {
  /** The party. */
  readonly party: string;
  /** Its data directory. Default: the one in the configuration. */
  readonly directory?: string;
}

/**
 * Runs `work` on a copy of a party's store.
 *
 * @throws UsageError PARTY_BUSY where a process of the party runs; FILE_UNREADABLE where there is no store; and whatever
 * {@linkcode openLocal} and `work` throw.
 */
export async function withStoreCopy<T>(
  config: Config,
  { party: name, directory }: StorePlace,
  work: (local: LocalParty) => T,
): Promise<T> {
  const party = partyConfig(config, name);
  const from = directory ?? party.dataDirectory;
  if (!isThere(join(from, DATABASE))) {
    throw new UsageError("FILE_UNREADABLE", `there is no store of ${name} in ${from}`, { party: name });
  }
  requirePrivateDirectory(from);
  const lock = lockUnchanged(from, name);
  const copy = Deno.makeTempDirSync({ prefix: "quorate-copy-" });
  try {
    Deno.chmodSync(copy, DIRECTORY_MODE);
    for (const file of [DATABASE, `${DATABASE}-wal`, "high-water"]) copyFile(from, copy, file);
    using local = await openLocal(elsewhere(config, party, { from, copy }), name, { command: "a copy" });
    return work(local);
  } finally {
    Deno.removeSync(copy, { recursive: true });
    lock?.close();
  }
}

const DATABASE = "quorate.sqlite";

/** The operating system's lock alone: who holds it is not written into the file. */
function lockUnchanged(directory: string, party: string): Deno.FsFile | undefined {
  const path = join(directory, "lock");
  if (!isThere(path)) return undefined;
  const file = readable(path, () => Deno.openSync(path));
  if (file.tryLockSync(true)) return file;
  file.close();
  const holder = readHolder(path);
  const who = holder === undefined ? "another process" : `"${holder.command}" (process ${holder.pid})`;
  throw new UsageError("PARTY_BUSY", `${party} is busy with ${who} in ${directory}: stop it first`, {
    party,
  });
}

function copyFile(from: string, to: string, file: string): void {
  const path = join(from, file);
  if (!isThere(path)) return;
  requirePrivateFile(path);
  readable(path, () => Deno.copyFileSync(path, join(to, file)));
  // The original may be on a medium that cannot be written.
  Deno.chmodSync(join(to, file), FILE_MODE);
}

/** The configuration as it is for the copy: a sealing key that came with the data directory stays where it is. */
function elsewhere(
  config: Config,
  party: PartyConfig,
  { from, copy }: { readonly from: string; readonly copy: string },
): Config {
  const inside = relative(party.dataDirectory, party.sealing.path);
  const sealing = inside.startsWith("..") ? party.sealing : { ...party.sealing, path: join(from, inside) };
  const moved: PartyConfig = { ...party, dataDirectory: copy, sealing };
  return { ...config, parties: config.parties.map((other) => other.name === party.name ? moved : other) };
}

function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError("FILE_UNREADABLE", `cannot read ${path}: ${reasonOf(cause)}`, { cause });
  }
}
