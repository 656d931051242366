/**
 * `quorate init`.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { type Address, CLUSTER_PATTERN, formatAddress, parseAddress } from "../src/node/config.ts";
import { initCluster } from "../src/node/init.ts";
import { optionsOf, wholeNumber } from "./options.ts";
import { print } from "./output.ts";

interface InitOptions {
  readonly dir: string;
  readonly cluster?: string;
  readonly basePort?: string;
  readonly hosts?: string;
  readonly quorum?: string;
  readonly threshold?: string;
}

/** Adds the command. */
export function addInit(root: Command): void {
  root.command("init")
    .description("make certificates, identity keys and quorate.toml for a new cluster")
    .argument("<name...>", "names of the parties; their order fixes their indices")
    .option("--dir <directory>", "where to make it", ".")
    .option("--cluster <name>", "name of the cluster (default: that of the directory)")
    .option("--base-port <port>", "first port on this machine (default: 9101)")
    .option("--hosts <list>", "addresses instead, as alice=10.0.0.5:9000,bob=...")
    .option(
      "--quorum <n>",
      "how many equal votes decide (default: with 4 parties or more, two thirds and one)",
    )
    .option("--threshold <n>", "how many sign, for keys that name no policy")
    .action(async (names: string[], _options: unknown, command: Command) => {
      const options = optionsOf<InitOptions>(command);
      if (options.hosts !== undefined && options.basePort !== undefined) {
        throw new UsageError("USAGE", "--hosts and --base-port exclude each other: keep one of them");
      }
      const made = await initCluster({
        names,
        directory: options.dir,
        cluster: options.cluster ?? clusterName(options.dir),
        ...(options.basePort === undefined ? {} : { basePort: wholeNumber(options.basePort, "--base-port") }),
        ...(options.hosts === undefined ? {} : { hosts: parseHosts(options.hosts) }),
        ...(options.quorum === undefined ? {} : { quorum: wholeNumber(options.quorum, "--quorum") }),
        ...(options.threshold === undefined
          ? {}
          : { threshold: wholeNumber(options.threshold, "--threshold") }),
      });
      const parties = [...made.addresses].map(([name, address]) => ({
        name,
        address: formatAddress(address),
      }));
      const lines = parties.map(({ name, address }) => `${name}\t${address}`);
      print(
        options.json,
        { config: made.configPath, authorityKey: made.authorityKeyPath, parties },
        `${made.configPath}\n${lines.join("\n")}\nkeep ${made.authorityKeyPath} on no party's host\n`,
      );
    });
}

function parseHosts(text: string): Map<string, Address> {
  const hosts = new Map<string, Address>();
  for (const entry of text.split(",")) {
    const [name, ...rest] = entry.split("=");
    const address = parseAddress(rest.join("="));
    if (name === undefined || name === "" || address === undefined || hosts.has(name)) {
      throw new UsageError(
        "USAGE",
        `--hosts is a list as alice=10.0.0.5:9000,bob=10.0.0.6:9000: found ${JSON.stringify(entry)}`,
      );
    }
    hosts.set(name, address);
  }
  return hosts;
}

function clusterName(directory: string): string {
  const last = directory.replace(/\/+$/, "").split("/").at(-1) ?? "";
  return CLUSTER_PATTERN.test(last) ? last : "quorate";
}
