/** Every shell command of the documents is run, or says why it is not; and those that are not still have to parse. */

import assert from "node:assert/strict";
import { CommanderError } from "commander";
import { parsed, places, wordsOf } from "../cli/tree.ts";
import { type Document, documents, REASONS } from "./blocks.ts";
import { endOf, freeBasePort, quorateIn } from "./shell.ts";

const QUICK_START = "docs/quickstart.md";
/** For who writes one: `DOCUMENT=docs/keys.md` runs no other than this one and the quick start. */
const ONLY = Deno.env.get("DOCUMENT");

const DOCUMENTS = documents();

/** `wait` of a shell forgets how its jobs ended; here a job that fails ends the document. Nodes that still run are ended with it. */
const PRELUDE = `trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; builtin wait || true; exit $code' EXIT
wait() {
  local job failed=0
  for job in $(jobs -p); do builtin wait "$job" || failed=$?; done
  return $failed
}
`;

/** A directory in which documents are run, with \`quorate\` on the path. */
class Desk implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "quorate-docs-" });
  readonly #bin = quorateIn(this.root);
  readonly #ports = new Map<string, number>();

  /** Runs the blocks of a document in order, as one shell would. */
  async run(document: Document, directory: string): Promise<void> {
    const blocks = document.blocks.filter(({ reason }) => reason === undefined);
    const parts = blocks.map(({ line, text }) => `echo '${MARK}${line}' | tee /dev/stderr\n${text}`);
    const script = await this.#withFreePorts(PRELUDE + parts.join("\n"));
    const { code, stdout, stderr: said } = await endOf(script, { cwd: directory, bin: this.#bin });
    const last = said.slice(said.lastIndexOf(MARK) + MARK.length);
    assert.equal(code, 0, `${document.path}, block at line ${last}`);
    const printed = stdout.split(MARK).slice(1);
    for (const [i, { line, output }] of blocks.entries()) {
      if (output === undefined) continue;
      assert.equal(
        withoutHex(printed[i]?.replace(/^\d+\n/, "")),
        withoutHex(output),
        `${document.path}:${line}`,
      );
    }
  }

  /** The ports 9101 to 9199 of the documents become free ones, each the same one in all documents. */
  async #withFreePorts(script: string): Promise<string> {
    for (const [port] of script.matchAll(/\b91\d\d\b/g)) {
      if (!this.#ports.has(port)) this.#ports.set(port, await freeBasePort(PARTIES_MAX));
    }
    return script.replace(/\b91\d\d\b/g, (port) => String(this.#ports.get(port)));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

const MARK = "=== line ";
/** The largest cluster of a document. */
const PARTIES_MAX = 5;

/** Keys and identifiers differ from run to run. */
function withoutHex(text = ""): string {
  return text.replaceAll(/[0-9a-f]{16,}/g, "HEX");
}

Deno.test("documents: every shell block is run, or has a reason of the list not to be", () => {
  const wrong = DOCUMENTS.flatMap(({ path, blocks }) =>
    blocks.filter(({ reason }) => reason !== undefined && !(reason in REASONS))
      .map(({ line, reason }) => `${path}:${line}: ${reason}`)
  );
  assert.deepEqual(wrong, []);
});

Deno.test("documents: commands in blocks that are not run, and in sentences, are commands that there are", async () => {
  const wrong: string[] = [];
  for (const { path, text, blocks } of DOCUMENTS) {
    for (const block of blocks.filter(({ reason }) => reason !== undefined)) {
      for (const args of commandsIn(block.text)) {
        const fault = await faultOf(args);
        if (fault !== undefined) wrong.push(`${path}:${block.line}: quorate ${args.join(" ")}: ${fault}`);
      }
    }
    for (const [, line] of text.matchAll(/`quorate ([^`\n]+)`/g)) {
      const fault = await faultOf(wordsOf(line as string), { isWhole: false });
      if (fault !== undefined) wrong.push(`${path}: \`quorate ${line}\`: ${fault}`);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("documents: their commands do what they say, from the first to the last", async (t) => {
  using desk = new Desk();
  const start = DOCUMENTS.find(({ path }) => path === QUICK_START);
  assert.ok(start !== undefined);
  const quickStart = `${desk.root}/quickstart`;
  Deno.mkdirSync(quickStart);
  const begun = await t.step(start.path, () => desk.run(start, quickStart));
  if (!begun) return;
  for (const document of DOCUMENTS) {
    if (ONLY !== undefined && document.path !== ONLY) continue;
    if (document === start || document.blocks.every(({ reason }) => reason !== undefined)) continue;
    await t.step(document.path, async () => {
      const directory = `${desk.root}/${document.path.replace(/^.*\/|\.md$/g, "")}`;
      if (document.goesOn) await copy(quickStart, directory);
      else Deno.mkdirSync(directory);
      await desk.run(document, directory);
    });
  }
});

/** The arguments of every `quorate` in shell lines. */
function commandsIn(text: string): string[][] {
  const command = /(?:^\s*|\b(?:do|then|else)\s+|[(;&|]\s*)quorate(?= )((?:"[^"]*"|'[^']*'|[^\n;&|)"'])*)/gm;
  return [...text.replaceAll("\\\n", " ").matchAll(command)].map(([, line]) => wordsOf(line as string));
}

/** Why a command line does not parse. One in a sentence may leave out what the command needs. */
async function faultOf(words: readonly string[], { isWhole = true } = {}): Promise<string | undefined> {
  const args = words.flatMap((word) => word === "$C" ? ["--config", "c"] : [word]);
  if (args.includes("--help") || args.some((word) => /^(COMMAND|<|\.\.\.)/.test(word))) return undefined;
  try {
    await parsed(args);
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) return isWhole ? String(error) : undefined;
    const isLess = [
      ...["commander.missingMandatoryOptionValue", "commander.missingArgument", "commander.help"],
      "commander.optionMissingArgument",
    ];
    return !isWhole && isLess.includes(error.code) ? undefined : error.message;
  }
}

async function copy(from: string, to: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-a", from, to] }).output();
  assert.ok(success);
}

Deno.test("wordsOf() reads shell words, and places() has the root", () => {
  assert.deepEqual(wordsOf(`key sign --policy "2 of (a, b)" 'x y' >out 2>&1 # why`), [
    ...["key", "sign", "--policy", "2 of (a, b)", "x y"],
  ]);
  assert.equal(places()[0]?.path, "");
});
