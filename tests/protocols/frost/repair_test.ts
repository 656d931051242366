import assert from "node:assert/strict";
import { keyId, type PartyId, partyId, sessionId } from "../../../src/base/brands.ts";
import { type Bytes, concat, EMPTY, hex, utf8 } from "../../../src/base/bytes.ts";
import { type Codec, decode, DecodeError } from "../../../src/base/codec.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import { TransportError, UsageError } from "../../../src/base/errors.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { leavesOf, parsePolicy, shareMatrix } from "../../../src/primitives/access.ts";
import type { Scalar } from "../../../src/math/curve.ts";
import type { FrostHeldEpoch } from "../../../src/protocols/frost/held.ts";
import { verifyFrostCertificate } from "../../../src/protocols/frost/certificate.ts";
import type { FrostRefreshResult } from "../../../src/protocols/frost/refresh.ts";
import {
  encodeFrostRecord,
  type FrostKeyRecord,
  recordHash,
  shareScalar,
} from "../../../src/protocols/frost/key.ts";
import {
  frostRepair,
  type FrostRepairAnnouncement,
  type FrostRepairInput,
  type FrostRepairResult,
  frostRepairRounds,
} from "../../../src/protocols/frost/repair.ts";
import { decodeFrostStoredKey } from "../../../src/protocols/frost/stored_key.ts";
import { FROST_SUITES, type FrostScheme } from "../../../src/protocols/frost/suite.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../../src/protocols/local.ts";
import { blames, flipped, type Group, tamperWith, valuesOf } from "../support.ts";
import { runFrostRefresh, runFrostSign, SCHEMES, storedFrostKey } from "./support.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const TWO_OF_THREE = "2 of (alice, bob, carol)";
const MESSAGE = sha256(utf8("a message"));

function never(): never {
  throw new Error("something is missing");
}

/** A key of all parties, with the certificate that they store. */
interface Keyring {
  readonly group: Group;
  readonly scheme: FrostScheme;
  readonly certificate: Bytes;
  holding(party: PartyId): { readonly share: FrostHeldEpoch["key"]["share"]; readonly certificate: Bytes };
}

/** Refreshed once, so that its epoch is not 0. It is made once. */
function keyring(scheme: FrostScheme, text = TWO_OF_THREE): Keyring {
  const name = `${scheme} ${text}`;
  const { group, stores } = storedFrostKey(scheme, text);
  const results = made.get(name) ?? valuesOf(runFrostRefresh(group, (party) => stores.of(party)));
  made.set(name, results);
  const certificate = results.get(ALICE)?.certificate ?? never();
  return {
    group,
    scheme,
    certificate,
    holding: (party) => ({ share: results.get(party)?.share ?? never(), certificate }),
  };
}

const made = new Map<string, ReadonlyMap<PartyId, FrostRefreshResult>>();

interface RepairRun extends Partial<LocalOptions> {
  readonly helpers?: readonly number[];
  readonly lost?: number;
  readonly inputOf?: (input: FrostRepairInput) => FrostRepairInput;
}

function inputFor(
  keys: Keyring,
  self: PartyId,
  helpers: readonly PartyId[],
  lost: PartyId,
): FrostRepairInput {
  return {
    keyName: "treasury",
    scheme: keys.scheme,
    helpers,
    lost,
    self,
    identityOf: (party) => keys.group.members.find(({ index }) => index === party)?.identity,
    ...(self === lost ? {} : { holding: keys.holding(self) }),
  };
}

function runRepair(
  keys: Keyring,
  { helpers = [1, 2], lost = 3, inputOf, ...options }: RepairRun = {},
): Map<PartyId, LocalOutcome<FrostRepairResult | undefined>> {
  const participants = [...helpers, lost].map(partyId).sort((a, b) => a - b);
  const input = (self: PartyId) => {
    const honest = inputFor(keys, self, helpers.map(partyId), partyId(lost));
    return inputOf?.(honest) ?? honest;
  };
  const offers = new Map(participants.map((self) => [self, frostRepair.offer?.(input(self)) ?? never()]));
  return runLocally(participants, (session) => frostRepair.run(session, input(session.self)), {
    rng: keys.group.rng,
    identities: keys.group.identities,
    offers,
    ...options,
  });
}

for (const scheme of SCHEMES) {
  for (
    const [text, helpers, lost] of [
      [TWO_OF_THREE, [1, 2], 3],
      [TWO_OF_THREE, [2, 3], 1],
      ["3 of (a, b, 40: c, d, e)", [1, 3, 5], 2],
      ["2 of (a, b, c, d, e)", [1, 2, 4, 5], 3],
    ] as const
  ) {
    Deno.test(`frostRepair gives party ${lost} of ${text} its ${scheme} share back from ${helpers}`, () => {
      const keys = keyring(scheme, text);
      const { share: before } = keys.holding(partyId(lost));
      const events: string[] = [];
      let stored: FrostHeldEpoch["key"] | undefined;
      const results = valuesOf(runRepair(keys, {
        helpers,
        lost,
        onPersist: (party, record) => {
          events.push(`${party} ${record.kind}`);
          if (record.kind === "key-pending") stored = decodeFrostStoredKey(record.key.expose());
          if (record.kind === "key-active") assert.deepEqual(record.certificate, keys.certificate);
        },
      }));
      assert.deepEqual(events, [`${lost} key-pending`, `${lost} key-active`]);
      for (const helper of helpers) assert.equal(results.get(partyId(helper)), undefined);
      const { share, certificate } = results.get(partyId(lost)) ?? never();
      assert.equal(shareScalar(share), shareScalar(before));
      assert.deepEqual(encodeFrostRecord(share.record), encodeFrostRecord(before.record));
      const { sid, origin, transcript } = verifyFrostCertificate(share.record, certificate);
      assert.ok(stored !== undefined);
      assert.deepEqual([stored.keyName, stored.sid, stored.origin, stored.transcript], [
        "treasury",
        sid,
        origin,
        transcript,
      ]);
      assert.equal(shareScalar(stored.share), shareScalar(before));

      const quorum = [partyId(lost), ...helpers.map(partyId)].sort((a, b) => a - b);
      const shares = new Map(
        quorum.map((party) => [party, party === lost ? share : keys.holding(party).share]),
      );
      const signature = valuesOf(runFrostSign({ shares }, MESSAGE)).get(partyId(lost));
      assert.ok(signature !== undefined);
      assert.ok(before.record.suite.verify(before.record.publicKey, MESSAGE, signature));
    });
  }

  Deno.test(`frostRepair's coefficients make the lost row of the share matrix on ${scheme}`, () => {
    const { group } = FROST_SUITES[scheme];
    const text = "3 of (a, b, 40: c, d, e)";
    const policy = parsePolicy(text);
    const names = leavesOf(policy);
    const matrix = shareMatrix(policy, group);
    const keys = keyring(scheme, text);
    // The sum of a helper's parts is e_i·x_i: taken from what it sends and keeps.
    const { announce } = frostRepairRounds(FROST_SUITES[scheme], 3);
    const wholes = new Map<number, FrostRepairAnnouncement>();
    valuesOf(runRepair(keys, {
      helpers: [1, 3, 5],
      lost: 2,
      tamper: ({ round, from, body }) => {
        if (round === 1) wholes.set(from, decode(announce.broadcast ?? never(), body));
        return body;
      },
    }));
    const e = solveRow(matrix, [names[0], names[2], names[4]] as string[], names[1] as string, scheme);
    for (const [k, helper] of [1, 3, 5].entries()) {
      const { share } = keys.holding(partyId(helper));
      const sum = (wholes.get(helper) ?? never()).parts.reduce((P, D) => P.add(D));
      assert.ok(sum.equals(group.mulBase(group.mul(e[k] as Scalar, shareScalar(share)))));
    }
  });

  // Each field of each message, changed by its sender.
  const suite = FROST_SUITES[scheme];
  const { group } = suite;
  const other = group.mulBase(group.scalar(12345n));
  const rounds = frostRepairRounds(suite, 2);
  const announce = rounds.announce.broadcast as Codec<FrostRepairAnnouncement>;
  for (
    const [what, round, why, tamper, receivers] of [
      [
        "record",
        1,
        "not the one that it offered",
        tamperWith(announce, { from: BOB, round: 1 }, (m) => ({ ...m, record: flipped(m.record, 40) })),
        [CAROL],
      ],
      [
        "record of another key",
        1,
        "not the one that it offered",
        tamperWith(announce, { from: BOB, round: 1 }, (m) => ({ ...m, record: flipped(m.record, 5) })),
        [CAROL],
      ],
      [
        "record that does not decode",
        1,
        "not the one that it offered",
        tamperWith(announce, { from: BOB, round: 1 }, (m) => ({ ...m, record: EMPTY })),
        [CAROL],
      ],
      [
        "certificate",
        1,
        "does not make its record valid",
        tamperWith(
          announce,
          { from: BOB, round: 1 },
          (m) => ({ ...m, certificate: flipped(m.certificate, 100) }),
        ),
        [CAROL],
      ],
      [
        "announced part for itself",
        1,
        "not those of its share",
        tamperWith(
          announce,
          { from: BOB, round: 1 },
          (m) => ({ ...m, parts: [m.parts[0] ?? never(), other] }),
        ),
        [ALICE, CAROL],
      ],
      [
        "announced part for another",
        1,
        "not those of its share",
        tamperWith(
          announce,
          { from: BOB, round: 1 },
          (m) => ({ ...m, parts: [other, m.parts[1] ?? never()] }),
        ),
        [ALICE, CAROL],
      ],
      [
        "part",
        2,
        "not the one that it announced",
        tamperWith(rounds.split.direct ?? never(), { from: BOB, round: 2 }, ({ part }) => ({
          part: group.add(part, group.scalar(1n)),
        })),
        [ALICE],
      ],
      [
        "sum",
        3,
        "not that of the announced parts",
        tamperWith(rounds.sum.direct ?? never(), { from: BOB, round: 3 }, (m) => ({
          ...m,
          sum: group.add(m.sum, group.scalar(1n)),
        })),
        [CAROL],
      ],
    ] as const
  ) {
    Deno.test(`frostRepair names the helper with a wrong ${what} on ${scheme}`, () => {
      const outcomes = runRepair(keyring(scheme), { tamper });
      for (const party of receivers) blames(outcomes.get(party), { round, culprits: [2], what: why });
    });
  }

  Deno.test(`frostRepair blames nobody where announcements differ between parties on ${scheme}`, () => {
    // Bob announces one split to alice and another to carol; alice's sum is right for what she saw.
    const shift = group.mulBase(group.scalar(9n));
    const outcomes = runRepair(keyring(scheme), {
      tamper: tamperWith(announce, { from: BOB, round: 1, receiver: CAROL }, (m) => ({
        ...m,
        parts: [(m.parts[0] ?? never()).add(shift), (m.parts[1] ?? never()).subtract(shift)],
      })),
    });
    blames(outcomes.get(CAROL), {
      round: 3,
      culprits: [],
      what: "did not receive the same announcements",
      code: "UNATTRIBUTABLE",
    });
  });
}

/** e with Σ e_i·row_i = row: Gaussian elimination, independent of Lagrange. */
function solveRow(
  matrix: ReadonlyMap<string, readonly Scalar[]>,
  rows: readonly string[],
  wanted: string,
  scheme: FrostScheme,
): Scalar[] {
  const { group } = FROST_SUITES[scheme];
  const size = rows.length;
  const target = matrix.get(wanted) ?? never();
  const work = Array.from(
    { length: size },
    (_, c) => [...rows.map((row) => (matrix.get(row) ?? never())[c] as Scalar), target[c] as Scalar],
  );
  for (let p = 0; p < size; p++) {
    const swap = work.findIndex((row, k) => k >= p && row[p] !== 0n);
    [work[p], work[swap]] = [work[swap] ?? never(), work[p] ?? never()];
    const pivot = work[p] ?? never();
    const inverse = group.invertVartime(pivot[p] as Scalar);
    work[p] = pivot.map((v) => group.mul(v, inverse));
    for (let k = 0; k < size; k++) {
      if (k === p) continue;
      const factor = (work[k] ?? never())[p] as Scalar;
      work[k] = (work[k] ?? never()).map((v, c) =>
        group.sub(v, group.mul(factor, (work[p] ?? never())[c] as Scalar))
      );
    }
  }
  return work.map((row) => row[size] as Scalar);
}

Deno.test("frostRepair believes only records of the configuration's parties", () => {
  const keys = keyring("ed25519");
  for (
    const identityOf of [
      (party: PartyId) =>
        party === ALICE ? new Uint8Array(32) : inputFor(keys, CAROL, [], CAROL).identityOf(party),
      () => undefined,
    ]
  ) {
    const outcomes = runRepair(keys, { inputOf: (input) => ({ ...input, identityOf }) });
    blames(outcomes.get(CAROL), { round: 1, culprits: [1, 2], what: "not one of the parties" });
  }
  // A key with a valid certificate in which the owner has no share.
  {
    const elsewhere = keyring("ed25519", "2 of (alice, bob)");
    const { record } = elsewhere.holding(ALICE).share;
    const { announce } = frostRepairRounds(FROST_SUITES.ed25519, 2);
    const outcome = runRepair(keys, {
      inputOf: (input) => ({ ...input, identityOf: (party) => record.members[party - 1]?.identity }),
      offers: new Map([[ALICE, recordHash(record)], [BOB, recordHash(record)], [CAROL, EMPTY]]),
      tamper: tamperWith(announce.broadcast ?? never(), { round: 1, receiver: CAROL }, (m) => ({
        ...m,
        record: encodeFrostRecord(record),
        certificate: elsewhere.certificate,
      })),
    }).get(CAROL);
    blames(outcome, { round: 1, culprits: [1, 2], what: "not one of the parties" });
  }
});

Deno.test("frostRepair refuses helpers in different epochs before anything is sent", () => {
  const keys = keyring("ed25519");
  const { stores } = storedFrostKey("ed25519", TWO_OF_THREE);
  const old = stores.of(BOB)[0] ?? never();
  const outcomes = runRepair(keys, {
    inputOf: (input) =>
      input.self === BOB
        ? { ...input, holding: { share: old.key.share, certificate: keys.certificate } }
        : input,
    tamper: () => never(),
  });
  for (const outcome of outcomes.values()) {
    assert.ok(!outcome.ok && outcome.error instanceof UsageError && outcome.error.code === "EPOCH_MISMATCH");
  }
});

Deno.test("frostRepair repairs nothing at a party that has its share, or a later one, or another key of that name", () => {
  const keys = keyring("ed25519");
  const { record } = keys.holding(CAROL).share;
  const run = (known: FrostKeyRecord) =>
    runRepair(keys, {
      inputOf: (input) => input.self === CAROL ? { ...input, known } : input,
      onPersist: () => never(),
    });
  const refused = (outcome: LocalOutcome<unknown> | undefined, code: string, match: RegExp) => {
    assert.ok(outcome !== undefined && !outcome.ok && outcome.error instanceof UsageError);
    assert.equal(outcome.error.code, code);
    assert.match(outcome.error.message, match);
  };
  // All see it before anything is sent.
  for (const outcome of run(record).values()) {
    refused(outcome, "KEY_EXISTS", /^carol has its share of the key treasury: there is nothing to repair$/);
  }
  const later = run({ ...record, epoch: record.epoch + 1 });
  refused(later.get(CAROL), "EPOCH_MISMATCH", /have epoch 1 .* this party epoch 2: run key refresh again/);
  const other = run({ ...record, keyId: keyId(new Uint8Array(32)) });
  refused(other.get(CAROL), "KEY_EXISTS", /another key treasury is stored here/);
  // An old copy of the store is no obstacle.
  const older = runRepair(keys, {
    inputOf: (input) => input.self === CAROL ? { ...input, known: { ...record, epoch: 0 } } : input,
  });
  assert.equal(valuesOf(older).get(CAROL)?.share.record.epoch, record.epoch);
});

Deno.test("frostRepair refuses malformed offers", () => {
  const keys = keyring("ed25519");
  const input = inputFor(keys, ALICE, [ALICE, BOB], CAROL);
  const good = recordHash(keys.holding(ALICE).share.record);
  const unsettled = (offers: readonly (readonly [PartyId, Bytes])[]) =>
    frostRepair.unsettled?.(input, ALICE, new Map(offers));
  assert.deepEqual(unsettled([[ALICE, good]]), { mine: [], others: [] });
  assert.deepEqual(unsettled([[ALICE, good], [BOB, good], [CAROL, EMPTY]]), { mine: [], others: [] });
  assert.throws(() => unsettled([[ALICE, good], [BOB, EMPTY]]), TransportError);
  assert.throws(() => unsettled([[ALICE, good], [CAROL, good.slice(1)]]), TransportError);
  assert.throws(() => unsettled([[ALICE, good], [BOB, good.slice(1)]]), TransportError);
});

Deno.test("frostRepair refuses inputs that repair nothing", () => {
  const keys = keyring("ed25519");
  const three = keyring("ed25519", "3 of (alice, bob, carol, dave)");
  const base = inputFor(keys, ALICE, [ALICE, BOB], CAROL);
  const { holding: _, ...without } = base;
  for (
    const [input, why] of [
      [{ ...base, helpers: [ALICE, CAROL] }, /is no helper/],
      [{ ...base, helpers: [BOB, ALICE] }, /ascending/],
      [{ ...base, helpers: [ALICE, ALICE] }, /ascending/],
      [{ ...base, helpers: [ALICE] }, /two helpers/],
      [{ ...base, self: partyId(4) }, /takes no part/],
      [without, /bring their shares/],
      [{ ...base, self: CAROL }, /bring their shares/],
      [{ ...base, scheme: "bip340" as const }, /one of ed25519/],
      [{ ...base, lost: partyId(7) }, /members of the key/],
      [{ ...base, helpers: [ALICE, partyId(7)] }, /members of the key/],
      [inputFor(three, ALICE, [ALICE, BOB], CAROL), /3 helpers repair/],
    ] as const
  ) {
    assert.throws(
      () => frostRepair.proposal(input),
      (error) => error instanceof UsageError && why.test(error.message),
    );
  }
  const of = (input: FrostRepairInput) =>
    JSON.stringify(frostRepair.proposal(input), (_, v) => v instanceof Uint8Array ? hex(v) : v);
  // Helpers and owner say the same, though the owner knows nothing of the key.
  assert.equal(of(base), of(inputFor(keys, CAROL, [ALICE, BOB], CAROL)));
  assert.notEqual(of(base), of({ ...base, keyName: "other" }));
});

Deno.test("frostRepair sends fresh parts in every session, even where the generator repeats itself", () => {
  const keys = keyring("ed25519");
  const stuck: Rng = { bytes: (length) => new Uint8Array(length).fill(7) };
  const partsOf = (seed: number) => {
    const parts: string[] = [];
    valuesOf(runRepair(keys, {
      rng: stuck,
      sid: sessionId(new Uint8Array(32).fill(seed)),
      tamper: ({ round, body }) => {
        if (round === 2) parts.push(hex(body));
        return body;
      },
    }));
    return parts;
  };
  assert.deepEqual(partsOf(1), partsOf(1));
  assert.equal(new Set([...partsOf(1), ...partsOf(2)]).size, 4);
});

Deno.test("frostRepair sends the owner nothing but sums, and to helpers only their own parts", () => {
  const keys = keyring("ed25519");
  const seen: string[] = [];
  valuesOf(runRepair(keys, {
    tamper: ({ round, kind, from, receiver, body }) => {
      seen.push(`${round} ${kind} ${from}-${receiver}`);
      return body;
    },
  }));
  assert.deepEqual(seen.sort(), [
    "1 broadcast 1-2",
    "1 broadcast 1-3",
    "1 broadcast 2-1",
    "1 broadcast 2-3",
    "2 direct 1-2",
    "2 direct 2-1",
    "3 direct 1-3",
    "3 direct 2-3",
  ]);
});

Deno.test("frostRepair refuses announcements with another number of parts", () => {
  const keys = keyring("ed25519");
  for (const change of [(b: Bytes) => b.slice(0, -32), (b: Bytes) => concat(b, b.slice(-32))]) {
    const outcome = runRepair(keys, {
      tamper: ({ round, from, body }) => round === 1 && from === BOB ? change(body) : body,
    }).get(CAROL);
    assert.ok(outcome !== undefined && !outcome.ok && outcome.error instanceof DecodeError);
  }
});

Deno.test("frostRepair sends the golden messages: a change here is another version of the protocol", () => {
  const golden = SCHEMES.map((scheme) => {
    const bodies: Bytes[] = [];
    valuesOf(runRepair(keyring(scheme), {
      rng: seededRng("golden"),
      sid: sessionId(new Uint8Array(32).fill(5)),
      tamper: ({ body }) => {
        bodies.push(body);
        return body;
      },
    }));
    return hex(sha256(...bodies));
  });
  assert.deepEqual(golden, [
    "6d69f4c2a2d4412007ceeb2f4eb893c69dff0f800ce7a67bf75599e4d9a8c5cd",
    "041a679ed546422fea7c4fd2717d3bc1624e8383945cde0493412c1e3f6ae411",
  ]);
});
