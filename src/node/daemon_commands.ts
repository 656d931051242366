/**
 * Everything that a node can be asked to do.
 *
 * @module
 */

import { z } from "zod";
import { BACKUP_COMMANDS } from "./backup_commands.ts";
import { type AnyCommand, peersCommand } from "./command.ts";
import { diagnosePeers } from "./doctor.ts";
import { KEY_COMMANDS } from "./key_commands.ts";

/** Looks at all peers. Files are for whoever asks to look at: pins and lists in them may be newer than the configuration here. */
export const doctorCommand = peersCommand("doctor", z.strictObject({}), async (party) => {
  const { config, party: self } = party.local;
  return diagnosePeers({
    config,
    party: self,
    peers: await party.reachPeers(),
    turnedAway: party.turnedAway,
  });
});

/** All of them. */
export const COMMANDS: readonly AnyCommand[] = [
  ...KEY_COMMANDS,
  ...BACKUP_COMMANDS,
  doctorCommand as unknown as AnyCommand,
];
