/**
 * `quorate audit`.
 *
 * @module
 */

import type { Command } from "commander";
import { addAuditHead } from "./audit_head.ts";
import { addAuditProve } from "./audit_prove.ts";
import { addAuditVerify } from "./audit_verify.ts";

/** Adds the commands on the tamper-evident log. */
export function addAudit(program: Command): void {
  const audit = program.command("audit").description("the tamper-evident log of this party");
  addAuditVerify(audit);
  addAuditHead(audit);
  addAuditProve(audit);
}
