import assert from "node:assert/strict";
import { createPublicKey, verify as nodeVerify } from "node:crypto";
import type { FROST, Nonces } from "@noble/curves/abstract/frost.js";
import { ed25519 as nobleEd25519 } from "@noble/curves/ed25519.js";
import { schnorr } from "@noble/curves/secp256k1.js";
import { keyId, type PartyId, partyId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, concat, hex, utf8 } from "../../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../../src/base/codec.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import { InvariantError, UsageError } from "../../../src/base/errors.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import type { Point } from "../../../src/math/curve.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import type { FrostKeyRecord, FrostKeyShare } from "../../../src/protocols/frost/key.ts";
import { nonceRng, SigningNonces } from "../../../src/protocols/frost/nonces.ts";
import {
  frostSign,
  type FrostSignInput,
  frostSignProposal,
  frostSignRounds,
} from "../../../src/protocols/frost/sign.ts";
import { FROST_MESSAGE_BYTES_MAX, FROST_SUITES } from "../../../src/protocols/frost/suite.ts";
import { payloadHash } from "../../../src/protocols/protocol.ts";
import { blames, makeGroup, tamperWith, valuesOf } from "../support.ts";
import { dealFrostKey, type DealtFrostKey, runFrostSign, SCHEMES } from "./support.ts";
import { BIP340, RFC9591 } from "./vectors.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const MESSAGE = sha256(utf8("pay alice 5"));
const bytes = (text: string): Bytes => Uint8Array.fromHex(text);

/** Verified as strangers would. */
function verifyEverywhere(
  record: FrostKeyRecord,
  signature: Bytes | undefined,
  message: Bytes = MESSAGE,
): void {
  assert.ok(signature !== undefined);
  assert.equal(signature.length, 64);
  const key = record.suite.publicKeyBytes(record.publicKey);
  assert.equal(key.length, 32);
  if (record.suite.scheme === "bip340") {
    assert.ok(schnorr.verify(signature, message, key));
    return;
  }
  assert.ok(nobleEd25519.verify(signature, message, key, { zip215: false }));
  assert.ok(nobleEd25519.Point.fromBytes(signature.subarray(0, 32)).isTorsionFree());
  const x = key.toBase64({ alphabet: "base64url", omitPadding: true });
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  assert.ok(nodeVerify(null, message, publicKey, signature));
}

/** Gives these byte strings, one after the other. */
function scripted(values: readonly Bytes[]): Rng {
  const left = [...values];
  return { bytes: () => left.shift() as Bytes };
}

Deno.test("SigningNonces makes the nonces, commitments and shares of RFC 9591, E.1, and noble adds them up", () => {
  const suite = FROST_SUITES.ed25519;
  const { members } = makeGroup("2 of (alice, bob, carol)");
  const secrets = RFC9591.shares.map((share) => decode(suite.group.scalarCodec, bytes(share)));
  const record: FrostKeyRecord = {
    keyId: keyId(new Uint8Array(32)),
    purpose: "plain",
    epoch: 0,
    suite,
    policy: parsePolicy("2 of (alice, bob, carol)"),
    members,
    publicKey: suite.group.decodePoint(bytes(RFC9591.publicKey)),
    publicShares: new Map(secrets.map((x, i) => [partyId(i + 1), suite.group.mulBase(x)])),
  };
  const signers = RFC9591.signers.map((signer) => {
    const share: FrostKeyShare = {
      record,
      self: partyId(signer.index),
      share: new Secret(bytes(RFC9591.shares[signer.index - 1] as string)),
    };
    const nonces = new SigningNonces(share, scripted(signer.randomness.map(bytes)));
    const { hiding, binding } = nonces.commitment;
    for (const [k, point] of [hiding, binding].entries()) {
      const nonce = decode(suite.group.scalarCodec, bytes(signer.nonces[k] as string));
      assert.equal(hex(point.toBytes()), signer.commitments[k]);
      assert.ok(suite.group.mulBase(nonce).equals(point));
    }
    return { ...signer, nonces };
  });
  const list = signers.map(({ index, commitments }) => ({
    identifier: suite.frost.Identifier.fromNumber(index),
    hiding: bytes(commitments[0]),
    binding: bytes(commitments[1]),
  }));
  const shares = Object.fromEntries(signers.map(({ index, nonces, share }) => {
    const z = suite.group.encodeScalar(nonces.respond(list, bytes(RFC9591.message)));
    assert.equal(hex(z), share);
    return [suite.frost.Identifier.fromNumber(index), z];
  }));
  const pub = {
    signers: { min: 2, max: 3 },
    commitments: [bytes(RFC9591.publicKey)],
    verifyingShares: Object.fromEntries(
      secrets.map((x, i) => [suite.frost.Identifier.fromNumber(i + 1), suite.group.mulBase(x).toBytes()]),
    ),
  };
  const signature = suite.frost.aggregate(pub, list, bytes(RFC9591.message), shares);
  assert.equal(hex(signature), RFC9591.signature);
  assert.ok(suite.verify(record.publicKey, bytes(RFC9591.message), signature));
});

Deno.test("verify() of the scheme bip340 gives the results of BIP340's vectors", () => {
  const suite = FROST_SUITES.bip340;
  for (const [k, [publicKey, message, signature, expected]] of BIP340.entries()) {
    let key: Point;
    try {
      key = suite.group.decodePoint(concat(new Uint8Array([2]), bytes(publicKey)));
    } catch (error) {
      assert.ok(error instanceof DecodeError);
      assert.equal(expected, false, `vector ${k}`);
      continue;
    }
    assert.equal(suite.verify(key, bytes(message), bytes(signature)), expected, `vector ${k}`);
    assert.equal(suite.verify(key.negate(), bytes(message), bytes(signature)), expected, `vector ${k}, -P`);
  }
});

Deno.test("verify() refuses a signature of another length", () => {
  for (const scheme of SCHEMES) {
    const { record, shares } = dealFrostKey(scheme, "2 of (alice, bob)");
    const signature = valuesOf(runFrostSign({ shares }, MESSAGE)).get(ALICE) as Bytes;
    assert.equal(record.suite.verify(record.publicKey, MESSAGE, signature), true);
    assert.equal(record.suite.verify(record.publicKey, MESSAGE, signature.slice(0, 63)), false);
    assert.equal(record.suite.verify(record.publicKey, MESSAGE, concat(signature, new Uint8Array(1))), false);
  }
});

for (const scheme of SCHEMES) {
  for (
    const [policy, signers] of [
      ["and(alice, bob)", [1, 2]],
      ["2 of (alice, bob, carol)", [1, 3]],
      ["2 of (alice, 7: bob, carol)", [2, 3]],
      ["2 of (alice, bob, carol)", [1, 2, 3]],
      ["3 of (a, b, c, d, e)", [1, 3, 5]],
    ] as const
  ) {
    Deno.test(`frostSign makes one ${scheme} signature with parties ${signers} of ${policy}`, () => {
      // Several keys, so that public keys and nonces with both signs of y occur.
      for (const seed of ["x", "y", "z"]) {
        const key = dealFrostKey(scheme, policy, seededRng(seed));
        const [first, ...others] = valuesOf(runFrostSign(key, MESSAGE, { signers })).values();
        verifyEverywhere(key.record, first);
        for (const other of others) assert.deepEqual(other, first);
      }
    });
  }
}

Deno.test("frostSign signs messages of 0 bytes and of the largest size with Ed25519", () => {
  const key = dealFrostKey("ed25519", "2 of (alice, bob)");
  for (const length of [0, FROST_MESSAGE_BYTES_MAX]) {
    const message = new Uint8Array(length).fill(7);
    verifyEverywhere(key.record, valuesOf(runFrostSign(key, message)).get(BOB), message);
  }
});

Deno.test("frostSign gives the signature to receivers only, and the others wait for nobody", () => {
  const key = dealFrostKey("ed25519", "3 of (alice, bob, carol)");
  const delivered: string[] = [];
  const results = valuesOf(runFrostSign(key, MESSAGE, {
    receivers: [2],
    tamper: ({ round, kind, from, receiver, body }) => {
      if (round === 2) delivered.push(`${kind} ${from} to ${receiver}`);
      return body;
    },
  }));
  assert.equal(results.get(ALICE), undefined);
  assert.equal(results.get(CAROL), undefined);
  verifyEverywhere(key.record, results.get(BOB));
  assert.deepEqual(delivered.sort(), ["direct 1 to 2", "direct 3 to 2"]);
  for (const [receivers, echo] of [[undefined, "next"], [[BOB], "own"]] as const) {
    const input = inputOf(key, ALICE, receivers === undefined ? {} : { receivers });
    assert.equal(frostSignRounds(input).commit.echo, echo);
    assert.equal(frostSign.rounds(input).length, 2);
  }
});

function inputOf(key: DealtFrostKey, self: PartyId, changes: Partial<FrostSignInput> = {}): FrostSignInput {
  return {
    share: key.shares.get(self) as FrostKeyShare,
    signers: [...key.shares.keys()],
    message: MESSAGE,
    ...changes,
  };
}

// Each field of each message, changed by its sender towards all.
for (const scheme of SCHEMES) {
  const { group } = FROST_SUITES[scheme];
  const other = group.mulBase(group.scalar(12345n));
  const key = dealFrostKey(scheme, "3 of (alice, bob, carol)");
  const { commit, respond } = frostSignRounds(inputOf(key, ALICE));
  assert.ok(commit.broadcast !== undefined && respond.broadcast !== undefined);
  for (
    const [what, tamper] of [
      [
        "hiding commitment",
        tamperWith(commit.broadcast, { round: 1, from: BOB }, (m) => ({ ...m, hiding: other })),
      ],
      [
        "binding commitment",
        tamperWith(commit.broadcast, { round: 1, from: BOB }, (m) => ({ ...m, binding: other })),
      ],
      [
        "exchange of both",
        tamperWith(
          commit.broadcast,
          { round: 1, from: BOB },
          (m) => ({ hiding: m.binding, binding: m.hiding }),
        ),
      ],
      [
        "share",
        tamperWith(respond.broadcast, { round: 2, from: BOB }, ({ share }) => ({
          share: group.add(share, group.scalar(1n)),
        })),
      ],
      [
        "share of 0",
        tamperWith(respond.broadcast, { round: 2, from: BOB }, () => ({ share: group.scalar(0n) })),
      ],
    ] as const
  ) {
    Deno.test(`frostSign names the signer with a wrong ${what} on ${scheme}`, () => {
      const outcomes = runFrostSign(key, MESSAGE, { tamper });
      for (const party of [ALICE, CAROL]) {
        blames(outcomes.get(party), { round: 2, culprits: [2], what: "share of the signature" });
      }
    });
  }

  Deno.test(`frostSign names all signers with a wrong share on ${scheme}, also where the errors cancel`, () => {
    const shift = new Map([[BOB, group.scalar(1n)], [CAROL, group.scalar(-1n)]]);
    const outcomes = runFrostSign(key, MESSAGE, {
      tamper: (message) =>
        tamperWith(respond.broadcast ?? never(), { round: 2 }, ({ share }) => ({
          share: group.add(share, shift.get(message.from) ?? group.scalar(0n)),
        }))(message),
    });
    blames(outcomes.get(ALICE), { round: 2, culprits: [2, 3], what: "share of the signature" });
  });

  Deno.test(`frostSign refuses a share of another message, session and key on ${scheme}`, () => {
    const elsewhere = new Map<string, Bytes>();
    const record = (
      name: string,
      run: Partial<Parameters<typeof runFrostSign>[2]>,
      message = MESSAGE,
      k = key,
    ) =>
      runFrostSign(k, message, {
        ...run,
        tamper: ({ round, from, body }) => {
          if (round === 2 && from === BOB) elsewhere.set(name, body);
          return body;
        },
      });
    record("message", {}, sha256(MESSAGE));
    record("session", { sid: sessionId(new Uint8Array(32).fill(3)) });
    record("key", {}, MESSAGE, dealFrostKey(scheme, "3 of (alice, bob, carol)", seededRng("another")));
    assert.equal(elsewhere.size, 3);
    for (const replayed of elsewhere.values()) {
      const outcomes = runFrostSign(key, MESSAGE, {
        tamper: ({ round, from, body }) => round === 2 && from === BOB ? replayed : body,
      });
      blames(outcomes.get(ALICE), { round: 2, culprits: [2], what: "share of the signature" });
    }
  });

  Deno.test(`frostSign gives out nothing that does not verify on ${scheme}`, () => {
    // A verifier that is stricter than noble: only the last check can notice.
    const outcomes = runFrostSign(key, MESSAGE, {
      inputOf: (input) => ({
        ...input,
        share: {
          ...input.share,
          record: { ...input.share.record, suite: { ...input.share.record.suite, verify: () => false } },
        },
      }),
    });
    blames(outcomes.get(ALICE), { round: 2, culprits: [], what: "does not verify", code: "UNATTRIBUTABLE" });
  });

  Deno.test(`frostSign blames a signer whose own share is wrong on ${scheme}, and that one blames nobody`, () => {
    const wrong = new Secret(group.encodeScalar(group.scalar(99n)));
    const outcomes = runFrostSign(key, MESSAGE, {
      inputOf: (input) =>
        input.share.self === BOB ? { ...input, share: { ...input.share, share: wrong } } : input,
    });
    blames(outcomes.get(ALICE), { round: 2, culprits: [2], what: "share of the signature" });
    blames(outcomes.get(BOB), { round: 2, culprits: [], what: "does not verify", code: "UNATTRIBUTABLE" });
  });
}

function never(): never {
  throw new Error("a codec is missing");
}

Deno.test("frostSign refuses points that are not canonical, of the prime-order group and not the identity", () => {
  const torsion = bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"); // order 2
  const torsionPoint = nobleEd25519.Point.fromBytes(torsion);
  const honest = FROST_SUITES.ed25519.group.mulBase(FROST_SUITES.ed25519.group.scalar(5n));
  const mixed = nobleEd25519.Point.fromBytes(honest.toBytes() as Bytes).add(torsionPoint).toBytes();
  const secp = FROST_SUITES.bip340.group;
  const offCurve = concat(new Uint8Array([2]), new Uint8Array(31), new Uint8Array([5]));
  const cases = {
    ed25519: [
      bytes("0100000000000000000000000000000000000000000000000000000000000000"), // the identity
      bytes("0100000000000000000000000000000000000000000000000000000000000080"), // the same, other sign
      bytes("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // the same, y + p
      bytes("0000000000000000000000000000000000000000000000000000000000000000"), // order 4
      bytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), // order 8
      torsion,
      mixed,
      bytes("0200000000000000000000000000000000000000000000000000000000000000"), // off the curve
    ],
    bip340: [
      new Uint8Array(33),
      offCurve,
      concat(new Uint8Array([4]), secp.encodePoint(secp.base).slice(1)),
      concat(new Uint8Array([2]), bytes("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30")), // x = p + 1
    ],
  };
  for (const scheme of SCHEMES) {
    const key = dealFrostKey(scheme, "2 of (alice, bob)");
    for (const bad of cases[scheme]) {
      for (const at of [0, bad.length]) {
        const outcome = runFrostSign(key, MESSAGE, {
          tamper: ({ round, from, body }) => {
            if (round !== 1 || from !== BOB) return body;
            assert.equal(body.length, 2 * bad.length);
            return concat(body.subarray(0, at), bad, body.subarray(at + bad.length));
          },
        }).get(ALICE);
        assert.ok(outcome !== undefined && !outcome.ok && outcome.error instanceof DecodeError, hex(bad));
      }
    }
  }
});

Deno.test("frostSign refuses a share that is not below the order", () => {
  for (const scheme of SCHEMES) {
    const { group } = FROST_SUITES[scheme];
    const order = group.order.toString(16).padStart(64, "0");
    const encoded = scheme === "ed25519" ? bytes(order).reverse() : bytes(order);
    const outcome = runFrostSign(dealFrostKey(scheme, "2 of (alice, bob)"), MESSAGE, {
      tamper: ({ round, from, body }) => round === 2 && from === BOB ? encoded : body,
    }).get(ALICE);
    assert.ok(outcome !== undefined && !outcome.ok && outcome.error instanceof DecodeError);
  }
});

/** The key with a suite that shows the nonces which noble makes. */
function watched(share: FrostKeyShare): { readonly share: FrostKeyShare; readonly drawn: Nonces[] } {
  const drawn: Nonces[] = [];
  const { suite } = share.record;
  const frost: FROST = {
    ...suite.frost,
    commit: (...args) => {
      const made = suite.frost.commit(...args);
      drawn.push(made.nonces);
      return made;
    },
  };
  return { share: { ...share, record: { ...share.record, suite: { ...suite, frost } } }, drawn };
}

function isErased({ hiding, binding }: Nonces): boolean {
  return [...hiding, ...binding].every((byte) => byte === 0);
}

Deno.test("frostSign has forgotten the nonces and recorded the release before its share leaves", () => {
  for (const scheme of SCHEMES) {
    const key = dealFrostKey(scheme, "2 of (alice, bob)");
    const alice = watched(key.shares.get(ALICE) as FrostKeyShare);
    const events: string[] = [];
    valuesOf(runFrostSign(key, MESSAGE, {
      inputOf: (input) => input.share.self === ALICE ? { ...input, share: alice.share } : input,
      onPersist: (party, record) => {
        if (party !== ALICE) return;
        assert.ok(record.kind === "release");
        assert.deepEqual(record.keyId, key.record.keyId);
        const { payload } = frostSignProposal(inputOf(key, ALICE));
        assert.deepEqual(record.payloadHash, payloadHash(payload));
        events.push(`release, nonces ${isErased(alice.drawn[0] as Nonces) ? "erased" : "alive"}`);
      },
      tamper: ({ round, from, body }) => {
        if (from === ALICE) events.push(`round ${round}`);
        return body;
      },
    }));
    assert.deepEqual(events, ["round 1", "release, nonces erased", "round 2"]);
  }
});

Deno.test("frostSign loses its nonces, and not the key, where it ends between commitment and response", () => {
  for (const scheme of SCHEMES) {
    const key = dealFrostKey(scheme, "2 of (alice, bob)");
    const alice = watched(key.shares.get(ALICE) as FrostKeyShare);
    const persisted: string[] = [];
    const outcomes = runFrostSign(key, MESSAGE, {
      inputOf: (input) => input.share.self === ALICE ? { ...input, share: alice.share } : input,
      onPersist: (party, { kind }) => persisted.push(`${party} ${kind}`),
      tamper: ({ from, receiver, body }) => from === BOB && receiver === ALICE ? undefined : body,
    });
    assert.equal(outcomes.get(ALICE)?.ok, false);
    assert.ok(isErased(alice.drawn[0] as Nonces));
    assert.deepEqual(persisted, ["2 release"]);
    verifyEverywhere(
      key.record,
      valuesOf(runFrostSign(key, MESSAGE, { rng: seededRng("again") })).get(ALICE),
    );
  }
});

Deno.test("SigningNonces makes one share, and none after it was disposed or noble refused", () => {
  for (const scheme of SCHEMES) {
    const key = dealFrostKey(scheme, "2 of (alice, bob)");
    const { share, drawn } = watched(key.shares.get(ALICE) as FrostKeyShare);
    const rng = seededRng("nonces");
    const draw = () => new SigningNonces(share, rng);
    const { frost, group } = share.record.suite;
    const entry = (party: number, { hiding, binding }: SigningNonces["commitment"]) => ({
      identifier: frost.Identifier.fromNumber(party),
      hiding: group.encodePoint(hiding),
      binding: group.encodePoint(binding),
    });
    const bob = new SigningNonces(key.shares.get(BOB) as FrostKeyShare, rng);
    const listWith = (nonces: SigningNonces) => [entry(1, nonces.commitment), entry(2, bob.commitment)];

    const used = draw();
    used.respond(listWith(used), MESSAGE);
    assert.throws(() => used.respond(listWith(used), MESSAGE), InvariantError);

    const disposed = draw();
    disposed[Symbol.dispose]();
    assert.throws(() => disposed.respond(listWith(disposed), MESSAGE), InvariantError);

    const refused = draw();
    const foreign = [entry(1, bob.commitment), entry(2, bob.commitment)];
    assert.throws(() => refused.respond(foreign, MESSAGE), /incorrect signer commitment/);
    assert.throws(() => refused.respond(listWith(refused), MESSAGE), InvariantError);
    const missing = draw();
    assert.throws(() => missing.respond([entry(2, bob.commitment)], MESSAGE));
    assert.equal(drawn.length, 4);
    assert.ok(drawn.every(isErased));
  }
});

Deno.test("nonceRng() depends on generator, share, key, epoch, session, payload and call", () => {
  const key = dealFrostKey("ed25519", "2 of (alice, bob)");
  const [alice, bob] = [...key.shares.values()] as [FrostKeyShare, FrostKeyShare];
  const stuck: Rng = { bytes: (length) => new Uint8Array(length).fill(7) };
  const session = { id: sessionId(new Uint8Array(32)), rng: stuck };
  const payload = sha256(MESSAGE);
  const first = nonceRng(session, alice, payload);
  const values = [
    first.bytes(32),
    first.bytes(32),
    nonceRng(session, bob, payload).bytes(32),
    nonceRng({ ...session, id: sessionId(new Uint8Array(32).fill(1)) }, alice, payload).bytes(32),
    nonceRng({ ...session, rng: seededRng("another") }, alice, payload).bytes(32),
    nonceRng(session, alice, sha256(payload)).bytes(32),
    nonceRng(session, { ...alice, record: { ...alice.record, epoch: 1 } }, payload).bytes(32),
    nonceRng(session, { ...alice, record: { ...alice.record, keyId: keyId(payload) } }, payload).bytes(32),
  ];
  assert.equal(new Set(values.map(hex)).size, values.length);
});

Deno.test("frostSign draws other nonces for another session or message, even where the generator repeats itself", () => {
  for (const scheme of SCHEMES) {
    const key = dealFrostKey(scheme, "2 of (alice, bob)");
    const stuck: Rng = { bytes: (length) => new Uint8Array(length).fill(7) };
    const of = (seed: number, message = MESSAGE) => {
      const sent: string[] = [];
      valuesOf(runFrostSign(key, message, {
        rng: stuck,
        sid: sessionId(new Uint8Array(32).fill(seed)),
        tamper: ({ round, body }) => {
          if (round === 1) {
            sent.push(hex(body.subarray(0, body.length / 2)), hex(body.subarray(body.length / 2)));
          }
          return body;
        },
      }));
      return sent;
    };
    assert.deepEqual(of(1), of(1));
    const points = [...of(1), ...of(2), ...of(1, sha256(MESSAGE))];
    assert.equal(points.length, 12);
    assert.equal(new Set(points).size, 12);
  }
});

Deno.test("frostSign refuses inputs that cannot be signed with", () => {
  const key = dealFrostKey("ed25519", "2 of (alice, bob, carol)");
  const bip340 = dealFrostKey("bip340", "2 of (alice, bob, carol)");
  const stranger = partyId(9);
  for (
    const [input, why] of [
      [inputOf(key, ALICE, { message: new Uint8Array(FROST_MESSAGE_BYTES_MAX + 1) }), /at most 49152 bytes/],
      [inputOf(bip340, ALICE, { message: new Uint8Array(31) }), /digest of 32 bytes: found 31/],
      [inputOf(key, ALICE, { signers: [ALICE] }), /2 parties sign with this key: found 1/],
      [inputOf(key, ALICE, { signers: [BOB, ALICE] }), /the signers are members/],
      [inputOf(key, ALICE, { signers: [ALICE, ALICE] }), /the signers are members/],
      [inputOf(key, ALICE, { signers: [ALICE, stranger] }), /the signers are members/],
      [inputOf(key, ALICE, { signers: [BOB, CAROL] }), /not among the signers/],
      [inputOf(key, ALICE, { receivers: [] }), /at least one/],
      [inputOf(key, ALICE, { receivers: [BOB, ALICE] }), /receivers/],
      [inputOf(key, ALICE, { signers: [ALICE, BOB], receivers: [CAROL] }), /receivers are signers/],
    ] as const
  ) {
    assert.throws(
      () => frostSign.proposal(input),
      (error) => error instanceof UsageError && why.test(error.message),
    );
  }
});

Deno.test("frostSign compares scheme, key, epoch, message, signers and receivers in round 0", () => {
  const key = dealFrostKey("ed25519", "2 of (alice, bob, carol)");
  const of = (changes: Partial<FrostSignInput> = {}, k = key) =>
    JSON.stringify(
      frostSign.proposal(inputOf(k, ALICE, changes)),
      (_, v) => v instanceof Uint8Array ? hex(v) : v,
    );
  const share = key.shares.get(ALICE) as FrostKeyShare;
  const variants = [
    of(),
    of({ message: sha256(MESSAGE) }),
    of({ message: MESSAGE.slice(1) }),
    of({ signers: [ALICE, BOB] }),
    of({ receivers: [ALICE] }),
    of({ share: { ...share, record: { ...share.record, epoch: 1 } } }),
    of({}, dealFrostKey("ed25519", "2 of (alice, bob, carol)", seededRng("other"))),
    of({}, dealFrostKey("bip340", "2 of (alice, bob, carol)")),
  ];
  assert.equal(new Set(variants).size, variants.length);
  const proposal = frostSign.proposal(inputOf(key, ALICE));
  assert.deepEqual(proposal.keyId, key.record.keyId);
  assert.deepEqual(proposal.participants, [1, 2, 3]);
});

Deno.test("frostSign sends the golden messages: a change here is another version of the protocol", () => {
  const digests = SCHEMES.map((scheme) => {
    const sizes = new Set<string>();
    const bodies: Bytes[] = [];
    const key = dealFrostKey(scheme, "2 of (alice, bob, carol)");
    const { payload } = frostSign.proposal(inputOf(key, ALICE, { signers: [ALICE, CAROL] }));
    const results = valuesOf(runFrostSign(key, MESSAGE, {
      signers: [1, 3],
      sid: sessionId(new Uint8Array(32).fill(5)),
      tamper: ({ round, body }) => {
        sizes.add(`${round}: ${body.length}`);
        bodies.push(body);
        return body;
      },
    }));
    const point = encode(key.record.suite.group.pointCodec, key.record.publicKey).length;
    assert.deepEqual([...sizes], [`1: ${2 * point}`, "2: 32"]);
    return hex(sha256(payloadHash(payload), ...bodies, results.get(ALICE) as Bytes));
  });
  assert.deepEqual(digests, [
    "56daf98d33ef68f4fcf87387148eed94598858f727e8ad320cea4743d594f7dd",
    "d5449a150f46cb9ce3db75c0f586c342e013c6464ece139b83abe4fc56bd5560",
  ]);
});
