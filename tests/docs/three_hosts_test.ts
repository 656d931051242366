/**
 * The plan for three hosts of docs/quickstart.md, done as it says: each host is a directory that has the archive of its own party
 * and that party's program and nothing else, at an address of its own of the loopback network.
 */

import assert from "node:assert/strict";
import { documents } from "./blocks.ts";
import { freeBasePort, quorateIn, runShell } from "./shell.ts";

const NAMES = ["alice", "bob", "carol"];
const ADDRESSES = ["10.0.0.5", "10.0.0.6", "10.0.0.7"];
const ROOT = new URL("../../", import.meta.url).pathname;

/** The block of the plan that has this line in it. */
function block(part: string): string {
  const text = documents().find(({ path }) => path === "docs/quickstart.md")?.text ?? "";
  const [, plan = ""] = text.split("## On three hosts");
  const found = [...plan.matchAll(/^```sh[^\n]*\n([^]*?)^```$/gm)].map(([, body = ""]) => body)
    .find((body) => body.includes(part));
  assert.ok(found !== undefined, `the plan has no block with ${part}`);
  return found;
}

/** Replaces what has to be there. */
function replaced(text: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((changed, [from, to]) => {
    assert.ok(changed.includes(from), `${from} in ${text}`);
    return changed.replaceAll(from, to);
  }, text);
}

/** A host: its place stands for /srv/quorate and /usr/local/bin, and nobody has to become another user. */
class Host {
  readonly directory: string;
  readonly #name: string;
  readonly #bin: string;

  constructor(root: string, name: string) {
    this.directory = `${root}/${name}`;
    this.#name = name;
    this.#bin = `${root}/none`;
    Deno.mkdirSync(this.directory);
  }

  /** Puts there what the second step says: the archive and the program, which come from where they were made. */
  async install(made: string): Promise<void> {
    Deno.renameSync(`${made}/quorate-${this.#name}`, `${this.directory}/quorate-${this.#name}`);
    Deno.renameSync(`${made}/${this.#name}.tar`, `${this.directory}/${this.#name}.tar`);
    const [unpack = ""] = block("sudo -u quorate tar").split("\n").filter((line) => line.includes("tar -C"));
    await this.#shell(replaced(unpack, { "sudo -u quorate ": "", "/srv/quorate": this.directory }));
  }

  /** Runs lines of the plan that say `quorate`, as this host's operator. @returns what they print. */
  run(lines: string): Promise<string> {
    const [define = ""] = block("quorate() {").split("\n");
    const command = replaced(define, {
      "sudo -u quorate ": "",
      "/usr/local/bin": this.directory,
      "/srv/quorate": this.directory,
    });
    return this.#shell(`${command}\n${lines}`);
  }

  #shell(script: string): Promise<string> {
    // The name of bob in the plan is that of the host's party; other parties are named in no line that is run with it.
    const own = script.replace(/\bbob\b(?=\.tar|; \}|\s+"\$@")/g, this.#name);
    return runShell(own, { cwd: this.directory, bin: this.#bin });
  }
}

/** What the first step makes, at addresses of the loopback network and for hosts that are directories. */
async function make(root: string): Promise<void> {
  const bin = quorateIn(root);
  const port = await freeBasePort(1);
  const init = block("init alice");
  assert.ok(ADDRESSES.every((address) => init.includes(address)));
  const local = init.replace(/10\.0\.0\.(\d)/g, "127.0.0.1$1").replaceAll(":9000", `:${port}`);
  const compile = replaced(block("compile --format script"), {
    "npx --yes deno@2.9.6 task --quiet compile":
      `'${Deno.execPath()}' run --quiet --frozen --config '${ROOT}deno.json' -A '${ROOT}scripts/compile.ts'`,
    "/srv/quorate": `${root}/$p`,
  });
  const hashes = await runShell(local + compile + block("tar -C"), { cwd: root, bin });
  assert.equal(new Set(hashes.match(/^program sha256 .*$/gm)).size, 1, "one program for all");
}

Deno.test({
  name:
    "docs/quickstart.md: the plan for three hosts leads to a signature, with nothing of one host on another",
  // Elsewhere the loopback network has one address.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const root = Deno.makeTempDirSync({ prefix: "quorate-hosts-" });
    try {
      await make(root);
      const hosts = NAMES.map((name) => new Host(root, name));
      for (const host of hosts) await host.install(root);
      Deno.removeSync(`${root}/prod`, { recursive: true });
      Deno.removeSync(`${root}/bin`, { recursive: true });
      const [alice, bob, carol] = hosts as [Host, Host, Host];
      const at = async (which: readonly Host[], lines: string) =>
        await Promise.all(which.map((host) => host.run(lines)));

      assert.match(await bob.run("quorate cert list"), /^alice +not here.*\nbob +good.*\ncarol +not here/m);
      await at(hosts, block("quorate doctor"));
      const keys = await at(hosts, block("quorate key generate"));
      assert.equal(new Set(keys).size, 1, "all print one public key");
      for (const { directory } of [alice, bob]) Deno.writeTextFileSync(`${directory}/m.txt`, "pay 5 to dave");
      await at([alice, bob], block("quorate key sign"));
      // Carol, who did not sign, has what checks the signature.
      for (const file of ["m.txt", "m.sig"]) {
        Deno.copyFileSync(`${bob.directory}/${file}`, `${carol.directory}/${file}`);
      }
      assert.match(await carol.run(block("openssl dgst")), /^Verified OK$/m);
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  },
});
