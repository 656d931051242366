import assert from "node:assert/strict";
import { leaves, parsed, places, wordsOf } from "./tree.ts";
import { Cluster } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

async function helpOf(path: string): Promise<string> {
  const { code, stdout } = await quorate(...path.split(" ").filter(Boolean), "--help");
  assert.equal(code, 0, path);
  return stdout;
}

/** The command lines among the examples of a command, without continuation marks. */
function examplesIn(help: string): string[] {
  const [, after] = help.split("\nExamples:\n");
  assert.ok(after !== undefined, `no examples in:\n${help}`);
  return after.replaceAll("\\\n", " ").split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace(/^source <\((.*)\)$/, "$1"));
}

Deno.test("quorate: every command, option and argument says what it is", () => {
  const silent: string[] = [];
  for (const { path, command } of places()) {
    if (command.description() === "") silent.push(path);
    for (const { flags, description } of command.options) {
      if (description === "") silent.push(`${path} ${flags}`);
    }
    for (const argument of command.registeredArguments) {
      if (argument.description === "") silent.push(`${path} ${argument.name()}`);
    }
  }
  assert.deepEqual(silent, []);
});

Deno.test("quorate COMMAND --help ends with examples that parse as that command, in 80 columns", async () => {
  for (const { path, command } of places()) {
    const help = await helpOf(path);
    const wide = help.split("\n").filter((line) => line.length > 80);
    assert.deepEqual(wide, [], path);
    const lines = examplesIn(help);
    assert.ok(lines.length > 0, path);
    const reached = new Set<string>();
    for (const line of lines) {
      const [name, ...args] = wordsOf(line);
      assert.equal(name, "quorate", line);
      if (args.at(-1) === "--help") continue;
      reached.add((await parsed(args)).path);
    }
    if (command.commands.length === 0) assert.deepEqual([...reached], [path]);
  }
});

Deno.test("quorate: every command takes --json anywhere, and says what is wrong with it as JSON", async () => {
  for (const { path } of leaves()) {
    const words = path.split(" ");
    const wrong = await quorate(...words, "--no-such-option", "--json");
    assert.equal(JSON.parse(wrong.stderr).error.code, "USAGE", path);
    assert.equal(wrong.stdout, "", path);
    assert.match(await helpOf(path), /^ {2}--json {2,}print results and errors as JSON$/m);
  }
});

Deno.test("quorate says which command, option or party was probably meant", async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["agree-randm"], /unknown command 'agree-randm' \(Did you mean agree-random\?\)/],
    [["key", "sing"], /unknown command 'sing' \(Did you mean sign\?\)/],
    [["key", "sign", "--json", "--kei", "k"], /unknown option '--kei' \(did you mean --key\?\)/],
    [["key", "sign", "--message", "--kei"], /required option '--key <name>' not specified/],
    [["key"], /a command is missing: see quorate key --help/],
    [[], /a command is missing: see quorate --help/],
    [["key", "list", "--jsn"], /unknown option '--jsn' \(Did you mean --json\?\)/],
    [["key", "export-public", "--key", "k", "--format", "pam"], /Allowed choices are pem, hex, jwk, record/],
    [["completion", "bsh"], /Allowed choices are bash, zsh, fish/],
  ];
  for (const [args, match] of cases) {
    const { code, stderr } = await quorate(...args);
    assert.equal(code, 64);
    assert.match(stderr, match);
  }
  using cluster = await Cluster.make(["alice", "bob"]);
  const { stderr } = await quorate("key", "list", "--config", cluster.configPath, "--party", "alcie");
  assert.match(stderr, /alcie is not a party of demo: alice, bob are \(did you mean alice\?\)/);
});
