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
