/**
 * Throw-away clusters on free ports.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { QuorateError } from "../../src/base/errors.ts";
import { type Config, loadConfig } from "../../src/node/config.ts";
import { initCluster } from "../../src/node/init.ts";
import { openParty, type Party, type PartyOptions } from "../../src/node/party.ts";

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
    const hosts = new Map<string, { host: string; port: number }>();
    for (const name of names) hosts.set(name, { host: "127.0.0.1", port: await freePort() });
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

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
