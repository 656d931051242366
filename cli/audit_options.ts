/**
 * What the commands on the audit log share: they read files, and need no lock and no other party.
 *
 * @module
 */

import { UsageError } from "../src/base/errors.ts";
import { type NamedKey, originOf } from "../src/audit/checkpoint.ts";
import { type Config, type PartyConfig, partyConfig } from "../src/node/config.ts";
import { configOf, type GlobalOptions } from "./options.ts";

/** A party's log, and the keys that signed what is said of it. */
export interface LogPlace {
  /** The party. */
  readonly party: PartyConfig;
  /** Its key, under the name of its log. */
  readonly key: NamedKey;
  /** Keys of the others. */
  readonly cosigners: readonly NamedKey[];
}

/** The log of the party that `--party` names. @throws UsageError USAGE, or as the configuration is read */
export function logPlaceOf(options: GlobalOptions): LogPlace {
  if (options.party === undefined) {
    throw new UsageError("USAGE", "--party is missing: it names the party whose log it is");
  }
  const config = configOf(options);
  const party = partyConfig(config, options.party);
  const keys = keysOf(config);
  const key = keys.get(originOf(config.cluster, party.name)) as NamedKey;
  return { party, key, cosigners: [...keys.values()].filter((other) => other !== key) };
}

/** The keys of all parties, under the names of their logs. */
export function keysOf({ cluster, roster }: Config): ReadonlyMap<string, NamedKey> {
  return new Map(roster.parties.map(({ name, identity }) => {
    const origin = originOf(cluster, name);
    return [origin, { name: origin, verifier: identity }];
  }));
}

/** The party's name in that of its log. */
export function partyIn(origin: string): string {
  return origin.slice(origin.lastIndexOf("/") + 1);
}

/** A time in seconds, for people. */
export function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
