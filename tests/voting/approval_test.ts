import assert from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import {
  type Approval,
  approvalCore,
  approvalHash,
  decodeApproval,
  encodeApproval,
} from "../../src/voting/approval.ts";

const BASE: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx_001",
  keyId: new Uint8Array(32).fill(1),
  publicKey: new Uint8Array(33).fill(2),
  policyHash: new Uint8Array(32).fill(3),
  scheme: "ecdsa-secp256k1",
  path: [0, 5],
  mode: "message",
  input: utf8("pay 5 to dave"),
  context: [{ name: "amount", value: "5" }, { name: "to", value: "dave" }],
  supersedes: "",
  notBefore: 1000n,
  notAfter: 2000n,
  lowS: true,
};

const CHANGES: readonly Partial<Approval>[] = [
  { kind: "reject" },
  { notBefore: 999n },
  { notAfter: 2001n },
  { cluster: "other" },
  { txId: "tx_002" },
  { keyId: new Uint8Array(32).fill(9) },
  { publicKey: new Uint8Array(32).fill(2) },
  { policyHash: new Uint8Array(32).fill(9) },
  { scheme: "bip340" },
  { path: [0] },
  { path: [] },
  { mode: "digest", input: new Uint8Array(32) },
  { input: utf8("pay 6 to dave") },
  { context: [{ name: "amount", value: "6" }, { name: "to", value: "dave" }] },
  { context: [] },
  { supersedes: "tx_000" },
  { lowS: false },
];

Deno.test("an approval has one encoding, and its hash covers every field", () => {
  assert.deepEqual(decodeApproval(encodeApproval(BASE)), BASE);
  const all = [BASE, ...CHANGES.map((change) => ({ ...BASE, ...change }))];
  for (const one of all) assert.deepEqual(decodeApproval(encodeApproval(one)), one);
  assert.equal(new Set(all.map((one) => approvalHash(one).toHex())).size, all.length);
  assert.equal(new Set(all.map((one) => encodeApproval(one).toHex())).size, all.length);
});

Deno.test("the core of an approval covers every field but its kind and its time", () => {
  const core = approvalCore(BASE).toHex();
  const [kind, notBefore, notAfter, ...others] = CHANGES;
  for (const change of [kind, notBefore, notAfter]) {
    assert.equal(approvalCore({ ...BASE, ...change }).toHex(), core);
  }
  const cores = others.map((change) => approvalCore({ ...BASE, ...change }).toHex());
  assert.equal(new Set([core, ...cores]).size, others.length + 1);
});

Deno.test("an approval that no signer would accept is neither written nor read", () => {
  const wrong: [Partial<Approval>, RegExp][] = [
    [{ mode: "digest" }, /a digest has 32 bytes/],
    [{ notAfter: 999n }, /ends after it begins/],
    [{ context: BASE.context.toReversed() }, /sorted by name/],
    [{ context: [...BASE.context.slice(0, 1), ...BASE.context.slice(0, 1)] }, /each name once/],
    [{ path: Array.from({ length: 11 }, () => 0) }, /at most 10 steps/],
    [{ input: new Uint8Array(48 * 1024 + 1) }, /at most 49152 bytes/],
    [{ txId: "" }, /1 to 128 bytes/],
    [{ supersedes: "a\nb" }, /no control characters/],
  ];
  for (const [change, match] of wrong) {
    assert.throws(() => encodeApproval({ ...BASE, ...change }), { code: "USAGE", message: match });
  }
  const encoded = encodeApproval(BASE);
  for (const [at, value] of [[0, 2], [1, 0], [1, 3], [encoded.length - 1, 2]] as const) {
    const changed = encoded.slice();
    changed[at] = value;
    assert.throws(() => decodeApproval(changed), DecodeError);
  }
  assert.throws(() => decodeApproval(Uint8Array.from([...encoded, 0])), DecodeError);
});
