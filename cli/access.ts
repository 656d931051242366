/**
 * Has commands done: by this process, or by the node of the party where one runs.
 *
 * @module
 */

import { UsageError } from "../src/base/errors.ts";
import { type NodeCommand, runCommand } from "../src/node/command.ts";
import { parseAddress, partyConfig } from "../src/node/config.ts";
import { type LocalParty, openLocal } from "../src/node/local_party.ts";
import { OperatorClient } from "../src/node/operator_client.ts";
import type { OperatorEvent } from "../src/node/operator_wire.ts";
import { type Party, partyOn, type PartyOptions } from "../src/node/party.ts";
import type { LockHolder } from "../src/storage/lock.ts";
import { clusterOf, type GlobalOptions, timeoutOf } from "./options.ts";
import { Progress } from "./progress.ts";

/** Who does what is asked for. */
export interface NodeAccess {
  /** Does it, shows its progress, and gives its result. */
  call<I, O>(command: NodeCommand<I, O>, input: I): Promise<O>;
}

/** Upon these the peers are told before the process ends. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs `work` with access to this party: its lock is taken first, or, where its node runs, that is asked.
 *
 * @param text what was typed: for peers and logs.
 */
export async function withNode<T>(
  options: GlobalOptions,
  text: string,
  work: (node: NodeAccess) => Promise<T>,
  more: Pick<PartyOptions, "transport"> = {},
): Promise<T> {
  const { config, party: name } = clusterOf(options);
  const progress = new Progress(config, name);
  const stop = new AbortController();
  const cancel = () => stop.abort();
  const onWait = (holder: LockHolder | undefined) => {
    if (holder?.operator !== undefined) throw new NodeRuns(holder.operator);
    progress.waitForProcess(holder);
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, cancel);
  try {
    const local = await openLocal(config, name, { command: text, ...timeoutOf(options), onWait });
    await using own = new OwnAccess(local, {
      ...more,
      command: text,
      ...timeoutOf(options),
      log: (event) => progress.link(event),
      progress: (event) => progress.session(event),
      warn: (sentence) => progress.warn(sentence),
    }, stop.signal);
    return await work(own);
  } catch (error) {
    if (!(error instanceof NodeRuns)) throw error;
    const address = parseAddress(error.address);
    const client = new OperatorClient(config, partyConfig(config, name), address);
    return await work({
      call: async <I, O>(command: NodeCommand<I, O>, input: I) => {
        const question = {
          method: "POST",
          path: `/v1/commands/${command.name}`,
          input: { command: text, ...timeoutOf(options), input },
          signal: stop.signal,
        } as const;
        return await client.follow(question, (event) => show(progress, event)) as O;
      },
    });
  } finally {
    progress.end();
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, cancel);
  }
}

/** Asks the node of this party about itself. @throws UsageError NODE_UNREACHABLE */
export function operatorClientOf(options: GlobalOptions): OperatorClient {
  const { config, party } = clusterOf(options);
  return new OperatorClient(config, partyConfig(config, party));
}

/** This process does it. */
class OwnAccess implements NodeAccess, AsyncDisposable {
  readonly #local: LocalParty;
  readonly #options: PartyOptions;
  readonly #signal: AbortSignal;
  /** Made for the first command that needs it: what the store alone answers opens no audit log. */
  #party: Party | undefined;

  constructor(local: LocalParty, options: PartyOptions, signal: AbortSignal) {
    this.#local = local;
    this.#options = options;
    this.#signal = signal;
  }

  async call<I, O>(command: NodeCommand<I, O>, input: I): Promise<O> {
    if (command.run.on === "store") return command.run.do(this.#local, input);
    const party = this.#party ??= partyOn(this.#local, this.#options);
    if (this.#signal.aborted) {
      throw new UsageError("CANCELLED", "the command was stopped here before it began");
    }
    this.#signal.addEventListener("abort", () => party.cancel());
    return await runCommand(command, party, input);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#party === undefined) this.#local[Symbol.dispose]();
    else await this.#party.close();
  }
}

/** The lock is held by a node, which takes requests. */
class NodeRuns extends Error {
  readonly address: string;

  constructor(address: string) {
    super("a node runs");
    this.address = address;
  }
}

function show(progress: Progress, event: OperatorEvent): void {
  if (event.event === "session") progress.session(event.session);
  else if (event.event === "link") progress.link(event.link);
  else if (event.event === "warn") progress.warn(event.text);
}
