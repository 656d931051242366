/**
 * README says what is true: its lines are run, and its tables are compared with the program. Its `ts` blocks are run by
 * `deno test --doc README.md`.
 */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { Command } from "commander";
import { program } from "../cli/program.ts";
import { CODES } from "../src/base/errors.ts";

const README = Deno.readTextFileSync(new URL("../README.md", import.meta.url));

Deno.test("README names the commands that need only Node, and those tasks exist", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("../deno.json", import.meta.url)));
  for (const task of ["demo", "test"]) {
    assert.match(README, new RegExp(`^npx --yes deno@2\\.9\\.6 task ${task}$`, "m"));
  }
  for (const [, task] of README.matchAll(/\btask (?:--quiet )?([a-z-]*[a-z])/g)) {
    assert.ok(task !== undefined && task in tasks, `there is no task ${task}`);
  }
  assert.match(tasks.test, /\bREADME\.md\b/);
});

Deno.test("every task is said in README, CONTRIBUTING or a document", () => {
  const root = new URL("../", import.meta.url);
  const documents = [...Deno.readDirSync(new URL("docs/", root))].map(({ name }) => `docs/${name}`);
  const text = ["README.md", "CONTRIBUTING.md", ...documents].filter((path) => path.endsWith(".md"))
    .map((path) => Deno.readTextFileSync(new URL(path, root))).join("\n");
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const isSaid = (task: string) => new RegExp(`\\btask (?:--quiet )?${task}(?![a-z-])`).test(text);
  assert.deepEqual(Object.keys(tasks).filter((task) => !isSaid(task)), []);
});

Deno.test("README: the worked example ends with a signature that openssl verifies", async () => {
  const script = block("<!-- test: worked example -->");
  const main = new URL("../cli/main.ts", import.meta.url).pathname;
  const config = new URL("../deno.json", import.meta.url).pathname;
  const local =
    `quorate() { '${Deno.execPath()}' run --quiet --frozen --config '${config}' -A '${main}' "$@"; }`;
  const replaced = script.replace(/^quorate\(\) \{.*\}$/m, () => local)
    .replace(/--base-port 9101\b/, `--base-port ${await freeBasePort(3)}`);
  assert.ok(
    replaced.startsWith(local) && !replaced.includes("9101"),
    "the command and the port are replaced",
  );
  const directory = Deno.makeTempDirSync({ prefix: "quorate-readme-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-eu", "-c", replaced],
      cwd: directory,
      stdin: "null",
    }).output();
    const [out, progress] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [
      string,
      string,
    ];
    assert.equal(code, 0, progress);
    assert.match(out, /\nVerified OK\n$/, progress);
    const random = [...out.matchAll(/^[0-9a-f]{64}$/gm)].map(([value]) => value);
    assert.deepEqual([random.length, new Set(random).size], [3, 1], "three parties print one value");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("README lists every command and no other", () => {
  const { leaves, all } = commandsOf(program());
  const listed = rows("command").flatMap(([first]) => [...(first ?? "").matchAll(/`([^`]+)`/g)])
    .map(([, name]) => (name ?? "").replace(/ [A-Z[<].*$/, ""));
  assert.deepEqual(leaves.filter((name) => !listed.includes(name)), [], "commands that README does not list");
  assert.deepEqual(listed.filter((name) => !all.includes(name)), [], "commands that there are not");
});

Deno.test("README lists every exit code and no other", () => {
  const used = new Set([0, ...Object.values(CODES).map(({ exit }) => exit)]);
  const listed = rows("exit code").map(([code]) => Number(code));
  assert.deepEqual(listed, [...used].sort((a, b) => a - b));
});

/** The first code block after a mark. */
function block(mark: string): string {
  const after = README.split(`${mark}\n`)[1];
  assert.ok(after !== undefined, `README has no ${mark}`);
  const text = /^```sh\n([^]*?)^```$/m.exec(after)?.[1];
  assert.ok(text !== undefined && after.startsWith("```sh\n"), `no sh block follows ${mark}`);
  return text;
}

/** The cells of the table whose first column has a title. */
function rows(title: string): string[][] {
  const [, after] = README.split(new RegExp(`^\\| ${title} \\|.*\\n\\|[-|]+\\|\\n`, "m"));
  assert.ok(after !== undefined, `README has no table of ${title}s`);
  const lines = after.split("\n");
  return lines.slice(0, lines.findIndex((line) => !line.startsWith("|")))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

function commandsOf(root: Command): { readonly leaves: string[]; readonly all: string[] } {
  const leaves: string[] = [];
  const all: string[] = [];
  const visit = (command: Command, path: readonly string[]) => {
    for (const child of command.commands) {
      const name = [...path, child.name()];
      all.push(name.join(" "));
      if (child.commands.length === 0) leaves.push(name.join(" "));
      visit(child, name);
    }
  };
  visit(root, []);
  return { leaves, all };
}

/** The first of so many ports in a row that nothing listens on now. */
async function freeBasePort(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const base = 20_000 + (crypto.getRandomValues(new Uint16Array(1))[0] as number) % 10_000;
    const ports = Array.from({ length: count }, (_, i) => base + i);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error("no free ports in a row");
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) =>
    server.once("error", () => resolve(false))
      .listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  );
}
