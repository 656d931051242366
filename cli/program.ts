/**
 * All commands and the options that they share.
 *
 * @module
 */

import { Command } from "commander";
import { VERSION } from "../src/base/version.ts";
import { addAgreeRandom } from "./agree_random.ts";
import { addAudit } from "./audit.ts";
import { addBackup } from "./backup.ts";
import { addCert } from "./cert.ts";
import { addCompletion } from "./completion.ts";
import { addDecision } from "./decision.ts";
import { addDemo } from "./demo.ts";
import { addDoctor } from "./doctor.ts";
import { addEvidence } from "./evidence.ts";
import { addExamples } from "./examples.ts";
import { addInfo } from "./info.ts";
import { addInit } from "./init.ts";
import { addKey } from "./key.ts";
import { addMembers } from "./members.ts";
import { addMonitor } from "./monitor.ts";
import { addNode } from "./node.ts";
import { print, style, terminalColumns } from "./output.ts";
import { addPause } from "./pause.ts";
import { addPeers } from "./peers.ts";
import { addPropose } from "./propose.ts";
import { addReputation } from "./reputation.ts";
import { addSessions } from "./sessions.ts";
import { addSignature } from "./signature.ts";
import { addStatus } from "./status.ts";
import { addTestByzantine } from "./test_byzantine.ts";
import { addVote } from "./vote.ts";

/** The command tree. Wrong arguments are thrown, not printed. */
export function program(): Command {
  const root = new Command("quorate")
    .description("Threshold keys for several hosts: no single machine holds a key.")
    .option("--config <file>", "configuration of the cluster", "quorate.toml")
    .option("--party <name>", "who I am")
    .option("--json", "print results and errors as JSON")
    .option("--timeout <seconds>", "how long to wait for others, instead of the configured time")
    .version(VERSION, "--version", "print the version")
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (title) => style("bold", title, Deno.stdout),
    });
  root.commandsGroup("Set up:");
  addInit(root);
  addCert(root);
  addDoctor(root);
  root.commandsGroup("Keys:");
  addKey(root);
  addBackup(root);
  addAgreeRandom(root);
  root.commandsGroup("The node of a party:");
  addNode(root);
  addStatus(root);
  addInfo(root);
  addPeers(root);
  addSessions(root);
  addMonitor(root);
  root.commandsGroup("Votes, and signing on approval:");
  addVote(root);
  addMembers(root);
  addPropose(root);
  addSignature(root);
  addPause(root);
  addDecision(root);
  addEvidence(root);
  addReputation(root);
  root.commandsGroup("Look and try:");
  addAudit(root);
  addDemo(root);
  addTestByzantine(root);
  addCompletion(root);
  addExamples(root);
  throwErrors(root);
  return root;
}

function throwErrors(command: Command): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => print(false, undefined, text),
    getOutHelpWidth: () => terminalColumns(Deno.stdout) ?? HELP_COLUMNS,
    getOutHasColors: () => !Deno.noColor && Deno.stdout.isTerminal(),
    writeErr: () => {},
    outputError: () => {},
  });
  for (const child of command.commands) throwErrors(child);
}

/** Width of help that goes to a file or a pipe. */
const HELP_COLUMNS = 80;
