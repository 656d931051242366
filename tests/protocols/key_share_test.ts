import assert from "node:assert/strict";
import { keyId, partyId, sessionId } from "../../src/base/brands.ts";
import { concat, utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { seededRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { CURVES, encodeCurve, type Point, secp256k1 } from "../../src/math/curve.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { hash } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import {
  checkMembers,
  decodeKeyShare,
  decodeRecord,
  encodeKeyShare,
  encodeRecord,
  type KeyShare,
  makeKeyId,
  type PublicKeyRecord,
  quorumOf,
} from "../../src/protocols/key_share.ts";
import { flipped, makeGroup } from "./support.ts";

/** A share of a key of a made-up record: as many public shares as members, of which only this one is known. */
function example(curve = secp256k1): KeyShare {
  const rng = seededRng(`key share ${curve.name}`);
  const { members, input } = makeGroup("and(alice, 2 of (bob, 5: carol))");
  const x = curve.randomScalar(rng);
  const publicShares = new Map(members.map(({ index }) => [index, curve.mulBase(curve.randomScalar(rng))]));
  const record: PublicKeyRecord = {
    keyId: keyId(rng.bytes(32)),
    purpose: "plain",
    epoch: 7,
    curve,
    policy: input(partyId(1)).policy,
    members,
    publicKey: curve.mulBase(curve.randomScalar(rng)),
    publicShares: publicShares.set(partyId(2), curve.mulBase(x)),
    chainCode: rng.bytes(32),
  };
  return { record, self: partyId(2), share: new Secret(curve.encodeScalar(x)) };
}

for (const curve of Object.values(CURVES)) {
  Deno.test(`decodeRecord() reads what encodeRecord() wrote on ${curve.name}, and nothing longer or shorter`, () => {
    const { record } = example(curve);
    const bytes = encodeRecord(record);
    const read = decodeRecord(bytes);
    assert.deepEqual(encodeRecord(read), bytes);
    assert.equal(read.curve, curve);
    assert.deepEqual([read.keyId, read.epoch, read.chainCode], [record.keyId, 7, record.chainCode]);
    assert.deepEqual([read.policy, read.members], [record.policy, record.members]);
    assert.ok(read.publicKey.equals(record.publicKey));
    for (const [party, X] of record.publicShares) assert.ok(X.equals(read.publicShares.get(party) as Point));
    assert.throws(() => decodeRecord(concat(bytes, new Uint8Array(1))), DecodeError);
    assert.throws(() => decodeRecord(bytes.subarray(0, bytes.length - 1)), DecodeError);
  });

  Deno.test(`decodeKeyShare() reads what encodeKeyShare() wrote on ${curve.name}`, () => {
    const share = example(curve);
    using encoded = encodeKeyShare(share);
    const read = decodeKeyShare(encoded.expose());
    assert.equal(read.self, 2);
    assert.deepEqual(read.share.expose(), share.share.expose());
    using again = encodeKeyShare(read);
    assert.deepEqual(again.expose(), encoded.expose());
  });
}

Deno.test("decodeRecord() reads nothing that encodeRecord() would write otherwise", () => {
  const bytes = encodeRecord(example().record);
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [0x01, 0x80]) {
      const changed = bytes.map((byte, i) => i === at ? byte ^ bit : byte);
      try {
        assert.deepEqual(encodeRecord(decodeRecord(changed)), changed);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }
  }
});

Deno.test("decodeRecord() and decodeKeyShare() refuse unknown versions and curves", () => {
  const share = example();
  const record = encodeRecord(share.record);
  assert.throws(() => decodeRecord(concat(Uint8Array.of(3), record.subarray(1))), /unknown version/);
  assert.throws(
    () => decodeRecord(concat(Uint8Array.of(1, 3), record.subarray(2))),
    /curve of an unknown number/,
  );
  using encoded = encodeKeyShare(share);
  assert.throws(
    () => decodeKeyShare(concat(Uint8Array.of(2), encoded.expose().subarray(1))),
    /unknown version/,
  );
});

Deno.test("decodeRecord() refuses members that are not the leaves of the policy", () => {
  const { record } = example();
  const renamed = record.members.map((member) =>
    member.name === "carol" ? { ...member, name: "erin" } : member
  );
  assert.throws(
    () => decodeRecord(encodeRecord({ ...record, members: renamed })),
    /erin is listed as a member/,
  );
  const [alice, bob, carol] = record.members;
  const swapped = [bob, alice, carol] as typeof record.members;
  assert.throws(() => decodeRecord(encodeRecord({ ...record, members: swapped })), /ascending/);
});

Deno.test("decodeKeyShare() refuses a share that is not the logarithm of its public share", () => {
  const share = example();
  const decodeWith = (change: Partial<KeyShare>) => {
    using encoded = encodeKeyShare({ ...share, ...change });
    return decodeKeyShare(encoded.expose());
  };
  decodeWith({});
  assert.throws(() => decodeWith({ self: partyId(1) }), /does not belong to the record/);
  assert.throws(() => decodeWith({ self: partyId(9) }), /does not belong to the record/);
  assert.throws(
    () => decodeWith({ share: new Secret(flipped(share.share.expose(), 31)) }),
    /does not belong/,
  );
  assert.throws(() => decodeWith({ share: new Secret(new Uint8Array(32)) }), /does not belong/);
  // x + q is the same logarithm, written otherwise.
  const small = { ...share, share: new Secret(secp256k1.encodeScalar(secp256k1.scalar(5n))) };
  const publicShares = new Map(share.record.publicShares).set(
    partyId(2),
    secp256k1.mulBase(secp256k1.scalar(5n)),
  );
  const record = { ...share.record, publicShares };
  decodeWith({ ...small, record });
  const wrapped = new Secret(Uint8Array.fromHex((secp256k1.order + 5n).toString(16)));
  assert.throws(() => decodeWith({ record, share: wrapped }), /does not belong/);
});

Deno.test("checkMembers() names the party that is too many, missing or out of order", () => {
  const { members } = makeGroup("2 of (alice, bob, carol)");
  const [alice, bob, carol] = members as [typeof members[0], typeof members[0], typeof members[0]];
  const policy = parsePolicy("2 of (alice, bob, carol)");
  checkMembers(policy, members);
  checkMembers(parsePolicy("2 of (carol, alice, bob)"), members);
  const refusal = (list: typeof members, code: string, words: RegExp) =>
    assert.throws(() => checkMembers(policy, list), (error) => {
      assert.equal((error as { code?: string }).code, code);
      assert.match((error as Error).message, words);
      return true;
    });
  refusal([alice, bob], "NOT_A_MEMBER", /names carol/);
  refusal([...members, { ...bob, index: partyId(4), name: "dave" }], "POLICY_INVALID", /dave is listed/);
  refusal([...members, { ...bob, index: partyId(4) }], "POLICY_INVALID", /bob is listed/);
  refusal([alice, carol, bob], "USAGE", /see bob/);
  refusal([alice, { ...bob, index: alice.index }, carol], "USAGE", /see bob/);
  refusal([alice, { ...bob, identity: new Uint8Array(31) }, carol], "USAGE", /see bob/);
});

Deno.test("makeKeyId() is the hash of SPEC 0.3", () => {
  const [sid, policyHash] = [sessionId(new Uint8Array(32).fill(1)), new Uint8Array(32).fill(2)];
  for (const curve of Object.values(CURVES)) {
    const parts = [encodeCurve(curve), sid, curve.encodePoint(curve.base), policyHash];
    const input = { curve, sid, publicKey: curve.base, policyHash };
    assert.deepEqual(makeKeyId({ ...input, purpose: "plain" }), hash(Tag.keyId, ...parts));
    for (const purpose of ["approved-signing", "decision"] as const) {
      assert.deepEqual(makeKeyId({ ...input, purpose }), hash(Tag.keyId, ...parts, utf8(purpose)));
    }
  }
});

Deno.test("quorumOf() gives the active parties by index, and nothing for an unqualified set", () => {
  const { record } = example();
  const parties = (...indices: number[]) => indices.map((index) => partyId(index));
  assert.deepEqual(quorumOf(record, parties(3, 2, 1))?.active, [1, 2, 3]);
  assert.equal(quorumOf(record, parties(2, 3)), undefined);
  assert.equal(quorumOf(record, parties(1, 2)), undefined);
  assert.equal(quorumOf(record, []), undefined);
  const flat = { ...makeGroup("2 of (alice, bob, carol)"), curve: secp256k1 };
  const two = quorumOf({ ...flat, policy: flat.input(partyId(1)).policy }, parties(3, 1, 99));
  // λ at 0 for the points 1 and 3: 3/2 and -1/2.
  const half = secp256k1.invertVartime(secp256k1.scalar(2n));
  assert.deepEqual([...two?.coefficients ?? []], [[1, secp256k1.mul(secp256k1.scalar(3n), half)], [
    3,
    secp256k1.neg(half),
  ]]);
});
