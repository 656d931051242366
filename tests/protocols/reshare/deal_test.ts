/**
 * What a dealer, or somebody between two parties, can change in a refresh or reshare, and who is named for it.
 */

import assert from "node:assert/strict";
import type { PartyId } from "../../../src/base/brands.ts";
import { type Bytes, concat } from "../../../src/base/bytes.ts";
import { encode } from "../../../src/base/codec.ts";
import { Secret } from "../../../src/base/secret.ts";
import { type Point, type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import { deal } from "../../../src/primitives/feldman.ts";
import { hash } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import type { LocalMessage, LocalOutcome } from "../../../src/protocols/local.ts";
import {
  exchange,
  type JournalRecord,
  peersOf,
  type Protocol,
  type Session,
} from "../../../src/protocols/protocol.ts";
import type { EpochResult } from "../../../src/protocols/reshare/certify.ts";
import { endorsedOf } from "../../../src/protocols/reshare/held.ts";
import {
  epochEndorsementCodec,
  type Opening,
  openingCodec,
  refreshRounds,
  reshareRounds,
} from "../../../src/protocols/reshare/messages.ts";
import {
  combine,
  commitTo,
  type DealContext,
  dealersOf,
  dealingFault,
  dealOwn,
  type OwnDealing,
  requireSameKey,
  weighted,
} from "../../../src/protocols/reshare/steps.ts";
import * as pok from "../../../src/zk/schnorr_pok.ts";
import { allValues } from "../ecdsa/support.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { ALICE, BOB, CAROL, DAVE, Keyring, NAMES } from "./support.ts";

type Outcomes = Map<PartyId, LocalOutcome<EpochResult>>;
const THREE = "2 of (alice, bob, carol)";
const otherPoint = secp256k1.mulBase(secp256k1.scalar(12345n));
const one = secp256k1.scalar(1n);

/** The two kinds of dealing: three parties that deal, and what an honest one needs to. */
const KINDS = {
  refresh: {
    rounds: refreshRounds(secp256k1),
    run: (ring: Keyring, options = {}): Outcomes => ring.refresh(options),
    /** Of the opening as `broadcast` of round 2 carries it. */
    change: (f: (opening: Opening) => Opening) =>
      tamperWith(openingCodec(secp256k1), { round: 2, kind: "broadcast", from: BOB }, f),
  },
  reshare: {
    rounds: reshareRounds(secp256k1),
    // All of three must deal.
    run: (ring: Keyring, options = {}): Outcomes => ring.reshare("2 of (alice, bob, carol)", [], options),
    change: (f: (opening: Opening) => Opening) =>
      tamperWith(
        reshareRounds(secp256k1).open.broadcast as never,
        { round: 2, kind: "broadcast", from: BOB },
        (
          m: { opening: Opening },
        ) => ({ opening: f(m.opening) }),
      ),
  },
} as const;
type Kind = keyof typeof KINDS;

function ringFor(kind: Kind): Keyring {
  return new Keyring(kind === "refresh" ? THREE : "3 of (alice, bob, carol)");
}

/** Runs with a change on the way: alice and carol name bob, and nobody stores anything. */
function changed(
  kind: Kind,
  tamper: (message: LocalMessage) => Bytes,
  expected: { round: number; what: string },
): void {
  const ring = ringFor(kind);
  const written: string[] = [];
  const outcomes = KINDS[kind].run(ring, {
    tamper,
    onPersist: (party: PartyId, record: JournalRecord) => party === BOB || written.push(record.kind),
  });
  for (const party of [ALICE, CAROL]) blames(outcomes.get(party), { culprits: [BOB], ...expected });
  assert.deepEqual(written, expected.round === 3 ? ["key-pending", "key-pending"] : []);
}

for (const kind of ["refresh", "reshare"] as const) {
  const { rounds, change } = KINDS[kind];
  const committed = "committed to";
  const cases: [string, (message: LocalMessage) => Bytes, string][] = [
    [
      "a coefficient",
      change((m) => ({ ...m, coefficients: m.coefficients.with(-1, otherPoint) })),
      committed,
    ],
    [
      "the number of coefficients",
      change((m) => ({ ...m, coefficients: [...m.coefficients, otherPoint] })),
      committed,
    ],
    [
      "the point of the proof",
      change((m) => ({ ...m, proof: m.proof && { ...m.proof, T: otherPoint } })),
      committed,
    ],
    [
      "the scalar of the proof",
      change((m) => ({
        ...m,
        proof: m.proof && { ...m.proof, s: secp256k1.add(m.proof.s, one) },
      })),
      committed,
    ],
    ["whether there is a proof", change((m) => ({ ...m, proof: undefined })), committed],
    ["the salt", change((m) => ({ ...m, salt: flipped(m.salt) })), committed],
    [
      "the share",
      tamperWith(rounds.open.direct as never, { round: 2, kind: "direct", from: BOB }, (
        m: { share: Scalar },
      ) => ({ ...m, share: secp256k1.add(m.share, one) })),
      "does not match its commitments",
    ],
    [
      "the commitment",
      tamperWith(rounds.commit.broadcast as never, { round: 1, kind: "broadcast", from: BOB }, (
        m: { commitment: Bytes },
      ) => ({ ...m, commitment: flipped(m.commitment) })),
      committed,
    ],
  ];
  for (const [what, tamper, why] of cases) {
    Deno.test(`${kind} names the party that changes ${what}`, () =>
      changed(kind, tamper, { round: 2, what: why }));
  }
  for (
    const [what, f] of [
      ["the signature", (m) => ({ ...m, signature: flipped(m.signature, 3) })],
      ["the point of the proof", (m) => ({ ...m, proof: m.proof && { ...m.proof, T: otherPoint } })],
      [
        "the scalar of the proof",
        (m) => ({ ...m, proof: m.proof && { ...m.proof, s: secp256k1.add(m.proof.s, one) } }),
      ],
    ] as readonly [string, (m: { proof: pok.Proof | undefined; signature: Bytes }) => typeof m][]
  ) {
    Deno.test(`${kind} names the party that changes ${what} of its endorsement, and the epoch stays PENDING`, () => {
      const tamper = tamperWith(
        epochEndorsementCodec(secp256k1),
        { round: 3, kind: "broadcast", from: BOB },
        f as never,
      );
      changed(kind, tamper, { round: 3, what: "signature on the certificate" });
    });
  }
  Deno.test(`${kind} names the party whose endorsement has the form of another part`, () => {
    const codec = epochEndorsementCodec(secp256k1);
    const tamper = tamperWith(
      codec,
      { round: 3, kind: "broadcast", from: BOB },
      (m) => ({ ...m, proof: undefined }),
    );
    changed(kind, tamper, { round: 3, what: "another form" });
  });
}

// A dealer that commits to what it deals, whatever that is.
function contextOf(ring: Keyring, kind: Kind, sid: DealContext["sid"], self: PartyId): DealContext {
  const { record } = ring.active();
  const holders = record.members.map(({ index }) => index);
  const constants = kind === "refresh"
    ? new Map(holders.map((party) => [party, secp256k1.zero]))
    : dealersOf(record, holders)?.constants ?? new Map<PartyId, Point>();
  const policy = parsePolicy("2 of (alice, bob, carol)");
  return { kind, sid, base: record, epoch: 1, policy, members: record.members, constants, self };
}

function secretFor(ring: Keyring, kind: Kind, self: PartyId): Scalar {
  if (kind === "refresh") return secp256k1.scalar(0n);
  const share = ring.store(self).active()?.share as never as Parameters<typeof weighted>[0];
  const c_i = dealersOf(share.record, share.record.members.map(({ index }) => index))?.coefficients.get(
    self,
  ) as Scalar;
  return weighted(share, c_i);
}

function* lying(
  ring: Keyring,
  kind: Kind,
  session: Session,
  how: (context: DealContext, honest: OwnDealing) => OwnDealing,
): Protocol<EpochResult> {
  const context = contextOf(ring, kind, session.id, session.self);
  const own = how(context, dealOwn(context, secretFor(ring, kind, session.self), ring.rng));
  const commitment = commitTo(context, session.self, own.opening);
  const peers = peersOf(session);
  if (kind === "refresh") {
    const R = KINDS.refresh.rounds;
    yield* exchange(R.commit, {
      broadcast: { commitment },
      direct: new Map(peers.map((party) => [party, { coin: undefined }])),
    });
    yield* exchange(R.open, {
      broadcast: own.opening,
      direct: new Map(
        peers.map((party) => [party, { share: own.shares.get(party) as Scalar, coin: undefined }]),
      ),
    });
  } else {
    const R = KINDS.reshare.rounds;
    const statement = endorsedOf(ring.store(session.self).active() as never);
    yield* exchange(R.commit, { broadcast: { statement, commitment } });
    yield* exchange(R.open, {
      broadcast: { opening: own.opening },
      direct: new Map(peers.map((party) => [party, { share: own.shares.get(party) }])),
    });
  }
  throw new Error("the liar has done its part");
}

/** Deals other polynomials than the policy's, with a proof that is right for them. */
function dealtAlong(context: DealContext, policy: string, secret: Scalar, ring: Keyring): OwnDealing {
  const tree = parsePolicy(policy);
  const dealing = deal(tree, secret, secp256k1, ring.rng);
  const from = context.kind === "refresh" ? 1 : 0;
  const points = dealing.commitments.slice(from);
  const statement = {
    sid: context.sid,
    use: `${context.kind}/coeff`,
    prover: context.self,
    curve: secp256k1,
    points,
  } as const;
  return {
    opening: {
      coefficients: points,
      proof: points.length === 0
        ? undefined
        : pok.prove(statement, dealing.coefficients.slice(from), ring.rng),
      salt: ring.rng.bytes(32),
    },
    shares: new Map(
      NAMES.slice(0, 3).map((name, k) => [k + 1 as PartyId, dealing.shares.get(name) as Scalar]),
    ),
  };
}

const LIES: Readonly<
  Record<string, readonly [string, (ring: Keyring, context: DealContext, honest: OwnDealing) => OwnDealing]>
> = {
  "raises the threshold": [
    "coefficients instead of",
    (ring, context) =>
      dealtAlong(context, "3 of (alice, bob, carol)", secretFor(ring, context.kind, BOB), ring),
  ],
  "lowers the threshold": [
    "coefficients instead of",
    (ring, context) => ({
      ...dealtAlong(context, "2 of (alice, bob, carol)", secretFor(ring, context.kind, BOB), ring),
      opening: {
        ...(context.kind === "refresh" ? { coefficients: [] } : { coefficients: [otherPoint] }),
        proof: undefined,
        salt: ring.rng.bytes(32),
      },
    }),
  ],
  "gives no proof": [
    "does not prove",
    (_ring, _context, honest) => ({ ...honest, opening: { ...honest.opening, proof: undefined } }),
  ],
  "gives a proof of another session": [
    "does not prove",
    (ring, context, honest) => ({
      ...honest,
      opening: {
        ...honest.opening,
        proof: dealOwn(
          { ...context, sid: ring.rng.bytes(32) as never },
          secretFor(ring, context.kind, BOB),
          ring.rng,
        ).opening.proof,
      },
    }),
  ],
};

for (const kind of ["refresh", "reshare"] as const) {
  for (const [what, [why, lie]] of Object.entries(LIES)) {
    Deno.test(`${kind} names a dealer that ${what}`, () => {
      const ring = ringFor(kind);
      const outcomes = KINDS[kind].run(ring, {
        start: (session: Session) =>
          session.self === BOB
            ? lying(ring, kind, session, (context, honest) => lie(ring, context, honest))
            : undefined,
      });
      for (const party of [ALICE, CAROL]) {
        blames(outcomes.get(party), { round: 2, culprits: [BOB], what: why });
      }
    });
  }
}

Deno.test("reshare names a dealer that deals another secret than its part of the key", () => {
  const ring = ringFor("reshare");
  const outcomes = ring.reshare(THREE, [], {
    start: (session) =>
      session.self === BOB
        ? lying(
          ring,
          "reshare",
          session,
          (context) => dealtAlong(context, THREE, secp256k1.scalar(7n), ring),
        ) as never
        : undefined,
  });
  for (const party of [ALICE, CAROL]) {
    blames(outcomes.get(party), { round: 2, culprits: [BOB], what: "another secret" });
  }
});

Deno.test("a proof that is made for a refresh is none for a reshare, and the other way round", () => {
  const ring = ringFor("reshare");
  const sid = ring.rng.bytes(32) as DealContext["sid"];
  for (const [kind, other] of [["refresh", "reshare"], ["reshare", "refresh"]] as const) {
    const context = contextOf(ring, kind, sid, BOB);
    const points = [otherPoint, otherPoint];
    const witness = [secp256k1.scalar(12345n), secp256k1.scalar(12345n)];
    const statement = { sid, prover: BOB, curve: secp256k1, points };
    const proof = pok.prove({ ...statement, use: `${kind}/coeff` }, witness, ring.rng);
    assert.ok(pok.verify({ ...statement, use: `${context.kind}/coeff` }, proof));
    assert.ok(!pok.verify({ ...statement, use: `${other}/coeff` }, proof));
  }
});

function dealtBy(context: DealContext, self: PartyId, secret: Scalar, ring: Keyring) {
  const own = dealOwn({ ...context, self }, secret, ring.rng);
  return { own, commitment: commitTo(context, self, own.opening) };
}

Deno.test("dealingFault() refuses a highest coefficient that vanishes, and a proof where there is nothing to prove", () => {
  const ring = new Keyring(THREE);
  const sid = ring.rng.bytes(32) as DealContext["sid"];
  const context = contextOf(ring, "refresh", sid, ALICE);
  const { own } = dealtBy(context, BOB, secp256k1.scalar(0n), ring);
  const vanishing = { ...own.opening, coefficients: [secp256k1.zero] };
  assert.throws(() => commitTo(context, BOB, vanishing), "the identity cannot even be sent");

  const or = new Keyring("or(alice, bob)", { allowSingle: true });
  const flat: DealContext = {
    ...contextOf(or, "refresh", sid, ALICE),
    policy: parsePolicy("or(alice, bob)", { allowSingle: true }),
  };
  const nothing: Opening = { coefficients: [], proof: undefined, salt: new Uint8Array(32) };
  const fault = (opening: Opening, share: Scalar) =>
    dealingFault({
      context: flat,
      dealer: BOB,
      dealt: { commitment: commitTo(flat, BOB, opening), opening, share },
    });
  assert.equal(fault(nothing, secp256k1.scalar(0n)), undefined);
  assert.match(fault({ ...nothing, proof: own.opening.proof }, secp256k1.scalar(0n)) ?? "", /does not prove/);
  assert.match(fault(nothing, one) ?? "", /does not match/);
});

Deno.test("dealingFault() wants a share for a member, and none for a party that leaves", () => {
  const ring = new Keyring(THREE);
  const sid = ring.rng.bytes(32) as DealContext["sid"];
  const context = contextOf(ring, "refresh", sid, ALICE);
  const { own, commitment } = dealtBy(context, BOB, secp256k1.scalar(0n), ring);
  const dealt = { commitment, opening: own.opening, share: undefined };
  assert.match(dealingFault({ context, dealer: BOB, dealt }) ?? "", /does not match/);
  assert.equal(dealingFault({ context: { ...context, self: DAVE }, dealer: BOB, dealt }), undefined);
});

Deno.test("combine() adds the contribution of every dealer", () => {
  const ring = new Keyring(THREE);
  const context = contextOf(ring, "refresh", ring.rng.bytes(32) as DealContext["sid"], ALICE);
  const dealt = [ALICE, BOB, CAROL].map((party) =>
    [party, dealtBy(context, party, secp256k1.scalar(0n), ring).own] as const
  );
  const openings = new Map(dealt.map(([party, own]) => [party, own.opening]));
  const shares = new Map(dealt.map(([party, own]) => [party, own.shares.get(ALICE) as Scalar]));
  const present = ring.store(ALICE).active()?.share.share as Secret;
  combine(context, openings, { present, dealt: shares }).share?.[Symbol.dispose]();
  const bug = { code: "INVARIANT" };
  assert.throws(() => combine(context, openings, { present, dealt: new Map([...shares].slice(1)) }), bug);
  assert.throws(() => combine(context, openings, { present, dealt: new Map(shares).set(BOB, one) }), bug);
  using nothing = new Secret(new Uint8Array(32));
  assert.throws(
    () => combine(context, openings, { present: nothing, dealt: shares }),
    bug,
    "the old share is added too",
  );
});

for (
  const [what, coefficients] of [["highest coefficient", [5n, -5n]], ["public share", undefined]] as const
) {
  Deno.test(`combine() refuses a ${what} that vanishes in the sum, and names nobody`, () => {
    const ring = new Keyring("and(alice, bob)");
    const { record, self } = ring.active();
    const context: DealContext = {
      ...contextOf(ring, "refresh", ring.rng.bytes(32) as DealContext["sid"], self),
      base: record,
      policy: record.policy,
      members: record.members,
    };
    // Alice's share moves by the coefficient, at index 1: by −x_1 in all, where the public share is to vanish.
    const x = ring.store(ALICE).active()?.share as never as Parameters<typeof weighted>[0];
    const a = coefficients === undefined
      ? [secp256k1.sub(secp256k1.neg(weighted(x, one)), one), one]
      : coefficients.map((value) => secp256k1.scalar(value));
    const openings = new Map([ALICE, BOB].map((party, k) => [party, {
      coefficients: [secp256k1.mulBase(a[k] as Scalar)],
      proof: undefined,
      salt: new Uint8Array(32),
    }]));
    assert.throws(() => combine(context, openings, undefined), { code: "UNATTRIBUTABLE", culprits: [] });
  });
}

Deno.test("requireSameKey() refuses shares of zero (KS-AMC-F-04), and any other sharing than one of the key", () => {
  const ring = new Keyring(THREE);
  const { record } = ring.active();
  requireSameKey(record, record);
  const bug = { code: "INVARIANT", message: "the new shares are not shares of the key" };
  const moved = (change: (X: Point, index: PartyId) => Point) => ({
    ...record,
    publicShares: new Map([...record.publicShares].map(([index, X]) => [index, change(X, index)])),
  });
  // What is left where the deltas take the place of the shares: shares of zero, on a line through the origin.
  const zero = moved((_, index) => secp256k1.mulBase(secp256k1.scalar(BigInt(index) * 77n)));
  assert.throws(() => requireSameKey(record, zero), bug);
  assert.throws(
    () => requireSameKey(record, moved((X, index) => index === ALICE ? X.add(otherPoint) : X)),
    bug,
  );
});

Deno.test("a party that leaves out a contribution is named by all others, and nothing becomes ACTIVE", () => {
  const ring = new Keyring(THREE);
  const outcomes = ring.refresh({
    // Carol sees another dealing of bob than the others: what she would have without it, or with a forged one.
    start: (session) => {
      if (session.self !== CAROL) return undefined;
      const context = contextOf(ring, "refresh", session.id, CAROL);
      return (function* (): Protocol<EpochResult> {
        const R = KINDS.refresh.rounds;
        const own = dealOwn(context, secp256k1.scalar(0n), ring.rng);
        const peers = peersOf(session);
        yield* exchange(R.commit, {
          broadcast: { commitment: commitTo(context, CAROL, own.opening) },
          direct: new Map(peers.map((party) => [party, { coin: undefined }])),
        });
        yield* exchange(R.open, {
          broadcast: own.opening,
          direct: new Map(
            peers.map((party) => [party, { share: own.shares.get(party) as Scalar, coin: undefined }]),
          ),
        });
        const signature = session.sign(hash(Tag.certificate, concat(session.id)));
        const proof = pok.prove({
          sid: session.id,
          use: "dkg/share",
          prover: CAROL,
          curve: secp256k1,
          points: [otherPoint],
        }, [
          secp256k1.scalar(12345n),
        ], ring.rng);
        yield* exchange(R.certify, {
          broadcast: { proof, signature },
          direct: new Map(peers.map((party) => [party, { confirmation: undefined }])),
        });
        throw new Error("done");
      })() as never;
    },
  });
  for (const party of [ALICE, BOB]) {
    blames(outcomes.get(party), { round: 3, culprits: [CAROL], what: "signature on the certificate" });
    assert.deepEqual([...ring.store(party).rows].map(([epoch, { state }]) => [epoch, state]), [
      [0, "active"],
      [1, "pending"],
    ]);
  }
});

Deno.test("refresh stores the share before its endorsement leaves, and ACTIVE after all endorsements came", () => {
  const events: string[] = [];
  allValues(new Keyring(THREE).refresh({
    onPersist: (party, record) => events.push(`${record.kind} ${party}`),
    tamper: (message) => {
      if (message.round === 3 && message.kind === "broadcast") events.push(`endorsement ${message.from}`);
      return message.body;
    },
  }));
  for (const party of [1, 2, 3]) {
    const pending = events.indexOf(`key-pending ${party}`), active = events.indexOf(`key-active ${party}`);
    assert.ok(pending >= 0 && pending < events.indexOf(`endorsement ${party}`));
    for (const peer of [1, 2, 3]) assert.ok(events.indexOf(`endorsement ${peer}`) < active);
  }
});

Deno.test("refresh and reshare compute what SPEC 2.8 and 2.10 say of commitments and transcripts", () => {
  const ring = new Keyring(THREE);
  const sent = new Map<string, Bytes>();
  let sid: Bytes | undefined;
  allValues(ring.refresh({
    tamper: (message) => {
      sent.set(`${message.round} ${message.kind} ${message.from}`, message.body);
      return message.body;
    },
    start: (session) => {
      sid = session.id;
      return undefined;
    },
  }));
  const key = ring.store(ALICE).active();
  const bodies = [1, 2].flatMap((round) =>
    [1, 2, 3].map((party) => sent.get(`${round} broadcast ${party}`) as Bytes)
  );
  for (const party of [1, 2, 3]) {
    const body = sent.get(`2 broadcast ${party}`) as Bytes;
    const commitment = hash(
      Tag.reshareCommit,
      sid as Bytes,
      Uint8Array.of(0, party),
      body.slice(0, -32),
      body.slice(-32),
    );
    assert.deepEqual(sent.get(`1 broadcast ${party}`), commitment);
  }
  assert.deepEqual(
    key?.transcript,
    hash(Tag.reshareTranscript, sid as Bytes, Uint8Array.of(0, 3), ...bodies),
  );
  assert.equal(sent.get("2 broadcast 1")?.length, 2 + 33 + 1 + 65 + 32, "no constant term");
  assert.equal(encode(secp256k1.scalarCodec, one).length + 1, sent.get("2 direct 1")?.length);
});
