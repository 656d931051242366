import assert from "node:assert/strict";
import { policyHashOf } from "../../../src/protocols/key_share.ts";
import { type PartyId, partyId } from "../../../src/base/brands.ts";
import type { Bytes } from "../../../src/base/bytes.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import { payloadHash } from "../../../src/protocols/protocol.ts";
import {
  type SignInput,
  signOffer,
  signProposal,
  unsettledPairs,
} from "../../../src/protocols/ecdsa/sign_opening.ts";
import { dealKey, dealPair, type DealtKey, signInput } from "./support.ts";

const ALICE = partyId(1), BOB = partyId(2), CAROL = partyId(3);
const DIGEST: Bytes = new Uint8Array(32).fill(7);
const makeKey = () => dealKey(secp256k1, "3 of (alice, bob, carol)");

function offersOf(key: DealtKey): Map<PartyId, Bytes> {
  return new Map(
    [ALICE, BOB, CAROL].map((party) => [party, signOffer(signInput(key, party, { digest: DIGEST }))]),
  );
}

const unsettled = (key: DealtKey, self: PartyId, offers: ReadonlyMap<PartyId, Bytes>) =>
  unsettledPairs(signInput(key, self, { digest: DIGEST }), self, offers);

Deno.test("unsettledPairs() finds nothing where all states match", () => {
  const key = makeKey();
  for (const self of [ALICE, BOB, CAROL]) {
    assert.deepEqual(unsettled(key, self, offersOf(key)), { mine: [], others: [] });
  }
});

Deno.test("unsettledPairs() tells whose pair is absent or differs, and is content once it is mended", () => {
  for (
    const spoil of [
      (key: DealtKey) => key.pairs.get(ALICE)?.delete(BOB),
      (key: DealtKey) =>
        [ALICE, BOB].map((party) => key.pairs.get(party)?.delete(party === ALICE ? BOB : ALICE)),
      (key: DealtKey) => {
        const old = key.pairs.get(ALICE)?.get(BOB);
        dealPair(key, ALICE, BOB, seededRng("only bob has it"));
        if (old !== undefined) key.pairs.get(ALICE)?.set(BOB, old);
      },
    ]
  ) {
    const key = makeKey();
    spoil(key);
    const offers = offersOf(key);
    assert.deepEqual(unsettled(key, ALICE, offers), { mine: [BOB], others: [] });
    assert.deepEqual(unsettled(key, BOB, offers), { mine: [ALICE], others: [] });
    assert.deepEqual(unsettled(key, CAROL, offers), { mine: [], others: [[ALICE, BOB]] });
    const alone = new Map([[ALICE, offers.get(ALICE) as Bytes]]);
    assert.deepEqual(unsettled(key, ALICE, alone), { mine: [], others: [] }, "nothing is known of bob yet");
    dealPair(key, ALICE, BOB, seededRng("mended"));
    assert.deepEqual(unsettled(key, CAROL, offersOf(key)), { mine: [], others: [] });
  }
});

Deno.test("unsettledPairs() refuses offers of a wrong length, naming the party", () => {
  const key = makeKey();
  for (const offer of [new Uint8Array(0), new Uint8Array(31), new Uint8Array(33)]) {
    const offers = offersOf(key).set(CAROL, offer);
    assert.throws(() => unsettled(key, ALICE, offers), { code: "PEER_REFUSED", parties: [CAROL] });
  }
});

Deno.test("signProposal() and unsettledPairs() refuse a burned pair, naming the peer", () => {
  const key = makeKey();
  const input = signInput(key, ALICE, { digest: DIGEST, burned: (peer) => peer === CAROL });
  const refusal = { code: "PAIR_BURNED", party: "carol", message: /refresh the key/ };
  assert.throws(() => signProposal(input), refusal);
  assert.throws(() => unsettledPairs(input, ALICE, offersOf(key)), refusal);
});

Deno.test("signOffer() of 64 signers stays below 1 KB", () => {
  const signers = Array.from({ length: 64 }, (_, i) => partyId(i + 1));
  const input: SignInput = { ...signInput(makeKey(), ALICE, { digest: DIGEST }), signers };
  assert(signOffer(input).length <= 1024);
});

Deno.test("signProposal() binds everything that the signature depends on", () => {
  const key = makeKey();
  const hashOf = (options: Partial<SignInput>) =>
    payloadHash(signProposal(signInput(key, ALICE, { digest: DIGEST, ...options })).payload).toHex();
  const hashes = [
    {},
    { digest: new Uint8Array(32) },
    { tweak: secp256k1.scalar(1n) },
    { receivers: [ALICE] },
    { receivers: [BOB] },
    { lowS: false },
  ].map(hashOf);
  assert.equal(new Set(hashes).size, hashes.length);
  const curveAndSuite = (options: Partial<SignInput>) =>
    signProposal(signInput(key, ALICE, { digest: DIGEST, ...options })).params;
  assert.notDeepEqual(curveAndSuite({ sym: "hash" }), curveAndSuite({ sym: "aes" }));
  assert.deepEqual(curveAndSuite({}), curveAndSuite({ sym: "aes" }));
  // Of the key: which one, in which epoch, and whose.
  const input = signInput(key, ALICE, { digest: DIGEST });
  const { keyId, epoch, policyHash, participants } = signProposal(input);
  const { record } = input.share;
  assert.deepEqual([keyId, epoch, participants], [record.keyId, record.epoch, input.signers]);
  assert.deepEqual(policyHash, policyHashOf(record));
  assert.equal(
    signProposal({ ...input, share: { ...input.share, record: { ...record, epoch: 3 } } }).epoch,
    3,
  );
});

Deno.test("signProposal() refuses an input that cannot be signed with, in one sentence", () => {
  const input = signInput(makeKey(), ALICE, { digest: DIGEST });
  const coefficients = new Map(input.coefficients);
  for (
    const [change, message] of [
      [{ digest: new Uint8Array(31) }, /32 bytes/],
      [{ signers: [ALICE] }, /at least two/],
      [{ signers: [BOB, ALICE, CAROL] }, /ascending/],
      [{ signers: [ALICE, ALICE, CAROL] }, /ascending/],
      [{ signers: [ALICE, BOB, partyId(9)] }, /members/],
      [{ signers: [BOB, CAROL] }, /not among the signers/],
      [{ coefficients: new Map([...coefficients].slice(1)) }, /coefficient/],
      [{ coefficients: new Map([...coefficients, [partyId(9), 1n as Scalar]]) }, /coefficient/],
      [{ coefficients: new Map([...coefficients, [CAROL, 0n as Scalar]]) }, /coefficient/],
      [{ receivers: [] }, /receivers/],
      [{ receivers: [CAROL, BOB] }, /receivers/],
      [{ receivers: [partyId(9)] }, /receivers/],
    ] as const
  ) {
    assert.throws(() => signProposal({ ...input, ...change } as SignInput), { code: "USAGE", message });
  }
});
