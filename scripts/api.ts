/**
 * `deno task api`: shows how the package's public surface differs from tests/package/api.txt; `--write` accepts the difference.
 *
 * @module
 */

import { join } from "node:path";
import { runDeno } from "./bundle.ts";

const ROOT = new URL("..", import.meta.url).pathname;
/** What was accepted last. */
export const API_PATH: string = join(ROOT, "tests/package/api.txt");

/** What the package exports: by path, which module. */
export function packageExports(): ReadonlyMap<string, string> {
  const { exports } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))) as {
    exports: Record<string, string>;
  };
  return new Map(Object.entries(exports).map(([path, module]) => [path, join(ROOT, module)]));
}

/** The public surface: the declaration of every name, and what can be imported from where. */
export async function apiText(): Promise<string> {
  const exports = packageExports();
  const parts = await declarations(exports.get(".") as string);
  for (const [path, module] of exports) {
    if (path === ".") continue;
    const values = Object.keys(await import(module) as object).sort();
    parts.push(`/* values of ${path} */\n${values.map((name) => `${name};`).join("\n")}\n`);
  }
  return await formatted(parts);
}

/** The first lines in which two texts differ. */
export function differences(before: string, after: string, most = 20): string[] {
  const old = new Set(before.split("\n")), now = new Set(after.split("\n"));
  return [
    ...[...old].filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ].slice(0, most);
}

/** Deno shows declarations with their documentation, which is no part of the surface: it is shown a copy without. */
async function declarations(module: string): Promise<string[]> {
  const copy = await Deno.makeTempDir();
  try {
    for (const path of sources("")) {
      await Deno.mkdir(join(copy, path, ".."), { recursive: true });
      const text = await Deno.readTextFile(join(ROOT, path));
      await Deno.writeTextFile(join(copy, path), text.replaceAll(/^[ \t]*\/\*\*[^]*?\*\/[ \t]*\n/gm, ""));
    }
    await Deno.copyFile(join(ROOT, "deno.json"), join(copy, "deno.json"));
    const { success, stdout, stderr } = await runDeno(["doc", "--no-lock", module.slice(ROOT.length)], copy);
    if (!success) throw new Error(stderr);
    return stdout.split(/^Defined in .*\n/m).map((part) => part.trim()).filter((part) => part !== "")
      .map(declaration).sort();
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/** As TypeScript, so that the formatter breaks long lines. */
function declaration(shown: string): string {
  const [head = "", ...members] = shown.split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("private "));
  if (/^(?:abstract )?class |^interface /.test(head)) {
    return corrected(`${head} {\n${members.join("\n")}\n}\n`);
  }
  const all = [head.replace(/^(?:async )?function\*? /, "function "), ...members].join("\n");
  return `${/^(?:const|function) /.test(all) ? "declare " : ""}${corrected(all)}\n`;
}

/** Deno shows mapped types without their braces, and names of properties without their quotes. */
function corrected(shown: string): string {
  return shown.replaceAll(/((?:readonly )?\[\w+ in [^&]*[^& ])/g, "{ $1 }")
    .replaceAll(/([{;] (?:readonly )?)(\w+(?:-\w+)+)(\??: )/g, '$1"$2"$3');
}

/** What Deno shows and its formatter does not read becomes a comment, as it is. */
async function formatted(parts: readonly string[]): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  const left = [...parts];
  try {
    for (;;) {
      await Deno.writeTextFile(path, left.join("\n"));
      const { success, stderr } = await runDeno(["fmt", "--quiet", path], ROOT);
      if (success) return await Deno.readTextFile(path);
      const place = partAt(left, Number(/\.ts:(\d+):\d+/.exec(stderr)?.[1]));
      if (place === undefined || left[place]?.startsWith("/*")) throw new Error(stderr);
      left[place] = `/*\n${left[place]}*/\n`;
    }
  } finally {
    await Deno.remove(path);
  }
}

/** In which part a line is, when an empty line is between two. */
function partAt(parts: readonly string[], line: number): number | undefined {
  let first = 1;
  for (const [i, part] of parts.entries()) {
    first += part.split("\n").length;
    if (line < first) return i;
  }
  return undefined;
}

function* sources(folder: string): Generator<string> {
  if (folder === "") yield "mod.ts";
  for (const { name, isDirectory } of Deno.readDirSync(join(ROOT, folder === "" ? "src" : folder))) {
    const path = join(folder === "" ? "src" : folder, name);
    if (isDirectory) yield* sources(path);
    else if (name.endsWith(".ts")) yield path;
  }
}

if (import.meta.main) {
  const text = await apiText();
  if (Deno.args.includes("--write")) Deno.writeTextFileSync(API_PATH, text);
  else for (const line of differences(Deno.readTextFileSync(API_PATH), text, Infinity)) console.log(line);
}
