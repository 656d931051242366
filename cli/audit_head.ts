/**
 * `quorate audit head`.
 *
 * @module
 */

import type { Command } from "commander";
import { cosignaturesOf, verifyCheckpoint } from "../src/audit/checkpoint.ts";
import { cosignedPath, newestPath, readCheckpoint } from "../src/audit/stored_checkpoints.ts";
import { hex } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { logPlaceOf } from "./audit_options.ts";
import { optionsOf } from "./options.ts";
import { print } from "./output.ts";

/** Adds the command. */
export function addAuditHead(audit: Command): void {
  audit.command("head")
    .description("the newest checkpoint of this party's log, as a signed note")
    .option("--cosigned", "the newest one that peers cosigned")
    .action((_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly cosigned?: true }>(command);
      const { party: { name, audit: { directory } }, key, cosigners } = logPlaceOf(options);
      const path = options.cosigned === true ? cosignedPath(directory) : newestPath(directory);
      const checkpoint = readCheckpoint(path);
      if (checkpoint === undefined) {
        throw new UsageError("AUDIT_UNREADABLE", `there is no checkpoint of ${name}'s log yet: ${path}`, {
          party: name,
        });
      }
      if (!verifyCheckpoint(checkpoint, key)) {
        throw new UsageError("AUDIT_CORRUPT", `the checkpoint in ${path} is not signed by ${name}`, {
          party: name,
        });
      }
      const { origin, size, root, text } = checkpoint;
      const { cosigned, invalid } = cosignaturesOf(checkpoint, cosigners);
      if (invalid.length > 0) {
        throw new UsageError("AUDIT_CORRUPT", `the cosignature of ${invalid[0]} in ${path} does not verify`, {
          party: name,
        });
      }
      print(options.json, { origin, size, root: hex(root), cosigned, checkpoint: text }, text);
    });
}
