/**
 * What a party can be asked for, as plain data in and out: so that it makes no difference whether the process that was asked does
 * it, or hands the request to the node that runs.
 *
 * @module
 */

import type { z } from "zod";
import type { LocalParty } from "./local_party.ts";
import type { Party } from "./party.ts";

/** One thing to ask for. Input and output are JSON, in which byte strings may stand. */
export interface NodeCommand<I, O> {
  /** Its name, as in `key.sign`. */
  readonly name: string;
  /** What the input has to be. */
  readonly input: z.ZodType<I>;
  /** The key that it is about, where requests about one key take turns. */
  readonly keyOf?: (input: I, local: LocalParty) => string | undefined;
  /** With peers, or with the store alone. */
  readonly run: CommandRun<I, O>;
}

/** How a command is done. */
export type CommandRun<I, O> =
  | { readonly on: "peers"; readonly do: (party: Party, input: I) => Promise<O> }
  | { readonly on: "store"; readonly do: (local: LocalParty, input: I) => O };

/** A command whose input is checked when it runs. */
export type AnyCommand = NodeCommand<unknown, unknown>;

/** Declares a command that needs other parties. */
export function peersCommand<I, O>(
  name: string,
  input: z.ZodType<I>,
  run: (party: Party, input: I) => Promise<O>,
  keyOf?: NodeCommand<I, O>["keyOf"],
): NodeCommand<I, O> {
  return { name, input, run: { on: "peers", do: run }, ...(keyOf === undefined ? {} : { keyOf }) };
}

/** Declares a command that needs this party's store alone. */
export function storeCommand<I, O>(
  name: string,
  input: z.ZodType<I>,
  run: (local: LocalParty, input: I) => O,
  keyOf?: NodeCommand<I, O>["keyOf"],
): NodeCommand<I, O> {
  return { name, input, run: { on: "store", do: run }, ...(keyOf === undefined ? {} : { keyOf }) };
}

/** Does what a command says. */
export async function runCommand<I, O>({ run }: NodeCommand<I, O>, party: Party, input: I): Promise<O> {
  return run.on === "peers" ? await run.do(party, input) : run.do(party.local, input);
}

/** What a command gives. */
export type ResultOf<C> = C extends NodeCommand<infer _I, infer O> ? O : never;
