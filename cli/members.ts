/**
 * `quorate members`: who votes, and the vote for others to do so.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import type { MembersReport } from "../src/node/voting_report.ts";
import { faultBounds } from "../src/voting/membership.ts";
import { operatorClientOf } from "./access.ts";
import { type GlobalOptions, namesOf, optionsOf, wholeNumber } from "./options.ts";
import { print, table } from "./output.ts";
import { waitMsOf } from "./vote.ts";

interface ChangeOptions {
  readonly members: string;
  readonly quorum: string;
  readonly faults?: string;
  readonly wait?: string;
}

/** Adds the commands. */
export function addMembers(root: Command): void {
  const members = root.command("members").description("who votes, and the vote for others to do so");
  members.command("show")
    .description("who votes now")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const report = await operatorClientOf(options).ask({ method: "GET", path: "/v1/voting/members" });
      show(options, report as MembersReport);
    });
  members.command("change")
    .description(
      "vote for others to be the members; they are, when a quorum of the present ones has voted for the same",
    )
    .requiredOption(
      "--members <list>",
      "all of them, as n1,n2,n3,n4,n6; the order is part of what is voted for",
    )
    .requiredOption("--quorum <n>", "how many equal votes decide then")
    .option(
      "--faults <n>",
      "how many faulty members are reckoned with (default: as many as the quorum survives)",
    )
    .option("--wait <seconds>", "wait for the decision")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ChangeOptions>(command);
      const names = namesOf(options.members, "--members");
      const quorum = wholeNumber(options.quorum, "--quorum");
      const report = await operatorClientOf(options).follow({
        method: "POST",
        path: "/v1/voting/members",
        input: {
          members: names,
          quorum,
          faults: faultsOf(options, names.length, quorum),
          waitMs: waitMsOf(options),
        },
      }, () => {}) as MembersReport;
      show(options, report);
      const isDone = report.quorum === quorum && report.members.join() === names.join();
      if (options.wait !== undefined && !isDone) {
        throw new UsageError(
          "TX_UNDECIDED",
          "the members are the ones before: not enough have voted for the same",
        );
      }
    });
}

function faultsOf({ faults }: ChangeOptions, members: number, quorum: number): number {
  if (faults !== undefined) return wholeNumber(faults, "--faults");
  const { safe, live } = faultBounds(members, quorum);
  return Math.max(0, Math.min(safe, live));
}

function show({ json }: GlobalOptions, report: MembersReport): void {
  const { epoch, quorum, members, faults } = report;
  print(
    json,
    report,
    table([
      ["membership", String(epoch)],
      ["members", members.join(", ")],
      ["quorum", `${quorum} of ${members.length}, reckoning with ${faults} at fault`],
    ]),
  );
}
