/** The scripts are run by the shells that they are for; zsh and fish where they are installed. */

import assert from "node:assert/strict";
import { completionOf, SHELLS } from "../../cli/completion.ts";
import { program } from "../../cli/program.ts";
import { places } from "./tree.ts";
import { quorate } from "./quorate.ts";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(command: string, args: readonly string[], cwd: string): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd, stdin: "null" })
    .output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function isInstalled(shell: string): Promise<boolean> {
  try {
    return (await run(shell, ["-c", "true"], "/")).code === 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A directory with a configuration and files, and the script of a shell. */
class Place implements Disposable {
  readonly root = Deno.makeTempDirSync();
  readonly script = `${this.root}/script`;

  constructor(shell: typeof SHELLS[number]) {
    Deno.writeTextFileSync(this.script, completionOf(program(), shell));
    Deno.writeTextFileSync(
      `${this.root}/quorate.toml`,
      '[[parties]]\nname = "alice"\n[[parties]]\nname = "bob"\n',
    );
    Deno.mkdirSync(`${this.root}/other`);
    Deno.writeTextFileSync(`${this.root}/other/o.toml`, 'name = "zoe" # the last\n');
    Deno.writeTextFileSync(`${this.root}/my file.pem`, "");
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

/** What is typed, the last word in part, and what a shell has to offer. */
const CASES: readonly (readonly [line: string, offers: readonly string[]])[] = [
  ["quorate agree", ["agree-random"]],
  ["quorate key ex", ["export-private", "export-public"]],
  ["quorate key sign --sig", ["--signers"]],
  ["quorate key sign --mess", ["--message", "--message-file"]],
  ["quorate --config quorate.toml key --party bob refr", ["refresh"]],
  ["quorate key sign --format c", ["compact"]],
  ["quorate key generate --curve p", ["p256"]],
  ["quorate key list --party a", ["alice"]],
  ["quorate key list --config other/o.toml --party ", ["zoe"]],
  ["quorate completion z", ["zsh"]],
  ["quorate key export-public --key k --out my", ["my file.pem"]],
  ["quorate init --dir oth", ["other"]],
  ["quorate key sign --key ", []],
  ["quorate key list nothing", []],
];

Deno.test("quorate completion prints a script, and as JSON which shell it is for", async () => {
  for (const shell of SHELLS) {
    const { code, stdout } = await quorate("completion", shell);
    assert.equal(code, 0);
    assert.equal(stdout, completionOf(program(), shell));
    const json = JSON.parse((await quorate("completion", shell, "--json")).stdout);
    assert.deepEqual(json, { shell, script: stdout });
  }
});

Deno.test("quorate completion names every command and every option for each shell", () => {
  for (const shell of SHELLS) {
    const script = completionOf(program(), shell);
    for (const { path, command } of places()) {
      for (const word of [...path.split(" "), ...command.options.map(({ long }) => long as string)]) {
        const text = shell === "fish" ? word.replace(/^--/, "") : word;
        assert.ok(script.includes(text), `${shell}: ${path} ${word}`);
      }
    }
  }
});

Deno.test("quorate completion bash: bash takes the script, and completes commands, options, choices, files and names", async () => {
  using place = new Place("bash");
  const { code, stderr } = await run("bash", ["-n", place.script], place.root);
  assert.deepEqual([code, stderr], [0, ""]);
  // As readline calls it: the function that `complete` names, with the words of the line.
  const ask = 'source ./script; read -ra COMP_WORDS <<<"$1"; [[ $1 == *" " ]] && COMP_WORDS+=("");' +
    'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); entry="$(complete -p quorate)"; [[ $entry =~ -F\\ ([^ ]+) ]];' +
    '"${BASH_REMATCH[1]}" quorate "${COMP_WORDS[COMP_CWORD]}" ""; printf "%s\\n" "${COMPREPLY[@]}"';
  for (const [line, offers] of CASES) {
    const { code, stdout, stderr } = await run("bash", ["-c", ask, "bash", line], place.root);
    assert.deepEqual([code, stderr], [0, ""], line);
    assert.deepEqual(stdout.split("\n").filter(Boolean).sort(), offers, line);
  }
  const { stdout } = await run("bash", ["-c", ask, "bash", "quorate key sign --signers alice,b"], place.root);
  assert.equal(stdout, "alice,bob\n");
});

Deno.test({
  name: "quorate completion fish: fish completes commands, options, choices, files and names",
  ignore: !await isInstalled("fish"),
  fn: async () => {
    using place = new Place("fish");
    for (const [line, offers] of CASES) {
      const { code, stdout, stderr } = await run(
        "fish",
        ["--no-config", "-c", "source ./script; complete -C $argv[1]", line],
        place.root,
      );
      assert.deepEqual([code, stderr], [0, ""], line);
      const words = stdout.split("\n").filter(Boolean).map((text) =>
        (text.split("\t")[0] as string).replace(/\/$/, "")
      );
      assert.deepEqual(words.sort(), offers, line);
    }
  },
});

Deno.test({
  name:
    "quorate completion zsh: zsh takes the script, and completes commands, options, choices, files and names",
  ignore: !await isInstalled("zsh"),
  fn: async () => {
    using place = new Place("zsh");
    const { code, stderr } = await run("zsh", ["-n", place.script], place.root);
    assert.deepEqual([code, stderr], [0, ""]);
    // What zsh has for completion prints here what it is given; zsh itself leaves out what does not begin as typed.
    const ask = "compdef() { :; }; _files() { print -l -- *; }; compset() { :; }; " +
      '_describe() { local -a list; list=("${(@P)2}"); print -l -- "${(@)list%%:*}"; }; ' +
      'compadd() { if [[ $1 == -- ]]; then shift; print -l -- "$@"; else print -l -- "${(@P)@[-1]}"; fi; }; ' +
      'source ./script; words=("${(@s: :)1}"); CURRENT=$#words; _quorate';
    for (const [line, offers] of CASES) {
      const { stdout, stderr } = await run("zsh", ["-f", "-c", ask, "zsh", line], place.root);
      assert.equal(stderr, "", line);
      const typed = line.slice(line.lastIndexOf(" ") + 1);
      const words = stdout.split("\n").filter((word) => word !== "" && word.startsWith(typed));
      assert.deepEqual(words.sort(), offers, line);
    }
  },
});
