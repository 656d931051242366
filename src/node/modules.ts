/**
 * The parts of a node: each is there where the configuration asks for it.
 *
 * @module
 */

import type { ModuleContext, NodeModule } from "./daemon.ts";
import { VotingModule } from "./voting_module.ts";

/** Starts the parts that the configuration of a party asks for. */
export async function standardModules(context: ModuleContext): Promise<readonly NodeModule[]> {
  const { voting } = context.party.local.config;
  if (voting === undefined) return [];
  return [await VotingModule.start({ ...context, voting })];
}
