/**
 * The parts of a node: each is there where the configuration asks for it.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import { AuditExchange } from "./audit_exchange.ts";
import type { ModuleContext, NodeModule } from "./daemon.ts";
import { Dashboard, flapsOf } from "./dashboard.ts";
import { VotingModule } from "./voting_module.ts";

/** Starts the parts of a node: witnesses of audit logs and the dashboard always, others where the configuration asks for them. */
export async function standardModules(context: ModuleContext): Promise<readonly NodeModule[]> {
  const { voting } = context.party.local.config;
  await using parts = new AsyncDisposableStack();
  const modules: NodeModule[] = [parts.use(auditExchange(context)), parts.use(dashboard(context))];
  if (voting !== undefined) modules.push(parts.use(await VotingModule.start({ ...context, voting })));
  parts.move();
  return modules;
}

/** The dashboard over the links of a party, which are there. */
export function dashboard({ party: { local, network }, changes }: ModuleContext): Dashboard {
  if (network === undefined) throw new UsageError("USAGE", "the dashboard needs links");
  const { mesh, board } = network;
  return new Dashboard({
    roster: local.config.roster,
    links: board.channel(NodeMessageType.VIEW),
    changes,
    peers: () => {
      const flaps = flapsOf(mesh.metrics().peers);
      return mesh.status().map((peer) => ({ ...peer, flaps: flaps.get(peer.peer) ?? 0 }));
    },
  });
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
