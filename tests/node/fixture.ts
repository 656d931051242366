/**
 * Throw-away clusters on free ports.
 *
 * @module
 */

import assert from "node:assert/strict";
import { QuorateError } from "../../src/base/errors.ts";
import { readRecords } from "../../src/audit/records.ts";
import { listSegments } from "../../src/audit/segments.ts";
import { type Config, loadConfig, partyConfig } from "../../src/node/config.ts";
import { initCluster } from "../../src/node/init.ts";
import { openParty, type Party, type PartyOptions } from "../../src/node/party.ts";
import { freePorts, NODE_PORTS } from "../e2e/cluster.ts";

export class Cluster implements Disposable {
  readonly root: string;
  readonly configPath: string;
  readonly config: Config;

  private constructor(root: string, configPath: string) {
    this.root = root;
    this.configPath = configPath;
    this.config = loadConfig(configPath);
  }

  static async make(names: readonly string[]): Promise<Cluster> {
    const root = Deno.makeTempDirSync();
    const ports = await freePorts(names.length, NODE_PORTS);
    const hosts = new Map(names.map((name, i) => [name, { host: "127.0.0.1", port: ports[i] as number }]));
    const { configPath } = await initCluster({ names, directory: `${root}/demo`, cluster: "demo", hosts });
    return new Cluster(root, configPath);
  }

  open(name: string, options: Partial<PartyOptions> = {}): Promise<Party> {
    return openParty(this.config, name, { command: "test", timeoutMs: 10_000, ...options });
  }

  /** Opens parties, runs `work` at all of them at once, and closes them. */
  async all<T>(
    names: readonly string[],
    work: (party: Party, name: string) => Promise<T>,
    options: Partial<PartyOptions> = {},
  ): Promise<PromiseSettledResult<T>[]> {
    return await Promise.allSettled(names.map(async (name) => {
      const party = await this.open(name, options);
      try {
        return await work(party, name);
      } finally {
        await party.close();
      }
    }));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

/** What the audit log of a party says of keys: type, name and epoch. */
export function recordedKeys(config: Config, party: string): string[] {
  const { audit } = partyConfig(config, party);
  return [...readRecords(listSegments(audit.directory), party)].flatMap(({ record: { type, details } }) => {
    const { key, epoch } = details as { readonly key?: string; readonly epoch?: number };
    return type.startsWith("key_") ? [`${type} ${key} ${epoch}`] : [];
  });
}

export function values<T>(results: readonly PromiseSettledResult<T>[]): T[] {
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

export async function rejects(promise: Promise<unknown>, code: string, match: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof QuorateError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, match);
    return true;
  });
}
