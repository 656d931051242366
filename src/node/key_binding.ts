/**
 * Keys that are bound to a purpose: what a party refuses to do with them, and when approval would bind nobody (VOTING 8.4).
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { type AccessTree, formatPolicy } from "../primitives/access.ts";
import type { KeyPurpose } from "../protocols/key_purpose.ts";
import { faultBounds } from "../voting/membership.ts";
import type { Config } from "./config.ts";

/** A key, as far as it is bound. */
type Purposed = { readonly purpose: KeyPurpose };

/** Refuses to sign on request. @throws UsageError APPROVAL_REQUIRED or KEY_PURPOSE */
export function requirePlain({ purpose }: Purposed, name: string): void {
  if (purpose === "approved-signing") {
    throw new UsageError(
      "APPROVAL_REQUIRED",
      `${name} signs only what a quorum has approved: use quorate propose --key ${name}`,
    );
  }
  if (purpose === "decision") {
    throw new UsageError("KEY_PURPOSE", `${name} signs decisions, and nothing on request: use another key`);
  }
}

/**
 * Refuses to put a bound key together: what comes out of an export is bound to nothing.
 *
 * @throws UsageError APPROVAL_REQUIRED or KEY_PURPOSE
 */
export function requireExportable({ purpose }: Purposed, name: string): void {
  if (purpose === "plain") return;
  throw new UsageError(
    purpose === "decision" ? "KEY_PURPOSE" : "APPROVAL_REQUIRED",
    `${name} is bound to its purpose (${purpose}), and whoever has it whole is bound by nothing: say --without-approval if that is meant`,
  );
}

/**
 * Refuses a bound key with whose policy nobody would be bound: as many members as may vote twice could sign with it alone.
 *
 * @throws UsageError NODE_POLICY_WEAK or CONFIG_INVALID
 */
export function requireBindable(
  { voting, path }: Pick<Config, "voting" | "path">,
  { policy, purpose = "plain" }: { readonly policy: AccessTree; readonly purpose?: KeyPurpose },
): void {
  if (purpose === "plain") return;
  if (voting === undefined) {
    throw new UsageError(
      "CONFIG_INVALID",
      `${path}: there is no section [voting], so nobody could approve what a key with --purpose ${purpose} signs`,
    );
  }
  const { membership: { voters, quorum } } = voting;
  const { safe } = faultBounds(voters.length, quorum);
  const enough = smallestQuorum(policy);
  if (enough > safe) return;
  throw new UsageError(
    "NODE_POLICY_WEAK",
    `${enough} of the parties can sign with ${
      formatPolicy(policy)
    }, and a vote of ${quorum} of ${voters.length} reckons with ${safe} that cheat: let more than ${safe} sign`,
  );
}

/** How many parties are enough to sign. Every party is at one place of a policy. */
export function smallestQuorum(policy: AccessTree): number {
  if (policy.kind === "leaf") return 1;
  const least = policy.children.map(({ node }) => smallestQuorum(node)).sort((a, b) => a - b);
  return least.slice(0, policy.minSigners).reduce((sum, one) => sum + one, 0);
}
