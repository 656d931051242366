import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { partyId } from "../../src/base/brands.ts";
import { createAuthority, createRevocationList, issueLeaf, issueOperator } from "../../src/pki/authority.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { LeafPolicy } from "../../src/transport/peer_identity.ts";
import { badLeaf, CLIENT_AUTH, DAY_MS, type Defects, SERVER_AUTH } from "./bad_leaf.ts";

const authority = await createAuthority({ cluster: "demo" });
const foreign = await createAuthority({ cluster: "demo" });
const admin = await issueOperator({ authority, cluster: "demo", operator: "admin" });
const rawAdmin = new X509Certificate(admin.certPem).raw;
const alice = await issueLeaf({ authority, cluster: "demo", party: "alice", host: "127.0.0.1" });

function policy(lists?: string, pins: readonly string[] = []): LeafPolicy {
  return new LeafPolicy({
    cluster: "demo",
    authorities: authority.certPem,
    revocationLists: lists,
    parties: [{ index: partyId(1), name: "alice", pins }],
  });
}

const good: Defects = { usage: [CLIENT_AUTH], uris: ["quorate://demo/operator/admin"] };

Deno.test("LeafPolicy.checkOperator() names the operator of a good certificate", async () => {
  assert.equal(policy().checkOperator(rawAdmin, Date.now()).operator, "admin");
  const leaf = await badLeaf(authority, "admin", good);
  assert.equal(policy().checkOperator(leaf.raw, Date.now()).operator, "admin");
});

const DEFECTS: readonly (readonly [string, Defects, string])[] = [
  ["not yet valid", { notBefore: new Date(Date.now() + DAY_MS / 2) }, "CERT_NOT_YET_VALID"],
  ["expired", { notAfter: new Date(Date.now() - 1_000) }, "CERT_EXPIRED"],
  ["an authority", { isAuthority: true }, "CERT_NOT_A_LEAF"],
  ["with an RSA key", { algorithm: "RSA" }, "CERT_WEAK_KEY"],
  ["for servers only", { usage: [SERVER_AUTH] }, "CERT_USAGE"],
  ["without extended key usage", { usage: null }, "CERT_USAGE"],
  ["that of a party", { uris: ["quorate://demo/alice"] }, "CERT_NAME"],
  ["of another cluster", { uris: ["quorate://other/operator/admin"] }, "CERT_NAME"],
  ["with another name beside it", { uris: [...good.uris ?? [], "quorate://demo/alice"] }, "CERT_NAME"],
  ["without a URI name", { uris: [] }, "CERT_NAME"],
  ["with an empty name", { uris: ["quorate://demo/operator/"] }, "CERT_NAME"],
  ["with a name that is a path", { uris: ["quorate://demo/operator/a/b"] }, "CERT_NAME"],
];

for (const [what, defects, code] of DEFECTS) {
  Deno.test(`LeafPolicy.checkOperator() refuses a certificate that is ${what}`, async () => {
    const leaf = await badLeaf(authority, "admin", { ...good, ...defects });
    assert.throws(() => policy().checkOperator(leaf.raw, Date.now()), { code });
  });
}

Deno.test("LeafPolicy.checkOperator() refuses what the authority did not sign, no certificate, and a revoked one", async () => {
  const forged = await badLeaf(foreign, "admin", good);
  assert.throws(() => policy().checkOperator(forged.raw, Date.now()), { code: "CERT_UNKNOWN_CA" });
  assert.throws(() => policy().checkOperator(undefined, Date.now()), { code: "CERT_MISSING" });
  const list = await createRevocationList({ authority, revoked: [admin.certPem], number: 1 });
  assert.throws(() => policy(list).checkOperator(rawAdmin, Date.now()), { code: "CERT_REVOKED" });
  const other = await createRevocationList({ authority, revoked: [alice.certPem], number: 2 });
  assert.equal(policy(other).checkOperator(rawAdmin, Date.now()).operator, "admin");
  const later = Date.now() + 31 * DAY_MS;
  assert.throws(() => policy(other).checkOperator(rawAdmin, later), { code: "CRL_EXPIRED" });
});

Deno.test("LeafPolicy.check() takes an operator's certificate for that of no party", () => {
  const asAlice = policy(undefined, [pinOf(admin.certPem)]);
  assert.throws(() => asAlice.check(rawAdmin, Date.now()), { code: "CERT_USAGE" });
});
