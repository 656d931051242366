/**
 * One JavaScript file from the program and all its dependencies: the same bytes wherever it is made.
 *
 * @module
 */

import { relative } from "node:path";
import { UsageError } from "../src/base/errors.ts";

/** What is put into one file. */
export interface BundleOptions {
  /** The checkout. */
  readonly root: string;
  /** First module, relative to the checkout. */
  readonly entry: string;
  /** Where it runs. Default: Deno. */
  readonly platform?: "deno" | "browser";
}

/** Makes the file. @returns its text. @throws UsageError FILE_UNWRITABLE with Deno's reason. */
export async function bundle({ root, entry, platform = "deno" }: BundleOptions): Promise<string> {
  const out = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const { success, stderr } = await runDeno(
      ["bundle", "--quiet", "--frozen", "--platform", platform, "--output", out, entry],
      root,
    );
    if (!success) throw new UsageError("FILE_UNWRITABLE", `cannot make the bundle: ${firstError(stderr)}`);
    return withoutPlaces(await Deno.readTextFile(out), await cacheFrom(root));
  } finally {
    await Deno.remove(out);
  }
}

/** Runs a command of this Deno, without colours. */
export async function runDeno(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly success: boolean; readonly stdout: string; readonly stderr: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The first line of Deno's that says what is wrong. */
export function firstError(stderr: string): string {
  const line = stderr.split("\n").find((line) => /\berror\b/i.test(line)) ?? "Deno gives no reason";
  return line.replace(/^.*?error(?: \[[^\]]*\])?: /, "").trim();
}

/** The bundler names every module by its path from the checkout, and packages are in Deno's cache, wherever that is. */
function withoutPlaces(text: string, cache: string): string {
  const quoted = cache.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return text.replaceAll(new RegExp(`${quoted}/[^/\\s"]+/`, "g"), "npm/");
}

async function cacheFrom(root: string): Promise<string> {
  const { stdout } = await runDeno(["info", "--json"], root);
  const { npmCache } = JSON.parse(stdout) as { npmCache: string };
  return relative(root, npmCache);
}
