/**
 * Makes stored examples:
 *
 * - `deno run -A tests/formats/make.ts store NAME [CHECKOUT]` runs the commands of a checkout, which may be one of long ago, and
 *   keeps what three parties have on disk afterwards in `stores/NAME.json.gz`;
 * - `deno run -A tests/formats/make.ts wire` adds what is new to `wire.json`;
 * - `deno run -A tests/formats/make.ts high-water` adds files of high-water marks to `high_water.json.gz`;
 * - `deno run -A tests/formats/make.ts protocols` adds the messages of new versions of protocols to `protocols.json.gz`.
 *
 * An example that is there is not made again: it has to open as it is.
 */

import { join } from "node:path";
import { packed, readArchive, writeArchive } from "./archive.ts";
import { HIGH_WATER, HIGH_WATER_PATH, highWaterFile } from "./high_water.ts";
import { messagesOf, PROTOCOLS } from "./protocols.ts";
import { readWire, WIRE, WIRE_PATH } from "./wire.ts";

const HERE = new URL(".", import.meta.url).pathname;
const PARTIES = ["alice", "bob", "carol"];

/** One step: what each of some parties runs at the same time. */
interface Step {
  readonly parties: readonly string[];
  readonly args: readonly string[];
  /** `CONTENT` of `-`: standard output goes into a file of this name. */
  readonly output?: string;
}

/** In the order of time. A checkout that does not know a command leaves it out. */
const STEPS: readonly Step[] = [
  step(["alice", "bob"], "key generate --key treasury --curve secp256k1 --policy and(alice,bob)"),
  step(["alice", "carol"], "key generate --key left --curve p256 --policy and(alice,carol)"),
  step(PARTIES, "key generate --key seal --curve ed25519 --policy 2~of~(alice,bob,carol)"),
  step(PARTIES, "key generate --key tap --curve secp256k1 --scheme bip340 --policy 2~of~(alice,bob,carol)"),
  step(["alice", "bob"], "key refresh --key treasury"),
  step(PARTIES, "key reshare --key left --policy and(alice,bob) --dealers carol"),
  step(["alice", "bob"], "key sign --key treasury --message m --out {party}.sig"),
  { parties: ["alice"], args: ["key", "export-public", "--key", "treasury"], output: "treasury.pem" },
  {
    parties: ["alice"],
    args: ["key", "export-public", "--key", "treasury", "--format", "record"],
    output: "treasury.json",
  },
  {
    parties: ["alice"],
    args: ["key", "export-public", "--key", "seal", "--format", "record"],
    output: "seal.json",
  },
  step(["alice"], "backup custodian --out c1"),
  step(["alice"], "backup custodian --suite p256 --out c2"),
  step(["alice"], "backup create --key treasury --custodian c1.pub --out single.pve"),
  step(["alice"], "backup create --key seal --custodian c2.pub --out frost.pve"),
  step(["alice"], "backup create --all --custodian c1.pub --out batch.pve"),
  step(
    ["alice"],
    "backup create --key treasury --custodians 2~of~(c1,c2) --custodian c1=c1.pub --custodian c2=c2.pub --out quorum.pve",
  ),
  step(["alice"], "backup open --backup quorum.pve --custodian-key c1.key --out c1.part"),
  step(["alice"], "backup drill --custodian c1.pub --out drill.pve"),
  step(["alice"], "audit prove --index 0 --out record.proof"),
];

/** A command line whose arguments have `~` where they have a space. */
function step(parties: readonly string[], line: string): Step {
  return { parties, args: line.split(" ").map((arg) => arg.replaceAll("~", " ")) };
}

/** Runs a command line of the checkout. */
type Run = (args: readonly string[]) => Promise<{ success: boolean; stdout: Uint8Array; why: string }>;

async function makeStore(name: string, checkout: string): Promise<void> {
  const out = join(HERE, "stores", `${name}.json.gz`);
  requireNew(out);
  const directory = Deno.makeTempDirSync();
  const run: Run = async (args) => {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "-A",
        "--config",
        join(checkout, "deno.json"),
        join(checkout, "cli/main.ts"),
        ...args,
      ],
      cwd: directory,
      stdin: "null",
    }).output();
    return { success, stdout, why: new TextDecoder().decode(stderr).trim().split("\n").at(-1) ?? "" };
  };
  try {
    const made = await run(["init", ...PARTIES, "--dir", ".", "--base-port", "27101"]);
    if (!made.success) throw new Error(made.why);
    for (const { parties, args, output } of STEPS) {
      const ended = await Promise.all(
        parties.map((party) =>
          run([
            ...args.map((arg) => arg.replace("{party}", party)),
            "--config",
            "quorate.toml",
            "--party",
            party,
          ])
        ),
      );
      const failed = ended.find(({ success }) => !success);
      if (failed !== undefined) console.log(`left out: ${args.join(" ")}: ${failed.why}`);
      else if (output !== undefined) {
        Deno.writeFileSync(join(directory, output), ended[0]?.stdout as Uint8Array);
      }
    }
    if (await canVote(directory, run)) await voteIn(directory, checkout, run);
    writeArchive(out, packed(directory, (path) => !path.startsWith("certs/") && !path.endsWith("/lock")));
    console.log(`${out} ${Deno.statSync(out).size} bytes`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Lets all members vote from now on, where the program knows that. */
async function canVote(directory: string, run: Run): Promise<boolean> {
  const path = join(directory, "quorate.toml");
  const before = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, `${before}\n[voting]\nquorum = 3\nfaults = 0\n`);
  const { success, why } = await run(["key", "list", "--config", "quorate.toml", "--party", "alice"]);
  if (success) return true;
  console.log(`left out: votes: ${why}`);
  Deno.writeTextFileSync(path, before);
  return false;
}

/** A decision, and a signature that was approved. */
async function voteIn(directory: string, checkout: string, run: Run): Promise<void> {
  const all = async (args: readonly string[]) => {
    const ended = await Promise.all(
      PARTIES.map((party) => run([...args, "--config", "quorate.toml", "--party", party])),
    );
    for (const { success, why } of ended) if (!success) throw new Error(`${args.join(" ")}: ${why}`);
    return ended.map(({ stdout }) => new TextDecoder().decode(stdout));
  };
  const approved = ["key", "generate", "--key", "approved", "--curve", "ed25519"];
  await all([...approved, "--purpose", "approved-signing", "--policy", "3 of (alice, bob, carol)"]);
  const nodes = PARTIES.map((party) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", "--config", join(checkout, "deno.json"), join(checkout, "cli/main.ts")]
        .concat("node", "run", "--config", "quorate.toml", "--party", party),
      cwd: directory,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn()
  );
  try {
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await all(["vote", "--tx-id", "tx_001", "--value", "42", "--wait", "30"]);
    const proposal = ["propose", "--key", "approved", "--tx-id", "pay_7", "--message", "m"];
    const proposed = await run([...proposal, "--config", "quorate.toml", "--party", "alice", "--json"]);
    if (!proposed.success) throw new Error(proposed.why);
    const ballot = /"ballot":"([0-9a-f]+)"/.exec(new TextDecoder().decode(proposed.stdout))?.[1] ?? "";
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await all(["vote", "--tx-id", "pay_7", "--approve", ballot, "--wait", "30"]);
    await all(["decision", "show", "tx_001", "--out", "tx_001.decision"]);
    // The signature follows by itself.
    await new Promise((resolve) => setTimeout(resolve, 10_000));
  } finally {
    for (const node of nodes) node.kill("SIGTERM");
    for (const node of nodes) await node.status;
  }
}

/** What is stored stays as it is; examples that are new are added. */
function makeWire(): void {
  const stored = readWire();
  const made = [...WIRE].filter(([name]) => !stored.has(name)).map(([name, { make }]) =>
    [name, make()] as const
  );
  const all = [...stored, ...made].map(([name, bytes]) => [name, bytes.toHex()]);
  Deno.writeTextFileSync(WIRE_PATH, JSON.stringify(Object.fromEntries(all), undefined, 2) + "\n");
  console.log(`${made.length} new examples`);
}

function makeHighWater(): void {
  const files = new Map(isThere(HIGH_WATER_PATH) ? readArchive(HIGH_WATER_PATH) : []);
  for (const [name, marks] of HIGH_WATER) if (!files.has(name)) files.set(name, highWaterFile(marks));
  writeArchive(HIGH_WATER_PATH, files);
}

/** A protocol of another version is another example beside the former one. */
function makeProtocols(): void {
  const path = join(HERE, "protocols.json.gz");
  const files = new Map(isThere(path) ? readArchive(path) : []);
  const stored = new Set([...files.keys()].map((file) => file.split("/").slice(0, 2).join("/")));
  for (const [name, { version }] of PROTOCOLS) {
    if (stored.has(`${name}/${version}`)) continue;
    for (const [message, bytes] of messagesOf(name)) files.set(`${name}/${version}/${message}`, bytes);
    console.log(`${name}, version ${version}`);
  }
  writeArchive(path, files);
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function requireNew(path: string): void {
  if (!isThere(path)) return;
  throw new Error(`${path} is there: an example that is stored is not made again`);
}

if (import.meta.main) {
  const [what, name, checkout = new URL("../..", import.meta.url).pathname] = Deno.args;
  if (what === "store" && name !== undefined) await makeStore(name, checkout);
  else if (what === "wire") makeWire();
  else if (what === "high-water") makeHighWater();
  else if (what === "protocols") makeProtocols();
  else throw new Error("store NAME [CHECKOUT], wire, high-water, or protocols");
}
