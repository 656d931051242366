/**
 * Stored examples of several files: one compressed file of paths and contents. What is in it are throw-away keys.
 */

import { dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

/** Contents by path. */
export type Files = ReadonlyMap<string, Uint8Array>;

/** Writes an archive. The same files give the same bytes. */
export function writeArchive(path: string, files: Files): void {
  const entries = [...files].sort(([a], [b]) => a < b ? -1 : 1).map((
    [name, bytes],
  ) => [name, bytes.toBase64()]);
  Deno.writeFileSync(path, gzipSync(JSON.stringify(Object.fromEntries(entries)), { level: 9 }));
}

/** Reads an archive. */
export function readArchive(path: string | URL): Files {
  const text = new TextDecoder().decode(gunzipSync(Deno.readFileSync(path)));
  const entries = Object.entries(JSON.parse(text) as Record<string, string>);
  return new Map(entries.map(([name, base64]) => [name, Uint8Array.fromBase64(base64)]));
}

/** Writes the files of an archive, for their owner alone, as a party demands it. */
export function unpack(files: Files, directory: string): void {
  for (const [name, bytes] of files) {
    const path = join(directory, name);
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    Deno.writeFileSync(path, bytes, { mode: 0o600 });
  }
}

/** The files of a directory that are wanted. */
export function packed(directory: string, wanted: (path: string) => boolean): Files {
  const files = new Map<string, Uint8Array>();
  const visit = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(join(directory, folder))) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (isDirectory) visit(path);
      else if (wanted(path)) files.set(path, Deno.readFileSync(join(directory, path)));
    }
  };
  visit("");
  return files;
}
