import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { seededRng } from "../../src/base/rng.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { ed25519Verifier } from "../../src/base/crypto.ts";
import { partyId } from "../../src/base/brands.ts";
import { createAuthority, createRevocationList, issueLeaf } from "../../src/pki/authority.ts";
import { generateIdentity, identitySigner, identityText, parseIdentityText } from "../../src/pki/identity.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { fromPem, toPem } from "../../src/pki/pem.ts";
import { LeafPolicy } from "../../src/transport/peer_identity.ts";

Deno.test("issueLeaf() makes a certificate that LeafPolicy accepts, for a host name and for an address", async () => {
  const authority = await createAuthority({ cluster: "demo" });
  for (const host of ["127.0.0.1", "::1", "alice.example"]) {
    const leaf = await issueLeaf({ authority, cluster: "demo", party: "alice", host });
    const certificate = new X509Certificate(leaf.certPem);
    const policy = new LeafPolicy({
      cluster: "demo",
      authorities: authority.certPem,
      parties: [{ index: partyId(1), name: "alice", pins: [pinOf(leaf.certPem)] }],
    });
    assert.equal(policy.check(certificate.raw, Date.now()).party, 1);
    assert.match(certificate.subjectAltName ?? "", /URI:quorate:\/\/demo\/alice/);
    assert.equal(
      Math.round((Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 86_400_000),
      90,
    );
  }
});

Deno.test("issueLeaf() and createRevocationList() satisfy openssl verify -x509_strict where openssl is installed", async (t) => {
  const dir = await Deno.makeTempDir();
  const openssl = (...args: string[]) => new Deno.Command("openssl", { args, cwd: dir }).output();
  try {
    await openssl("version");
  } catch {
    await t.step({ name: "openssl is not installed", ignore: true, fn() {} });
    await Deno.remove(dir, { recursive: true });
    return;
  }
  try {
    const authority = await createAuthority({ cluster: "demo" });
    const alice = await issueLeaf({ authority, cluster: "demo", party: "alice", host: "127.0.0.1" });
    const bob = await issueLeaf({ authority, cluster: "demo", party: "bob", host: "bob.example" });
    const list = await createRevocationList({ authority, revoked: [bob.certPem], number: 200 });
    await Deno.writeTextFile(`${dir}/ca.pem`, authority.certPem);
    await Deno.writeTextFile(`${dir}/alice.pem`, alice.certPem);
    await Deno.writeTextFile(`${dir}/bob.pem`, bob.certPem);
    await Deno.writeTextFile(`${dir}/crl.pem`, list);
    const verify = (purpose: string, file: string) =>
      openssl(
        "verify",
        "-x509_strict",
        "-crl_check",
        "-CRLfile",
        "crl.pem",
        "-purpose",
        purpose,
        "-CAfile",
        "ca.pem",
        file,
      );
    for (const purpose of ["sslserver", "sslclient"]) {
      const { success, stderr } = await verify(purpose, "alice.pem");
      assert.ok(success, new TextDecoder().decode(stderr));
    }
    const revoked = await verify("sslclient", "bob.pem");
    assert.equal(revoked.success, false);
    assert.match(new TextDecoder().decode(revoked.stderr), /certificate revoked/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("issueLeaf() refuses an authority that is not one, without repeating its key", async () => {
  const authority = await createAuthority({ cluster: "demo" });
  const options = { cluster: "demo", party: "alice", host: "127.0.0.1" };
  const secret = authority.keyPem.split("\n")[1] as string;
  for (
    const broken of [
      { ...authority, certPem: authority.keyPem },
      { ...authority, keyPem: authority.certPem },
      { ...authority, keyPem: authority.keyPem.replace(secret, secret.slice(4)) },
      { ...authority, keyPem: generateIdentity(seededRng("other algorithm")).privatePem },
    ]
  ) {
    await assert.rejects(issueLeaf({ ...options, authority: broken }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "IDENTITY_INVALID");
      assert.ok(!Deno.inspect(error).includes(secret.slice(8, 40)));
      return true;
    });
  }
});

Deno.test("generateIdentity() makes a key that openssl's PKCS #8 form and the text form carry", () => {
  const identity = generateIdentity(seededRng("identity"));
  const signer = identitySigner(identity.privatePem, "alice");
  assert.deepEqual(parseIdentityText(identity.publicText, "alice"), signer.publicKey);
  const message = utf8("m");
  assert.ok(ed25519Verifier(signer.publicKey)?.verify(message, signer.sign(message)));
});

Deno.test("parseIdentityText() refuses every other spelling and keys of small order", () => {
  const { publicText } = generateIdentity(seededRng("identity"));
  const base64 = publicText.slice("ed25519/".length);
  const smallOrder = new Uint8Array(32);
  smallOrder[0] = 1;
  for (
    const text of [
      "",
      base64,
      `ed25519/${base64.slice(0, -1)}`,
      `ed25519/ ${base64}`,
      `ED25519/${base64}`,
      `${publicText}=`,
      identityText(new Uint8Array(31)),
      identityText(smallOrder),
    ]
  ) assert.throws(() => parseIdentityText(text, "alice"), { code: "IDENTITY_INVALID" }, text);
});

Deno.test("identitySigner() refuses other keys and never shows them", async () => {
  const { keyPem } = await createAuthority({ cluster: "demo" });
  const { privatePem } = generateIdentity(seededRng("identity"));
  const body = privatePem.split("\n")[1] as string;
  for (const pem of [keyPem, "", body, privatePem + privatePem, privatePem.replace(body, body.slice(8))]) {
    assert.throws(() => identitySigner(pem, "alice"), (error: Error & { code?: string }) => {
      assert.equal(error.code, "IDENTITY_INVALID");
      assert.ok(!Deno.inspect(error).includes(body.slice(30, 50)));
      return true;
    });
  }
});

Deno.test("pinOf() is the hash of the public key and refuses what is not a certificate", async () => {
  const authority = await createAuthority({ cluster: "demo" });
  const { certPem, keyPem } = await issueLeaf({ authority, cluster: "demo", party: "alice", host: "::1" });
  const spki = new X509Certificate(certPem).publicKey.export({ type: "spki", format: "der" });
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(spki)));
  assert.equal(pinOf(certPem), `sha256/${digest.toBase64()}`);
  assert.throws(() => pinOf(keyPem), { code: "IDENTITY_INVALID" });
});

Deno.test("fromPem() reads back what toPem() writes and refuses another label", () => {
  const der = seededRng("pem").bytes(100);
  assert.deepEqual(fromPem("X", toPem("X", der), "it"), der);
  assert.throws(() => fromPem("Y", toPem("X", der), "it"), { code: "IDENTITY_INVALID" });
});
