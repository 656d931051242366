import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, u64 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { QuorateError } from "../../src/base/errors.ts";
import type { BoundSigning } from "../../src/protocols/bound.ts";
import { verifyCertificate } from "../../src/protocols/dkg/certificate.ts";
import { dkg, type DkgResult } from "../../src/protocols/dkg/dkg.ts";
import { unsettledPairs } from "../../src/protocols/ecdsa/sign_opening.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import { verifyFrostCertificate } from "../../src/protocols/frost/certificate.ts";
import { frostDkg, type FrostDkgInput, type FrostDkgResult } from "../../src/protocols/frost/dkg.ts";
import { decodeFrostRecord, encodeFrostRecord } from "../../src/protocols/frost/key.ts";
import { frostSign } from "../../src/protocols/frost/sign.ts";
import { KEY_PURPOSES, type KeyPurpose, parseKeyPurpose } from "../../src/protocols/key_purpose.ts";
import { decodeRecord, encodeRecord, quorumOf } from "../../src/protocols/key_share.ts";
import { runLocally } from "../../src/protocols/local.ts";
import { makeGroup, valuesOf } from "./support.ts";

const [ALICE, BOB] = [partyId(1), partyId(2)];
const PURPOSES = Object.keys(KEY_PURPOSES) as KeyPurpose[];

const GROUP = makeGroup("2 of (alice, bob)");
const { policy, members, keyName } = GROUP.input(ALICE);

function ecdsaKey(purpose: KeyPurpose): DkgResult {
  const made = runLocally(GROUP.parties, (s) => dkg.run(s, { ...GROUP.input(s.self), purpose }), GROUP);
  return valuesOf(made).get(ALICE)!;
}

function frostInput(self: PartyId, purpose: KeyPurpose): FrostDkgInput {
  return { keyName, scheme: "ed25519", policy, members, self, purpose };
}

function frostKey(purpose: KeyPurpose): FrostDkgResult {
  const made = runLocally(GROUP.parties, (s) => frostDkg.run(s, frostInput(s.self, purpose)), GROUP);
  return valuesOf(made).get(ALICE)!;
}

function refuses(work: () => unknown, code: string): void {
  assert.throws(work, (error: unknown) => error instanceof QuorateError && error.code === code);
}

function bound(purpose: BoundSigning["purpose"], admit: BoundSigning["admit"] = () => {}): BoundSigning {
  const core = new Uint8Array(32).fill(7);
  return { purpose, txId: "tx", core, binding: core, clock: () => 1000n, admit };
}

Deno.test("dkg and frostDkg make keys for every purpose, certified as such, and another purpose is another key id", () => {
  for (const purpose of PURPOSES) {
    const { share: { record }, certificate } = ecdsaKey(purpose);
    assert.equal(record.purpose, purpose);
    verifyCertificate(record, certificate);
    assert.equal(decodeRecord(encodeRecord(record)).purpose, purpose);
    assert.equal(encodeRecord(record)[0], purpose === "plain" ? 1 : 2);
    const frost = frostKey(purpose);
    assert.equal(frost.share.record.purpose, purpose);
    verifyFrostCertificate(frost.share.record, frost.certificate);
    assert.equal(decodeFrostRecord(encodeFrostRecord(frost.share.record)).purpose, purpose);
    for (const other of PURPOSES.filter((one) => one !== purpose)) {
      refuses(() => verifyCertificate({ ...record, purpose: other }, certificate), "STORE_CORRUPT");
      const changed = { ...frost.share.record, purpose: other };
      refuses(() => verifyFrostCertificate(changed, frost.certificate), "STORE_CORRUPT");
    }
  }
});

Deno.test("dkg.proposal() and frostDkg.proposal() show the purpose, and nothing of it for a plain key", () => {
  for (const purpose of PURPOSES) {
    const ecdsa = dkg.proposal({ ...GROUP.input(ALICE), purpose });
    for (const { params } of [ecdsa, frostDkg.proposal(frostInput(ALICE, purpose))]) {
      const shown = params.find(({ name }) => name === "key purpose")?.value;
      assert.equal(shown && new TextDecoder().decode(shown), purpose === "plain" ? undefined : purpose);
    }
  }
});

Deno.test("decodeRecord() refuses a purpose of an unknown number, and one that is written although it is plain", () => {
  const encoded = encodeRecord(ecdsaKey("decision").share.record);
  assert.equal(encoded[1], 2);
  for (const number of [0, 3]) {
    const changed = encoded.slice();
    changed[1] = number;
    assert.throws(() => decodeRecord(changed), DecodeError);
  }
});

Deno.test("a session with a key is refused where the key has another purpose than the session", () => {
  const uses = [undefined, bound("approved-signing"), bound("decision")];
  for (const purpose of PURPOSES) {
    const { share } = ecdsaKey(purpose), frost = frostKey(purpose);
    const { coefficients, active } = quorumOf(share.record, GROUP.parties)!;
    for (const use of uses) {
      const more = use === undefined ? {} : { bound: use };
      const signs = () =>
        sign.proposal({
          share,
          signers: active,
          coefficients,
          digest: new Uint8Array(32),
          pairs: () => undefined,
          burned: () => false,
          ...more,
        });
      const responds = () =>
        frostSign.proposal({
          share: frost.share,
          signers: GROUP.parties,
          message: new Uint8Array(3),
          ...more,
        });
      for (const propose of [signs, responds]) {
        if ((use?.purpose ?? "plain") === purpose) {
          assert.equal(propose().payload.some(({ name }) => name === "approval"), use !== undefined);
        } else refuses(propose, purpose === "approved-signing" ? "APPROVAL_REQUIRED" : "KEY_PURPOSE");
      }
    }
  }
});

Deno.test("a bound session has everybody's clock judged before it begins, and refuses an offer without one", () => {
  const { share } = ecdsaKey("approved-signing");
  const { coefficients, active } = quorumOf(share.record, GROUP.parties)!;
  let seen: ReadonlyMap<number, bigint> = new Map();
  const input = {
    share,
    signers: active,
    coefficients,
    digest: new Uint8Array(32),
    pairs: () => undefined,
    burned: () => false,
    bound: bound("approved-signing", (clocks) => seen = clocks),
  };
  const own = sign.offer!(input);
  assert.deepEqual(own.slice(-8), u64(1000n));
  const theirs: Bytes = new Uint8Array([...new Uint8Array(16), ...u64(2000n)]);
  unsettledPairs(input, ALICE, new Map([[ALICE, own], [BOB, theirs]]));
  assert.deepEqual([...seen], [[ALICE, 1000n], [BOB, 2000n]]);
  refuses(() => unsettledPairs(input, ALICE, new Map([[BOB, new Uint8Array(16)]])), "PEER_REFUSED");
  const frost = { share, signers: active, message: new Uint8Array(3), bound: input.bound } as never;
  frostSign.unsettled!(frost, ALICE, new Map([[ALICE, frostSign.offer!(frost)], [BOB, u64(3n)]]));
  assert.deepEqual([...seen], [[ALICE, 1000n], [BOB, 3n]]);
  refuses(() => frostSign.unsettled!(frost, ALICE, new Map([[BOB, new Uint8Array(7)]])), "PEER_REFUSED");
});

Deno.test("parseKeyPurpose() reads the names and refuses others", () => {
  for (const purpose of PURPOSES) assert.equal(parseKeyPurpose(purpose), purpose);
  for (const text of ["", "Plain", "toString"]) refuses(() => parseKeyPurpose(text), "USAGE");
});
