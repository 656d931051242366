/**
 * Operators of five nodes who propose, approve and ask for signatures, as people do or as their programs.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { NodeStage } from "../../cli/node_stage.ts";
import { startParty } from "../../cli/processes.ts";
import type { TxReport } from "../../src/node/voting_report.ts";

/** Operators of a stage. What they propose is the message in a file, signed with a key. */
export class Approvers {
  readonly #stage: NodeStage;
  readonly #key: string;
  /** The file. */
  readonly message: string;

  constructor(stage: NodeStage, { key, message }: { readonly key: string; readonly message: string }) {
    this.#stage = stage;
    this.#key = key;
    this.message = this.file("message.txt");
    Deno.writeTextFileSync(this.message, message);
  }

  /** A path beside the configuration. */
  file(name: string): string {
    return `${this.#stage.directory}/cluster/${name}`;
  }

  /** Runs a command as a process, and says all that it printed. */
  async run(party: string, args: readonly string[], code = 0): Promise<string> {
    const { config, directory } = this.#stage;
    const files = { read: [directory], write: [directory] };
    const { stdout, stderr, code: actual } = await startParty(config, party, args, files).finished;
    assert.equal(actual, code, `${party} ${args.join(" ")}\n${stdout}${stderr}`);
    return stdout + stderr;
  }

  /** Proposes at n5. @returns the ballot. */
  async propose(txId: string, ...more: readonly string[]): Promise<string> {
    const input = more.includes("--digest") ? [] : ["--message-file", this.message];
    const args = ["propose", "--tx-id", txId, "--key", this.#key, ...input, ...more];
    const report = JSON.parse(await this.run("n5", [...args, "--json"])) as TxReport;
    return report.proposals[0]!.ballot;
  }

  /** As people do. */
  async approve(txId: string, ballot: string, names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.heard(name, txId);
      await this.run(name, ["vote", "--tx-id", txId, "--approve", ballot.slice(0, 16)]);
    }
  }

  /** As an operator's program does: a process for each vote takes most of the time. */
  async answer(
    txId: string,
    ballot: string,
    names: readonly string[],
    kind: "approve" | "reject" = "approve",
  ): Promise<void> {
    for (const name of names) {
      await this.heard(name, txId);
      const input = { txId, ballot, kind, waitMs: 0 };
      await this.ask(name, "/v1/voting/answer", input);
    }
  }

  /** Waits until a proposal is known at a node. */
  async heard(name: string, txId: string): Promise<void> {
    while ((await this.#stage.status(name, txId)).proposals.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Asks a node's operator API. */
  async ask<T>(name: string, path: string, input: unknown): Promise<T> {
    return await this.#stage.client(name).follow({ method: "POST", path, input }, () => {}) as T;
  }

  /** `signature show`, and all that it printed. */
  async show(name: string, txId: string, code: number, wait = "20"): Promise<string> {
    return await this.run(name, ["signature", "show", "--tx-id", txId, "--wait", wait], code);
  }
}
