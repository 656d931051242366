/**
 * The parts of a node: each is there where the configuration asks for it.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import { AuditExchange } from "./audit_exchange.ts";
import type { ModuleContext, NodeModule } from "./daemon.ts";
import { VotingModule } from "./voting_module.ts";

/** Starts the parts of a node: witnesses of audit logs always, others where the configuration asks for them. */
export async function standardModules(context: ModuleContext): Promise<readonly NodeModule[]> {
  const { voting } = context.party.local.config;
  const witnesses = auditExchange(context);
  if (voting === undefined) return [witnesses];
  try {
    return [witnesses, await VotingModule.start({ ...context, voting })];
  } catch (error) {
    await witnesses[Symbol.asyncDispose]();
    throw error;
  }
}

/** Witnessing over the links of a party, which are there. */
export function auditExchange({ party: { local, network }, log }: ModuleContext): AuditExchange {
  if (network === undefined) throw new UsageError("USAGE", "witnesses of audit logs need links");
  return new AuditExchange({
    audit: local.audit,
    roster: local.config.roster,
    signer: local.identity(),
    links: network.board.channel(NodeMessageType.WITNESS),
    log,
  });
}
