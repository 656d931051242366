/**
 * `deno task compile --config FILE --party NAME [--out PATH] [--format script|binary] [--target TRIPLE] [--work-dir DIR]`:
 * one executable file for one party, which may read that party's files, write its data and reach its addresses, and nothing
 * else. The permissions are printed and written beside the file.
 *
 * @module
 */

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { QuorateError, UsageError } from "../src/base/errors.ts";
import { type Config, loadConfig } from "../src/node/config.ts";
import { permissionFlags } from "../src/node/permissions.ts";

/** What is made. */
export interface CompileOptions {
  readonly config: string;
  readonly party: string;
  /** The executable. Default: `quorate-NAME` in the current directory. */
  readonly out?: string;
  /** `script` runs wherever `deno` is installed, `binary` needs nothing. */
  readonly format: "script" | "binary";
  /** Platform of a binary; default: this one. */
  readonly target?: string;
  /** A directory for messages and signatures. */
  readonly workDir?: string;
}

const ROOT = new URL("..", import.meta.url).pathname;
/** The runtime's own variables that would open a TLS client or log its keys. */
const DANGEROUS = ["NODE_TLS_REJECT_UNAUTHORIZED", "SSLKEYLOGFILE"];

/** Makes the file. @returns its path and the flags in it. */
export async function compile(
  options: CompileOptions,
): Promise<{ readonly path: string; readonly flags: readonly string[] }> {
  const config = loadConfig(resolve(options.config));
  const path = resolve(options.out ?? `quorate-${options.party}`);
  const flags = flagsOf(config, options);
  if (options.format === "script") await writeScript(path, flags);
  else await writeBinary(path, flags, options.target);
  Deno.writeTextFileSync(`${path}.permissions`, flags.join("\n") + "\n");
  return { path, flags };
}

function flagsOf(config: Config, { party, workDir }: CompileOptions): string[] {
  const work = workDir === undefined ? [] : [resolve(workDir)];
  return ["--no-prompt", ...permissionFlags(config, party, { read: work, write: work })];
}

/** A `#!` line is cut at 255 bytes without an error, and a list that is cut grants more: so a shell reads the second line. */
async function writeScript(path: string, flags: readonly string[]): Promise<void> {
  const bundle = await Deno.makeTempFile({ suffix: ".js" });
  try {
    await run([
      "bundle",
      "--quiet",
      "--config",
      `${ROOT}deno.json`,
      "--frozen",
      "-o",
      bundle,
      `${ROOT}cli/main.ts`,
    ], "the bundle");
    const isolation = ["--no-config", "--no-lock", "--no-remote", "--no-npm", "--ext=js"];
    const quoted = [...isolation, ...flags].map((flag) => `'${flag}'`).join(" ");
    const unset = DANGEROUS.map((name) => `-u ${name}`).join(" ");
    const header = `#!/bin/sh\n':' //; exec /usr/bin/env ${unset} deno run --quiet ${quoted} "$0" "$@"\n`;
    Deno.writeTextFileSync(path, header + Deno.readTextFileSync(bundle));
    Deno.chmodSync(path, 0o755);
  } finally {
    Deno.removeSync(bundle);
  }
}

async function writeBinary(
  path: string,
  flags: readonly string[],
  target: string | undefined,
): Promise<void> {
  const platform = target === undefined ? [] : ["--target", target];
  await run(
    [
      "compile",
      "--quiet",
      "--config",
      `${ROOT}deno.json`,
      "--frozen",
      ...flags,
      ...platform,
      "--output",
      path,
      `${ROOT}cli/main.ts`,
    ],
    "the binary (deno compile needs its runtime: set DENORT_BIN to a copy of denort, or use --format script)",
  );
}

async function run(args: readonly string[], what: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args], stdout: "null" })
    .output();
  if (success) return;
  const reason = new TextDecoder().decode(stderr).split("\n").find((line) => line.includes("rror")) ??
    "no reason given";
  throw new UsageError("FILE_UNWRITABLE", `cannot make ${what}: ${reason.trim()}`);
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: {
        config: { type: "string" },
        party: { type: "string" },
        out: { type: "string" },
        format: { type: "string", default: "binary" },
        target: { type: "string" },
        "work-dir": { type: "string" },
      },
    });
    const { config, party, format } = values;
    if (config === undefined || party === undefined || (format !== "script" && format !== "binary")) {
      throw new UsageError(
        "USAGE",
        "--config FILE and --party NAME are needed, and --format is script or binary",
      );
    }
    const { path, flags } = await compile({
      config,
      party,
      format,
      ...(values.out === undefined ? {} : { out: values.out }),
      ...(values.target === undefined ? {} : { target: values.target }),
      ...(values["work-dir"] === undefined ? {} : { workDir: values["work-dir"] }),
    });
    console.log(`${path}\n${flags.join("\n")}`);
  } catch (error) {
    const known = error instanceof QuorateError ? error : undefined;
    console.error(
      known === undefined
        ? `error USAGE: ${(error as Error).message}`
        : `error ${known.code}: ${known.message}`,
    );
    Deno.exit(known?.exitCode ?? 64);
  }
}
