/**
 * `deno task compile --config FILE --party NAME [--out PATH] [--format script|binary] [--target TRIPLE] [--work-dir DIR]
 * [--installed-at PATH]`: one executable file for one party, which may read that party's files, write its data and reach its
 * addresses, and nothing else (WIRE.md 7). The permissions are printed and written beside the file.
 *
 * @module
 */

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { hex, utf8 } from "../src/base/bytes.ts";
import { QuorateError, UsageError } from "../src/base/errors.ts";
import { VERSION } from "../src/base/version.ts";
import { loadConfig, parseConfig } from "../src/node/config.ts";
import { permissionFlags } from "../src/node/permissions.ts";
import { bundle, type BundleOptions, firstError, runDeno } from "./bundle.ts";

/** What is made. */
export interface CompileOptions {
  /** The cluster's configuration. */
  readonly config: string;
  /** Whose file it is. */
  readonly party: string;
  /** The executable. Default: `quorate-NAME` in the current directory. */
  readonly out?: string;
  /** `script` runs wherever `deno` is installed, `binary` needs nothing. */
  readonly format: "script" | "binary";
  /** Platform of a binary; default: this one. */
  readonly target?: string;
  /** A directory for messages and signatures. */
  readonly workDir?: string;
  /** Where the configuration will be on the party's host; default: where it is here. */
  readonly installedAt?: string;
  /** The runtime of a binary; default: as the environment variable DENORT_BIN says, or Deno's own download. */
  readonly runtime?: string;
  /** The {@linkcode PROGRAM} in one file, where it is made already. */
  readonly program?: string;
}

/** What was made. */
export interface Compiled {
  /** The executable. */
  readonly path: string;
  /** What it may do. */
  readonly flags: readonly string[];
  /** SHA-256 of the program in it, without permissions: the same for all parties, wherever it is made. */
  readonly programHash: string;
}

/** What is behind the permissions of every party. */
export const PROGRAM: BundleOptions = { root: new URL("..", import.meta.url).pathname, entry: "cli/main.ts" };
/** The runtime's own variables that would open a TLS client or log its keys. */
const DANGEROUS = ["NODE_TLS_REJECT_UNAUTHORIZED", "SSLKEYLOGFILE"];
/** The file is the whole program. */
const ISOLATION = ["--no-config", "--no-lock", "--no-remote", "--no-npm"];

/** Makes the file. @throws UsageError CONFIG_INVALID, NOT_A_MEMBER, USAGE or FILE_UNWRITABLE */
export async function compile(options: CompileOptions): Promise<Compiled> {
  const { format, party, target } = options;
  if (format === "script" && target !== undefined) {
    throw new UsageError("USAGE", "--target is for --format binary: a script runs wherever deno does");
  }
  const path = resolve(options.out ?? `quorate-${party}`);
  const flags = flagsOf(options);
  const program = options.program ?? await bundle(PROGRAM);
  if (format === "script") writeExecutable(path, headerOf(flags) + program);
  else {
    const runtime = options.runtime ?? Deno.env.get("DENORT_BIN");
    await writeBinary(path, program, { flags, target, runtime });
  }
  writeFile(`${path}.permissions`, flags.join("\n") + "\n");
  return { path, flags, programHash: await sha256(program) };
}

function flagsOf({ config, installedAt, party, workDir }: CompileOptions): string[] {
  const here = resolve(config);
  const loaded = loadConfig(here);
  const there = installedAt === undefined
    ? loaded
    : parseConfig(Deno.readTextFileSync(here), resolve(installedAt));
  const work = workDir === undefined ? [] : [resolve(workDir)];
  return ["--no-prompt", "--deny-import", ...permissionFlags(there, party, { write: work })];
}

/** A `#!` line is cut at 255 bytes without an error, and a list that is cut grants more: so a shell reads the second line. */
function headerOf(flags: readonly string[]): string {
  const quoted = [...ISOLATION, "--ext=js", ...flags].map((flag) => `'${flag}'`).join(" ");
  const unset = DANGEROUS.map((name) => `-u ${name}`).join(" ");
  return `#!/bin/sh\n':' //; exec /usr/bin/env ${unset} deno run --quiet ${quoted} "$0" "$@"\n`;
}

interface BinaryOptions {
  readonly flags: readonly string[];
  readonly target: string | undefined;
  readonly runtime: string | undefined;
}

async function writeBinary(
  path: string,
  program: string,
  { flags, target, runtime }: BinaryOptions,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const entry = `${directory}/quorate.js`;
    await Deno.writeTextFile(entry, program);
    const platform = target === undefined ? [] : ["--target", target];
    const { success, stderr } = await runDeno(
      ["compile", "--quiet", ...ISOLATION, "--no-check", ...flags, ...platform, "--output", path, entry],
      directory,
      runtime === undefined ? {} : { DENORT_BIN: runtime },
    );
    if (!success) {
      throw new UsageError("FILE_UNWRITABLE", whyNot(stderr, target ?? Deno.build.target, runtime));
    }
    if (target === undefined || target === Deno.build.target) await requireProgram(path, runtime);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** `deno compile` puts a program behind a runtime that is no part of Deno: it has a copy of its own, or downloads one. */
function whyNot(stderr: string, target: string, runtime: string | undefined): string {
  const provide =
    `take denort from denort-${target}.zip of Deno's release v${Deno.version.deno}, and name the file in DENORT_BIN; or use --format script, which needs only deno`;
  if (runtime !== undefined && stderr.includes("denort")) {
    return `cannot make a binary: DENORT_BIN names ${runtime}, which is not there: ${provide}`;
  }
  if (/denort|error sending request|client error/.test(stderr)) {
    return `cannot make a binary: its runtime denort is not on this machine and cannot be downloaded: ${provide}`;
  }
  return `cannot make a binary: ${firstError(stderr)}`;
}

/** With another program in the place of the runtime, `deno compile` makes a file that is only that other program. */
async function requireProgram(path: string, runtime: string | undefined): Promise<void> {
  const { stdout } = await new Deno.Command(path, { args: ["--version"], stdin: "null", stderr: "null" })
    .output();
  if (new TextDecoder().decode(stdout).trim() === VERSION) return;
  await Deno.remove(path);
  throw new UsageError(
    "FILE_UNWRITABLE",
    `cannot make a binary: DENORT_BIN names ${
      runtime ?? "nothing"
    }, which is not the runtime denort of Deno ${Deno.version.deno}; the program deno itself is none`,
  );
}

function writeExecutable(path: string, text: string): void {
  writeFile(path, text);
  Deno.chmodSync(path, 0o755);
}

function writeFile(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text);
  } catch (cause) {
    throw new UsageError("FILE_UNWRITABLE", `cannot write ${path}: ${(cause as Error).message}`, { cause });
  }
}

async function sha256(text: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text))));
}

function optionsOf(args: readonly string[]): CompileOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: text,
      party: text,
      out: text,
      format: { type: "string", default: "binary" },
      target: text,
      "work-dir": text,
      "installed-at": text,
    },
  });
  const { config, party, format } = values;
  if (config === undefined || party === undefined || (format !== "script" && format !== "binary")) {
    throw new UsageError(
      "USAGE",
      "--config FILE and --party NAME are needed, and --format is script or binary",
    );
  }
  return {
    config,
    party,
    format,
    ...(values.out === undefined ? {} : { out: values.out }),
    ...(values.target === undefined ? {} : { target: values.target }),
    ...(values["work-dir"] === undefined ? {} : { workDir: values["work-dir"] }),
    ...(values["installed-at"] === undefined ? {} : { installedAt: values["installed-at"] }),
  };
}

if (import.meta.main) {
  try {
    const { path, flags, programHash } = await compile(optionsOf(Deno.args));
    console.log(`${path}\n${flags.join("\n")}\nprogram sha256 ${programHash}`);
  } catch (error) {
    const known = error instanceof QuorateError ? error : undefined;
    console.error(`error ${known?.code ?? "USAGE"}: ${(error as Error).message}`);
    Deno.exit(known?.exitCode ?? 64);
  }
}
