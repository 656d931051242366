/** The lines of docs/compile.md that make a party's file and use it. */

import assert from "node:assert/strict";
import { documents } from "./blocks.ts";
import { freeBasePort, quorateIn, runShell } from "./shell.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const TASK = "deno task compile";

Deno.test("docs/compile.md: its first lines make a file for alice, with its permissions beside it, that runs", async () => {
  const block = documents().find(({ path }) => path === "docs/compile.md")?.blocks[0];
  assert.ok(block !== undefined && block.reason === "own-test" && block.text.includes(TASK));
  const command =
    `'${Deno.execPath()}' run --quiet --frozen --config '${ROOT}deno.json' -A '${ROOT}scripts/compile.ts'`;
  const directory = Deno.makeTempDirSync({ prefix: "quorate-compile-" });
  try {
    const options = { cwd: directory, bin: quorateIn(directory) };
    await runShell(`quorate init alice bob --dir demo --base-port ${await freeBasePort(2)}`, options);
    const printed = await runShell(block.text.replace(TASK, command), options);
    const permissions = Deno.readTextFileSync(`${directory}/quorate-alice.permissions`);
    assert.ok(printed.includes(permissions) && permissions.includes(`${directory}/work`));
    assert.match(printed, /^program sha256 [0-9a-f]{64}$/m);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
