import assert from "node:assert/strict";
import { type PartyId, partyId, sessionId } from "../../src/base/brands.ts";
import { type Bytes, concat, EMPTY, u16 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { ed25519Verifier } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import {
  bytesToBigint,
  type Curve,
  CURVES,
  type Point,
  type Scalar,
  secp256k1,
} from "../../src/math/curve.ts";
import { formatPolicy, parsePolicy, policyHash } from "../../src/primitives/access.ts";
import { hash } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import {
  decodeCertificate,
  encodeCertificate,
  endorse,
  verifyCertificate,
} from "../../src/protocols/dkg/certificate.ts";
import { dkg, type DkgInput, type DkgResult } from "../../src/protocols/dkg/dkg.ts";
import { dkgRounds, endorsementCodec, type Opening, openingCodec } from "../../src/protocols/dkg/messages.ts";
import { combine, commitTo, dealOwn, type DkgContext, transcriptOf } from "../../src/protocols/dkg/steps.ts";
import {
  decodeOffer,
  decodeStoredKey,
  encodeOffer,
  encodeStoredKey,
  type KeyState,
  type StoredKey,
} from "../../src/protocols/dkg/stored_key.ts";
import { quorumOf } from "../../src/protocols/key_share.ts";
import {
  type LocalMessage,
  type LocalOptions,
  type LocalOutcome,
  runLocally,
} from "../../src/protocols/local.ts";
import { exchange, type JournalRecord, type Protocol, type Session } from "../../src/protocols/protocol.ts";
import * as pok from "../../src/zk/schnorr_pok.ts";
import { subsetsOf } from "../primitives/support.ts";
import storedV1 from "./stored_key_v1.json" with { type: "json" };
import { blames, flipped, type Group, makeGroup, tamperWith, valuesOf } from "./support.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
/** Hash of all messages and the certificate, and the key id, per curve. */
const GOLDEN = [
  [
    "ffe932014efbbd62efdab7e18080b84140e1b75911c5ae366b6379bcb39b5fb7",
    "7d4525f05799664d5027faf70569c69e50df5aa4e859d9fc23e7f9d2f76a9e22",
  ],
  [
    "45b5df9ffb83a2ef5b8f316b5cbf3a298ad350c231e599bb33415fd2cc7c5a56",
    "5943c2f283063a020b4a24fc88bd0f7f13c61a624bfca15d42260b8d08ee8888",
  ],
];
const POLICIES = [
  "2 of (alice, bob, carol)",
  "4 of (alice, bob, carol, dave)",
  "and(alice, 2 of (bob, carol, dave))",
  "or(and(a, b), 2 of (c, d, e))",
];

/** Runs key generation; `party` may replace the generator or the input of some. */
function run(
  group: Group,
  options: Partial<LocalOptions> = {},
  party: {
    readonly input?: (self: PartyId) => Partial<DkgInput>;
    readonly start?: (session: Session) => Protocol<DkgResult> | undefined;
  } = {},
): Map<PartyId, LocalOutcome<DkgResult>> {
  const inputOf = (self: PartyId) => ({ ...group.input(self), ...party.input?.(self) });
  const offers = new Map(group.parties.map((self) => [self, dkg.offer?.(inputOf(self)) ?? EMPTY]));
  return runLocally(
    group.parties,
    (session) => party.start?.(session) ?? dkg.run(session, inputOf(session.self)),
    { rng: group.rng, identities: group.identities, offers, ...options },
  );
}

for (const curve of Object.values(CURVES)) {
  for (const text of POLICIES) {
    Deno.test(`dkg makes a key for every qualified set of ${text} on ${curve.name}`, () => {
      const group = makeGroup(text, { curve });
      const results = valuesOf(run(group));
      const [first] = results.values();
      assert.ok(first !== undefined);
      const { record } = first.share;
      for (const [party, { share, certificate, outcome }] of results) {
        assert.equal(outcome, "generated");
        assert.equal(share.self, party);
        assert.deepEqual(certificate, first.certificate);
        assert.deepEqual(share.record.keyId, record.keyId);
        assert.deepEqual(share.record.chainCode, record.chainCode);
        assert.ok(
          curve.mulBase(secretOf(share.share.expose(), curve)).equals(
            record.publicShares.get(party) as Point,
          ),
        );
      }
      verifyCertificate(record, first.certificate);
      reconstructs(results, curve);
    });
  }
}

/** Σ c_i·x_i is the logarithm of Q for every qualified set, and there are no coefficients for others. */
function reconstructs(results: ReadonlyMap<PartyId, DkgResult>, curve: Curve): void {
  const { record } = (results.get(ALICE) as DkgResult).share;
  let qualifiedSets = 0;
  for (const names of subsetsOf(record.members.map((member) => member.name))) {
    const set = record.members.filter((member) => names.has(member.name)).map((member) => member.index);
    const quorum = quorumOf(record, set);
    if (quorum === undefined) continue;
    qualifiedSets++;
    let x = curve.scalar(0n);
    for (const [party, c] of quorum.coefficients) {
      const { share } = (results.get(party) as DkgResult).share;
      x = curve.add(x, curve.mul(c, secretOf(share.expose(), curve)));
    }
    assert.ok(curve.mulBase(x).equals(record.publicKey));
  }
  assert.ok(qualifiedSets > 0);
}

function secretOf(bytes: Uint8Array, curve: Curve): Scalar {
  return curve.scalar(bytesToBigint(bytes));
}

Deno.test("dkg makes the same key from the same seed, and another one from another seed", () => {
  const keyIdOf = (seed: string) =>
    valuesOf(run(makeGroup(POLICIES[0] as string, { seed }))).get(ALICE)?.share.record.keyId.toHex();
  assert.equal(keyIdOf("x"), keyIdOf("x"));
  assert.notEqual(keyIdOf("x"), keyIdOf("y"));
});

Deno.test("dkg stores the share before its endorsement leaves, and ACTIVE after all endorsements came", () => {
  const events: string[] = [];
  valuesOf(run(makeGroup(POLICIES[0] as string), {
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

Deno.test("dkg sends messages of the sizes in SPEC 11, plus the count of the list", () => {
  const sizes = new Map<string, number>();
  valuesOf(run(makeGroup(POLICIES[0] as string), {
    tamper: (message) => {
      sizes.set(`${message.round} ${message.kind}`, message.body.length);
      return message.body;
    },
  }));
  assert.deepEqual(Object.fromEntries(sizes), {
    "1 broadcast": 32,
    "2 broadcast": 2 + 33 * 2 + 65 + 32 + 32,
    "2 direct": 32,
    "3 broadcast": 129,
  });
});

Deno.test("dkg computes what SPEC 2.4 says, from the first message to the signatures", () => {
  const group = makeGroup(POLICIES[0] as string);
  const sent = new Map<string, Bytes>();
  const { share, certificate } = valuesOf(run(group, {
    tamper: (message) => {
      sent.set(`${message.round} ${message.kind} ${message.from}`, message.body);
      return message.body;
    },
  })).get(ALICE) as DkgResult;
  const { record } = share;
  const { sid, transcript, endorsements } = decodeCertificate(record.curve, certificate);
  const body = (round: number, party: PartyId) => sent.get(`${round} broadcast ${party}`) as Bytes;
  const openings = group.parties.map((party) => decode(opening, body(2, party)));

  const policyDigest = policyHash(record.policy, record.members);
  for (const party of group.parties) {
    const [committed, salt] = [body(2, party).slice(0, -32), body(2, party).slice(-32)];
    assert.deepEqual(body(1, party), hash(Tag.dkgCommit, sid, u16(party), committed, salt));
  }
  const messages = [1, 2].flatMap((round) => group.parties.map((party) => body(round, party)));
  assert.deepEqual(transcript, hash(Tag.dkgTranscript, sid, ...messages));
  assert.deepEqual(record.chainCode, hash(Tag.chainCode, sid, ...openings.map((m) => m.chainCode)));
  const Q = openings.reduce((sum, m) => sum.add(m.coefficients[0] as Point), secp256k1.zero);
  assert.ok(Q.equals(record.publicKey));
  assert.deepEqual(
    record.keyId,
    hash(Tag.keyId, Uint8Array.of(1), sid, secp256k1.encodePoint(Q), policyDigest),
  );
  const X = group.parties.map((party) => secp256k1.encodePoint(record.publicShares.get(party) as Point));
  const output = hash(Tag.dkgOutput, policyDigest, secp256k1.encodePoint(Q), ...X, record.chainCode);
  for (const [k, party] of group.parties.entries()) {
    const { signature } = endorsements[k] ?? never();
    const signed = hash(Tag.certificate, sid, u16(party), transcript, output, body(3, party).slice(0, 65));
    assert.deepEqual(signature, body(3, party).slice(65));
    assert.ok(ed25519Verifier((group.members[k] ?? never()).identity)?.verify(signed, signature));
  }
});

Deno.test("dkg sends the golden messages: a change here is another version of the protocol", () => {
  const golden = Object.values(CURVES).map((curve) => {
    const group = makeGroup(POLICIES[2] as string, { curve, seed: "golden" });
    const messages: Bytes[] = [];
    const sid = sessionId(new Uint8Array(32).fill(5));
    const { share, certificate } = valuesOf(run(group, {
      sid,
      tamper: (message) => {
        messages.push(message.body);
        return message.body;
      },
    })).get(ALICE) as DkgResult;
    const digest = hash(Tag.message, ...messages, certificate).toHex();
    return [digest, share.record.keyId.toHex()];
  });
  assert.deepEqual(golden, GOLDEN);
});

// Fields changed on their way: the commitment binds all of round 2 that is broadcast.
const rounds = dkgRounds(secp256k1);
const opening = openingCodec(secp256k1);
const endorsement = endorsementCodec(secp256k1);
const otherPoint = secp256k1.mulBase(secp256k1.scalar(12345n));
for (
  const [what, round, why, tamper] of [
    [
      "the commitment",
      2,
      "committed to",
      tamperWith(rounds.commit.broadcast ?? never(), { round: 1, from: BOB }, (m) => ({
        commitment: flipped(m.commitment),
      })),
    ],
    [
      "the constant coefficient",
      2,
      "committed to",
      tamperWith(opening, { round: 2, kind: "broadcast", from: BOB }, (m) => ({
        ...m,
        coefficients: [otherPoint, m.coefficients[1] as Point],
      })),
    ],
    [
      "the highest coefficient",
      2,
      "committed to",
      tamperWith(opening, { round: 2, kind: "broadcast", from: BOB }, (m) => ({
        ...m,
        coefficients: [m.coefficients[0] as Point, otherPoint],
      })),
    ],
    [
      "the number of coefficients",
      2,
      "committed to",
      tamperWith(opening, { round: 2, kind: "broadcast", from: BOB }, (m) => ({
        ...m,
        coefficients: [...m.coefficients, otherPoint],
      })),
    ],
    [
      "the proof's point",
      2,
      "committed to",
      tamperWith(opening, { round: 2, kind: "broadcast", from: BOB }, (m) => ({
        ...m,
        proof: { ...m.proof, T: otherPoint },
      })),
    ],
    [
      "the proof's scalar",
      2,
      "committed to",
      tamperWith(opening, { round: 2, kind: "broadcast", from: BOB }, (m) => ({
        ...m,
        proof: { ...m.proof, s: secp256k1.add(m.proof.s, secp256k1.scalar(1n)) },
      })),
    ],
    [
      "the chain code",
      2,
      "committed to",
      tamperWith(opening, { round: 2, kind: "broadcast", from: BOB }, (m) => ({
        ...m,
        chainCode: flipped(m.chainCode),
      })),
    ],
    [
      "the salt",
      2,
      "committed to",
      tamperWith(
        opening,
        { round: 2, kind: "broadcast", from: BOB },
        (m) => ({ ...m, salt: flipped(m.salt) }),
      ),
    ],
    [
      "the share",
      2,
      "does not match its commitments",
      tamperWith(rounds.open.direct ?? never(), { round: 2, kind: "direct", from: BOB }, (m) => ({
        share: secp256k1.add(m.share, secp256k1.scalar(1n)),
      })),
    ],
    [
      "the proof in the certificate",
      3,
      "signature on the certificate",
      tamperWith(
        endorsement,
        { round: 3, from: BOB },
        (m) => ({ ...m, proof: { ...m.proof, T: otherPoint } }),
      ),
    ],
    [
      "the response in the certificate",
      3,
      "signature on the certificate",
      tamperWith(endorsement, { round: 3, from: BOB }, (m) => ({
        ...m,
        proof: { ...m.proof, s: secp256k1.add(m.proof.s, secp256k1.scalar(1n)) },
      })),
    ],
    [
      "the signature on the certificate",
      3,
      "signature on the certificate",
      tamperWith(endorsement, { round: 3, from: BOB }, (m) => ({ ...m, signature: flipped(m.signature, 5) })),
    ],
  ] as const
) {
  Deno.test(`dkg names the party that changes ${what}`, () => {
    const kinds: string[] = [];
    const outcomes = run(makeGroup(POLICIES[0] as string), {
      tamper,
      onPersist: (party, record) => party === BOB || kinds.push(record.kind),
    });
    for (const party of [ALICE, CAROL]) blames(outcomes.get(party), { round, culprits: [BOB], what: why });
    assert.deepEqual(kinds, round === 2 ? [] : ["key-pending", "key-pending"]);
  });
}

Deno.test("dkg names the dealer of a bad share only where the share is bad", () => {
  const outcomes = run(makeGroup(POLICIES[0] as string), {
    tamper: tamperWith(
      rounds.open.direct ?? never(),
      { round: 2, kind: "direct", from: BOB, receiver: CAROL },
      (m) => ({ share: secp256k1.neg(m.share) }),
    ),
  });
  blames(outcomes.get(CAROL), { round: 2, culprits: [BOB], what: "the share that it dealt to this party" });
  const alice = outcomes.get(ALICE);
  assert.ok(alice?.ok === false && (alice.error as Error).message.includes("will not come"));
});

Deno.test("dkg names all cheating dealers at once", () => {
  const outcomes = run(makeGroup(POLICIES[1] as string), {
    tamper: (message) =>
      message.round === 2 && message.kind === "direct" && message.from <= 2
        ? encode(secp256k1.scalarCodec, secp256k1.scalar(5n))
        : message.body,
  });
  blames(outcomes.get(CAROL), { round: 2, culprits: [ALICE, BOB], what: "does not match" });
});

/** A party that follows the rounds but for what it deals and endorses. */
function* deviating(
  session: Session,
  input: DkgInput,
  how: {
    readonly deal?: (context: DkgContext, honest: ReturnType<typeof dealOwn>) => ReturnType<typeof dealOwn>;
    /** Rushing: changes the opening after it has seen those of the others. */
    readonly endorse?: (
      context: DkgContext,
      share: ReturnType<typeof combine>,
      transcript: Bytes,
    ) => ReturnType<
      typeof endorse
    >;
  },
): Protocol<DkgResult> {
  const { curve, policy, members } = input;
  const { id: sid, self } = session;
  const context = { sid, curve, policy, members, purpose: "plain", self } as const;
  const { commit, open, certify } = dkgRounds(curve);
  const honest = dealOwn(context, session.rng);
  const own = how.deal?.(context, honest) ?? honest;
  const commitment = commitTo(context, self, own.opening);
  const committed = yield* exchange(commit, { broadcast: { commitment } });
  const direct = new Map([...own.shares].filter(([j]) => j !== self).map(([j, share]) => [j, { share }]));
  const dealt = yield* exchange(open, { broadcast: own.opening, direct });
  const openings = new Map(dealt.broadcast).set(self, own.opening);
  const shares = new Map([...dealt.direct].map(([j, m]) => [j, m.share])).set(
    self,
    own.shares.get(self) as Scalar,
  );
  const share = combine(context, openings, shares);
  const commitments = new Map([...committed.broadcast].map(([j, m]) => [j, m.commitment])).set(
    self,
    commitment,
  );
  const transcript = transcriptOf(context, commitments, openings);
  const honestly = () => endorse({ record: share.record, sid, transcript }, share, session.sign, session.rng);
  yield* exchange(certify, { broadcast: how.endorse?.(context, share, transcript) ?? honestly() });
  throw new Error("the deviating party has no result");
}

function withDeviatingBob(how: Parameters<typeof deviating>[2], text = POLICIES[0] as string) {
  const group = makeGroup(text);
  const outcomes = run(group, {}, {
    start: (session) => session.self === BOB ? deviating(session, group.input(BOB), how) : undefined,
  });
  return [ALICE, CAROL].map((party) => outcomes.get(party));
}

/** A dealing with other polynomials: coefficients per power, evaluated on a flat tree. */
function dealtWith(context: DkgContext, honest: ReturnType<typeof dealOwn>, a: readonly bigint[]) {
  const { curve, sid, self, members } = context;
  const scalars = a.map((value) => curve.scalar(value));
  const points = scalars.map((value) => curve.mulBase(value));
  const statement = { sid, use: "dkg/coeff", prover: self, curve, points } as const;
  const proof = pok.prove(statement, scalars, seededRng("deviating"));
  const shares = new Map(members.map(({ index }) => {
    const x = BigInt(index);
    return [index, curve.scalar(a.reduceRight((sum, c) => sum * x + c, 0n))];
  }));
  return { opening: { ...honest.opening, coefficients: points, proof }, shares };
}

Deno.test("dkg accepts a dealing of the right shape whatever its values: the next tests fail for their shape only", () => {
  const group = makeGroup(POLICIES[0] as string);
  const outcomes = run(group, {}, {
    start: (session) =>
      session.self === BOB
        ? deviating(session, group.input(BOB), { deal: (c, honest) => dealtWith(c, honest, [5n, 7n]) })
        : undefined,
  });
  assert.ok(outcomes.get(ALICE)?.ok && outcomes.get(CAROL)?.ok);
});

for (
  const [what, a] of [["lower", [5n]], ["higher", [5n, 7n, 9n]], ["much higher", [
    5n,
    7n,
    9n,
    11n,
    13n,
  ]]] as const
) {
  Deno.test(`dkg names a dealer whose polynomial has a ${what} degree than the policy`, () => {
    for (const outcome of withDeviatingBob({ deal: (context, honest) => dealtWith(context, honest, a) })) {
      blames(outcome, { round: 2, culprits: [BOB], what: `${a.length} coefficients instead of 2` });
    }
  });
}

Deno.test("dkg does not decode the identity as a coefficient", () => {
  const group = makeGroup(POLICIES[0] as string);
  const outcomes = run(group, {
    tamper: (message) => {
      if (message.round !== 2 || message.kind !== "broadcast" || message.from !== BOB) return message.body;
      const body = message.body.slice();
      body.fill(0, 2 + 33, 2 + 66);
      return body;
    },
  });
  for (const party of [ALICE, CAROL]) {
    const outcome = outcomes.get(party);
    assert.ok(outcome?.ok === false && (outcome.error as Error).name === "DecodeError");
  }
});

Deno.test("dkg names a dealer that proves nothing about its coefficients: the rogue key", () => {
  // Bob wants C_0 = T - C_0(alice) - C_0(carol) for a key of his own. He cannot know its logarithm, nor its preimage early.
  const rogue = (context: DkgContext, honest: ReturnType<typeof dealOwn>) => {
    const target = context.curve.mulBase(context.curve.scalar(42n));
    const coefficients = [
      target.subtract(honest.opening.coefficients[0] as Point),
      honest.opening.coefficients[1] as Point,
    ];
    return { ...honest, opening: { ...honest.opening, coefficients } };
  };
  for (const outcome of withDeviatingBob({ deal: rogue })) {
    blames(outcome, { round: 2, culprits: [BOB], what: "does not prove that it knows what it dealt" });
  }
});

for (
  const [what, change] of [
    ["another session", { sid: new Uint8Array(32) }],
    ["another use", { use: "dkg/share" }],
    ["another party", { prover: ALICE }],
  ] as const
) {
  Deno.test(`dkg names a dealer whose proof was made for ${what}`, () => {
    const deal = (context: DkgContext, honest: ReturnType<typeof dealOwn>) => {
      const { curve, sid, self } = context;
      const points = [5n, 7n].map((a) => curve.mulBase(curve.scalar(a)));
      const statement = { sid, use: "dkg/coeff", prover: self, curve, points, ...change } as pok.Statement;
      const proof = pok.prove(statement, [curve.scalar(5n), curve.scalar(7n)], seededRng("replayed"));
      const { shares } = dealtWith(context, honest, [5n, 7n]);
      return { opening: { ...honest.opening, coefficients: points, proof }, shares };
    };
    for (const outcome of withDeviatingBob({ deal })) {
      blames(outcome, { round: 2, culprits: [BOB], what: "does not prove that it knows what it dealt" });
    }
  });
}

Deno.test("dkg names a party that repeats another's commitment and opening as its own", () => {
  const seen = new Map<string, Bytes>();
  const outcomes = run(makeGroup(POLICIES[0] as string), {
    tamper(message) {
      const key = `${message.round}/${message.kind}`;
      if (message.from === ALICE && message.kind === "broadcast") seen.set(key, message.body);
      return message.from === BOB && message.round < 3 ? seen.get(key) ?? message.body : message.body;
    },
  });
  blames(outcomes.get(CAROL), { round: 2, culprits: [BOB], what: "committed to" });
});

Deno.test("dkg names a party that signs a certificate without knowing its share", () => {
  const forged =
    (session: Session | undefined) =>
    (context: DkgContext, share: ReturnType<typeof combine>, transcript: Bytes) => {
      // Everything is right but the witness: bob proves another scalar than his share and signs that proof.
      const wrong = { ...share, share: share.share.clone() };
      wrong.share.expose().set(flipped(share.share.expose(), 31));
      return endorse(
        { record: share.record, sid: context.sid, transcript },
        wrong,
        session?.sign ?? never(),
        seededRng("f"),
      );
    };
  const group = makeGroup(POLICIES[0] as string);
  const outcomes = run(group, {}, {
    start: (session) =>
      session.self === BOB ? deviating(session, group.input(BOB), { endorse: forged(session) }) : undefined,
  });
  for (const party of [ALICE, CAROL]) {
    blames(outcomes.get(party), {
      round: 3,
      culprits: [BOB],
      what: "does not prove that it knows its share",
    });
  }
});

Deno.test("dkg names a party that signs another transcript", () => {
  const group = makeGroup(POLICIES[0] as string);
  const outcomes = run(group, {}, {
    start: (session) =>
      session.self === BOB
        ? deviating(session, group.input(BOB), {
          endorse: (context, share, transcript) =>
            endorse(
              { record: share.record, sid: context.sid, transcript: flipped(transcript) },
              share,
              session.sign,
              session.rng,
            ),
        })
        : undefined,
  });
  blames(outcomes.get(ALICE), { round: 3, culprits: [BOB], what: "signature on the certificate" });
});

Deno.test("dkg fails at the certificate where parties were shown different chain codes", () => {
  // Without echo only the certificate notices: bob opens differently to alice, and alters her view of his commitment too.
  const group = makeGroup(POLICIES[0] as string);
  const sid = group.rng.bytes(32) as DkgContext["sid"];
  const context: DkgContext = { ...group.input(BOB), purpose: "plain", sid };
  const other = dealOwn(context, seededRng("other"));
  const outcomes = run(group, {
    sid,
    tamper(message) {
      if (message.from !== BOB || message.receiver !== ALICE || message.round === 3) return message.body;
      if (message.round === 1) return commitTo(context, BOB, other.opening);
      return message.kind === "broadcast"
        ? encode(opening, other.opening)
        : encode(secp256k1.scalarCodec, other.shares.get(ALICE) as Scalar);
    },
  });
  for (const party of group.parties) assert.equal(outcomes.get(party)?.ok, false);
  blames(outcomes.get(ALICE), { round: 3, culprits: [BOB, CAROL], what: "signature on the certificate" });
});

for (
  const [what, dealings] of [
    ["a vanishing key", [[5n, 7n], [-5n, 8n]]],
    ["a vanishing highest coefficient", [[5n, 7n], [6n, -7n]]],
    ["a vanishing public share", [[5n, 7n], [-4n, -8n]]],
  ] as const
) {
  Deno.test(`combine() refuses ${what} and names nobody`, () => {
    const group = makeGroup("2 of (alice, bob)");
    const context: DkgContext = {
      ...group.input(ALICE),
      purpose: "plain",
      sid: group.rng.bytes(32) as DkgContext["sid"],
    };
    const openings = new Map<PartyId, Opening>();
    const shares = new Map<PartyId, Scalar>();
    for (const [k, party] of [ALICE, BOB].entries()) {
      const honest = dealOwn({ ...context, self: party }, group.rng);
      const dealt = dealtWith({ ...context, self: party }, honest, dealings[k] as readonly bigint[]);
      openings.set(party, dealt.opening);
      shares.set(party, dealt.shares.get(ALICE) as Scalar);
    }
    assert.throws(() => combine(context, openings, shares), { code: "UNATTRIBUTABLE", culprits: [] });
  });
}

Deno.test("combine() asserts that the shares that it adds up are all there and right", () => {
  const group = makeGroup("2 of (alice, bob)");
  const context: DkgContext = {
    ...group.input(ALICE),
    purpose: "plain",
    sid: group.rng.bytes(32) as DkgContext["sid"],
  };
  const dealt = [ALICE, BOB].map((party) =>
    [party, dealOwn({ ...context, self: party }, group.rng)] as const
  );
  const openings = new Map(dealt.map(([party, own]) => [party, own.opening]));
  const shares = new Map(dealt.map(([party, own]) => [party, own.shares.get(ALICE) as Scalar]));
  using _share = combine(context, openings, shares).share;
  assert.throws(() => combine(context, openings, new Map([...shares].slice(1))), { code: "INVARIANT" });
  assert.throws(() => combine(context, openings, new Map(shares).set(BOB, secp256k1.scalar(1n))), {
    code: "INVARIANT",
  });
});

// The certificate, checked by anyone.
const certified = (() => {
  const group = makeGroup(POLICIES[2] as string, { seed: "certificate" });
  const { share, certificate } = valuesOf(run(group)).get(ALICE) as DkgResult;
  const other = valuesOf(run(makeGroup(POLICIES[2] as string, { seed: "other certificate" }))).get(
    ALICE,
  ) as DkgResult;
  return { record: share.record, certificate, other };
})();

function refusesCertificate(act: () => void, words: string): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof UsageError && error.code === "STORE_CORRUPT", String(error));
    assert.ok(error.message.includes(words), error.message);
    return true;
  });
}

Deno.test("verifyCertificate() accepts what the parties made, and its encoding is canonical", () => {
  const { record, certificate } = certified;
  const decoded = verifyCertificate(record, certificate);
  assert.equal(decoded.endorsements.length, 4);
  assert.deepEqual(encodeCertificate(record.curve, decoded), certificate);
});

Deno.test("verifyCertificate() refuses a certificate with any byte changed", () => {
  const { record, certificate } = certified;
  for (let at = 0; at < certificate.length; at += 7) {
    refusesCertificate(() => verifyCertificate(record, flipped(certificate, at)), "is not valid");
  }
  refusesCertificate(() => verifyCertificate(record, concat(certificate, new Uint8Array(1))), "trailing");
  refusesCertificate(() => verifyCertificate(record, certificate.subarray(1)), "is not valid");
  const unknown = certificate.slice();
  unknown[0] = 3;
  refusesCertificate(() => verifyCertificate(record, unknown), "unknown version");
});

Deno.test("verifyCertificate() says whose endorsement is missing or wrong", () => {
  const { record, certificate } = certified;
  const decoded = decodeCertificate(record.curve, certificate);
  const reencoded = (endorsements: typeof decoded.endorsements) =>
    encodeCertificate(record.curve, { ...decoded, endorsements });
  const [alice, bob, carol, dave] = decoded.endorsements as [
    typeof decoded.endorsements[0],
    ...typeof decoded.endorsements,
  ];
  refusesCertificate(
    () => verifyCertificate(record, reencoded([alice, bob, carol] as never)),
    "3 of 4 members",
  );
  refusesCertificate(
    () => verifyCertificate(record, reencoded([...decoded.endorsements, alice])),
    "5 of 4 members",
  );
  refusesCertificate(
    () => verifyCertificate(record, reencoded([alice, carol, bob, dave] as never)),
    "bob: its signature",
  );
});

Deno.test("verifyCertificate() refuses the certificate of another key and changed records", () => {
  const { record, certificate, other } = certified;
  const otherPoint = record.curve.mulBase(record.curve.scalar(9n));
  refusesCertificate(() => verifyCertificate(record, other.certificate), "another key");
  refusesCertificate(
    () => verifyCertificate({ ...record, publicKey: otherPoint }, certificate),
    "another key",
  );
  refusesCertificate(
    () => verifyCertificate({ ...record, keyId: other.share.record.keyId }, certificate),
    "another key",
  );
  refusesCertificate(
    () =>
      verifyCertificate({ ...record, policy: parsePolicy("4 of (alice, bob, carol, dave)") }, certificate),
    "another key",
  );
  refusesCertificate(() => verifyCertificate({ ...record, epoch: 1 }, certificate), "epoch");
  refusesCertificate(
    () => verifyCertificate({ ...record, chainCode: flipped(record.chainCode) }, certificate),
    "alice: its signature",
  );
  const publicShares = new Map(record.publicShares).set(CAROL, otherPoint);
  refusesCertificate(
    () => verifyCertificate({ ...record, publicShares }, certificate),
    "alice: its signature",
  );
});

// After a crash: every combination of what the parties have stored.
interface Kept {
  readonly key: StoredKey;
  readonly certificate: Bytes;
  readonly endorsement: Bytes;
}

function keepAll(group: Group): Map<PartyId, Kept> {
  const pending = new Map<PartyId, Bytes>();
  const sent = new Map<PartyId, Bytes>();
  const results = valuesOf(run(group, {
    onPersist: (party, record) => {
      if (record.kind === "key-pending") pending.set(party, record.key.expose().slice());
    },
    tamper: (message) => {
      if (message.round === 3) sent.set(message.from, message.body);
      return message.body;
    },
  }));
  return new Map(group.parties.map((party) => [party, {
    key: decodeStoredKey(pending.get(party) as Bytes),
    certificate: (results.get(party) as DkgResult).certificate,
    endorsement: sent.get(party) as Bytes,
  }]));
}

const THREE = makeGroup(POLICIES[0] as string, { seed: "crashes" });
const KEPT = keepAll(THREE);
const OLDER = keepAll(THREE);
const STATES = [undefined, "pending", "active"] as const;

function runAgain(
  states: readonly (KeyState | undefined)[],
  options: Partial<LocalOptions> = {},
  kept: (self: PartyId) => Kept = (self) => KEPT.get(self) as Kept,
) {
  return run(THREE, options, {
    input: (self) => {
      const state = states[self - 1];
      return state === undefined ? {} : { stored: { state, key: kept(self).key } };
    },
  });
}

for (const a of STATES) {
  for (const b of STATES) {
    for (const c of STATES) {
      const states = [a, b, c];
      const said = states.map((state) => state ?? "nothing").join(", ");
      if (states.every((state) => state !== undefined)) {
        Deno.test(`dkg completes the key where the parties have ${said}`, () => completes(states));
      } else if (states.includes("active")) {
        Deno.test(`dkg refuses where the parties have ${said}`, () => refuses(states));
      } else {
        Deno.test(`dkg makes a new key where the parties have ${said}`, () => generatesAnew(states));
      }
    }
  }
}

function completes(states: readonly (KeyState | undefined)[]): void {
  const messages: LocalMessage[] = [];
  const records = new Map<PartyId, JournalRecord[]>(THREE.parties.map((party) => [party, []]));
  const results = valuesOf(runAgain(states, {
    onPersist: (party, record) => records.get(party)?.push(record),
    tamper: (message) => {
      messages.push(message);
      return message.body;
    },
  }));
  for (const [party, { share, certificate, outcome }] of results) {
    const kept = KEPT.get(party) as Kept;
    assert.equal(outcome, "completed");
    assert.deepEqual(certificate, kept.certificate);
    assert.deepEqual(share.share.expose(), kept.key.share.share.expose());
    const written = records.get(party)?.map((record) => record.kind);
    assert.deepEqual(written, states[party - 1] === "pending" ? ["key-active"] : []);
    share.share[Symbol.dispose]();
    kept.key.share.share.expose(); // The stored secret is still the caller's.
  }
  assert.equal(messages.length, 6);
  for (const { round, from, body } of messages) {
    assert.equal(round, 3);
    assert.deepEqual(body, KEPT.get(from)?.endorsement);
  }
}

function refuses(states: readonly (KeyState | undefined)[]): void {
  const without = ["alice", "bob", "carol"].filter((_, i) => states[i] === undefined);
  for (const outcome of runAgain(states, { onPersist: never }).values()) {
    assert.ok(!outcome.ok && outcome.error instanceof UsageError);
    assert.equal(outcome.error.code, "KEY_EXISTS");
    assert.equal(outcome.error.party, without[0]);
    assert.ok(outcome.error.message.includes(`${without.join(", ")} ha`), outcome.error.message);
  }
}

function generatesAnew(states: readonly (KeyState | undefined)[]): void {
  for (const { share, certificate, outcome } of valuesOf(runAgain(states)).values()) {
    assert.equal(outcome, "generated");
    assert.notDeepEqual(share.record.keyId, KEPT.get(ALICE)?.key.share.record.keyId);
    verifyCertificate(share.record, certificate);
  }
}

Deno.test("dkg makes a new key where the PENDING keys of the parties differ", () => {
  const mixed = (self: PartyId) => (self === BOB ? OLDER : KEPT).get(self) as Kept;
  const results = valuesOf(runAgain(["pending", "pending", "pending"], {}, mixed));
  assert.ok([...results.values()].every((result) => result.outcome === "generated"));
});

Deno.test("dkg refuses where another key is ACTIVE at one party", () => {
  const mixed = (self: PartyId) => (self === BOB ? OLDER : KEPT).get(self) as Kept;
  for (const outcome of runAgain(["pending", "active", "pending"], { onPersist: never }, mixed).values()) {
    assert.ok(!outcome.ok && outcome.error instanceof UsageError);
    assert.ok(
      outcome.error.message.includes("active at bob, but alice, carol have no share"),
      outcome.error.message,
    );
  }
});

Deno.test("dkg names a party whose endorsement is wrong when a key is completed, and the key stays PENDING", () => {
  const outcomes = runAgain(["pending", "pending", "pending"], {
    onPersist: (party) => assert.equal(party, BOB),
    tamper: tamperWith(
      endorsement,
      { round: 3, from: BOB },
      (m) => ({ ...m, signature: flipped(m.signature) }),
    ),
  });
  for (const party of [ALICE, CAROL]) {
    blames(outcomes.get(party), { round: 3, culprits: [BOB], what: "signature on the certificate" });
  }
  KEPT.get(ALICE)?.key.share.share.expose();
});

Deno.test("dkg erases its share where the certificate fails, but for what is stored", () => {
  const erased: string[] = [];
  const dispose = Secret.prototype[Symbol.dispose];
  Secret.prototype[Symbol.dispose] = function () {
    erased.push(this.expose().toHex());
    dispose.call(this);
  };
  const stored: string[] = [];
  try {
    run(makeGroup(POLICIES[0] as string), {
      onPersist: (_, record) =>
        record.kind === "key-pending" && stored.push(record.key.expose().toHex().slice(-64)),
      tamper: (message) => message.round === 3 ? flipped(message.body, 100) : message.body,
    });
  } finally {
    Secret.prototype[Symbol.dispose] = dispose;
  }
  assert.equal(stored.length, 3);
  for (const share of stored) {
    assert.ok(erased.includes(share), "the share");
    assert.ok(erased.some((bytes) => bytes.length > 64 && bytes.endsWith(share)), "its encoding");
  }
});

Deno.test("dkg does not take the endorsement of another key's session", () => {
  const outcomes = runAgain(["pending", "pending", "pending"], {
    tamper: (message) => message.from === BOB ? (OLDER.get(BOB) as Kept).endorsement : message.body,
  });
  blames(outcomes.get(ALICE), { round: 3, culprits: [BOB], what: "signature on the certificate" });
});

Deno.test("dkg names a party whose offer does not decode", () => {
  for (
    const offer of [Uint8Array.of(1), Uint8Array.of(3, ...new Uint8Array(32)), new Uint8Array(40).fill(1)]
  ) {
    const outcomes = run(THREE, { offers: new Map([[ALICE, EMPTY], [BOB, offer], [CAROL, EMPTY]]) });
    blames(outcomes.get(ALICE), {
      round: 0,
      culprits: [BOB],
      what: "does not decode",
      code: "INVALID_MESSAGE",
    });
  }
});

Deno.test("dkg.unsettled() refuses as soon as the offers that arrived show that the session cannot run", () => {
  const active = encodeOffer({ state: "active", keyId: KEPT.get(ALICE)?.key.share.record.keyId ?? never() });
  const input = THREE.input(ALICE);
  const settled = { mine: [], others: [] };
  assert.deepEqual(dkg.unsettled?.(input, ALICE, new Map()), settled);
  assert.deepEqual(dkg.unsettled?.(input, ALICE, new Map([[BOB, active]])), settled);
  assert.deepEqual(dkg.unsettled?.(input, ALICE, new Map([[ALICE, EMPTY], [CAROL, EMPTY]])), settled);
  assert.throws(() => dkg.unsettled?.(input, ALICE, new Map([[ALICE, EMPTY], [BOB, active]])), {
    code: "KEY_EXISTS",
    party: "alice",
  });
});

Deno.test("dkg.proposal() binds curve, key name, policy and purpose", () => {
  const proposal = dkg.proposal(THREE.input(ALICE));
  assert.deepEqual(proposal, dkg.proposal(THREE.input(BOB)));
  assert.deepEqual(proposal.participants, [1, 2, 3]);
  assert.deepEqual([proposal.keyId, proposal.epoch], [EMPTY, 0]);
  assert.deepEqual(proposal.params.map((fact) => fact.name), ["curve", "policy"]);
  assert.deepEqual(proposal.payload.map((fact) => [fact.name, new TextDecoder().decode(fact.value)]), [
    ["key name", "treasury"],
    ["purpose", "generate"],
  ]);
  const p256 = dkg.proposal({ ...THREE.input(ALICE), curve: CURVES.p256 });
  assert.notDeepEqual(p256.params, proposal.params);
  const policy = dkg.proposal({ ...THREE.input(ALICE), policy: parsePolicy("3 of (alice, bob, carol)") });
  assert.notDeepEqual(policy.policyHash, proposal.policyHash);
});

Deno.test("dkg.rounds() has commitments echoed in the next round, and nothing echoed in the last: a completion has just that", () => {
  const declared = dkg.rounds(THREE.input(ALICE)).map(({ number, echo, broadcast, direct }) => [
    number,
    echo,
    broadcast !== undefined,
    direct !== undefined,
  ]);
  assert.deepEqual(declared, [[1, "next", true, false], [2, "none", true, true], [3, "none", true, false]]);
});

Deno.test("dkg.proposal() refuses what cannot be generated", () => {
  const input = THREE.input(ALICE);
  const refusal = (change: Partial<DkgInput>, code: string) =>
    assert.throws(() => dkg.proposal({ ...input, ...change }), { code });
  refusal({ keyName: "" }, "USAGE");
  refusal({ keyName: "x".repeat(129) }, "USAGE");
  refusal({ self: partyId(4) }, "NOT_A_MEMBER");
  refusal({ policy: parsePolicy("2 of (alice, bob, dave)") }, "POLICY_INVALID");
  refusal({ policy: parsePolicy("2 of (alice, bob, carol, dave)") }, "NOT_A_MEMBER");
  const single = parsePolicy("or(alice, bob, carol)", { allowSingle: true });
  refusal({ policy: single }, "POLICY_INVALID");
  dkg.proposal({ ...input, policy: single, allowSingle: true });
  const stored = { state: "pending", key: (KEPT.get(ALICE) as Kept).key } as const;
  dkg.proposal({ ...input, stored });
  refusal({ stored, curve: CURVES.p256 }, "KEY_EXISTS");
  refusal({ stored, policy: parsePolicy("3 of (alice, bob, carol)") }, "KEY_EXISTS");
});

Deno.test("dkg asserts that the session has the parties of the key", () => {
  const outcomes = run(THREE, {}, { input: () => ({ members: THREE.members.slice(0, 2) }) });
  for (const outcome of outcomes.values()) {
    assert.ok(!outcome.ok && (outcome.error as UsageError).code === "INVARIANT");
  }
});

Deno.test("dkg makes a key that one party holds where that is allowed", () => {
  const base = makeGroup("2 of (alice, bob)");
  const policy = parsePolicy("or(alice, bob)", { allowSingle: true });
  const results = valuesOf(run(base, {}, { input: () => ({ policy, allowSingle: true }) }));
  reconstructs(results, secp256k1);
});

Deno.test("encodeStoredKey() is canonical, and decodeStoredKey() refuses everything else", () => {
  const { key } = KEPT.get(BOB) as Kept;
  using encoded = encodeStoredKey(key);
  const bytes = encoded.expose();
  using again = encodeStoredKey(decodeStoredKey(bytes));
  assert.deepEqual(again.expose(), bytes);
  assert.deepEqual(decode(endorsement, key.endorsement).signature.length, 64);
  assert.throws(() => decodeStoredKey(concat(bytes, new Uint8Array(1))), { name: "DecodeError" });
  assert.throws(() => decodeStoredKey(bytes.subarray(0, bytes.length - 1)), { name: "DecodeError" });
  assert.throws(() => decodeStoredKey(concat(Uint8Array.of(2), bytes.subarray(1))), { name: "DecodeError" });
  // The last bytes are the share: a changed one does not belong to the record.
  assert.throws(() => decodeStoredKey(flipped(bytes, bytes.length - 1)), /does not belong to the record/);
});

Deno.test("decodeStoredKey() and verifyCertificate() still read what version 1 wrote", () => {
  for (const { storedKey, certificate, curve, policy } of storedV1) {
    const bytes = Uint8Array.fromHex(storedKey);
    const key = decodeStoredKey(bytes);
    assert.deepEqual([key.keyName, key.share.record.curve.name], ["treasury", curve]);
    assert.equal(formatPolicy(key.share.record.policy), policy);
    verifyCertificate(key.share.record, Uint8Array.fromHex(certificate));
    using again = encodeStoredKey(key);
    assert.deepEqual(again.expose(), bytes);
  }
});

Deno.test("decodeOffer() inverts encodeOffer()", () => {
  assert.equal(decodeOffer(encodeOffer(undefined)), undefined);
  for (const state of ["pending", "active"] as const) {
    const offer = { state, keyId: (KEPT.get(ALICE) as Kept).key.share.record.keyId };
    assert.deepEqual(decodeOffer(encodeOffer(offer)), offer);
    assert.throws(() => decodeOffer(concat(encodeOffer(offer), new Uint8Array(1))), { name: "DecodeError" });
  }
});

Deno.test("dkg never puts a share into an error or a printed result", () => {
  const results = valuesOf(run(makeGroup(POLICIES[0] as string)));
  const printed = Deno.inspect(results, { depth: 20 }) +
    JSON.stringify([...results.values()].map((r) => r.share.share));
  for (const { share } of results.values()) {
    const bytes = share.share.expose();
    for (const form of [bytes.toHex(), bytes.toBase64(), bytesToBigint(bytes).toString()]) {
      assert.ok(!printed.includes(form));
    }
    assert.ok(!printed.includes([...bytes.subarray(0, 8)].join(", ")));
  }
});

function never(): never {
  throw new Error("this is never reached");
}

Deno.test("dkg asserts that the session has the parties of the key, and an offer of each", () => {
  const group = makeGroup("2 of (alice, bob, carol)");
  for (
    const change of [
      { parties: [ALICE, BOB, partyId(4)] },
      { parties: [ALICE, BOB] },
      { offers: new Map([[ALICE, EMPTY], [BOB, EMPTY]]) },
    ]
  ) {
    const outcomes = run(group, {}, {
      start: (session) => dkg.run({ ...session, ...change }, group.input(session.self)),
    });
    for (const outcome of outcomes.values()) {
      assert.ok(!outcome.ok && outcome.error instanceof Error);
      assert.match(outcome.error.message, /other parties than the key/);
    }
  }
});
