import assert from "node:assert/strict";
import { style, table, terminalColumns } from "../../cli/output.ts";

const TERMINAL = { isTerminal: () => true };
const PIPE = { isTerminal: () => false };

const HEAD = ["PEER", "STATE", "WHY"];
const ROWS = [
  ["alice", "up", ""],
  ["bob", "down", "no connection: Connection refused: is its node running at 10.0.0.7:9000?"],
];

function widest(text: string): number {
  return Math.max(...text.split("\n").map((line) => line.length));
}

Deno.test("table() puts columns beside each other, and folds nothing that goes to a file or a pipe", () => {
  const text = table(ROWS, HEAD, undefined);
  assert.deepEqual(text.split("\n").slice(0, 2), ["PEER   STATE  WHY", "alice  up"]);
  assert.ok(widest(text) > 80);
  assert.equal(table([], undefined, undefined), "");
});

Deno.test("table() continues long cells below where the terminal is too narrow, and loses no word", () => {
  const text = table(ROWS, HEAD, 40);
  assert.equal(
    text,
    [
      "PEER   STATE  WHY",
      "alice  up",
      "bob    down   no connection: Connection",
      "              refused: is its node",
      "              running at 10.0.0.7:9000?",
      "",
    ].join("\n"),
  );
  const words = (rows: readonly (readonly string[])[]) => rows.flat().join(" ").split(/\s+/).sort();
  assert.deepEqual(text.split(/\s+/).filter(Boolean).sort(), words([HEAD, ...ROWS]).filter(Boolean));
});

Deno.test("table() makes a block of every row where even short columns do not fit", () => {
  const head = ["SESSION", "PROTOCOL", "WAITING FOR", "AGE"];
  const rows = [["7f3a", "sign", "carol", "3.1 s"], ["81c0", "key generation", "-", "0.2 s"]];
  assert.equal(
    table(rows, head, 24),
    [
      "SESSION      7f3a",
      "PROTOCOL     sign",
      "WAITING FOR  carol",
      "AGE          3.1 s",
      "",
      "SESSION      81c0",
      "PROTOCOL     key",
      "             generation",
      "WAITING FOR  -",
      "AGE          0.2 s",
      "",
    ].join("\n"),
  );
});

Deno.test("table() is never wider than the terminal, however narrow, and breaks words that are longer than a line", () => {
  const rows = [["key", "b454ff72772ee79cb584d520271cd7925ef20f8e5828f0e89941de9c1f72e42d"], ["x", "y"]];
  for (const head of [undefined, ["NAME", "VALUE"]]) {
    for (let columns = 20; columns <= 100; columns++) {
      assert.ok(widest(table(rows, head, columns)) <= columns, `${columns}`);
      assert.equal(
        table(rows, head, columns).replace(/\s/g, "").length,
        table(rows, head, undefined).replace(/\s/g, "").length,
      );
    }
  }
});

Deno.test("style() colours for terminals alone, and not where NO_COLOR is set", () => {
  assert.equal(style("red", "error", TERMINAL, false), "\x1b[31merror\x1b[39m");
  assert.equal(style("bold", "a\nb\n", TERMINAL, false), "\x1b[1ma\x1b[22m\n\x1b[1mb\x1b[22m\n");
  assert.equal(style("red", "error", TERMINAL, true), "error");
  assert.equal(style("red", "error", PIPE, false), "error");
});

Deno.test("quorate honours NO_COLOR, and colours errors on a terminal", async () => {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const on = async (env: Record<string, string>) => {
    // script(1) gives the command a terminal.
    const command = `'${Deno.execPath()}' run --quiet --frozen --config '${config}' -A '${main}' colour`;
    const { stdout } = await new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      env: { TERM: "xterm", ...env },
      stdin: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  };
  assert.ok((await on({ NO_COLOR: "" })).startsWith("\x1b[31merror USAGE:\x1b[39m unknown command"));
  assert.match(await on({ NO_COLOR: "1" }), /^error USAGE: unknown command/);
});

Deno.test("terminalColumns() is known for terminals alone", () => {
  assert.equal(terminalColumns(PIPE), undefined);
  assert.ok((terminalColumns(TERMINAL) as number) >= 1);
});
