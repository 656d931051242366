/**
 * Messages of protocols keep their form: those that were stored are decoded, and encoded again as they were.
 */

import assert from "node:assert/strict";
import { decode, encode } from "../../src/base/codec.ts";
import { readArchive } from "./archive.ts";
import { PROTOCOLS } from "./protocols.ts";

const STORED = readArchive(new URL("protocols.json.gz", import.meta.url));

for (const [name, { version, rounds }] of PROTOCOLS) {
  Deno.test(`wire format: the messages of ${name}, version ${version}, are read and written as they were`, () => {
    const prefix = `${name}/${version}/`;
    const messages = [...STORED].filter(([path]) => path.startsWith(prefix));
    assert.ok(messages.length > 0, "not stored: deno run -A tests/formats/make.ts protocols");
    const seen = new Set<string>();
    for (const [path, bytes] of messages) {
      const [number, kind] = path.slice(prefix.length).split(" ") as [string, "broadcast" | "direct"];
      const codec = rounds.find((round) => round.number === Number(number))?.[kind];
      assert.ok(codec !== undefined, `there is no ${path}`);
      assert.deepEqual(encode(codec, decode(codec, bytes)), new Uint8Array(bytes), path);
      seen.add(`${number} ${kind}`);
    }
    const expected = rounds.flatMap(({ number, broadcast, direct }) => [
      ...(broadcast === undefined ? [] : [`${number} broadcast`]),
      ...(direct === undefined ? [] : [`${number} direct`]),
    ]);
    assert.deepEqual([...seen].sort(), expected.sort());
  });
}

Deno.test("there are stored messages of every protocol", () => {
  const known = new Set([...PROTOCOLS.values()].map(({ protocol }) => protocol));
  assert.deepEqual(
    definedIn(new URL("../../src/protocols/", import.meta.url)).filter((name) => !known.has(name)),
    [],
  );
});

Deno.test("docs/protocols.md has the sizes of the stored messages", () => {
  const text = Deno.readTextFileSync(new URL("../../docs/protocols.md", import.meta.url));
  const bytesOf = (name: string, round: number, kind: "broadcast" | "direct") =>
    STORED.get(`${name}/1/${round} ${kind} 1 2`)?.length ?? assert.fail(`${name} ${round} ${kind}`);
  const written = (bytes: number) => bytes.toLocaleString("en-US");
  const list = (name: string, kind: "broadcast" | "direct", rounds: readonly number[]) =>
    rounds.map((round) => written(bytesOf(name, round, kind))).join(", ");
  for (
    const row of [
      `| agree-random, rounds 1, 2, 3 | ${list("agree-random", "broadcast", [1, 2, 3])} |`,
      `| pair set-up, per direction: rounds 1, 2 | ${list("pair", "direct", [1, 2])} |`,
      `| signing, per counterparty: rounds 1, 2, 3 | ${list("sign", "direct", [1, 2, 3])} |`,
      // The stored key needs two of two.
      `share | 33·t + ${bytesOf("dkg", 2, "broadcast") - 33 * 2}, ${list("dkg", "direct", [2])} |`,
    ]
  ) assert.ok(text.includes(row), row);
});

/** The names of the protocols in a directory. */
function definedIn(directory: URL): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return definedIn(new URL(`${name}/`, directory));
    const source = Deno.readTextFileSync(new URL(name, directory));
    return [...source.matchAll(/: Definition<[^;=]*> = \{\s+name: "([a-z-]+)"/g)].map(([, found]) =>
      found as string
    );
  });
}
