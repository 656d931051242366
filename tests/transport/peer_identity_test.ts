import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { partyId } from "../../src/base/brands.ts";
import { createAuthority, createRevocationList, issueLeaf } from "../../src/pki/authority.ts";
import { toPem } from "../../src/pki/pem.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { selfSigned } from "../../src/transport/self_test.ts";
import { LeafPolicy } from "../../src/transport/peer_identity.ts";
import { badLeaf, CLIENT_AUTH, DAY_MS, type Defects, SERVER_AUTH } from "./bad_leaf.ts";

const authority = await createAuthority({ cluster: "demo" });
const foreign = await createAuthority({ cluster: "demo" });
const alice = await issueLeaf({ authority, cluster: "demo", party: "alice", host: "127.0.0.1" });
const bob = await issueLeaf({ authority, cluster: "demo", party: "bob", host: "127.0.0.1" });
const rawAlice = new X509Certificate(alice.certPem).raw;

function policy(change: { pin?: string; lists?: string; authorities?: string } = {}): LeafPolicy {
  return new LeafPolicy({
    cluster: "demo",
    authorities: change.authorities ?? authority.certPem,
    revocationLists: change.lists,
    parties: [
      { index: partyId(1), name: "alice", pins: ["sha256/renewed", change.pin ?? pinOf(alice.certPem)] },
      { index: partyId(2), name: "bob", pins: [pinOf(bob.certPem)] },
    ],
  });
}

Deno.test("LeafPolicy.check() looks at the dates each time that a certificate is shown", () => {
  const one = policy();
  assert.equal(one.check(rawAlice, Date.now()).party, 1);
  assert.equal(one.check(rawAlice, Date.now()).party, 1);
  assert.throws(() => one.check(rawAlice, Date.now() + 10_000 * DAY_MS), { code: "CERT_UNKNOWN_CA" });
  const year = Date.now() + 365 * DAY_MS;
  assert.throws(() => one.check(rawAlice, year), { code: "CERT_EXPIRED" });
});

Deno.test("LeafPolicy.check() names the party of a good certificate, and any of its pins matches", () => {
  assert.equal(policy().check(rawAlice, Date.now()).party, 1);
  assert.equal(policy().check(new X509Certificate(bob.certPem).raw, Date.now()).party, 2);
  assert.equal(
    policy({ authorities: foreign.certPem + authority.certPem }).check(rawAlice, Date.now()).party,
    1,
  );
});

const DEFECTS: readonly (readonly [string, Defects, string])[] = [
  ["not yet valid", { notBefore: new Date(Date.now() + DAY_MS / 2) }, "CERT_NOT_YET_VALID"],
  ["expired", { notAfter: new Date(Date.now() - 1_000) }, "CERT_EXPIRED"],
  ["an authority", { isAuthority: true }, "CERT_NOT_A_LEAF"],
  ["with an RSA key", { algorithm: "RSA" }, "CERT_WEAK_KEY"],
  ["with a P-521 key", { algorithm: "P-521" }, "CERT_WEAK_KEY"],
  ["without extended key usage", { usage: null }, "CERT_USAGE"],
  ["for clients only", { usage: [CLIENT_AUTH] }, "CERT_USAGE"],
  ["for servers only", { usage: [SERVER_AUTH] }, "CERT_USAGE"],
  ["without a URI name", { uris: [] }, "CERT_NAME"],
  ["with two URI names", { uris: ["quorate://demo/alice", "quorate://demo/bob"] }, "CERT_NAME"],
  ["of another cluster", { uris: ["quorate://other/alice"] }, "CERT_NAME"],
  ["of nobody in the roster", { uris: ["quorate://demo/mallory"] }, "CERT_NAME"],
  ["with an unknown critical extension", { extension: { oid: "1.2.3.4", critical: true } }, "CERT_MALFORMED"],
];

for (const [what, defects, code] of DEFECTS) {
  Deno.test(`LeafPolicy.check() refuses a certificate that is ${what}`, async () => {
    const leaf = await badLeaf(authority, "alice", defects);
    assert.throws(() => policy({ pin: leaf.pin }).check(leaf.raw, Date.now()), { code });
  });
}

Deno.test("LeafPolicy.check() accepts an unknown extension that is not critical", async () => {
  const leaf = await badLeaf(authority, "alice", { extension: { oid: "1.2.3.4", critical: false } });
  assert.equal(policy({ pin: leaf.pin }).check(leaf.raw, Date.now()).party, 1);
});

Deno.test("LeafPolicy.check() refuses what no configured authority issued and signed", async () => {
  // The foreign authority has the same name, so that only the signature tells them apart.
  const forged = await badLeaf(foreign, "alice");
  const stranger = selfSigned({ bytes: (length) => new Uint8Array(length).fill(9) });
  const intermediate = await badLeaf(authority, "alice", { isAuthority: true });
  const viaIntermediate = await badLeaf(intermediate, "alice");
  const cases: readonly (readonly [string, Uint8Array])[] = [
    [forged.pin, forged.raw],
    [pinOf(stranger.certPem), new X509Certificate(stranger.certPem).raw],
    [viaIntermediate.pin, viaIntermediate.raw],
  ];
  for (const [pin, raw] of cases) {
    assert.throws(() => policy({ pin }).check(raw, Date.now()), { code: "CERT_UNKNOWN_CA" });
  }
});

Deno.test("LeafPolicy.check() refuses leaves of an authority that is past its own dates", async () => {
  const old = await createAuthority({
    cluster: "demo",
    notBefore: new Date(Date.now() - 10 * DAY_MS),
    days: 5,
  });
  const leaf = await badLeaf(old, "alice");
  assert.throws(() => policy({ authorities: old.certPem, pin: leaf.pin }).check(leaf.raw, Date.now()), {
    code: "CERT_UNKNOWN_CA",
  });
});

Deno.test("LeafPolicy.check() refuses a right certificate with another key than the pinned ones", () => {
  assert.throws(() => policy({ pin: pinOf(bob.certPem) }).check(rawAlice, Date.now()), {
    code: "PIN_MISMATCH",
  });
});

Deno.test("LeafPolicy.check() refuses no certificate and what is none", () => {
  assert.throws(() => policy().check(undefined, Date.now()), { code: "CERT_MISSING" });
  assert.throws(() => policy().check(new Uint8Array(), Date.now()), { code: "CERT_MISSING" });
  for (let cut = 1; cut < rawAlice.length; cut += 7) {
    assert.throws(() => policy().check(rawAlice.subarray(0, cut), Date.now()), { code: "CERT_MALFORMED" });
  }
});

Deno.test("LeafPolicy.check() refuses revoked certificates, and every new link once the list is too old", async () => {
  const lists = await createRevocationList({ authority, revoked: [alice.certPem], number: 1, days: 2 });
  const revoking = policy({ lists });
  assert.throws(() => revoking.check(rawAlice, Date.now()), { code: "CERT_REVOKED" });
  const rawBob = new X509Certificate(bob.certPem).raw;
  assert.equal(revoking.check(rawBob, Date.now()).party, 2);
  assert.throws(() => revoking.check(rawBob, Date.now() + 3 * DAY_MS), { code: "CRL_EXPIRED" });
  // A pin that is gone is said even then: it ends links that are up, which an old list does not.
  const empty = await createRevocationList({ authority, revoked: [], number: 2, days: 2 });
  const unpinned = policy({ lists: empty, pin: "sha256/none" });
  assert.throws(() => unpinned.check(rawAlice, Date.now() + 3 * DAY_MS), { code: "PIN_MISMATCH" });
});

Deno.test("LeafPolicy takes the newest of two lists, in either order", async () => {
  const older = await createRevocationList({
    authority,
    revoked: [],
    number: 1,
    thisUpdate: new Date(Date.now() - DAY_MS),
  });
  const newer = await createRevocationList({ authority, revoked: [alice.certPem], number: 2 });
  for (const lists of [older + newer, newer + older]) {
    assert.throws(() => policy({ lists }).check(rawAlice, Date.now()), { code: "CERT_REVOKED" });
  }
});

Deno.test("LeafPolicy refuses a list that the authority did not sign, or that was changed", async () => {
  const lists = await createRevocationList({ authority, revoked: [alice.certPem], number: 1 });
  const der = Uint8Array.fromBase64(lists.replace(/-----[A-Z0-9 ]+-----|\s/g, ""));
  const changed = der.slice();
  const at = changed.toHex().indexOf(new X509Certificate(alice.certPem).serialNumber.toLowerCase()) / 2;
  assert.ok(at > 0);
  changed[at + 3] = (changed[at + 3] as number) ^ 1;
  const cases = [
    await createRevocationList({ authority: foreign, revoked: [], number: 1 }),
    toPem("X509 CRL", changed),
    toPem("X509 CRL", der.subarray(0, -1)),
    // Signed with its key, and in the name of another one.
    await createRevocationList({
      authority: {
        certPem: (await createAuthority({ cluster: "demo", generation: 2 })).certPem,
        keyPem: authority.keyPem,
      },
      revoked: [],
      number: 1,
    }),
    "no list at all",
  ];
  for (const bad of cases) assert.throws(() => policy({ lists: bad }), { code: "IDENTITY_INVALID" });
});

Deno.test("LeafPolicy says so where a PEM block is not base64", () => {
  const authorities = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n";
  assert.throws(() => policy({ authorities }), { code: "IDENTITY_INVALID", message: /not base64/ });
});

Deno.test("LeafPolicy refuses an authority file without a certificate", () => {
  for (
    const authorities of [
      "",
      "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
      alice.keyPem,
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ]
  ) {
    assert.throws(() => policy({ authorities }), { code: "IDENTITY_INVALID" });
  }
});
