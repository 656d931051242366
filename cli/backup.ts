/**
 * `quorate backup ...`.
 *
 * @module
 */

import type { Command } from "commander";
import { addBackupCreate, addBackupVerify } from "./backup_create.ts";
import { addBackupCustodian, addBackupDrill } from "./backup_custodian.ts";
import { addBackupOpen, addBackupRecover } from "./backup_recover.ts";

/** Adds the commands. */
export function addBackup(root: Command): void {
  const backup = root.command("backup").description("backups of shares that anyone can verify");
  addBackupCustodian(backup);
  addBackupCreate(backup);
  addBackupVerify(backup);
  addBackupOpen(backup);
  addBackupRecover(backup);
  addBackupDrill(backup);
}
