/** Throw-away logs, and what can happen to them. */

import { originOf } from "../../src/audit/checkpoint.ts";
import type { AuditEvent } from "../../src/audit/events.ts";
import { AuditLog, type AuditLogOptions } from "../../src/audit/log.ts";
import {
  type Ed25519Signer,
  ed25519Signer,
  type Ed25519Verifier,
  ed25519Verifier,
} from "../../src/base/crypto.ts";

/** A party that keeps a log or witnesses those of others. */
export interface Keeper {
  readonly name: string;
  readonly signer: Ed25519Signer;
  readonly key: { readonly name: string; readonly verifier: Ed25519Verifier };
}

export function keeper(name: string, seed: number): Keeper {
  const signer = ed25519Signer(new Uint8Array(32).fill(seed));
  const verifier = ed25519Verifier(signer.publicKey) as Ed25519Verifier;
  return { name, signer, key: { name: originOf("demo", name), verifier } };
}

export const alice = keeper("alice", 1);
export const bob = keeper("bob", 2);
export const carol = keeper("carol", 3);

/** A temporary directory, removed when disposed. */
export class Folder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "quorate-audit-" });
  readonly log: string = `${this.path}/audit`;

  open(options: Partial<AuditLogOptions> = {}): AuditLog {
    return openAt(this.log, options);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

export function openAt(directory: string, options: Partial<AuditLogOptions> = {}, who = alice): AuditLog {
  return AuditLog.open({
    directory,
    party: who.name,
    key: who.key,
    signer: () => who.signer,
    now: () => 1_700_000_000_000,
    ...options,
  });
}

export function note(what: string): AuditEvent {
  return { type: "security_event", outcome: "ok", details: { what } };
}

/** Fills a log with records and closes it. */
export function fill(log: AuditLog, count: number): void {
  for (let i = 0; i < count; i++) log.append(note(`event ${log.size + i}`));
  log.close();
}

/** Lines of the only file of records. */
export function linesIn(directory: string, first = 0): string[] {
  return Deno.readTextFileSync(fileOf(directory, first)).split("\n").slice(0, -1);
}

export function writeLines(directory: string, lines: readonly string[], first = 0): void {
  Deno.writeTextFileSync(fileOf(directory, first), lines.map((line) => `${line}\n`).join(""));
}

export function fileOf(directory: string, first = 0): string {
  return `${directory}/${String(first).padStart(16, "0")}.jsonl`;
}

/** Runs `work` on a disk that takes some more bytes and then says that it is full. */
export function onFullDisk<T>(bytesLeft: number, work: () => T): T {
  const { writeSync } = Deno.FsFile.prototype;
  let left = bytesLeft;
  Deno.FsFile.prototype.writeSync = function (this: Deno.FsFile, content: Uint8Array): number {
    if (left === 0) throw new Error("No space left on device (os error 28)");
    const written = writeSync.call(this, content.subarray(0, left));
    left -= written;
    return written;
  };
  try {
    return work();
  } finally {
    Deno.FsFile.prototype.writeSync = writeSync;
  }
}
