import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, equal, utf8 } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { certificateCodec, certificateFault, certificateOf } from "../../src/voting/certificate.ts";
import { describeFaults, faultBounds, makeMembership } from "../../src/voting/membership.ts";
import { decodeValue, encodeValue, formatValue, txIdFault } from "../../src/voting/value.ts";
import { ballotOf, questionOf, type Vote, voteCodec, voteFault } from "../../src/voting/vote.ts";
import { council, flipped, integer, text } from "./support.ts";

Deno.test("makeMembership() refuses a quorum that cannot be reached, that two groups can have, or that survives no fault", () => {
  const faults = (n: number, q: number) => council(n, q).membership.faults;
  assert.deepEqual([faults(5, 4), faults(7, 5), faults(4, 3)], [1, 2, 1]);
  assert.deepEqual(faultBounds(5, 4), { safe: 2, live: 1 });
  assert.equal(describeFaults(council(5, 4).membership), "safe with 2 equivocating, live with 1 absent");
  const wrong: [() => unknown, RegExp][] = [
    [() => council(5, 6), /cannot be reached/],
    [() => council(4, 2), /two groups can have at once/],
    [() => council(5, 2.5), /two groups can have at once/],
    [() => council(5, 3), /survives no fault .*write faults = 0/],
    [() => council(3, 3), /survives no fault/],
    [() => council(5, 4, { faults: 2 }), /survives 1 faults .*found faults = 2/],
    [() => council(5, 4, { faults: -1 }), /found faults = -1/],
    [() => council(5, 4, { voters: [] }), /1 to 64 members/],
  ];
  for (const [make, match] of wrong) {
    assert.throws(
      make,
      (error: unknown) =>
        error instanceof UsageError && error.code === "CONFIG_INVALID" && match.test(error.message),
    );
  }
  assert.equal(council(5, 3, { faults: 0 }).membership.faults, 0);
});

Deno.test("makeMembership() refuses vote keys that are no keys, or are used twice", () => {
  const { signers } = council(3, 2, { faults: 0 });
  const [a, b] = signers.map(({ publicKey }) => publicKey) as [Bytes, Bytes];
  const make = (voters: { name: string; key: Bytes }[]) =>
    makeMembership({ cluster: "c", epoch: 1, voters, quorum: 2, faults: 0 });
  const small = new Uint8Array(32);
  for (
    const voters of [
      [{ name: "a", key: a }, { name: "b", key: a }],
      [{ name: "a", key: a }, { name: "a", key: b }],
      [{ name: "a", key: a }, { name: "b", key: small }],
    ]
  ) assert.throws(() => make(voters), { code: "IDENTITY_INVALID" });
  make([{ name: "a", key: a }, { name: "b", key: b }]);
});

Deno.test("the hash of a membership covers cluster, epoch, quorum, and each member's name, place and key", () => {
  const base = council(5, 4).membership;
  const { signers } = council(5, 4);
  const voters = base.voters.map(({ name, key }) => ({ name, key: key.publicKey }));
  const others = [
    council(5, 4, { cluster: "other" }),
    council(5, 4, { epoch: 2 }),
    council(5, 5, { faults: 0 }),
    council(5, 4, { voters: [{ ...voters[0], name: "mallory" }, ...voters.slice(1)] as never }),
    council(5, 4, { voters: [voters[1], voters[0], ...voters.slice(2)] as never }),
    council(5, 4, {
      voters: [{ name: "alice", key: council(7, 5).signers[6]?.publicKey }, ...voters.slice(1)] as never,
    }),
  ];
  assert.equal(signers.length, 5);
  const hashes = [base, ...others.map(({ membership }) => membership)].map(({ hash }) => hash.toHex());
  assert.equal(new Set(hashes).size, hashes.length);
});

Deno.test("values and names of transactions have one encoding each", () => {
  for (const value of [0n, -1n, 42n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    assert.deepEqual(decodeValue(integer(value)), { schema: "integer", integer: value });
  }
  assert.throws(() => integer(2n ** 63n), { code: "USAGE" });
  assert.throws(() => encodeValue({ schema: "bytes", bytes: new Uint8Array(64 * 1024) }), { code: "USAGE" });
  for (const bad of [[], [0], [0, 1], [0, 1, 1, 2, 3, 4, 5, 6, 7], [0, 5], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]]) {
    assert.throws(() => decodeValue(Uint8Array.from(bad)), DecodeError);
  }
  assert.throws(() => decodeValue(new Uint8Array(64 * 1024 + 1)), DecodeError);
  assert.equal(formatValue(decodeValue(integer(-7n))), "-7");
  assert.equal(formatValue(decodeValue(text('ab"c'))), '"ab\\"c"');
  assert.equal(formatValue({ schema: "bytes", bytes: Uint8Array.of(0, 255) }), "0x00ff");
  assert.equal(formatValue({ schema: "bytes", bytes: utf8("a\nb") }), "0x610a62");
  assert.equal(formatValue({ schema: "bytes", bytes: utf8("a\u{202e}b") }), "0x61e280ae62");
  for (const good of ["a", "tx_001", "roster/2", "é".repeat(64)]) assert.equal(txIdFault(good), undefined);
  for (const bad of ["", "a".repeat(129), "a\nb", "e\u0301"]) assert.notEqual(txIdFault(bad), undefined);
});

Deno.test("a ballot binds cluster, epoch, membership, transaction and value", () => {
  const { membership } = council(5, 4);
  const base = questionOf(membership, "tx", integer(1n));
  const all = [
    base,
    { ...base, cluster: "other" },
    { ...base, epoch: 2 },
    { ...base, membershipHash: flipped(base.membershipHash) },
    { ...base, txId: "ty" },
    { ...base, value: integer(2n) },
    { ...base, value: text("x") },
  ].map((question) => ballotOf(question).toHex());
  assert.equal(new Set(all).size, all.length);
});

Deno.test("voteFault() tells a vote of another membership from one that is not signed by its voter", () => {
  const { membership, vote } = council(5, 4);
  const good = vote(2);
  assert.equal(voteFault(membership, good), undefined);
  const elsewhere: Partial<Vote>[] = [
    { cluster: "other" },
    { epoch: 2 },
    { membershipHash: flipped(good.membershipHash) },
    { voter: partyId(6) },
  ];
  for (const change of elsewhere) {
    assert.equal(voteFault(membership, { ...good, ...change }), "MEMBERSHIP_MISMATCH");
  }
  const forged: Partial<Vote>[] = [
    { voter: partyId(3) },
    { txId: "tx_002" },
    { value: integer(43n) },
    { signature: flipped(good.signature) },
  ];
  for (const change of forged) assert.equal(voteFault(membership, { ...good, ...change }), "SIGNATURE");
});

Deno.test("a certificate needs votes of a quorum of members, each once, all on its ballot", () => {
  const { membership, vote } = council(5, 4);
  const votes = [4, 1, 3, 2].map((voter) => vote(voter));
  assert.equal(certificateOf(membership, []), undefined);
  assert.equal(certificateOf(membership, votes.slice(0, 3)), undefined);
  assert.equal(certificateOf(membership, [...votes.slice(0, 3), vote(1)]), undefined, "a voter counts once");
  const certificate = certificateOf(membership, votes);
  assert.ok(certificate !== undefined);
  assert.equal(certificateFault(membership, certificate), undefined);
  assert.deepEqual(certificate.votes.map(({ voter }) => voter), [1, 2, 3, 4]);
  assert.throws(() => certificateOf(membership, [vote(1), vote(2, 43n)]), { code: "INVARIANT" });
  const [first, second, third, fourth] = certificate.votes as unknown as [object, object, object, object];
  const changes: [object, RegExp][] = [
    [{ epoch: 2 }, /another membership/],
    [{ cluster: "x" }, /another membership/],
    [{ membershipHash: flipped(certificate.membershipHash) }, /another membership/],
    [{ votes: [first, second, third] }, /has 3 votes, and 4 decide/],
    [{ votes: [first, second, third, third] }, /counted twice/],
    [{ votes: [second, first, third, fourth] }, /out of order/],
    [
      { votes: [first, second, third, { voter: partyId(9), signature: vote(1).signature }] },
      /voter 9 is no member/,
    ],
    [{ value: integer(43n) }, /the vote of alice does not verify/],
    [{ txId: "tx_002" }, /does not verify/],
    [
      { votes: [first, second, third, { voter: partyId(5), signature: vote(4).signature }] },
      /the vote of erin does not verify/,
    ],
  ];
  for (const [change, match] of changes) {
    assert.match(certificateFault(membership, { ...certificate, ...change }) ?? "", match);
  }
});

Deno.test("a certificate stays valid where a voter also voted for something else", () => {
  const { membership, vote } = council(4, 3);
  const certificate = certificateOf(membership, [1, 2, 3].map((voter) => vote(voter)));
  vote(1, 43n);
  assert.ok(certificate !== undefined && certificateFault(membership, certificate) === undefined);
});

Deno.test("votes and certificates have one encoding", () => {
  const { membership, vote } = council(4, 3);
  const one = vote(1);
  const encoded = encode(voteCodec, one);
  assert.deepEqual(decode(voteCodec, encoded), one);
  assert.throws(() => decode(voteCodec, Uint8Array.from([...encoded, 0])), DecodeError);
  assert.throws(() => decode(voteCodec, encode(voteCodec, { ...one, value: utf8("?") })), DecodeError);
  assert.throws(() => decode(voteCodec, encode(voteCodec, { ...one, txId: "a\nb" })), DecodeError);
  assert.throws(() => decode(voteCodec, encode(voteCodec, { ...one, voter: 0 as never })), DecodeError);
  const certificate = certificateOf(membership, [1, 2, 3].map((voter) => vote(voter)));
  assert.ok(certificate !== undefined);
  const bytes = encode(certificateCodec, certificate);
  assert.deepEqual(decode(certificateCodec, bytes), certificate);
  const reversed = { ...certificate, votes: certificate.votes.toReversed() };
  assert.throws(() => decode(certificateCodec, encode(certificateCodec, reversed)), DecodeError);
  assert.ok(equal(bytes, encode(certificateCodec, decode(certificateCodec, bytes))));
});
