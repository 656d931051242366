import assert from "node:assert/strict";
import { type PartyId, partyId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, concat, equal } from "../../../src/base/bytes.ts";
import { decode, encode } from "../../../src/base/codec.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import type { QuorateError } from "../../../src/base/errors.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import { p256, type Point, secp256k1 } from "../../../src/math/curve.ts";
import { commit } from "../../../src/primitives/commitment.ts";
import { hash } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import { PairState } from "../../../src/protocols/ecdsa/pair_state.ts";
import { multiplyFault, sumNonces } from "../../../src/protocols/ecdsa/sign_checks.ts";
import {
  type CommitMessage,
  type MultiplyMessage,
  type ShareMessage,
  signRounds,
} from "../../../src/protocols/ecdsa/sign_messages.ts";
import { type LocalMessage, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import { type JournalRecord, payloadHash } from "../../../src/protocols/protocol.ts";
import { sign } from "../../../src/protocols/ecdsa/sign.ts";
import { signOffer, signProposal } from "../../../src/protocols/ecdsa/sign_opening.ts";
import { blames, flipped, tamperWith, watched } from "../support.ts";
import { guessingReceiver } from "./reference.ts";
import { allValues, dealKey, dealPair, type DealtKey, errorOf, runSign, signInput } from "./support.ts";

const ALICE = partyId(1), BOB = partyId(2), CAROL = partyId(3);
const DIGEST = sha256(new Uint8Array([1, 2, 3]));
const SID = sessionId(sha256(new Uint8Array([9])));
const ROUNDS = signRounds(secp256k1);
const commitCodec = ROUNDS.commit.direct!, multiplyCodec = ROUNDS.multiply.direct!;
const shareCodec = ROUNDS.share.direct!;
const ONE = secp256k1.scalar(1n);

type Outcomes = ReadonlyMap<PartyId, LocalOutcome<unknown>>;
type Tamper = (message: LocalMessage) => Bytes | undefined;

const pairOf = () => dealKey(secp256k1, "and(alice, bob)");
const bob = { from: BOB, receiver: ALICE };
const inCommit = (change: (m: CommitMessage) => CommitMessage): Tamper =>
  tamperWith(commitCodec, { round: 1, ...bob }, change);
const inCommitOf = (message: LocalMessage, change: (m: CommitMessage) => CommitMessage): Bytes =>
  tamperWith(commitCodec, { round: 1 }, change)(message);
const inMultiply = (change: (m: MultiplyMessage) => MultiplyMessage): Tamper =>
  tamperWith(multiplyCodec, { round: 2, ...bob }, change);
const inShare = (change: (m: ShareMessage) => ShareMessage): Tamper =>
  tamperWith(shareCodec, { round: 3, ...bob }, change);
const other = (point: Point) => point.add(secp256k1.base);

const EQUIVOCATED = { round: 2, culprits: [], code: "UNATTRIBUTABLE", what: "the same commitments" };
const BURNED = { round: 1, culprits: [2], code: "PAIR_BURNED", what: "oblivious-transfer extension failed" };
const OPENING = { round: 2, culprits: [2], what: "does not fit its commitment" };
const PRODUCT = { round: 2, culprits: [2], what: "multiplication message is not consistent" };
const CHECK_A = { round: 2, culprits: [2], what: "another nonce than the one it committed to" };
const CHECK_B = { round: 2, culprits: [2], what: "another key share than the one it showed" };
const INVALID = { round: 3, culprits: [], code: "UNATTRIBUTABLE", what: "the signature does not verify" };

for (
  const [field, tamper, expected] of [
    ["commitment", inCommit((m) => ({ ...m, commitment: flipped(m.commitment) })), EQUIVOCATED],
    ...(["u", "x", "t"] as const).map((name) =>
      [
        `extension.${name}`,
        inCommit((m) => ({ ...m, extension: { ...m.extension, [name]: flipped(m.extension[name]) } })),
        BURNED,
      ] as const
    ),
    ["transcript", inMultiply((m) => ({ ...m, transcript: flipped(m.transcript) })), EQUIVOCATED],
    ["R", inMultiply((m) => ({ ...m, R: other(m.R) })), OPENING],
    ["salt", inMultiply((m) => ({ ...m, salt: flipped(m.salt) })), OPENING],
    [
      "vole.aTilde",
      inMultiply((m) => ({ ...m, vole: { ...m.vole, aTilde: flipped(m.vole.aTilde, 95) } })),
      PRODUCT,
    ],
    [
      "vole.epsilon",
      inMultiply((m) => ({ ...m, vole: { ...m.vole, epsilon: secp256k1.add(m.vole.epsilon, ONE) } })),
      PRODUCT,
    ],
    ["vole.mu", inMultiply((m) => ({ ...m, vole: { ...m.vole, mu: flipped(m.vole.mu) } })), PRODUCT],
    ["Gamma_u", inMultiply((m) => ({ ...m, Gamma_u: other(m.Gamma_u) })), CHECK_A],
    ["pk", inMultiply((m) => ({ ...m, pk: other(m.pk) })), CHECK_B],
    ["Gamma_v", inMultiply((m) => ({ ...m, Gamma_v: other(m.Gamma_v) })), CHECK_B],
    ["psi", inMultiply((m) => ({ ...m, psi: secp256k1.add(m.psi, ONE) })), INVALID],
    ["u", inShare((m) => ({ ...m, u: secp256k1.add(m.u, ONE) })), INVALID],
    ["w", inShare((m) => ({ ...m, w: secp256k1.add(m.w, ONE) })), INVALID],
    [
      "check",
      inShare((m) => ({ ...m, check: flipped(m.check) })),
      { round: 3, culprits: [2], what: "another nonce" },
    ],
  ] as const
) {
  Deno.test(`sign() refuses a changed ${field}`, () => {
    const outcomes = runSign(pairOf(), { digest: DIGEST }, { tamper });
    blames(outcomes.get(ALICE), expected);
  });
}

Deno.test("sign() refuses identity and non-canonical points and scalars at the codec", () => {
  for (
    const [round, at, replacement] of [
      [2, 32 + 40000, new Uint8Array(33)], // R = identity
      [2, 32 + 40000, concat(new Uint8Array([4]), new Uint8Array(32).fill(1))],
      [2, 32 + 40000 + 65, new Uint8Array(33)], // pk = identity
      [2, 32 + 40000 + 98, new Uint8Array(33)], // Γ^u = identity
      [2, 32 + 40000 + 131, new Uint8Array(33)], // Γ^v = identity
      [2, 32 + 40000 + 164, new Uint8Array(32).fill(255)], // ψ ≥ q
      [2, 32 + 39936, new Uint8Array(32).fill(255)], // ε ≥ q
      [3, 0, new Uint8Array(32).fill(255)],
      [3, 32, new Uint8Array(32).fill(255)],
    ] as const
  ) {
    const tamper: Tamper = (message) => {
      if (message.round !== round || message.from !== BOB) return message.body;
      const body = message.body.slice();
      body.set(replacement, at);
      return body;
    };
    const error = errorOf(runSign(pairOf(), { digest: DIGEST }, { tamper }), 1) as Error;
    assert.equal(error.name, "DecodeError", `round ${round} at ${at}`);
  }
});

Deno.test("sign() refuses a peer that commits to one nonce and multiplies with another", () => {
  // Bob commits to and opens R + G, consistently; his VOLE holds r.
  const key = pairOf();
  const commitments = new Map<PartyId, Bytes>();
  const { salt, R } = nonceOf(key, BOB);
  const forged = other(R);
  const tamper: Tamper = (message) => {
    if (message.round === 1) {
      const body = decode(commitCodec, message.body);
      const commitment = message.from === BOB
        ? commit({ tag: Tag.signCommit, sid: SID, party: BOB, message: secp256k1.encodePoint(forged), salt })
        : body.commitment;
      commitments.set(message.from, commitment);
      return encode(commitCodec, { ...body, commitment });
    }
    if (message.round !== 2 || message.from !== BOB) return message.body;
    const transcript = hash(
      Tag.signRound1,
      SID,
      ...[ALICE, BOB].map((party) => commitments.get(party) as Bytes),
    );
    return encode(multiplyCodec, { ...decode(multiplyCodec, message.body), transcript, R: forged });
  };
  blames(runSign(key, { digest: DIGEST }, { tamper, sid: SID }).get(ALICE), CHECK_A);
});

Deno.test("sign() finds another key share: the peer of two, nobody of three", () => {
  const withOtherShare = (culprit: PartyId, key: DealtKey): Outcomes =>
    runSign(key, { digest: DIGEST }, {
      inputOf: (self, input) =>
        self !== culprit ? input : {
          ...input,
          share: { ...input.share, share: new Secret(secp256k1.encodeScalar(secp256k1.scalar(77n))) },
        },
    });
  const what = "key shares do not add up";
  blames(withOtherShare(BOB, pairOf()).get(ALICE), { round: 2, culprits: [2], what });
  const three = withOtherShare(CAROL, dealKey(secp256k1, "3 of (alice, bob, carol)"));
  for (const party of [ALICE, BOB]) {
    blames(three.get(party), { round: 2, culprits: [], code: "UNATTRIBUTABLE", what });
  }
});

Deno.test("sign() finds zero-share seeds that differ", () => {
  const key = pairOf();
  const state = key.pairs.get(BOB)?.get(ALICE) as PairState;
  key.pairs.get(BOB)?.set(ALICE, new PairState({ ...state.expose(), zeroSeed: new Uint8Array(32) }));
  blames(runSign(key, { digest: DIGEST }).get(ALICE), { round: 2, culprits: [2], what: "do not add up" });
});

Deno.test("sign() names every cheater at once", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const tamper: Tamper = (message) => {
    if (message.round !== 2 || message.receiver !== ALICE) return message.body;
    const body = decode(multiplyCodec, message.body);
    return encode(multiplyCodec, {
      ...body,
      ...(message.from === BOB
        ? { vole: { ...body.vole, mu: flipped(body.vole.mu) } }
        : { Gamma_u: other(body.Gamma_u) }),
    });
  };
  blames(runSign(key, { digest: DIGEST }, { tamper }).get(ALICE), {
    round: 2,
    culprits: [2, 3],
    what: "multiplication message",
  });
});

Deno.test("sign() stops an equivocated commitment before anything of round 3 leaves", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const seen: LocalMessage[] = [];
  const tamper: Tamper = (message) => {
    seen.push(message);
    if (message.round !== 1 || message.from !== CAROL || message.receiver !== BOB) return message.body;
    const body = decode(commitCodec, message.body);
    return encode(commitCodec, { ...body, commitment: flipped(body.commitment) });
  };
  const outcomes = runSign(key, { digest: DIGEST }, { tamper });
  for (const party of [ALICE, BOB, CAROL]) blames(outcomes.get(party), EQUIVOCATED);
  assert(seen.every(({ round }) => round < 3));
});

type Event = { readonly party: PartyId; readonly record?: JournalRecord; readonly round?: number };

function eventsOf(key: DealtKey, tamper: Tamper = (message) => message.body): {
  readonly events: Event[];
  readonly outcomes: Outcomes;
} {
  const events: Event[] = [];
  const outcomes = runSign(key, { digest: DIGEST }, {
    sid: SID,
    onPersist: (party, record) => events.push({ party, record }),
    tamper: (message) => {
      events.push({ party: message.from, round: message.round });
      return tamper(message);
    },
  });
  return { events, outcomes };
}

function storyOf(events: readonly Event[], party: PartyId): string[] {
  return events.filter((event) => event.party === party).map(({ record, round }) =>
    record?.kind ?? `round ${round}`
  );
}

Deno.test("sign() marks all checks before it checks, and writes the release before round 3", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const { events, outcomes } = eventsOf(key);
  allValues(outcomes);
  assert.deepEqual(storyOf(events, ALICE), [
    "round 1",
    "round 1",
    "check-begin",
    "check-end",
    "round 2",
    "round 2",
    "release",
    "round 3",
    "round 3",
  ]);
  const records = events.filter(({ party }) => party === ALICE).map(({ record }) => record);
  const begin = records.find((record) => record?.kind === "check-begin");
  const end = records.find((record) => record?.kind === "check-end");
  const release = records.find((record) => record?.kind === "release");
  assert(begin?.kind === "check-begin" && end?.kind === "check-end" && release?.kind === "release");
  assert.deepEqual(begin.checks.map(({ peer }) => peer), [BOB, CAROL]);
  assert(begin.checks.every(({ sid, messageHash }) => equal(sid, SID) && messageHash.length === 32));
  assert(equal(end.sid, SID) && equal(release.sid, SID));
  const { payload } = signProposal(signInput(key, 1, { digest: DIGEST }));
  assert.deepEqual(release.payloadHash, payloadHash(payload));
});

Deno.test("sign() writes the burn before anything leaves, erases the state and sends no round 2", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const state = key.pairs.get(ALICE)?.get(BOB) as PairState;
  const delta = state.expose().delta;
  const { events, outcomes } = eventsOf(
    key,
    inCommit((m) => ({
      ...m,
      extension: { ...m.extension, t: flipped(m.extension.t) },
    })),
  );
  blames(outcomes.get(ALICE), BURNED);
  assert.deepEqual(storyOf(events, ALICE), ["round 1", "round 1", "check-begin", "burn", "check-end"]);
  const burn = events.find(({ record }) => record?.kind === "burn")?.record;
  assert(burn?.kind === "burn" && burn.peer === BOB && equal(burn.sid, SID));
  assert.deepEqual(delta, new Uint8Array(32));
  assert.throws(() => state.expose(), { code: "INVARIANT" });
});

Deno.test("sign() lets nothing happen between the marks and the end of the checks", () => {
  // Another session would check the pair with Bob before it is burned; and whoever ends this one there would leave marks.
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const inputOf = (self: PartyId) => signInput(key, self, { digest: DIGEST });
  const steps: string[] = [];
  const outcomes = runLocally([ALICE, BOB, CAROL], (session) => {
    const run = sign.run(session, inputOf(session.self));
    if (session.self !== ALICE) return run;
    return watched(run, (step) => steps.push(step.kind === "persist" ? step.record.kind : step.kind));
  }, {
    rng: seededRng("marks"),
    offers: new Map([ALICE, BOB, CAROL].map((self) => [self, signOffer(inputOf(self))])),
    tamper: inCommit((m) => ({ ...m, extension: { ...m.extension, x: flipped(m.extension.x) } })),
  });
  blames(outcomes.get(ALICE), BURNED);
  assert.deepEqual(steps.slice(steps.indexOf("check-begin")), ["check-begin", "burn", "check-end"]);
});

Deno.test("sign() cannot use a pair again whose burn could not be written", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const failed = (m: CommitMessage) => ({ ...m, extension: { ...m.extension, t: flipped(m.extension.t) } });
  const outcomes = runSign(key, { digest: DIGEST }, {
    tamper: (message) => message.receiver === ALICE ? inCommitOf(message, failed) : message.body,
    onPersist: (party, { kind }) => {
      if (party === ALICE && kind === "burn") throw new Error("no space left on device");
    },
  });
  assert.match((errorOf(outcomes, 1) as Error).message, /no space left/);
  for (const peer of [BOB, CAROL]) {
    assert.throws(() => key.pairs.get(ALICE)?.get(peer)?.expose(), { code: "INVARIANT" });
  }
});

Deno.test("sign() marks no check where a pair was set up anew before it", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const { events, outcomes } = eventsOf(key, (message) => {
    if (message.from === CAROL && message.round === 1) dealPair(key, ALICE, CAROL, seededRng("anew"));
    return message.body;
  });
  assert.equal((errorOf(outcomes, 1) as QuorateError).code, "PAIR_MISSING");
  assert.deepEqual(storyOf(events, ALICE), ["round 1", "round 1"]);
});

Deno.test("sign() releases nothing where another session burned a pair meanwhile", () => {
  const key = pairOf();
  let burned = false;
  const records: JournalRecord[] = [];
  const outcomes = runSign(key, { digest: DIGEST }, {
    inputOf: (self, input) => ({ ...input, burned: () => self === ALICE && burned }),
    onPersist: (party, record) => party === ALICE && records.push(record),
    tamper: (message) => {
      burned ||= message.round === 2 && message.receiver === ALICE;
      return message.body;
    },
  });
  assert.equal((errorOf(outcomes, 1) as QuorateError).code, "PAIR_BURNED");
  assert(records.every(({ kind }) => kind !== "release"));
});

Deno.test("sign() burns the pair of a receiver that guesses wrongly, and only then", () => {
  for (const right of [true, false]) {
    const key = pairOf();
    const alice = key.pairs.get(ALICE)?.get(BOB)?.expose();
    const leaves = key.pairs.get(BOB)?.get(ALICE)?.expose().receiveLeaves;
    assert(alice !== undefined && leaves !== undefined);
    const y = 9, Delta_y = alice.delta[y] as number;
    const guess = right ? Delta_y : Delta_y ^ 1;
    const error = new Uint8Array(84);
    error[0] = 4;
    const vsid = hash(Tag.vole, SID, new Uint8Array([0, 2]), new Uint8Array([0, 1]));
    const extension = guessingReceiver({ suite: "aes", vsid }, leaves, {
      y,
      guess,
      error,
      e: seededRng("e").bytes(84),
    });
    const outcomes = runSign(key, { digest: DIGEST }, {
      sid: SID,
      tamper: inCommit((m) => ({ ...m, extension })),
    });
    if (!right) blames(outcomes.get(ALICE), BURNED);
    else assert.notEqual((errorOf(outcomes, 1) as QuorateError).code, "PAIR_BURNED");
  }
});

Deno.test("multiplyFault() always sees another input to the multiplication, on both curves", () => {
  for (const curve of [secp256k1, p256]) {
    const rng = seededRng(`inputs/${curve.name}`);
    for (let i = 0; i < 12; i++) {
      const r = curve.randomScalar(rng), sk = curve.randomScalar(rng), chi = curve.randomScalar(rng);
      const product = (a: typeof r) => {
        const c = curve.randomScalar(rng);
        return { d: curve.sub(curve.mul(a, chi), c), Gamma: curve.mulBase(c) };
      };
      const check = (a_r: typeof r, a_sk: typeof r) => {
        const u = product(a_r), v = product(a_sk);
        return multiplyFault({
          curve,
          rng,
          chi,
          d: [u.d, v.d],
          message: { R: curve.mulBase(r), pk: curve.mulBase(sk), Gamma_u: u.Gamma, Gamma_v: v.Gamma },
        });
      };
      assert.equal(check(r, sk), undefined);
      assert.match(check(curve.add(r, curve.scalar(1n)), sk) ?? "", /another nonce/);
      assert.match(check(r, curve.add(sk, curve.scalar(1n))) ?? "", /another key share/);
      // The points agree in x: only the random shift sees the sign.
      assert.match(check(curve.neg(r), sk) ?? "", /another nonce/);
      assert.match(check(r, curve.neg(sk)) ?? "", /another key share/);
    }
  }
});

Deno.test("multiplyFault() draws its shift again where it would not shift, or end in the identity", () => {
  const curve = secp256k1;
  const draws = (...first: Bytes[]) => {
    const rest = seededRng("shift");
    return { bytes: (length: number) => first.shift() ?? rest.bytes(length) };
  };
  const rho = new Uint8Array(16).fill(7);
  const chi = curve.scalar(11n), r = curve.neg(curve.scalar(BigInt(`0x${rho.toHex()}`)));
  const message = { R: curve.mulBase(r), pk: curve.mulBase(r), Gamma_u: curve.base, Gamma_v: curve.base };
  const d = (a: typeof r) => curve.sub(curve.mul(a, chi), curve.scalar(1n));
  const right = [d(r), d(r)] as const, wrongSign = [d(r), d(r)].map(curve.neg) as [typeof r, typeof r];
  // R + ρ'·G would be the identity.
  assert.equal(multiplyFault({ curve, chi, message, d: right, rng: draws(rho) }), undefined);
  // Without a shift, −d − 2 and Γ give the same x as d and Γ.
  const mirrored = wrongSign.map((value) => curve.sub(value, curve.scalar(2n))) as [typeof r, typeof r];
  const unshifted = draws(new Uint8Array(16));
  assert.match(
    multiplyFault({ curve, chi, message, d: mirrored, rng: unshifted }) ?? "",
    /another nonce/,
  );
});

Deno.test("sign() releases nothing to a party that is no receiver", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const rounds3: LocalMessage[] = [];
  const tamper: Tamper = (message) => {
    if (message.round === 3) rounds3.push(message);
    return message.body;
  };
  allValues(runSign(key, { digest: DIGEST, receivers: [BOB] }, { tamper }));
  assert.deepEqual(rounds3.map(({ from, receiver }) => [from, receiver]), [[ALICE, BOB], [CAROL, BOB]]);
});

Deno.test("sign() ends where a pair was set up anew, or lost, or burned while the session opened", () => {
  for (
    const [change, code] of [
      [(key: DealtKey) => dealPair(key, ALICE, BOB, seededRng("anew")), "PAIR_MISSING"],
      [(key: DealtKey) => key.pairs.get(ALICE)?.delete(BOB), "PAIR_MISSING"],
    ] as const
  ) {
    const key = pairOf();
    const outcomes = runSign(key, { digest: DIGEST }, {
      sessionOf: (session) => {
        if (session.self === ALICE) change(key);
        return session;
      },
    });
    assert.equal((errorOf(outcomes, 1) as QuorateError).code, code);
  }
  let burned = false;
  const rounds = new Set<number>();
  const outcomes = runSign(pairOf(), { digest: DIGEST, burned: () => burned }, {
    tamper: (message) => {
      burned ||= message.from === BOB;
      rounds.add(message.round);
      return message.body;
    },
  });
  assert.equal((errorOf(outcomes, 1) as QuorateError).code, "PAIR_BURNED");
  assert.deepEqual([...rounds], [1]);
});

Deno.test("sumNonces() refuses nonces that add up to nothing", () => {
  const R = secp256k1.mulBase(secp256k1.scalar(5n));
  assert.equal(sumNonces(secp256k1, [R, R.negate()]), undefined);
  const sum = sumNonces(secp256k1, [R, R]);
  assert(sum !== undefined && sum.R.equals(R.double()));
  assert.equal(sum.r, secp256k1.scalar(R.double().x));
});

Deno.test("sign() refuses shares of the signature that add up to nothing", () => {
  for (const field of ["u", "w"] as const) {
    let alices: ShareMessage | undefined;
    const tamper: Tamper = (message) => {
      if (message.round !== 3) return message.body;
      const share = decode(shareCodec, message.body);
      if (message.from === ALICE) {
        alices = share;
        return message.body;
      }
      assert(alices !== undefined);
      return encode(shareCodec, { ...share, [field]: secp256k1.neg(alices[field]) });
    };
    blames(runSign(pairOf(), { digest: DIGEST }, { tamper }).get(ALICE), INVALID);
  }
});

Deno.test("sign() refuses a derivation whose key is the identity", () => {
  const key = pairOf();
  const error = errorOf(runSign(key, { digest: DIGEST, tweak: secp256k1.neg(key.secret) }), 1);
  assert.equal((error as QuorateError).code, "USAGE");
});

Deno.test("sign() asserts that a pair state belongs to the key's epoch", () => {
  const key = pairOf();
  for (const [self, peer] of [[ALICE, BOB], [BOB, ALICE]] as const) {
    const state = key.pairs.get(self)?.get(peer) as PairState;
    key.pairs.get(self)?.set(peer, new PairState({ ...state.expose(), epoch: 1 }));
  }
  assert.equal((errorOf(runSign(key, { digest: DIGEST }), 1) as QuorateError).code, "INVARIANT");
});

/** What a party draws in a run with the seed of these tests. */
function nonceOf(key: DealtKey, party: PartyId): { readonly R: Point; readonly salt: Bytes } {
  let found: MultiplyMessage | undefined;
  runSign(key, { digest: DIGEST }, {
    sid: SID,
    tamper: (message) => {
      if (message.round === 2 && message.from === party) found = decode(multiplyCodec, message.body);
      return message.body;
    },
  });
  assert(found !== undefined);
  return found;
}
