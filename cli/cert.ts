/**
 * `quorate cert`: the life of certificates.
 *
 * @module
 */

import type { Command } from "commander";
import { addCertCreateCa, addCertRotateCa } from "./cert_authority.ts";
import { addCertCsr, addCertIssue, addCertRenew } from "./cert_issue.ts";
import { addCertRevoke } from "./cert_revoke.ts";
import { addCertInspect, addCertList, addCertNeedsRenewal } from "./cert_show.ts";

/** Adds the commands. */
export function addCert(root: Command): void {
  const cert = root.command("cert").description("certificates of the cluster and its parties");
  addCertCreateCa(cert);
  addCertIssue(cert);
  addCertCsr(cert);
  addCertRenew(cert);
  addCertRevoke(cert);
  addCertList(cert);
  addCertInspect(cert);
  addCertNeedsRenewal(cert);
  addCertRotateCa(cert);
}
