import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { utf8 } from "../../src/base/bytes.ts";
import { UsageError } from "../../src/base/errors.ts";
import { formatPrivateKey, parsePrivateKey } from "../../src/node/private_key.ts";

const CURVES = [["secp256k1", "secp256k1"], ["p256", "prime256v1"]] as const;

Deno.test("parsePrivateKey() reads PKCS #8, SEC 1 and JWK of one key as the same, and formatPrivateKey() writes it back", () => {
  for (const [name, namedCurve] of CURVES) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve });
    const texts = [
      privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      privateKey.export({ type: "sec1", format: "pem" }).toString(),
      JSON.stringify(privateKey.export({ format: "jwk" })),
    ];
    for (const text of texts) {
      using key = parsePrivateKey(utf8(text), "k");
      assert.equal(key.curve.name, name);
      const pem = new TextDecoder().decode(formatPrivateKey(key, "pem"));
      assert.ok(createPrivateKey(pem).equals(privateKey));
      const jwk = JSON.parse(new TextDecoder().decode(formatPrivateKey(key, "jwk")));
      assert.ok(createPrivateKey({ key: jwk, format: "jwk" }).equals(privateKey));
    }
  }
});

Deno.test("parsePrivateKey() refuses other keys without a word of what is in them", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  const jwk = privateKey.export({ format: "jwk" });
  const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey;
  const order = "_____________________rqu3OavSKA7v9JejNA2QUE"; // n of secp256k1
  const wrong = [
    "",
    "{}",
    "{",
    publicKey.export({ type: "spki", format: "pem" }).toString(),
    p384.export({ type: "pkcs8", format: "pem" }).toString(),
    JSON.stringify(publicKey.export({ format: "jwk" })),
    JSON.stringify({ ...jwk, d: "A".repeat(43) }),
    JSON.stringify({ ...jwk, d: order }),
    JSON.stringify({ ...jwk, d: (jwk.d as string).slice(4) }),
    JSON.stringify({ ...jwk, crv: "P-256" }),
  ];
  for (const text of wrong) {
    assert.throws(() => parsePrivateKey(utf8(text), "k.pem"), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.code, "FILE_UNREADABLE");
      assert.match(error.message, /^k\.pem holds no private key/);
      assert.ok(!Deno.inspect(error).includes((jwk.d as string).slice(0, 12)));
      return true;
    }, text);
  }
});
