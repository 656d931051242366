/**
 * Files of certificates: nothing is lost when one is made again, and an authority's key is found for its certificate.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { dirname, join } from "node:path";
import { utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { CertifiedKey } from "../pki/authority.ts";
import { certificatesIn } from "../pki/inspect.ts";
import { FILE_MODE, isThere, reasonOf, writeNew, writeWhole } from "../storage/files.ts";
import { readPublicText, readSecretText } from "./local_party.ts";

/** A file to be written. */
export interface NewFile {
  /** Where. */
  readonly path: string;
  /** PEM. */
  readonly content: string;
  /** For the owner alone. */
  readonly secret?: boolean;
}

/**
 * Writes files, none of which may be there; with `force` what is there is kept beside the new one.
 *
 * @returns the copies that were made.
 * @throws UsageError FILE_EXISTS before anything is written; FILE_UNWRITABLE.
 */
export function putFiles(files: readonly NewFile[], options: { readonly force?: boolean } = {}): string[] {
  const present = files.filter(({ path }) => isThere(path));
  const [first] = present;
  if (first !== undefined && options.force !== true) {
    throw new UsageError(
      "FILE_EXISTS",
      `${first.path} is there already: --force keeps a copy of it and writes a new one`,
    );
  }
  const copies = present.map(({ path }) => copyAside(path));
  for (const { path, content, secret } of files) {
    makeDirectory(dirname(path));
    const mode = secret === true ? FILE_MODE : 0o644;
    writeWhole(path, utf8(content), { mode, code: "FILE_UNWRITABLE", shared: true });
  }
  return copies;
}

/** Where authorities are. */
export interface AuthorityFiles {
  /** Their certificates, one or several. */
  readonly certPath: string;
  /** A private key. Default: `ca-key.pem` and `ca-key-N.pem` beside the certificates. */
  readonly keyPath?: string;
}

/**
 * The authorities of a bundle whose private keys are here, in the order of the bundle: the newest is the last.
 *
 * @returns at least one.
 * @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS
 */
export function readAuthorities({ certPath, keyPath }: AuthorityFiles): CertifiedKey[] {
  const bundle = certificatesIn(readPublicText(certPath, "the authority's certificate"));
  const paths = keyPath === undefined ? keysBeside(certPath) : [keyPath];
  const keys = paths.map((path) => readSecretText(path, "the authority's key"));
  const found = bundle.flatMap((certPem) => {
    const keyPem = keys.find((key) => belongs(certPem, key));
    return keyPem === undefined ? [] : [{ certPem, keyPem }];
  });
  if (found.length > 0) return found;
  throw new UsageError(
    "IDENTITY_INVALID",
    `the key in ${paths.join(", ")} belongs to none of the ${bundle.length} certificates in ${certPath}`,
  );
}

/** Whether a certificate is signed by an authority's key. */
export function isIssuedBy(certPem: string, authorityPem: string): boolean {
  const certificate = new X509Certificate(certPem), authority = new X509Certificate(authorityPem);
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

function belongs(certPem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function keysBeside(certPath: string): string[] {
  const directory = dirname(certPath);
  const names = [...entriesOf(directory)].filter((name) => AUTHORITY_KEY.test(name)).sort();
  if (names.length > 0) return names.map((name) => join(directory, name));
  throw new UsageError(
    "IDENTITY_INVALID",
    `there is no authority's key beside ${certPath}: run this where it is kept, name it with --ca-key, or make a request with cert csr`,
  );
}

function* entriesOf(directory: string): Iterable<string> {
  try {
    for (const { name } of Deno.readDirSync(directory)) yield name;
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", `${directory} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

/** `FILE.2026-01-31T12-00-00.000Z.old`, with the permissions of the file. */
function copyAside(path: string): string {
  const copy = `${path}.${new Date().toISOString().replaceAll(":", "-")}.old`;
  const mode = (Deno.statSync(path).mode ?? FILE_MODE) & 0o777;
  writeNew(copy, Deno.readFileSync(path), { mode, code: "FILE_UNWRITABLE" });
  return copy;
}

/** What `init`, `create-ca` and `rotate-ca` call them. */
const AUTHORITY_KEY = /^ca-key(-\d{1,4})?\.pem$/;

function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new UsageError("FILE_UNWRITABLE", `cannot make ${path}: ${reasonOf(cause)}`, { cause });
  }
}
