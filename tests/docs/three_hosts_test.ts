/**
 * The plan for three hosts of docs/quickstart.md, done as it says: each host is a directory that has the archive of its own party
 * and nothing else, at an address of its own of the loopback network.
 */

import assert from "node:assert/strict";
import { documents } from "./blocks.ts";
import { freeBasePort, quorateIn, runShell } from "./shell.ts";

const NAMES = ["alice", "bob", "carol"];
const ADDRESSES = ["10.0.0.5", "10.0.0.6", "10.0.0.7"];

/** The block of the plan that has this line in it. */
function block(part: string): string {
  const text = documents().find(({ path }) => path === "docs/quickstart.md")?.text ?? "";
  const [, plan = ""] = text.split("## On three hosts");
  const found = [...plan.matchAll(/^```sh[^\n]*\n([^]*?)^```$/gm)].map(([, body = ""]) => body)
    .find((body) => body.includes(part));
  assert.ok(found !== undefined, `the plan has no block with ${part}`);
  return found;
}

Deno.test({
  name:
    "docs/quickstart.md: the plan for three hosts leads to a signature, with nothing of one host on another",
  // Elsewhere the loopback network has one address.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const root = Deno.makeTempDirSync({ prefix: "quorate-hosts-" });
    try {
      const bin = quorateIn(root);
      const port = await freeBasePort(1);
      const local = (script: string) =>
        script.replace(/10\.0\.0\.(\d)/g, "127.0.0.1$1").replaceAll(":9000", `:${port}`);
      assert.ok(ADDRESSES.every((address) => block("init alice").includes(address)));
      await runShell(local(block("init alice")) + block("tar -C"), { cwd: root, bin });
      for (const name of NAMES) {
        Deno.mkdirSync(`${root}/${name}`);
        await runShell(`tar -C ${name} -xf ${name}.tar`, { cwd: root, bin });
      }
      Deno.removeSync(`${root}/prod`, { recursive: true });
      const at = async (names: readonly string[], line: string) =>
        await Promise.all(
          names.map((name) =>
            runShell(line.replaceAll("--party bob", `--party ${name}`), { cwd: `${root}/${name}`, bin })
          ),
        );

      await at(NAMES, block("quorate doctor"));
      const keys = await at(NAMES, block("quorate key generate"));
      assert.equal(new Set(keys).size, 1, "all print one public key");
      for (const name of ["alice", "bob"]) Deno.writeTextFileSync(`${root}/${name}/m.txt`, "pay 5 to dave");
      await at(["alice", "bob"], block("quorate key sign"));
      // Carol, who did not sign, has what checks the signature.
      await runShell(
        "quorate key verify --party carol --key treasury --message-file ../bob/m.txt --signature ../bob/m.sig",
        { cwd: `${root}/carol`, bin },
      );
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  },
});
