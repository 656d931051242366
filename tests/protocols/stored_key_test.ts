import assert from "node:assert/strict";
import { hex } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { decodeStoredKey } from "../../src/protocols/dkg/stored_key.ts";
import storedV1 from "./stored_key_v1.json" with { type: "json" };

Deno.test("decodeStoredKey() refuses the form of the first epoch for a later one", () => {
  for (const { storedKey } of storedV1) {
    const bytes = Uint8Array.fromHex(storedKey);
    const { share } = decodeStoredKey(bytes);
    const { keyId } = share.record;
    share.share[Symbol.dispose]();
    const epochAt = hex(bytes).lastIndexOf(hex(keyId)) / 2 + keyId.length;
    assert.deepEqual(bytes.slice(epochAt, epochAt + 4), new Uint8Array(4));
    bytes[epochAt + 3] = 1;
    assert.throws(() => decodeStoredKey(bytes), (error: unknown) => {
      assert.ok(error instanceof DecodeError);
      assert.match(error.message, /version does not fit its epoch/);
      return true;
    });
  }
});
