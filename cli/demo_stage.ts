/**
 * What the demos stand on: a cluster of real processes in a temporary directory, and steps that say what happens.
 *
 * @module
 */

import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";
import { TransportError, UsageError } from "../src/base/errors.ts";
import { type Config, loadConfig, type PartyConfig, partyConfig } from "../src/node/config.ts";
import { initCluster } from "../src/node/init.ts";
import { type GlobalOptions, timeoutOf, wholeNumber } from "./options.ts";
import { print } from "./output.ts";
import { type Finished, type ProcessOptions, runParties } from "./processes.ts";

/** What the demos take from the command line. */
export interface DemoOptions extends GlobalOptions {
  readonly message?: string;
  readonly parties?: string;
}

/** What is signed where no message is given. */
export const DEMO_MESSAGE = "Hello, MPC World!";
const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];

/** One demo: its cluster, its files, its output. */
export class Stage {
  readonly options: DemoOptions;
  /** Where messages and signatures are: beside the cluster's files, so that nobody gets those with it. */
  readonly work: string;
  readonly names: readonly string[];
  readonly config: Config;
  readonly message: string;
  /** What is told in JSON at the end. */
  readonly results: Record<string, unknown> = {};
  readonly #steps: { readonly step: string; readonly seconds: number }[] = [];
  #step = 0;

  constructor(options: DemoOptions, work: string, names: readonly string[], config: Config) {
    this.options = options;
    this.message = options.message ?? DEMO_MESSAGE;
    this.work = work;
    this.names = names;
    this.config = config;
  }

  /** Steps so far, with their time. */
  get steps(): readonly { readonly step: string; readonly seconds: number }[] {
    return this.#steps;
  }

  /** A line for people; with `--json` nothing. */
  say(line: string): void {
    if (this.options.json !== true) console.log(line);
  }

  file(name: string): string {
    return join(this.work, name);
  }

  async step(title: string, run: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    this.say(`\nStep ${++this.#step}: ${title}`);
    await run();
    const seconds = (performance.now() - startedAt) / 1000;
    this.say(`(${seconds.toFixed(1)} s)`);
    this.#steps.push({ step: title, seconds: Number(seconds.toFixed(3)) });
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

  /** One party's command, whatever its exit code. */
  async attempt(party: string, args: readonly string[], options?: ProcessOptions): Promise<Finished> {
    const results = await runParties(this.config, [party], () => args, () => options ?? {});
    return results.get(party) as Finished;
  }

  /** A party's part of the configuration. */
  party(name: string): PartyConfig {
    return partyConfig(this.config, name);
  }

  each(results: ReadonlyMap<string, Finished>, line: (stdout: string) => string): void {
    for (const [party, { stdout }] of results) this.say(`[${party}] ${line(stdout)}`);
  }

  equalEverywhere(results: ReadonlyMap<string, Finished>): void {
    if (new Set([...results.values()].map((result) => result.stdout)).size === 1) return;
    throw new TransportError("PEER_ABORTED", "the parties printed different results");
  }
}

/** Runs a demo on a new cluster, and removes everything after it. */
export async function withCluster(
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
    stage.say(
      `${count} parties on mutual TLS (TLS 1.3), one process each: ${
        names.map((name, i) => `${name} 127.0.0.1:${ports[i]}`).join(", ")
      }`,
    );
    await run(stage);
    const seconds = (performance.now() - startedAt) / 1000;
    stage.say(`\nDemo completed successfully in ${seconds.toFixed(1)} s.`);
    if (options.json === true) {
      print(true, { ...stage.results, parties: names, steps: stage.steps, seconds }, "");
    }
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

/** Runs openssl. @returns what it prints; undefined where it is not installed. */
export async function runOpenssl(args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command("openssl", { args: [...args] }).output();
    const decoder = new TextDecoder();
    return decoder.decode(stdout) || decoder.decode(stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Only commands that wait for others take a timeout. */
function withTimeout(args: readonly string[], timeout: readonly string[]): readonly string[] {
  const waits = args[0] === "agree-random" || ["generate", "sign", "refresh"].includes(args[1] ?? "");
  return waits ? [...args, ...timeout] : args;
}

/** A quorum signs, and the signature is verified with the public key alone. */
export async function signAndVerify(stage: Stage, quorum: readonly string[], key: string): Promise<void> {
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
    stage.say(`signature (DER): ${Deno.readFileSync(signaturePath).toHex()}`);
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
    stage.say(`node:crypto, the message:       ${good ? "verified" : "NOT VERIFIED"}`);
    stage.say(`node:crypto, a wrong message:   ${wrong ? "VERIFIED" : "refused, as it must be"}`);
    const openssl = await runOpenssl([
      "dgst",
      "-sha256",
      "-verify",
      publicPath,
      "-signature",
      signaturePath,
      messagePath,
    ]);
    if (openssl === undefined) stage.say("openssl:                        not installed here");
    else stage.say(`openssl dgst -verify:           ${openssl.trim()}`);
    if (!good || wrong || (openssl !== undefined && !openssl.includes("Verified OK"))) {
      throw new TransportError("SIGNATURE_INVALID", "the demo's signature did not verify as it should");
    }
  });
}

/** New shares of the same key: what was stolen of an old one is worth nothing any more. */
export async function refresh(
  stage: Stage,
  key: string,
  members: readonly string[] = stage.names,
): Promise<void> {
  await stage.step("Key refresh: new shares, the same public key", async () => {
    const publicKeys = () =>
      stage.run(members, () => ["key", "export-public", "--key", key, "--format", "hex"]);
    const before = await publicKeys();
    await stage.run(members, () => ["key", "refresh", "--key", key]);
    const after = await publicKeys();
    stage.each(after, (out) => `public key ${out.trim()}`);
    stage.equalEverywhere(before);
    stage.equalEverywhere(after);
    if (before.get(members[0] as string)?.stdout !== after.get(members[0] as string)?.stdout) {
      throw new TransportError("PEER_ABORTED", "the refresh changed the public key");
    }
    stage.say("the public key is the one from before");
  });
}
