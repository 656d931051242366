/**
 * `quorate key ...`.
 *
 * @module
 */

import type { Command } from "commander";
import { addKeyDerive } from "./key_derive.ts";
import { addKeyExport } from "./key_export.ts";
import { addKeyGenerate } from "./key_generate.ts";
import { addKeyExportPrivate, addKeyImport } from "./key_import.ts";
import { addKeyList, addKeyShow } from "./key_list.ts";
import { addKeyRefresh } from "./key_refresh.ts";
import { addKeyDiscard, addKeyRepair, addKeySync, addKeyUnban } from "./key_repair.ts";
import { addKeyReshare } from "./key_reshare.ts";
import { addKeySign } from "./key_sign.ts";
import { addKeyVerify } from "./key_verify.ts";

/** Adds the commands. */
export function addKey(root: Command): void {
  const key = root.command("key").description("threshold keys");
  addKeyGenerate(key);
  addKeyList(key);
  addKeyShow(key);
  addKeySign(key);
  addKeyVerify(key);
  addKeyImport(key);
  addKeyExportPrivate(key);
  addKeyRefresh(key);
  addKeyReshare(key);
  addKeyRepair(key);
  addKeySync(key);
  addKeyDiscard(key);
  addKeyUnban(key);
  addKeyDerive(key);
  addKeyExport(key);
}
