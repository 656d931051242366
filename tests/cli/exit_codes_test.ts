/** Every exit code of the table in README is produced here by a command line, and by nothing that is made up for it. */

import assert from "node:assert/strict";
import { CODES } from "../../src/base/errors.ts";
import { agreeRandomCommand } from "../../src/node/key_commands.ts";
import { runCommand } from "../../src/node/command.ts";
import { Cluster } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

interface Case {
  readonly exit: number;
  readonly code?: keyof typeof CODES;
  readonly args: (cluster: Cluster) => readonly string[];
  /** What is done before, and undone after the command. */
  readonly set?: (cluster: Cluster) => Promise<unknown> | unknown;
}

const at = (cluster: Cluster, party: string) => ["--config", cluster.configPath, "--party", party];

const CASES: readonly Case[] = [
  { exit: 0, args: (cluster) => ["key", "list", ...at(cluster, "alice")] },
  {
    exit: 1,
    code: "SIGNATURE_INVALID",
    args: ({ root }) => [
      ...["key", "verify", "--message", "m", "--signature", `${root}/m.sig`],
      ...["--public", `${root}/key.pem`],
    ],
    set: ({ root }) => {
      Deno.writeFileSync(`${root}/m.sig`, new Uint8Array(64).fill(1));
      Deno.writeTextFileSync(`${root}/key.pem`, PUBLIC_KEY);
    },
  },
  { exit: 2, code: "DEGRADED", args: (cluster) => ["doctor", ...at(cluster, "alice"), "--timeout", "1"] },
  {
    exit: 3,
    code: "PEER_REFUSED",
    args: (cluster) => ["agree-random", "--bits", "128", ...at(cluster, "alice")],
    // Bob wants another length: what both are about to do differs, and both say so.
    set: (cluster) => cluster.all(["bob"], (party) => runCommand(agreeRandomCommand, party, { bits: 256 })),
  },
  {
    exit: 4,
    code: "TIMEOUT",
    args: (cluster) => ["agree-random", ...at(cluster, "alice"), "--timeout", "1"],
  },
  { exit: 64, code: "USAGE", args: () => ["key", "colour"] },
  {
    exit: 65,
    code: "BACKUP_INVALID",
    args: ({ root }) => [
      ...["backup", "open", "--backup", `${root}/b.pve`, "--custodian-key", `${root}/c.key`],
      ...["--out", `${root}/part`],
    ],
    set: async ({ root }) => {
      await quorate("backup", "custodian", "--out", `${root}/c`);
      Deno.writeTextFileSync(`${root}/b.pve`, "no backup");
    },
  },
  {
    exit: 69,
    code: "NODE_UNREACHABLE",
    args: (cluster) => ["status", ...at(cluster, "alice")],
  },
  {
    exit: 73,
    code: "FILE_EXISTS",
    args: ({ root }) => ["backup", "custodian", "--out", `${root}/there`],
    set: ({ root }) => Deno.writeTextFileSync(`${root}/there.key`, ""),
  },
  {
    exit: 77,
    code: "LOOSE_PERMISSIONS",
    args: ({ root }) => [
      ...["backup", "drill", "--drill", `${root}/d.pve`, "--custodian-key", `${root}/loose.key`],
    ],
    set: ({ root }) => Deno.writeTextFileSync(`${root}/loose.key`, "", { mode: 0o644 }),
  },
  {
    exit: 78,
    code: "CONFIG_UNREADABLE",
    args: ({ root }) => ["cert", "list", "--config", `${root}/no.toml`],
  },
];

const PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
`;

Deno.test("quorate ends with each exit code of its table", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  for (const { exit, code, args, set } of CASES) {
    const others = set?.(cluster);
    // What another party does goes on meanwhile; a file is there before.
    if (exit !== 3) await others;
    const { code: ended, stderr } = await quorate(...args(cluster), "--json");
    assert.equal(ended, exit, stderr);
    if (code === undefined) continue;
    const { error } = JSON.parse(stderr.trimEnd().split("\n").at(-1) as string);
    assert.deepEqual([error.code, error.exit], [code, exit]);
    await others;
  }
  const used = new Set([0, ...Object.values(CODES).map(({ exit }) => exit)]);
  assert.deepEqual(CASES.map(({ exit }) => exit), [...used].sort((a, b) => a - b));
});
