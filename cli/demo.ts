/**
 * `demo`: the main job with real processes on this machine. Every party is a process of its own that may read its own key
 * files, write its own data and reach its own peers, and nothing else.
 *
 * @module
 */

import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Command } from "commander";
import { TransportError, UsageError } from "../src/base/errors.ts";
import { type Config, loadConfig } from "../src/node/config.ts";
import { initCluster } from "../src/node/init.ts";
import { type GlobalOptions, optionsOf, timeoutOf, wholeNumber } from "./options.ts";
import { type Finished, type ProcessOptions, runParties } from "./processes.ts";

/** What the demos take from the command line. */
interface DemoOptions extends GlobalOptions {
  readonly message?: string;
  readonly parties?: string;
}

const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];
const MESSAGE = "Hello, MPC World!";

/** Adds `demo`, `demo agree-random` and `demo ecdsa-2pc`. */
export function addDemo(program: Command): void {
  const demo = program.command("demo").description("show the main job with real processes on this machine")
    .option("--message <text>", `what is signed (default: "${MESSAGE}")`)
    .option("--parties <number>", "how many parties (default: 4, for agree-random 2)");
  demo.action(() => quorumDemo(optionsOf(demo)));
  const agree = demo.command("agree-random").description("parties agree on a random value");
  agree.action(() => agreeRandomDemo(optionsOf(agree)));
  const pair = demo.command("ecdsa-2pc").description("two parties hold one ECDSA key");
  pair.action(() => twoPartyDemo(optionsOf(pair)));
}

/** Four parties make a key, three of them sign, everybody can verify. */
async function quorumDemo(options: DemoOptions): Promise<void> {
  await withCluster(options, 4, async (stage) => {
    const quorum = stage.names.filter((_, i) => i !== 1).slice(0, Math.max(2, stage.names.length - 1));
    const policy = `${quorum.length} of (${stage.names.join(", ")})`;
    await stage.step(`Distributed key generation on secp256k1, policy "${policy}"`, async () => {
      const made = await stage.run(
        stage.names,
        () => ["key", "generate", "--key", "treasury", "--curve", "secp256k1", "--policy", policy],
      );
      stage.each(made, (out) => `public key ${out.trim()}`);
      stage.equalEverywhere(made);
    });
    await signAndVerify(stage, quorum, "treasury");
  });
}

/** Two parties: and(P0, P1). */
async function twoPartyDemo(options: DemoOptions): Promise<void> {
  if (options.parties !== undefined && options.parties !== "2") {
    throw new UsageError("USAGE", `ecdsa-2pc is between two parties: found --parties ${options.parties}`);
  }
  await withCluster(options, 2, async (stage) => {
    const policy = `and(${stage.names.join(", ")})`;
    await stage.step(`Key generation between two parties on secp256k1, policy "${policy}"`, async () => {
      const made = await stage.run(
        stage.names,
        () => ["key", "generate", "--key", "wallet", "--curve", "secp256k1", "--policy", policy],
      );
      stage.each(made, (out) => `public key ${out.trim()}`);
      stage.equalEverywhere(made);
    });
    await signAndVerify(stage, stage.names, "wallet");
    await refresh(stage, "wallet");
  });
}

/** New shares of the same key: what was stolen of an old one is worth nothing any more. */
async function refresh(stage: Stage, key: string): Promise<void> {
  await stage.step("Key refresh: new shares, the same public key", async () => {
    const publicKeys = () =>
      stage.run(stage.names, () => ["key", "export-public", "--key", key, "--format", "hex"]);
    const before = await publicKeys();
    await stage.run(stage.names, () => ["key", "refresh", "--key", key]);
    const after = await publicKeys();
    stage.each(after, (out) => `public key ${out.trim()}`);
    stage.equalEverywhere(before);
    stage.equalEverywhere(after);
    if (before.get(stage.names[0] as string)?.stdout !== after.get(stage.names[0] as string)?.stdout) {
      throw new TransportError("PEER_ABORTED", "the refresh changed the public key");
    }
    say("the public key is the one from before");
  });
}

async function agreeRandomDemo(options: DemoOptions): Promise<void> {
  if (options.message !== undefined) {
    throw new UsageError("USAGE", "agree-random signs nothing: leave out --message");
  }
  await withCluster(options, 2, async (stage) => {
    await stage.step("Agree on 256 random bits: commit, open, confirm", async () => {
      const results = await stage.run(stage.names, () => ["agree-random", "--bits", "256"]);
      say("=== Protocol completed successfully ===");
      stage.each(results, (out) => `result: ${out.trim()}`);
      stage.equalEverywhere(results);
      say("all parties have the same value");
    });
  });
}

async function signAndVerify(stage: Stage, quorum: readonly string[], key: string): Promise<void> {
  const messagePath = stage.file("message.txt");
  const signaturePath = stage.file("message.sig");
  const publicPath = stage.file(`${key}.pem`);
  Deno.writeTextFileSync(messagePath, stage.message);
  await stage.step(`Signing "${stage.message}" with a quorum: ${quorum.join(", ")}`, async () => {
    const first = quorum[0] as string;
    const signed = await stage.run(
      quorum,
      (party) => [
        ...["key", "sign", "--key", key, "--signers", quorum.join(","), "--message-file", messagePath],
        ...(party === first ? ["--out", signaturePath] : []),
      ],
      (party) => ({ read: [stage.work], write: party === first ? [stage.work] : [] }),
    );
    stage.each(signed, () => "signed");
    const [exported] =
      (await stage.run([first], () => ["key", "export-public", "--key", key, "--format", "pem"])).values();
    Deno.writeTextFileSync(publicPath, (exported as Finished).stdout);
    say(`signature (DER): ${Deno.readFileSync(signaturePath).toHex()}`);
  });
  await stage.step("Verification with the public key alone", async () => {
    const publicKey = createPublicKey(Deno.readTextFileSync(publicPath));
    const signature = Deno.readFileSync(signaturePath);
    const good = verify("sha256", new TextEncoder().encode(stage.message), publicKey, signature);
    const wrong = verify(
      "sha256",
      new TextEncoder().encode(`${stage.message} (changed)`),
      publicKey,
      signature,
    );
    say(`node:crypto, the message:       ${good ? "verified" : "NOT VERIFIED"}`);
    say(`node:crypto, a wrong message:   ${wrong ? "VERIFIED" : "refused, as it must be"}`);
    const openssl = await runOpenssl([
      "dgst",
      "-sha256",
      "-verify",
      publicPath,
      "-signature",
      signaturePath,
      messagePath,
    ]);
    if (openssl === undefined) say("openssl:                        not installed here");
    else say(`openssl dgst -verify:           ${openssl.trim()}`);
    if (!good || wrong || (openssl !== undefined && !openssl.includes("Verified OK"))) {
      throw new TransportError("SIGNATURE_INVALID", "the demo's signature did not verify as it should");
    }
  });
}

/** One demo: its cluster, its files, its output. */
class Stage {
  readonly options: DemoOptions;
  /** Where messages and signatures are: beside the cluster's files, so that nobody gets those with it. */
  readonly work: string;
  readonly names: readonly string[];
  readonly config: Config;
  readonly message: string;
  #step = 0;

  constructor(options: DemoOptions, work: string, names: readonly string[], config: Config) {
    this.options = options;
    this.message = options.message ?? MESSAGE;
    this.work = work;
    this.names = names;
    this.config = config;
  }

  file(name: string): string {
    return join(this.work, name);
  }

  async step(title: string, run: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    say(`\nStep ${++this.#step}: ${title}`);
    await run();
    say(`(${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  }

  async run(
    parties: readonly string[],
    args: (party: string) => readonly string[],
    options?: (party: string) => ProcessOptions,
  ): Promise<Map<string, Finished>> {
    const timeout = this.options.timeout === undefined ? [] : ["--timeout", this.options.timeout];
    const results = await runParties(
      this.config,
      parties,
      (party) => withTimeout(args(party), timeout),
      options,
    );
    for (const [party, { code, stderr }] of results) {
      if (code === 0) continue;
      console.error(stderr);
      throw new TransportError(
        "PEER_ABORTED",
        `${party}'s process ended with code ${code}: see its output above`,
        { party },
      );
    }
    return results;
  }

  each(results: ReadonlyMap<string, Finished>, line: (stdout: string) => string): void {
    for (const [party, { stdout }] of results) say(`[${party}] ${line(stdout)}`);
  }

  equalEverywhere(results: ReadonlyMap<string, Finished>): void {
    if (new Set([...results.values()].map((result) => result.stdout)).size === 1) return;
    throw new TransportError("PEER_ABORTED", "the parties printed different results");
  }
}

async function withCluster(
  options: DemoOptions,
  countDefault: number,
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  timeoutOf(options);
  const count = options.parties === undefined ? countDefault : wholeNumber(options.parties, "--parties");
  if (count < 2 || count > NAMES.length) {
    throw new UsageError("USAGE", `--parties is 2 to ${NAMES.length}: found ${count}`);
  }
  const names = NAMES.slice(0, count);
  const directory = Deno.makeTempDirSync({ prefix: "quorate-demo-" });
  const startedAt = performance.now();
  try {
    const ports = await freePorts(count);
    const { configPath } = await initCluster({
      names,
      directory: join(directory, "cluster"),
      cluster: "demo",
      hosts: new Map(names.map((name, i) => [name, { host: "127.0.0.1", port: ports[i] as number }])),
    });
    const work = join(directory, "work");
    Deno.mkdirSync(work);
    const stage = new Stage(options, work, names, loadConfig(configPath));
    say(
      `${count} parties on mutual TLS (TLS 1.3), one process each: ${
        names.map((name, i) => `${name} 127.0.0.1:${ports[i]}`).join(", ")
      }`,
    );
    await run(stage);
    say(`\nDemo completed successfully in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Ports that nothing listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer();
    await new Promise<void>((resolve, reject) =>
      server.once("error", reject).listen(0, "127.0.0.1", () => resolve())
    );
    return server;
  }));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function runOpenssl(args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command("openssl", { args: [...args] }).output();
    const decoder = new TextDecoder();
    return decoder.decode(stdout) || decoder.decode(stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function withTimeout(args: readonly string[], timeout: readonly string[]): readonly string[] {
  return args.includes("export-public") ? args : [...args, ...timeout];
}

function say(line: string): void {
  console.log(line);
}
