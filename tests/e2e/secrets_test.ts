import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type Bytes, concat } from "../../src/base/bytes.ts";
import { partyConfig } from "../../src/node/config.ts";
import { openLocal } from "../../src/node/local_party.ts";
import { Cluster } from "./cluster.ts";

/** Every way in which bytes could be spelled in a text. */
function spellings(secret: Uint8Array): string[] {
  const hex = secret.toHex();
  const decimal = BigInt(`0x${hex}`).toString();
  return [
    hex,
    hex.toUpperCase(),
    secret.toBase64(),
    secret.toBase64({ alphabet: "base64url", omitPadding: true }),
    decimal,
    [...secret].join(","),
    [...secret].join(", "),
  ];
}

function assertAbsent(text: string, secrets: ReadonlyMap<string, Uint8Array>): void {
  for (const [what, secret] of secrets) {
    for (const spelling of spellings(secret)) {
      assert.ok(!text.includes(spelling), `${what} is in the output`);
      // Half of it would be enough for a thief.
      const half = spelling.slice(0, Math.ceil(spelling.length / 2));
      assert.ok(half.length < 16 || !text.includes(half), `half of ${what} is in the output`);
    }
  }
}

Deno.test("secrets: no output of any run, good or bad, holds bytes of a share, a pair state or a key", async () => {
  const names = ["alice", "bob", "carol"];
  using cluster = await Cluster.make(names);
  await cluster.all(
    names,
    () => ["key", "generate", "--key", "treasury", "--policy", "2 of (alice, bob, carol)"],
  );
  await cluster.all(
    ["alice", "bob"],
    () => ["key", "sign", "--key", "treasury", "--signers", "alice,bob", "--message", "a"],
  );
  for (
    const command of [["list"], ["list", "--json"], ["show", "--key", "treasury"], [
      "show",
      "--key",
      "treasury",
      "--json",
    ]]
  ) {
    await cluster.one("alice", ["key", ...command]);
  }
  for (const format of ["pem", "hex", "jwk", "record"]) {
    await cluster.one("alice", ["key", "export-public", "--key", "treasury", "--format", format]);
  }
  await cluster.start("alice", [
    "key",
    "sign",
    "--key",
    "treasury",
    "--signers",
    "alice,bob",
    "--message",
    "b",
    "--timeout",
    "1",
  ]).finished;
  await Promise.all([
    cluster.start("alice", [
      "key",
      "sign",
      "--key",
      "treasury",
      "--signers",
      "alice,bob",
      "--message",
      "c",
      "--timeout",
      "5",
    ]).finished,
    cluster.start("bob", [
      "key",
      "sign",
      "--key",
      "treasury",
      "--signers",
      "alice,bob",
      "--message",
      "d",
      "--timeout",
      "5",
    ]).finished,
  ]);

  const secrets = new Map<string, Uint8Array>();
  const shown: string[] = [];
  for (const name of names) {
    const party = partyConfig(cluster.config, name);
    secrets.set(`${name}'s sealing key`, Deno.readFileSync(party.sealing.path));
    for (
      const [what, path] of [["identity key", party.identityKeyPath], ["TLS key", party.keyPath]] as const
    ) {
      const der = Uint8Array.fromBase64(Deno.readTextFileSync(path).replace(/-----[^-]+-----|\s/g, ""));
      // Ed25519 PKCS#8 ends in the seed; P-256 PKCS#8 has the scalar behind the version of its inner structure.
      secrets.set(`${name}'s ${what}`, what === "identity key" ? der.slice(-32) : der.slice(36, 68));
    }
    using local = await openLocal(cluster.config, name, { command: "test" });
    const entry = local.store.active("treasury");
    const stored = local.openKey(entry);
    using share = stored.share.share;
    secrets.set(`${name}'s share`, Uint8Array.from(share.expose()));
    shown.push(
      inspect(stored, { depth: 10 }),
      Deno.inspect(stored, { depth: 10 }),
      json(stored),
      inspect(local, { depth: 10 }),
    );
    for (const peer of [1, 2, 3]) {
      const pair = local.store.pair({ keyId: entry.keyId, epoch: entry.epoch, peer: peer as never });
      using state = pair.state;
      if (state === undefined) continue;
      const bytes = state.expose();
      for (let at = 100; at + 32 <= bytes.length; at += 1024) {
        secrets.set(`${name}'s pair with ${peer} at ${at}`, bytes.slice(at, at + 32));
      }
      shown.push(inspect(pair, { depth: 10 }), json(pair));
    }
  }
  assert.ok(secrets.size > 60, "there are secrets to look for");
  const all = [...cluster.outputs, ...shown].join("\n");
  assert.ok(all.length > 10_000, "there is output to look in");
  assertAbsent(all, secrets);

  // At rest: what lies on disk is sealed.
  const disk: Bytes[] = [];
  for (const name of names) {
    const { dataDirectory } = partyConfig(cluster.config, name);
    for (const entry of Deno.readDirSync(dataDirectory)) {
      if (/sqlite|high-water|lock/.test(entry.name)) {
        disk.push(Deno.readFileSync(`${dataDirectory}/${entry.name}`));
      }
    }
  }
  const raw = concat(...disk).toHex();
  for (const [what, secret] of secrets) {
    assert.ok(!raw.includes(secret.toHex()), `${what} is on disk in clear`);
  }
});

Deno.test("assertAbsent() finds a secret in every spelling", () => {
  const secret = Uint8Array.from({ length: 32 }, (_, i) => 7 * i + 1);
  for (const spelling of spellings(secret)) {
    assert.throws(
      () => assertAbsent(`before ${spelling} after`, new Map([["it", secret]])),
      /is in the output/,
    );
  }
});

function json(value: unknown): string {
  return JSON.stringify(value, (_, inner) => {
    if (typeof inner === "bigint") return inner.toString();
    if (inner instanceof Map) return [...inner];
    return inner instanceof Uint8Array ? inner.toHex() : inner;
  });
}
