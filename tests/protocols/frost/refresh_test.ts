import assert from "node:assert/strict";
import { type PartyId, partyId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, concat, equal, hex, utf8 } from "../../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../../src/base/codec.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import { CheaterError, UsageError } from "../../../src/base/errors.ts";
import type { Rng } from "../../../src/base/rng.ts";
import type { Point } from "../../../src/math/curve.ts";
import { hash } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import { certifyRound } from "../../../src/protocols/frost/activate.ts";
import { decodeFrostCertificate, verifyFrostCertificate } from "../../../src/protocols/frost/certificate.ts";
import {
  encodeFrostHeld,
  FROST_EPOCH_GAP_MAX,
  frostEpochDigest,
  type FrostHeldEpoch,
  frostWayOf,
  readFrostHeld,
} from "../../../src/protocols/frost/held.ts";
import { encodeFrostRecord, type FrostKeyRecord, shareScalar } from "../../../src/protocols/frost/key.ts";
import {
  frostRefresh,
  type FrostRefreshResult,
  frostRefreshRounds,
} from "../../../src/protocols/frost/refresh.ts";
import { FROST_SUITES } from "../../../src/protocols/frost/suite.ts";
import { proofCodec, prove } from "../../../src/zk/schnorr_pok.ts";
import { blames, flipped, tamperWith, valuesOf } from "../support.ts";
import { runFrostRefresh, runFrostSign, SCHEMES, storedFrostKey, type Stores } from "./support.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const TWO_OF_THREE = "2 of (alice, bob, carol)";
const MESSAGE = sha256(utf8("a message"));

function never(): never {
  throw new Error("something is missing");
}

function newestOf(stores: Stores, party: PartyId): FrostHeldEpoch {
  return stores.of(party).at(-1) ?? never();
}

for (const scheme of SCHEMES) {
  for (const text of ["and(alice, bob)", TWO_OF_THREE, "3 of (a, b, 40: c, d, e)"]) {
    Deno.test(`frostRefresh keeps the ${scheme} key of ${text} and changes every share`, () => {
      const { group: parties, stores } = storedFrostKey(scheme, text);
      const old = newestOf(stores, ALICE).key.share.record;
      for (const epoch of [1, 2]) {
        const before = parties.parties.map((party) => newestOf(stores, party).key);
        const persisted: string[] = [];
        const results = valuesOf(runFrostRefresh(parties, (party) => stores.of(party), {
          onPersist: (party, record) => {
            persisted.push(`${party} ${record.kind}`);
            stores.write(party, record);
          },
        }));
        const [first] = results.values();
        assert.ok(first !== undefined);
        const { record } = first.share;
        assert.equal(record.epoch, epoch);
        assert.deepEqual(record.keyId, old.keyId);
        assert.ok(record.publicKey.equals(old.publicKey));
        const { origin } = verifyFrostCertificate(record, first.certificate);
        assert.deepEqual(origin, before[0]?.origin);
        for (const [k, [party, { share, certificate, outcome }]] of [...results].entries()) {
          assert.equal(outcome, "refreshed");
          assert.deepEqual(certificate, first.certificate);
          assert.deepEqual(encodeFrostRecord(share.record), encodeFrostRecord(record));
          assert.notEqual(shareScalar(share), shareScalar((before[k] ?? never()).share));
          const order = [`${party} key-pending`, `${party} key-active`];
          assert.deepEqual(persisted.filter((event) => event.startsWith(`${party} `)), order);
        }
        const shares = new Map([...results].map(([party, { share }]) => [party, share]));
        const signature = [...valuesOf(runFrostSign({ shares }, MESSAGE)).values()][0];
        assert.ok(signature !== undefined && old.suite.verify(old.publicKey, MESSAGE, signature));
      }
    });
  }

  Deno.test(`a share of an old epoch does not sign with the new ones on ${scheme}`, () => {
    const { group: parties, stores } = storedFrostKey(scheme, TWO_OF_THREE);
    const results = valuesOf(runFrostRefresh(parties, (party) => stores.of(party)));
    const shares = new Map([...results].map(([party, { share }]) => [party, share]));
    const stale = { ...(shares.get(BOB) ?? never()), share: newestOf(stores, BOB).key.share.share };
    blames(runFrostSign({ shares: shares.set(BOB, stale) }, MESSAGE, { signers: [1, 2] }).get(ALICE), {
      round: 2,
      culprits: [2],
      what: "share of the signature",
    });
  });

  // Each field of each message, changed by its sender towards all.
  const suite = FROST_SUITES[scheme];
  const { group } = suite;
  const other = group.mulBase(group.scalar(12345n));
  const rounds = frostRefreshRounds(suite, 2);
  const open = rounds.open.broadcast ?? never();
  for (
    const [what, round, why, tamper] of [
      [
        "commitment",
        2,
        "not what it committed to",
        tamperWith(rounds.commit.broadcast ?? never(), { from: BOB, round: 1 }, (m) => ({
          commitment: flipped(m.commitment),
        })),
      ],
      [
        "coefficient",
        2,
        "not what it committed to",
        tamperWith(
          open,
          { from: BOB, round: 2, kind: "broadcast" },
          (m) => ({ ...m, coefficients: [other] }),
        ),
      ],
      [
        "commitment of the proof",
        2,
        "not what it committed to",
        tamperWith(open, { from: BOB, round: 2, kind: "broadcast" }, (m) => ({
          ...m,
          proof: { ...m.proof, T: other },
        })),
      ],
      [
        "response of the proof",
        2,
        "not what it committed to",
        tamperWith(open, { from: BOB, round: 2, kind: "broadcast" }, (m) => ({
          ...m,
          proof: { ...m.proof, s: group.scalar(1n) },
        })),
      ],
      [
        "salt",
        2,
        "not what it committed to",
        tamperWith(
          open,
          { from: BOB, round: 2, kind: "broadcast" },
          (m) => ({ ...m, salt: flipped(m.salt) }),
        ),
      ],
      [
        "share",
        2,
        "does not match its commitments",
        tamperWith(rounds.open.direct ?? never(), { from: BOB, round: 2, kind: "direct" }, (m) => ({
          share: group.add(m.share, group.scalar(1n)),
        })),
      ],
      [
        "proof in the certificate",
        3,
        "signature on the certificate",
        tamperWith(certifyRound(suite).broadcast ?? never(), { from: BOB, round: 3 }, (m) => ({
          ...m,
          proof: { ...m.proof, T: other },
        })),
      ],
    ] as const
  ) {
    Deno.test(`frostRefresh names the party with a wrong ${what} on ${scheme}`, () => {
      const { group: parties, stores } = storedFrostKey(scheme, TWO_OF_THREE);
      const outcomes = runFrostRefresh(parties, (party) => stores.of(party), { tamper });
      for (const party of [ALICE, CAROL]) blames(outcomes.get(party), { round, culprits: [2], what: why });
    });
  }

  Deno.test(`frostRefresh refuses a committed dealing without a proof, and one made for another session, on ${scheme}`, () => {
    const { group: parties, stores } = storedFrostKey(scheme, TWO_OF_THREE);
    const sid = sessionId(new Uint8Array(32).fill(8));
    for (const [session, expected] of [[sid, true], [sessionId(new Uint8Array(32)), false]] as const) {
      // Bob's message is replaced in both rounds by a well formed dealing of f(X) = 3·X, with a proof for `session`.
      const a = group.scalar(3n);
      const coefficients = [group.mulBase(a)];
      const statement = {
        sid: session,
        use: "refresh/coeff",
        prover: BOB,
        curve: group,
        points: coefficients,
      } as const;
      const opening = { coefficients, proof: prove(statement, [a], parties.rng), salt: new Uint8Array(32) };
      const committed = concat(
        encode(group.pointCodec, coefficients[0] as Point),
        encode(proofCodec(group), opening.proof),
      );
      const commitment = hash(Tag.frostRefreshCommit, sid, new Uint8Array([0, 2]), committed, opening.salt);
      const outcome = runFrostRefresh(parties, (party) => stores.of(party), {
        sid,
        tamper: ({ round, kind, from, receiver, body }) => {
          if (from !== BOB || round === 3) return body;
          if (round === 1) return commitment;
          return kind === "broadcast"
            ? encode(open, opening)
            : encode(rounds.open.direct ?? never(), { share: group.mul(a, group.scalar(BigInt(receiver))) });
        },
      }).get(ALICE) ?? never();
      if (expected) { // All checks of the dealing pass; the endorsement of the real bob is about other shares.
        blames(outcome, { round: 3, culprits: [2], what: "certificate" });
      } else blames(outcome, { round: 2, culprits: [2], what: "does not prove that it knows" });
    }
  });

  Deno.test(`frostRefresh refuses more and fewer coefficients on ${scheme}: nobody can send a constant term`, () => {
    const { group: parties, stores } = storedFrostKey(scheme, TWO_OF_THREE);
    const width = encode(group.pointCodec, other).length;
    for (
      const change of [(b: Bytes) => concat(b.slice(0, width), b), (b: Bytes) => b.slice(width)]
    ) {
      const outcome = runFrostRefresh(parties, (party) => stores.of(party), {
        tamper: ({ round, kind, from, body }) =>
          round === 2 && kind === "broadcast" && from === BOB ? change(body) : body,
      }).get(ALICE);
      assert.ok(outcome !== undefined && !outcome.ok && outcome.error instanceof DecodeError);
    }
  });
}

Deno.test("frostRefresh refuses dealings that cancel, or that make a share 0", () => {
  const { group: parties, stores } = storedFrostKey("ed25519", "and(alice, bob)");
  const { suite } = newestOf(stores, ALICE).key.share.record;
  const { group } = suite;
  const { commit, open } = frostRefreshRounds(suite, 2);
  const rounds = { open: open.broadcast ?? never(), share: open.direct ?? never() };
  const options = {
    sid: sessionId(new Uint8Array(32).fill(8)),
    rng: { bytes: (length: number) => new Uint8Array(length).fill(7) },
  };
  // Alice deals a·X: what bob gets is 2·a. With the same generator and session she deals it again.
  let a = group.scalar(0n);
  valuesOf(runFrostRefresh(parties, (party) => stores.of(party), {
    ...options,
    tamper: ({ kind, from, body }) => {
      if (kind === "direct" && from === ALICE) {
        a = group.mul(decode(rounds.share, body).share, group.invertVartime(group.scalar(2n)));
      }
      return body;
    },
  }));
  const x = shareScalar(newestOf(stores, ALICE).key.share);
  for (const b of [group.neg(a), group.neg(group.add(a, x)), group.scalar(3n)]) {
    const coefficients = [group.mulBase(b)];
    const statement = {
      sid: options.sid,
      use: "refresh/coeff",
      prover: BOB,
      curve: group,
      points: coefficients,
    } as const;
    const opening = { coefficients, proof: prove(statement, [b], parties.rng), salt: new Uint8Array(32) };
    const committed = concat(
      encode(group.pointCodec, coefficients[0] as Point),
      encode(proofCodec(group), opening.proof),
    );
    const commitment = hash(
      Tag.frostRefreshCommit,
      options.sid,
      new Uint8Array([0, 2]),
      committed,
      opening.salt,
    );
    const outcome = runFrostRefresh(parties, (party) => stores.of(party), {
      ...options,
      tamper: ({ round, kind, from, body }) => {
        if (from !== BOB || round === 3) return body;
        if (round === 1) return encode(commit.broadcast ?? never(), { commitment });
        return kind === "broadcast" ? encode(rounds.open, opening) : encode(rounds.share, { share: b });
      },
    }).get(ALICE);
    if (b === 3n) blames(outcome, { round: 3, culprits: [2], what: "certificate" }); // nothing is wrong with the dealing
    else blames(outcome, { round: 2, culprits: [], what: "degenerate sharing", code: "UNATTRIBUTABLE" });
  }
});

Deno.test("frostRefresh stores nothing where the new public shares are not those of the key (KS-AMC-F-04)", () => {
  const { group: parties, stores } = storedFrostKey("bip340", TWO_OF_THREE);
  const persisted: string[] = [];
  // Everybody believes in another public key than the one that its shares are shares of.
  const outcomes = runFrostRefresh(parties, (party) =>
    stores.of(party).map(({ state, key }) => {
      const { record } = key.share;
      const publicKey = record.publicKey.double();
      return { state, key: { ...key, share: { ...key.share, record: { ...record, publicKey } } } };
    }), { onPersist: (_party, { kind }) => persisted.push(kind) });
  for (const outcome of outcomes.values()) {
    assert.ok(!outcome.ok);
    assert.match((outcome.error as Error).message, /do not interpolate to the key/);
  }
  assert.deepEqual(persisted, []);
});

Deno.test("frostRefresh draws other polynomials in another session, even where the generator repeats itself", () => {
  const { group: parties, stores } = storedFrostKey("ed25519", "and(alice, bob)");
  const stuck: Rng = { bytes: (length) => new Uint8Array(length).fill(7) };
  const proofs = new Set<string>();
  const sharesOf = (seed: number) =>
    [
      ...valuesOf(runFrostRefresh(parties, (party) => stores.of(party), {
        rng: stuck,
        sid: sessionId(new Uint8Array(32).fill(seed)),
        tamper: ({ round, body }) => {
          if (round === 3) proofs.add(hex(body.slice(0, 32)));
          return body;
        },
      })).values(),
    ].map(({ share }) => hex(share.share.expose()));
  assert.deepEqual(sharesOf(1), sharesOf(1));
  proofs.clear();
  assert.equal(new Set([...sharesOf(1), ...sharesOf(2)]).size, 4);
  assert.equal(proofs.size, 4); // T of the proofs in the endorsements: a nonce known to others would give the share away
});

Deno.test("frostRefresh completes what all have PENDING, and otherwise takes a number that nobody has seen", () => {
  const { group, stores } = storedFrostKey("ed25519", TWO_OF_THREE);
  // Nobody's endorsement leaves. Crashes of every subset at every step are in tests/sim/epoch_test.ts.
  runFrostRefresh(group, (party) => stores.of(party).slice(), {
    tamper: ({ round, body }) => round === 3 ? undefined : body,
    onPersist: (party, record) => stores.write(party, record),
  });
  assert.deepEqual(stores.of(ALICE).map(({ state }) => state), ["active", "pending"]);
  const completed = valuesOf(runFrostRefresh(group, (party) => stores.of(party)));
  for (const { outcome, share } of completed.values()) {
    assert.deepEqual([outcome, share.record.epoch], ["completed", 1]);
  }
  // Bob has lost its PENDING share, or says so.
  const held = (party: PartyId) => party === BOB ? stores.of(party).slice(0, 1) : stores.of(party);
  const dealt = valuesOf(runFrostRefresh(group, held));
  for (const { outcome, share } of dealt.values()) {
    assert.deepEqual([outcome, share.record.epoch], ["refreshed", 2]);
  }
});

function wayWith(record: FrostKeyRecord, heldOf: ReadonlyMap<PartyId, Bytes>) {
  return frostWayOf(record, "treasury", heldOf);
}

Deno.test("frostWayOf() refuses parties without the newest active epoch, other keys, and numbers that cannot be", () => {
  const { group, stores } = storedFrostKey("ed25519", TWO_OF_THREE);
  const { record } = newestOf(stores, ALICE).key.share;
  const before = new Map(group.parties.map((party) => [party, stores.of(party).slice()]));
  valuesOf(runFrostRefresh(group, (party) => stores.of(party).slice(), {
    onPersist: (party, r) => stores.write(party, r),
  }));
  const offers = (change: (party: PartyId) => Bytes | undefined) =>
    new Map(group.parties.flatMap((party) => {
      const offer = change(party) ?? encodeFrostHeld(stores.of(party));
      return [[party, offer] as const];
    }));
  assert.equal(wayWith(record, new Map([...offers(() => undefined)].slice(1))), undefined);
  const honest = wayWith(record, offers(() => undefined));
  assert.deepEqual(honest, { kind: "deal", digest: frostEpochDigest(newestOf(stores, ALICE).key), epoch: 2 });

  const behind = offers((party) => party === BOB ? encodeFrostHeld(before.get(BOB) ?? never()) : undefined);
  assert.throws(
    () => wayWith(record, behind),
    (error) =>
      error instanceof UsageError && error.code === "EPOCH_MISMATCH" &&
      /bob has no active share of epoch 1/.test(error.message),
  );

  const foreign = storedFrostKey("ed25519", "2 of (x, y, z)").stores.of(BOB);
  const mixed = offers((party) => party === BOB ? encodeFrostHeld(foreign) : undefined);
  assert.throws(() => wayWith(record, mixed), /bob has another key/);

  const { key } = newestOf(stores, CAROL);
  const far = (epoch: number) =>
    encodeFrostHeld([...stores.of(CAROL), {
      state: "pending",
      key: { ...key, share: { ...key.share, record: { ...record, epoch } } },
    }]);
  const highest = offers((party) => party === CAROL ? far(1 + FROST_EPOCH_GAP_MAX) : undefined);
  assert.equal(wayWith(record, highest)?.kind, "deal");
  const tooHigh = offers((party) => party === CAROL ? far(2 + FROST_EPOCH_GAP_MAX) : undefined);
  assert.throws(() => wayWith(record, tooHigh), /carol says that it has epoch 1002/);

  const stale = (party: PartyId) => {
    const [old] = before.get(party) ?? never();
    assert.ok(old !== undefined);
    const { share } = old.key;
    const at = (state: "active" | "pending", epoch: number): FrostHeldEpoch => ({
      state,
      key: { ...old.key, share: { ...share, record: { ...record, epoch } } },
    });
    // An attempt that everybody has, and a later epoch that carol does not have.
    return encodeFrostHeld([
      at("active", 0),
      at("pending", 1),
      ...(party === CAROL ? [] : [at("active", 2)]),
    ]);
  };
  assert.throws(() => wayWith(record, offers(stale)), /carol has no active share of epoch 2/);
  const active = newestOf(stores, ALICE);
  const input = { keyName: "treasury", self: ALICE, held: [active] };
  assert.throws(() => frostRefresh.unsettled?.(input, ALICE, behind), /bob has no active share/);
  assert.deepEqual(frostRefresh.unsettled?.(input, ALICE, offers(() => undefined)), { mine: [], others: [] });

  const pendingOnly = offers((party) => encodeFrostHeld([{ ...newestOf(stores, party), state: "pending" }]));
  assert.throws(
    () => wayWith(record, pendingOnly),
    (error) => error instanceof UsageError && error.code === "KEY_PENDING",
  );
});

Deno.test("readFrostHeld() blames the sender of an offer that does not decode", () => {
  const { stores } = storedFrostKey("ed25519", TWO_OF_THREE);
  const [epoch] = stores.of(ALICE);
  assert.ok(epoch !== undefined);
  const good = encodeFrostHeld([epoch]);
  assert.equal(readFrostHeld(ALICE, good).epochs.length, 1);
  const item = good.slice(-37);
  const count = (n: number) => new Uint8Array([0, n]);
  for (
    const bad of [
      new Uint8Array(0),
      good.slice(0, -1),
      concat(good.slice(0, 32), count(0)),
      concat(good.slice(0, 32), count(2), item, item), // not ascending
      concat(good.slice(0, 34), new Uint8Array([0]), good.slice(35)), // no such state
      concat(good.slice(0, 34), new Uint8Array([3]), good.slice(35)),
    ]
  ) {
    assert.throws(
      () => readFrostHeld(BOB, bad),
      (error) =>
        error instanceof CheaterError && error.code === "INVALID_MESSAGE" && error.culprits[0] === BOB,
    );
  }
  assert.throws(() => encodeFrostHeld([]), UsageError);
});

Deno.test("frostRefresh refuses what it cannot refresh, and offers at most 1 KB", () => {
  const { stores } = storedFrostKey("ed25519", TWO_OF_THREE);
  const [epoch] = stores.of(ALICE);
  assert.ok(epoch !== undefined);
  const input = { keyName: "treasury", self: ALICE, held: [epoch] };
  for (
    const bad of [
      { ...input, held: [] },
      { ...input, held: [{ ...epoch, state: "pending" as const }] },
      { ...input, self: BOB },
      { ...input, held: [epoch, ...storedFrostKey("ed25519", "and(alice, bob)").stores.of(ALICE)] },
    ]
  ) {
    assert.throws(() => frostRefresh.proposal(bad), UsageError);
  }
  const { keyId, participants } = frostRefresh.proposal(input);
  assert.deepEqual(keyId, epoch.key.share.record.keyId);
  assert.deepEqual(participants, [1, 2, 3]);
  const many = Array.from({ length: 40 }, (_, k) => {
    const { share } = epoch.key;
    return { ...epoch, key: { ...epoch.key, share: { ...share, record: { ...share.record, epoch: k } } } };
  });
  const offer = encodeFrostHeld(many);
  assert.ok(offer.length <= 1024);
  assert.equal(readFrostHeld(ALICE, offer).epochs.at(-1)?.epoch, 39);
});

Deno.test("frostRefresh sends the golden messages: a change here is another version of the protocol", () => {
  const golden = SCHEMES.map((scheme) => {
    const { group, stores } = storedFrostKey(scheme, TWO_OF_THREE);
    const former = newestOf(stores, ALICE).key;
    const messages: Bytes[] = [];
    const sid = sessionId(new Uint8Array(32).fill(5));
    const { share, certificate } = valuesOf(runFrostRefresh(group, (party) => stores.of(party), {
      sid,
      tamper: ({ round, kind, receiver, from, body }) => {
        if (round < 3 && kind === "broadcast" && receiver === (from === ALICE ? BOB : ALICE)) {
          messages.push(body);
        }
        return body;
      },
    })).get(ALICE) as FrostRefreshResult;
    const { transcript } = decodeFrostCertificate(share.record.suite.group, certificate);
    assert.ok(
      equal(transcript, hash(Tag.frostRefreshTranscript, sid, frostEpochDigest(former), ...messages)),
    );
    return hex(sha256(...messages, certificate));
  });
  assert.deepEqual(golden, [
    "a945172fd32a568f6a959a3657ebb83f8fc3bc142fd32f565afbe64801400d84",
    "badf25ff2cc811eeaf5932345487a4cbd378abb16addab10acc7094b0f1d7332",
  ]);
});
