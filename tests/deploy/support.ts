/** The files of deploy/, and the programs that check them. */

import { parse } from "yaml";
import { METRIC_PREFIX, type MetricMeaning, METRICS } from "../../src/telemetry/catalogue.ts";

/** Where the files are. */
export const DEPLOY: URL = new URL("../../deploy/", import.meta.url);

/** The text of a file of deploy/. */
export function textOf(name: string): string {
  return Deno.readTextFileSync(new URL(name, DEPLOY));
}

/** A YAML file of deploy/, with anchors and merges resolved; a key that stands twice is an error. */
export function yamlOf<T>(name: string): T {
  return parse(textOf(name), { merge: true, uniqueKeys: true }) as T;
}

/** The path of a program, or undefined where it is not installed. Throws where CI=true, unless it may be missing. */
export function programOf(name: string, { mayBeMissing = false } = {}): string | undefined {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    try {
      if (Deno.statSync(`${directory}/${name}`).isFile) return `${directory}/${name}`;
    } catch {
      // It is in another directory, or nowhere.
    }
  }
  if (Deno.env.get("CI") === "true" && !mayBeMissing) throw new Error(`${name} is not installed`);
  console.log(`${name} is not installed: what it checks is skipped`);
  return undefined;
}

/** Runs a program in deploy/. @returns what it said; its exit code is in `success`. */
export async function run(
  program: string,
  ...args: string[]
): Promise<{ readonly success: boolean; readonly said: string }> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: DEPLOY, stdin: "null" })
    .output();
  const decoder = new TextDecoder();
  return { success, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

const CATALOGUE: ReadonlyMap<string, MetricMeaning> = new Map(Object.entries(METRICS));

/** Names in an expression that no metric has. The parts of a histogram have names of their own. */
export function unknownMetrics(expression: string): string[] {
  const names = expression.match(new RegExp(`\\b${METRIC_PREFIX}[a-z_]+`, "g")) ?? [];
  return names.filter((name) => {
    const own = name.slice(METRIC_PREFIX.length);
    if (CATALOGUE.has(own)) return CATALOGUE.get(own)?.type === "histogram";
    const base = own.replace(/_(?:bucket|sum|count)$/, "");
    return CATALOGUE.get(base)?.type !== "histogram";
  });
}

/** Labels that an expression selects or groups by, and that neither its metrics nor targets have. */
export function unknownLabels(expression: string): string[] {
  const names = [...expression.matchAll(new RegExp(`\\b${METRIC_PREFIX}([a-z_]+)`, "g"))].map(([, name]) =>
    CATALOGUE.get(name as string) ??
      CATALOGUE.get((name as string).replace(/_(?:bucket|sum|count)$/, ""))
  );
  const known = new Set([
    ...["cluster", "party", "job", "instance", "le"],
    ...names.flatMap((meaning) => meaning?.labels ?? []),
  ]);
  const selected = [...expression.matchAll(/([a-z_]+)(?:=~|!~|!=|=)"/g)].map(([, label]) => label as string);
  const grouped = [...expression.matchAll(/\b(?:by|without|on)\s*\(([^)]*)\)/g)].flatMap(([, list]) =>
    (list as string).split(",").map((label) => label.trim())
  );
  return [...selected, ...grouped].filter((label) => !known.has(label));
}
