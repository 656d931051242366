import assert from "node:assert/strict";
import { format, inspect } from "node:util";
import { Secret } from "../../src/base/secret.ts";
import { seededRng } from "../../src/base/rng.ts";

Deno.test("Secret never prints its bytes", () => {
  const bytes = seededRng("secret").bytes(32);
  using secret = new Secret(bytes);
  const holder = { name: "x", secret, list: [secret], map: new Map([["k", secret]]) };
  const outputs = [
    String(secret),
    `${secret}`,
    secret + "",
    JSON.stringify(secret),
    JSON.stringify(holder),
    Deno.inspect(secret),
    Deno.inspect(holder, { depth: 10, showHidden: true }),
    inspect(secret),
    inspect(holder, { depth: 10, showHidden: true }),
    format("%s %o %O %j", secret, secret, holder, holder),
    new Error(`with ${secret}`).message,
    Object.entries(secret).join(),
    Object.getOwnPropertyNames(secret).join(),
  ];
  const forms = [
    bytes.toHex(),
    bytes.toBase64(),
    BigInt("0x" + bytes.toHex()).toString(),
    [...bytes.subarray(0, 4)].join(", "),
    [...bytes.subarray(0, 4)].join(","),
  ];
  for (const output of outputs) {
    for (const form of forms) assert.ok(!output.includes(form), output);
  }
  assert.equal(outputs[0], "<redacted>");
  assert.equal(outputs[3], '"<redacted>"');
  assert.ok(outputs[6]?.includes("<redacted>"));
});

Deno.test("Secret erases its bytes when it is disposed, and cannot be used afterwards", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const secret = new Secret(bytes);
  assert.equal(secret.expose(), bytes);
  secret[Symbol.dispose]();
  secret[Symbol.dispose]();
  assert.deepEqual(bytes, new Uint8Array(3));
  assert.throws(() => secret.expose(), { code: "INVARIANT" });
  assert.throws(() => secret.clone(), { code: "INVARIANT" });
});

Deno.test("Secret.copyOf() and clone() own bytes of their own", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const first = Secret.copyOf(bytes);
  const second = first.clone();
  first[Symbol.dispose]();
  assert.deepEqual(bytes, Uint8Array.of(1, 2, 3));
  assert.deepEqual(second.expose(), bytes);
});
