import assert from "node:assert/strict";
import { schnorr } from "@noble/curves/secp256k1.js";
import { partyId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, concat, EMPTY, hex, u16, utf8 } from "../../../src/base/bytes.ts";
import { type Codec, decode, DecodeError, encode } from "../../../src/base/codec.ts";
import { ed25519Signer, ed25519Verifier, sha256 } from "../../../src/base/crypto.ts";
import { UsageError } from "../../../src/base/errors.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { bytesToBigint, type Point, secp256k1 } from "../../../src/math/curve.ts";
import { parsePolicy, solve } from "../../../src/primitives/access.ts";
import { hash } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import { encodeOffer } from "../../../src/protocols/dkg/stored_key.ts";
import { certifyRound } from "../../../src/protocols/frost/activate.ts";
import {
  decodeFrostCertificate,
  encodeFrostCertificate,
  type FrostCertificate,
  verifyFrostCertificate,
} from "../../../src/protocols/frost/certificate.ts";
import {
  type FrostDealing,
  frostDkg,
  type FrostDkgInput,
  type FrostDkgResult,
  frostDkgRounds,
} from "../../../src/protocols/frost/dkg.ts";
import {
  decodeFrostRecord,
  encodeFrostRecord,
  type FrostKeyRecord,
  frostQuorumOf,
  frostShareCodec,
  recordHash,
  shareScalar,
  thresholdOf,
} from "../../../src/protocols/frost/key.ts";
import {
  decodeFrostStoredKey,
  encodeFrostStoredKey,
  type FrostStoredKey,
  isFrostStoredKey,
} from "../../../src/protocols/frost/stored_key.ts";
import { FROST_SUITES, type FrostScheme } from "../../../src/protocols/frost/suite.ts";
import type { LocalMessage } from "../../../src/protocols/local.ts";
import type { JournalRecord } from "../../../src/protocols/protocol.ts";
import { proofCodec } from "../../../src/zk/schnorr_pok.ts";
import { subsetsOf } from "../../primitives/support.ts";
import { blames, flipped, type Group, makeGroup, tamperWith, valuesOf } from "../support.ts";
import stored129 from "./stored_key_129.json" with { type: "json" };
import { dealFrostKey, frostInput, runFrostDkg, runFrostSign, SCHEMES, storedFrostKey } from "./support.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const TWO_OF_THREE = "2 of (alice, bob, carol)";

for (const scheme of SCHEMES) {
  for (const text of ["and(alice, bob)", TWO_OF_THREE, "3 of (a, 9: b, c, 200: d, e)"]) {
    Deno.test(`frostDkg makes a ${scheme} key that every quorum of ${text} can sign with, and nobody else`, () => {
      const results = valuesOf(runFrostDkg(makeGroup(text), scheme));
      const [first] = results.values();
      assert.ok(first !== undefined);
      const { record } = first.share;
      const { group } = record.suite;
      verifyFrostCertificate(record, first.certificate);
      for (const { share, certificate, outcome } of results.values()) {
        assert.equal(outcome, "generated");
        assert.deepEqual(certificate, first.certificate);
        assert.deepEqual(encodeFrostRecord(share.record), encodeFrostRecord(record));
        const X = record.publicShares.get(share.self) as Point;
        assert.ok(group.mulBase(shareScalar(share)).equals(X));
      }
      for (const names of subsetsOf(record.members.map((member) => member.name))) {
        const solution = solve(record.policy, names, group);
        assert.equal(solution !== undefined, names.size >= thresholdOf(record.policy).minSigners);
        if (solution === undefined) continue;
        let x = group.scalar(0n);
        for (const { index, name } of record.members) {
          const share = (results.get(index) as FrostDkgResult).share;
          x = group.add(
            x,
            group.mul(solution.coefficients.get(name) ?? group.scalar(0n), shareScalar(share)),
          );
        }
        assert.ok(group.mulBase(x).equals(record.publicKey));
      }
      const message = sha256(utf8("a message"));
      const shares = new Map([...results].map(([party, { share }]) => [party, share]));
      const signers = record.members.slice(-thresholdOf(record.policy).minSigners).map(({ index }) => index);
      for (const signature of valuesOf(runFrostSign({ shares }, message, { signers })).values()) {
        assert.ok(signature !== undefined && record.suite.verify(record.publicKey, message, signature));
      }
    });
  }
}

Deno.test("frostDkg with bip340 tweaks the key by BIP341's hash for no scripts", () => {
  for (const seed of ["a", "b", "c", "d"]) {
    const { deal } = frostDkgRounds(FROST_SUITES.bip340, 2);
    const constants = new Map<number, Point>();
    const { share } = valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE, { seed }), "bip340", {
      tamper: ({ round, from, body }) => {
        if (round === 1) {
          constants.set(from, decode(deal.broadcast as Codec<FrostDealing>, body).commitments[0] as Point);
        }
        return body;
      },
    })).get(ALICE) as FrostDkgResult;
    const sum = [...constants.values()].reduce((P, C) => P.add(C));
    const even = sum.y % 2n === 0n ? sum : sum.negate();
    const t = bytesToBigint(schnorr.utils.taggedHash("TapTweak", secp256k1.encodePoint(even).slice(1)));
    assert.ok(share.record.publicKey.equals(even.add(secp256k1.mulBase(secp256k1.scalar(t)))));
  }
});

Deno.test("thresholdOf() takes thresholds among parties, and refuses other policies in one sentence", () => {
  for (
    const [text, minSigners, indices] of [
      [TWO_OF_THREE, 2, [1, 2, 3]],
      ["and(alice, bob)", 2, [1, 2]],
      ["2 of (alice, 7: bob)", 2, [1, 7]],
    ] as const
  ) {
    const threshold = thresholdOf(parsePolicy(text));
    assert.equal(threshold.minSigners, minSigners);
    assert.deepEqual([...threshold.indices.values()], indices);
  }
  for (
    const text of ["and(alice, 2 of (bob, carol))", "or(and(a, b), 2 of (c, d, e))", "2 of (a, and(b, c), d)"]
  ) {
    assert.throws(
      () => thresholdOf(parsePolicy(text)),
      (error) =>
        error instanceof UsageError && error.code === "POLICY_INVALID" &&
        error.message.includes("2 of (a, b, c)"),
    );
  }
  assert.throws(() => thresholdOf({ kind: "leaf", name: "alice" }), UsageError);
  assert.throws(() => thresholdOf(parsePolicy("1 of (alice, bob)", { allowSingle: true })), UsageError);
});

Deno.test("frostQuorumOf() picks as many as the threshold, by the lowest indices of the policy", () => {
  const { record } = dealFrostKey("ed25519", "2 of (alice, bob, carol)");
  const reordered = { ...record, policy: parsePolicy("2 of (3: carol, 5: alice, 9: bob)") };
  assert.deepEqual(frostQuorumOf(record, [CAROL, BOB, ALICE]), [ALICE, BOB]);
  assert.deepEqual(frostQuorumOf(record, [CAROL, BOB]), [BOB, CAROL]);
  assert.deepEqual(frostQuorumOf(reordered, [ALICE, BOB, CAROL]), [ALICE, CAROL]);
  assert.equal(frostQuorumOf(record, [BOB]), undefined);
  assert.equal(frostQuorumOf(record, [BOB, partyId(9)]), undefined);
});

Deno.test("frostDkg stores the share before its endorsement leaves, and ACTIVE after all endorsements came", () => {
  const events: string[] = [];
  valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE), "ed25519", {
    onPersist: (party, record) => events.push(`${record.kind} ${party}`),
    tamper: (message) => {
      if (message.round === 3) events.push(`endorsement ${message.from}`);
      return message.body;
    },
  }));
  for (const party of [1, 2, 3]) {
    const pending = events.indexOf(`key-pending ${party}`);
    const active = events.indexOf(`key-active ${party}`);
    assert.ok(pending >= 0 && pending < events.indexOf(`endorsement ${party}`));
    for (const peer of [1, 2, 3]) assert.ok(events.indexOf(`endorsement ${peer}`) < active);
  }
});

Deno.test("frostDkg certifies the transcript and the record, with the tags that this test spells out", () => {
  const sent = new Map<string, Bytes>();
  const { share: { record }, certificate } = valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE), "ed25519", {
    tamper: ({ round, kind, from, body }) => {
      sent.set(`${round} ${kind} ${from}`, body);
      return body;
    },
  })).get(ALICE) as FrostDkgResult;
  const { sid, origin, transcript, endorsements } = decodeFrostCertificate(record.suite.group, certificate);
  assert.deepEqual(sid, origin);
  const dealings = [1, 2, 3].map((party) => sent.get(`1 broadcast ${party}`) as Bytes);
  assert.deepEqual(transcript, hash(Tag.frostTranscript, sid, ...dealings));
  const encoded = encodeFrostRecord(record);
  assert.deepEqual(recordHash(record), hash(Tag.frostRecord, encoded));
  for (const [k, { identity }] of record.members.entries()) {
    const { proof, signature } = endorsements[k] ?? never();
    const pi = encode(proofCodec(record.suite.group), proof);
    const signed = hash(Tag.certificate, sid, u16(k + 1), transcript, hash(Tag.frostRecord, encoded), pi);
    assert.ok(ed25519Verifier(identity)?.verify(signed, signature));
    assert.deepEqual(sent.get(`3 broadcast ${k + 1}`), concat(pi, signature));
  }
});

function never(): never {
  throw new Error("something is missing");
}

Deno.test("frostDkg sends the golden messages: a change here is another version of the protocol", () => {
  const golden = SCHEMES.map((scheme) => {
    const messages: Bytes[] = [];
    const { share, certificate } = valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE, { seed: "golden" }), scheme, {
      sid: sessionId(new Uint8Array(32).fill(5)),
      tamper: ({ body }) => {
        messages.push(body);
        return body;
      },
    })).get(ALICE) as FrostDkgResult;
    return [hex(hash(Tag.message, ...messages, certificate)), hex(share.record.keyId)];
  });
  assert.deepEqual(golden, GOLDEN);
});

// Each field of each message, changed by its sender towards all.
for (const scheme of SCHEMES) {
  const suite = FROST_SUITES[scheme];
  const { group } = suite;
  const other = group.mulBase(group.scalar(12345n));
  const { deal, share } = frostDkgRounds(suite, 2);
  const certify = certifyRound(suite);
  const bob = { from: BOB } as const;
  for (
    const [what, round, why, tamper] of [
      [
        "constant commitment",
        1,
        "does not prove that it knows",
        tamperWith(deal.broadcast ?? never(), { ...bob, round: 1 }, (m) => ({
          ...m,
          commitments: [other, m.commitments[1] as Point],
        })),
      ],
      [
        "highest commitment",
        2,
        "does not match its commitments",
        tamperWith(deal.broadcast ?? never(), { ...bob, round: 1 }, (m) => ({
          ...m,
          commitments: [m.commitments[0] as Point, other],
        })),
      ],
      [
        "commitment of the proof",
        1,
        "does not prove that it knows",
        tamperWith(
          deal.broadcast ?? never(),
          { ...bob, round: 1 },
          (m) => ({ ...m, proof: flipped(m.proof, 3) }),
        ),
      ],
      [
        "response of the proof",
        1,
        "does not prove that it knows",
        tamperWith(
          deal.broadcast ?? never(),
          { ...bob, round: 1 },
          (m) => ({ ...m, proof: flipped(m.proof, 40) }),
        ),
      ],
      [
        "response of the proof that is not below the order",
        1,
        "does not prove that it knows",
        tamperWith(deal.broadcast ?? never(), { ...bob, round: 1 }, (m) => ({
          ...m,
          proof: concat(m.proof.slice(0, 32), new Uint8Array(32).fill(255)),
        })),
      ],
      [
        "share",
        2,
        "does not match its commitments",
        tamperWith(share.direct ?? never(), { ...bob, round: 2 }, (m) => ({
          share: group.add(m.share, group.scalar(1n)),
        })),
      ],
      [
        "share of 0",
        2,
        "does not match its commitments",
        tamperWith(share.direct ?? never(), { ...bob, round: 2 }, () => ({ share: group.scalar(0n) })),
      ],
      [
        "proof in the certificate",
        3,
        "signature on the certificate",
        tamperWith(certify.broadcast ?? never(), { ...bob, round: 3 }, (m) => ({
          ...m,
          proof: { ...m.proof, T: other },
        })),
      ],
      [
        "signature in the certificate",
        3,
        "signature on the certificate",
        tamperWith(certify.broadcast ?? never(), { ...bob, round: 3 }, (m) => ({
          ...m,
          signature: flipped(m.signature, 40),
        })),
      ],
    ] as const
  ) {
    Deno.test(`frostDkg names the party with a wrong ${what} on ${scheme}`, () => {
      const outcomes = runFrostDkg(makeGroup(TWO_OF_THREE), scheme, { tamper });
      for (const party of [ALICE, CAROL]) blames(outcomes.get(party), { round, culprits: [2], what: why });
    });
  }

  Deno.test(`frostDkg names all parties with a wrong proof, and all with a wrong share, on ${scheme}`, () => {
    const group3 = makeGroup(TWO_OF_THREE);
    const proofs = runFrostDkg(group3, scheme, {
      tamper: tamperWith(deal.broadcast ?? never(), { round: 1, receiver: ALICE }, (m) => ({
        ...m,
        proof: flipped(m.proof, 40),
      })),
    });
    blames(proofs.get(ALICE), { round: 1, culprits: [2, 3], what: "does not prove" });
    const shares = runFrostDkg(group3, scheme, {
      tamper: tamperWith(share.direct ?? never(), { round: 2, receiver: ALICE }, (m) => ({
        share: group.add(m.share, group.scalar(1n)),
      })),
    });
    blames(shares.get(ALICE), { round: 2, culprits: [2, 3], what: "does not match" });
  });

  Deno.test(`frostDkg refuses a copied dealing on ${scheme}`, () => {
    let bobs: Bytes | undefined;
    const outcomes = runFrostDkg(makeGroup(TWO_OF_THREE), scheme, {
      tamper: ({ round, from, body }) => {
        if (round === 1 && from === BOB) bobs = body;
        return round === 1 && from === CAROL ? bobs : body;
      },
    });
    blames(outcomes.get(ALICE), { round: 1, culprits: [3], what: "does not prove" });
  });

  Deno.test(`frostDkg refuses more and fewer commitments than the threshold on ${scheme}`, () => {
    const bytesOfPoint = encode(group.pointCodec, other).length;
    for (
      const change of [
        (body: Bytes) => body.slice(bytesOfPoint),
        (body: Bytes) => concat(body.slice(0, bytesOfPoint), body),
      ]
    ) {
      const outcome = runFrostDkg(makeGroup(TWO_OF_THREE), scheme, {
        tamper: ({ round, from, body }) => round === 1 && from === BOB ? change(body) : body,
      }).get(ALICE);
      assert.ok(outcome !== undefined && !outcome.ok && outcome.error instanceof DecodeError);
    }
  });

  for (const [what, draw] of [["constant", 1], ["highest", 2]] as const) {
    Deno.test(`frostDkg refuses dealings whose ${what} coefficients cancel on ${scheme}`, () => {
      // noble draws the constant coefficient first, then the next, each as 48 bytes modulo q − 1, plus 1.
      const coefficient = (value: bigint): Bytes => {
        const big = Uint8Array.fromHex((value - 1n).toString(16).padStart(96, "0"));
        return scheme === "ed25519" ? big.reverse() : big;
      };
      const scripts = new Map([[ALICE, coefficient(5n)], [BOB, coefficient(group.order - 5n)]]);
      const parties = makeGroup("and(alice, bob)");
      const outcomes = runFrostDkg(parties, scheme, {}, {
        start: (session) => {
          let draws = 0;
          const rng: Rng = {
            bytes: (length) =>
              ++draws === draw ? scripts.get(session.self) as Bytes : session.rng.bytes(length),
          };
          return frostDkg.run({ ...session, rng }, frostInput(parties, scheme, session.self));
        },
      });
      for (const party of [ALICE, BOB]) {
        blames(outcomes.get(party), {
          round: 2,
          culprits: [],
          what: "degenerate key",
          code: "UNATTRIBUTABLE",
        });
      }
    });
  }
}

/** Runs key generation in which round 3 is lost for some, and returns what each has stored. */
function interrupted(group: Group, scheme: FrostScheme, lost: (message: LocalMessage) => boolean) {
  const stored = new Map<number, { state: "pending" | "active"; key: FrostStoredKey }>();
  runFrostDkg(group, scheme, {
    tamper: (message) => lost(message) ? undefined : message.body,
    onPersist: (party, record: JournalRecord) => {
      if (record.kind === "key-pending") {
        stored.set(party, { state: "pending", key: decodeFrostStoredKey(record.key.expose()) });
      }
      if (record.kind === "key-active") {
        stored.set(party, { state: "active", key: stored.get(party)?.key ?? never() });
      }
    },
  });
  return stored;
}

for (const scheme of SCHEMES) {
  Deno.test(`frostDkg completes the key that all parties have stored on ${scheme}, whoever was interrupted`, () => {
    for (
      const lost of [
        (m: LocalMessage) => m.round === 3,
        (m: LocalMessage) => m.round === 3 && m.receiver === ALICE,
        (m: LocalMessage) => m.round === 3 && m.from === CAROL,
      ]
    ) {
      const group = makeGroup(TWO_OF_THREE);
      const stored = interrupted(group, scheme, lost);
      assert.equal(stored.size, 3);
      const persisted: string[] = [];
      const results = valuesOf(runFrostDkg(group, scheme, {
        sid: sessionId(new Uint8Array(32).fill(9)),
        onPersist: (party, { kind }) => persisted.push(`${party} ${kind}`),
      }, { input: (self) => ({ stored: stored.get(self) ?? never() }) }));
      for (const [party, { share, certificate, outcome }] of results) {
        assert.equal(outcome, "completed");
        const { share: former, sid } = stored.get(party)?.key ?? never();
        assert.deepEqual(share.record.keyId, former.record.keyId);
        assert.deepEqual(verifyFrostCertificate(share.record, certificate).sid, sid);
        assert.equal(persisted.includes(`${party} key-active`), stored.get(party)?.state === "pending");
        former.share[Symbol.dispose]();
        assert.equal(share.share.expose().length, 32); // a copy of its own
      }
    }
  });
}

Deno.test("frostDkg makes a new key where one party has none, and refuses where the others are ACTIVE", () => {
  const group = makeGroup(TWO_OF_THREE);
  const pending = interrupted(group, "ed25519", (m) => m.round === 3);
  const without = (stored: typeof pending, party: number) => (self: number): Partial<FrostDkgInput> =>
    self === party ? {} : { stored: stored.get(self) ?? never() };
  const fresh = valuesOf(runFrostDkg(group, "ed25519", {}, { input: without(pending, BOB) }));
  assert.ok([...fresh.values()].every(({ outcome }) => outcome === "generated"));
  const active = interrupted(group, "ed25519", () => false);
  const refused = runFrostDkg(group, "ed25519", {}, { input: without(active, BOB) });
  for (const outcome of refused.values()) {
    assert.ok(!outcome.ok && outcome.error instanceof UsageError && outcome.error.code === "KEY_EXISTS");
    assert.match(outcome.error.message, /bob has no share/);
  }
  const offers = new Map([[ALICE, encodeOffer(undefined)], [BOB, new Uint8Array(5)], [CAROL, EMPTY]]);
  assert.throws(
    () => frostDkg.unsettled?.(frostInput(group, "ed25519", ALICE), ALICE, offers),
    /does not decode/,
  );
});

Deno.test("frostDkg refuses inputs that make no key", () => {
  const group = makeGroup(TWO_OF_THREE);
  const { stores } = storedFrostKey("ed25519", TWO_OF_THREE);
  const [stored] = stores.of(ALICE);
  assert.ok(stored !== undefined);
  const base = frostInput(group, "ed25519", ALICE);
  for (
    const [changes, why] of [
      [{ keyName: "" }, /name of a key/],
      [{ keyName: "x".repeat(129) }, /name of a key/],
      [{ policy: parsePolicy("and(alice, 2 of (bob, carol))") }, /policy of the form/],
      [{ policy: parsePolicy("2 of (alice, bob)") }, /does not name it/],
      [{ self: partyId(9) }, /not in the policy/],
      [{ stored, scheme: "bip340" }, /another scheme or policy/],
      [{ stored, policy: parsePolicy("3 of (alice, bob, carol)") }, /another scheme or policy/],
    ] as const
  ) {
    assert.throws(
      () => frostDkg.proposal({ ...base, ...changes }),
      (error) => error instanceof UsageError && why.test(error.message),
    );
  }
  assert.doesNotThrow(() => frostDkg.proposal({ ...base, stored }));
  const of = (changes: Partial<FrostDkgInput>) =>
    JSON.stringify(
      frostDkg.proposal({ ...base, ...changes }),
      (_, v) => v instanceof Uint8Array ? hex(v) : v,
    );
  const variants = [
    of({}),
    of({ scheme: "bip340" }),
    of({ keyName: "other" }),
    of({ policy: parsePolicy("3 of (alice, bob, carol)") }),
  ];
  assert.equal(new Set(variants).size, variants.length);
});

Deno.test("verifyFrostCertificate() refuses every change of the record and of the certificate", () => {
  for (const scheme of SCHEMES) {
    const { share: { record }, certificate } = valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE), scheme))
      .get(ALICE) as FrostDkgResult;
    const { group } = record.suite;
    const other = group.mulBase(group.scalar(77n));
    const decoded = decodeFrostCertificate(group, certificate);
    const certificateWith = (changes: Partial<FrostCertificate>) =>
      encodeFrostCertificate(group, { ...decoded, ...changes });
    const [first, second, third] = decoded.endorsements;
    assert.ok(first && second && third);
    const otherSid = sessionId(new Uint8Array(32).fill(1));
    const identity = ed25519Like(record);
    for (
      const [changed, bytes, why] of [
        [{}, certificate.slice(1), /unknown version/],
        [{}, certificate.slice(0, -1), /not valid/],
        [{}, certificateWith({ origin: otherSid }), /another key/],
        [{}, certificateWith({ sid: otherSid }), /another session/],
        [{}, certificateWith({ transcript: new Uint8Array(32) }), /alice: its signature/],
        [{}, certificateWith({ endorsements: [first, second] }), /2 of 3 members/],
        [{}, certificateWith({ endorsements: [second, first, third] }), /alice: its signature/],
        [{ epoch: 1 }, certificate, /alice: its signature/],
        [{ publicKey: other }, certificate, /another key/],
        [{ publicShares: new Map(record.publicShares).set(BOB, other) }, certificate, /alice: its signature/],
        [{ policy: parsePolicy("3 of (alice, bob, carol)") }, certificate, /another key/],
        [{ members: identity }, certificate, /another key/],
      ] as const
    ) {
      assert.throws(
        () => verifyFrostCertificate({ ...record, ...changed }, bytes),
        (error) => error instanceof UsageError && error.code === "STORE_CORRUPT" && why.test(error.message),
      );
    }
  }
});

function ed25519Like(record: FrostKeyRecord) {
  return record.members.map((member) => ({ ...member, identity: flipped(member.identity) }));
}

Deno.test("a certificate says that every member knows its share: a signed proof of another share is refused", () => {
  const group = makeGroup(TWO_OF_THREE);
  const { share: { record }, certificate } = valuesOf(runFrostDkg(group, "ed25519")).get(
    ALICE,
  ) as FrostDkgResult;
  const { group: points } = record.suite;
  const { sid, origin, transcript, endorsements } = decodeFrostCertificate(points, certificate);
  const proof = (endorsements[2] ?? never()).proof; // carol's, signed by bob's key as bob's
  const pi = encode(proofCodec(points), proof);
  const signed = hash(Tag.certificate, sid, u16(2), transcript, recordHash(record), pi);
  const seed = group.identities.get(BOB) as Bytes;
  const signature = ed25519Signer(seed).sign(signed);
  const forged = endorsements.map((endorsement, k) => k === 1 ? { proof, signature } : endorsement);
  const bytes = encodeFrostCertificate(points, { sid, origin, transcript, endorsements: forged });
  assert.throws(
    () => verifyFrostCertificate(record, bytes),
    /bob: it does not prove that it knows its share/,
  );
});

Deno.test("stored keys open again in the form in which they were first stored", () => {
  for (const scheme of SCHEMES) {
    const { stores } = storedFrostKey(scheme, TWO_OF_THREE);
    const [held] = stores.of(BOB);
    assert.ok(held !== undefined);
    using encoded = encodeFrostStoredKey(held.key);
    assert.equal(hex(encoded.expose()), stored129[scheme]);
    assert.ok(isFrostStoredKey(encoded.expose()));
    const again = decodeFrostStoredKey(Uint8Array.fromHex(stored129[scheme]));
    assert.equal(again.keyName, "treasury");
    assert.deepEqual(encodeFrostRecord(again.share.record), encodeFrostRecord(held.key.share.record));
    assert.deepEqual(again.share.share.expose(), held.key.share.share.expose());
    assert.deepEqual(again.endorsement, held.key.endorsement);
    assert.throws(
      () => decodeFrostStoredKey(concat(new Uint8Array([130]), encoded.expose().slice(1))),
      /unknown format/,
    );
  }
  for (const version of [1, 2, 3]) assert.equal(isFrostStoredKey(new Uint8Array([version])), false);
  assert.equal(isFrostStoredKey(EMPTY), false);
});

Deno.test("key shares and records are refused where a field does not fit the others", () => {
  for (const scheme of SCHEMES) {
    const { share } = valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE), scheme)).get(ALICE) as FrostDkgResult;
    const { record } = share;
    const encoded = encode(frostShareCodec, share);
    assert.deepEqual(encodeFrostRecord(decode(frostShareCodec, encoded).record), encodeFrostRecord(record));
    const last = encoded.length - 1;
    const order = record.suite.group.order.toString(16).padStart(64, "0");
    const tooLarge = scheme === "ed25519" ? Uint8Array.fromHex(order).reverse() : Uint8Array.fromHex(order);
    for (
      const bad of [
        flipped(encoded, last - 5), // another share
        flipped(encoded, last - 32), // another party
        concat(encoded.slice(0, -32), tooLarge),
        concat(encoded.slice(0, -34), u16(9), encoded.slice(-32)), // no member
        concat(new Uint8Array([2]), encoded.slice(1)),
      ]
    ) {
      assert.throws(() => decode(frostShareCodec, bad), DecodeError);
    }
    const bytes = encodeFrostRecord(record);
    assert.throws(() => decodeFrostRecord(concat(new Uint8Array([3]), bytes.slice(1))), /unknown version/);
    assert.throws(
      () => decodeFrostRecord(concat(bytes.slice(0, 1), new Uint8Array([9]), bytes.slice(2))),
      /scheme/,
    );
    for (const text of ["and(alice, 2 of (bob, carol))", "2 of (alice, bob, dave)"]) {
      const other = encodeFrostRecord({ ...record, policy: parsePolicy(text) });
      assert.throws(() => decodeFrostRecord(other), DecodeError);
    }
  }
});

Deno.test("frostDkg makes the same key from the same seed, and another one from another seed", () => {
  const keyIdOf = (seed: string) =>
    valuesOf(runFrostDkg(makeGroup(TWO_OF_THREE, { seed }), "ed25519", { rng: seededRng(seed) }))
      .get(ALICE)?.share.record.keyId.toHex();
  assert.equal(keyIdOf("x"), keyIdOf("x"));
  assert.notEqual(keyIdOf("x"), keyIdOf("y"));
});

/** Hash of all messages and the certificate, and the key id, per scheme. */
const GOLDEN = [
  [
    "8fb8ef52be487f62451243b7ca900392c6a75f09cb01670cb58fccde1f7e186a",
    "89399ce905cd6f8f70dc10bedf03fe01a03c4f3656262f05acb563317bb11a44",
  ],
  [
    "1249f909f57b2792352beec7bc2dc617f366a2f8ef9cef447d10d6ed9e63597a",
    "d4d195e117623a5852ef37cc78685a8b2995ed03d9160171d0b5a0625ab3834b",
  ],
];
