/**
 * What is particular to a reshare: what new members are told, who deals, and who leaves.
 */

import assert from "node:assert/strict";
import type { PartyId } from "../../../src/base/brands.ts";
import { type Bytes, EMPTY } from "../../../src/base/bytes.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { CURVES, secp256k1 } from "../../../src/math/curve.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import { hash } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import { type Endorsed, verifyCertificate } from "../../../src/protocols/dkg/certificate.ts";
import type { StoredKey } from "../../../src/protocols/dkg/stored_key.ts";
import type { LocalMessage } from "../../../src/protocols/local.ts";
import {
  epochEndorsementCodec,
  type ReshareCommitment,
  reshareRounds,
} from "../../../src/protocols/reshare/messages.ts";
import { exchange, type Protocol } from "../../../src/protocols/protocol.ts";
import { encodeHeld, endorsedOf } from "../../../src/protocols/reshare/held.ts";
import { reshare } from "../../../src/protocols/reshare/reshare.ts";
import { sessionId } from "../../../src/base/brands.ts";
import { allValues } from "../ecdsa/support.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { ALICE, BOB, CAROL, DAVE, Keyring, MemoryStore } from "./support.ts";

const THREE = "2 of (alice, bob, carol)";
const NEXT = "2 of (alice, bob, dave)";
const rounds = reshareRounds(secp256k1);

/** Changes what a party says in round 1. */
function says(from: PartyId, change: (message: ReshareCommitment) => ReshareCommitment) {
  return tamperWith(rounds.commit.broadcast as never, { round: 1, kind: "broadcast", from }, change);
}

function stating(change: (endorsed: Endorsed) => Endorsed) {
  return says(BOB, (m) => ({ ...m, statement: m.statement && change(m.statement) }));
}

const OTHER = "it states another key than it has offered";
for (
  const [what, tamper] of [
    ["the transcript of the key", stating((m) => ({ ...m, transcript: flipped(m.transcript) }))],
    ["the session of the key", stating((m) => ({ ...m, sid: flipped(m.sid) as never }))],
    ["the public key", stating((m) => ({ ...m, record: { ...m.record, publicKey: secp256k1.base } }))],
    [
      "a public share",
      stating((m) => ({
        ...m,
        record: { ...m.record, publicShares: new Map(m.record.publicShares).set(CAROL, secp256k1.base) },
      })),
    ],
    ["the chain code", stating((m) => ({ ...m, record: { ...m.record, chainCode: new Uint8Array(32) } }))],
    [
      "the old policy",
      stating((m) => ({
        ...m,
        record: { ...m.record, policy: parsePolicy("3 of (alice, bob, carol)") },
      })),
    ],
    ["whether it has a share", says(BOB, (m) => ({ ...m, statement: undefined }))],
  ] as const
) {
  Deno.test(`reshare names a dealer that states ${what} otherwise, at old and new members alike`, () => {
    const outcomes = new Keyring(THREE).reshare(NEXT, [], { tamper });
    for (const party of [ALICE, DAVE]) {
      blames(outcomes.get(party), { round: 1, culprits: [BOB], what: OTHER });
    }
  });
}

Deno.test("reshare names a new member that states a key, be it the right one", () => {
  const ring = new Keyring(THREE);
  const statement = endorsedOf(ring.store(ALICE).active() as StoredKey);
  const outcomes = ring.reshare(NEXT, [], { tamper: says(DAVE, (m) => ({ ...m, statement })) });
  for (const party of [ALICE, BOB]) blames(outcomes.get(party), { round: 1, culprits: [DAVE], what: OTHER });
});

Deno.test("reshare names dealers that offer a digest under another key id than it has", () => {
  const ring = new Keyring(THREE);
  const lie = (party: PartyId) => flipped(encodeHeld(ring.store(party).held()));
  const offers = new Map([[ALICE, lie(ALICE)], [BOB, lie(BOB)], [DAVE, EMPTY]]);
  const outcomes = ring.reshare(NEXT, [], { offers });
  blames(outcomes.get(DAVE), { round: 1, culprits: [ALICE, BOB], what: OTHER });
});

Deno.test("a new member wants the key from a qualified set, whatever those who have shares think of it", () => {
  const ring = new Keyring(THREE);
  const outcomes = ring.reshare("and(alice, dave)", [], {
    start: (session) =>
      session.self !== ALICE ? undefined : (function* (): Protocol<never> {
        const statement = endorsedOf(ring.store(ALICE).active() as StoredKey);
        yield* exchange(rounds.commit, { broadcast: { statement, commitment: new Uint8Array(32) } });
        throw new Error("alice has said what she wanted");
      })(),
    lenient: [ALICE],
  });
  const dave = outcomes.get(DAVE);
  assert.ok(
    dave?.ok === false && (dave.error as { code: string }).code === "NOT_QUALIFIED",
    String((dave as never as { error: Error }).error),
  );
});

const PART = "it deals without being asked to, or does not deal although it is";
for (
  const [what, from, tamper, round] of [
    ["does not commit although it is to deal", BOB, says(BOB, (m) => ({ ...m, commitment: undefined })), 1],
    [
      "commits without being a dealer",
      DAVE,
      says(DAVE, (m) => ({ ...m, commitment: new Uint8Array(32) })),
      1,
    ],
    ["does not open although it is to deal", BOB, opens(BOB, () => undefined), 2],
    ["opens without being a dealer", DAVE, opens(DAVE, (_, other) => other), 2],
  ] as const
) {
  Deno.test(`reshare names a party that ${what}`, () => {
    const outcomes = new Keyring(THREE).reshare(NEXT, [], { tamper });
    blames(outcomes.get(ALICE), { round, culprits: [from], what: PART });
  });
}

/** Changes an opening; the second argument is that of alice. */
function opens(
  from: PartyId,
  change: (own: unknown, alice: unknown) => unknown,
): (message: LocalMessage) => Bytes {
  let alice: unknown;
  const look = tamperWith(rounds.open.broadcast as never, { round: 2, kind: "broadcast", from: ALICE }, (
    m: { opening: unknown },
  ) => {
    alice = m.opening;
    return m;
  });
  const act = tamperWith(rounds.open.broadcast as never, { round: 2, kind: "broadcast", from }, (
    m: { opening: unknown },
  ) => ({ opening: change(m.opening, alice) }));
  return (message) => act({ ...message, body: look(message) });
}

Deno.test("reshare names a witness whose signature is wrong, or that claims a share", () => {
  const codec = epochEndorsementCodec(secp256k1);
  const proof = { T: secp256k1.base, s: secp256k1.scalar(1n) };
  for (
    const [change, what] of [
      [
        (m: { signature: Bytes }) => ({ ...m, signature: flipped(m.signature) }),
        "signature on the certificate",
      ],
      [(m: object) => ({ ...m, proof }), "another form"],
    ] as const
  ) {
    const ring = new Keyring("and(alice, bob)");
    const tamper = tamperWith(codec, { round: 3, kind: "broadcast", from: ALICE }, change as never);
    const outcomes = ring.reshare("and(bob, carol)", ["alice"], { tamper });
    for (const party of [BOB, CAROL]) blames(outcomes.get(party), { round: 3, culprits: [ALICE], what });
    assert.equal(ring.store(BOB).active()?.share.record.epoch, 0, "the old epoch is still there");
  }
});

Deno.test("a new member refuses a key that it cannot accept, and nobody is blamed", () => {
  const cases = [
    [{ publicKey: secp256k1.encodePoint(secp256k1.base) }, /the key treasury of alice, bob is .*, not /],
    [
      { roster: new Keyring(THREE, { seed: "other identities" }).roster },
      /has a member alice whose identity key is not/,
    ],
  ] as const;
  for (const [change, words] of cases) {
    const ring = new Keyring(THREE);
    const outcomes = ring.run(
      reshare,
      (self) => ring.reshareInput(self, NEXT, [], self === DAVE ? change : {}),
      [ALICE, BOB, DAVE],
    );
    const dave = outcomes.get(DAVE);
    assert.ok(dave?.ok === false && (dave.error as { code: string }).code === "PEER_REFUSED");
    assert.match((dave.error as Error).message, words);
  }
  const ring = new Keyring(THREE);
  const expected = { publicKey: secp256k1.encodePoint(ring.record.publicKey) };
  allValues(ring.run(reshare, (self) => ring.reshareInput(self, NEXT, [], expected), [ALICE, BOB, DAVE]));
});

Deno.test("a new member refuses a key whose id is not the hash of its public key", () => {
  // All who have shares tell dave the same lie: a key id that is none.
  const ring = new Keyring(THREE);
  const outcomes = ring.run(reshare, (self) => {
    const input = ring.reshareInput(self, NEXT);
    return {
      ...input,
      held: input.held.map(({ state, key }) => ({
        state,
        key: "share" in key
          ? {
            ...key,
            share: { ...key.share, record: { ...key.share.record, keyId: new Uint8Array(32) as never } },
          }
          : key,
      })),
    };
  }, [ALICE, BOB, DAVE]);
  const dave = outcomes.get(DAVE);
  assert.ok(dave?.ok === false);
  assert.match((dave.error as Error).message, /has a key id that is not its own/);
});

Deno.test("reshare refuses dealers that do not satisfy the old policy, and tells everybody", () => {
  const ring = new Keyring(THREE);
  const words = /only alice has a share of treasury, and its policy is 2 of \(alice, bob, carol\): name more/;
  for (const outcome of ring.reshare("and(alice, dave)").values()) {
    assert.ok(!outcome.ok);
    const error = outcome.error as Error & { code?: string };
    if (error.code !== undefined) {
      assert.deepEqual([error.code, words.test(error.message)], ["NOT_QUALIFIED", true]);
    }
  }
  for (const outcome of ring.reshare("and(dave, erin)").values()) {
    assert.ok(!outcome.ok && (outcome.error as { code: string }).code === "KEY_UNKNOWN");
  }
});

Deno.test("reshare refuses a dealer that is named and has no share", () => {
  for (const outcome of new Keyring(THREE).reshare("and(alice, bob)", ["dave"]).values()) {
    assert.ok(!outcome.ok && (outcome.error as { code: string }).code === "EPOCH_MISMATCH");
    assert.match((outcome.error as Error).message, /dave has no share/);
  }
});

Deno.test("reshare.proposal() refuses what cannot be, and is the same at all", () => {
  const ring = new Keyring(THREE);
  const at = (self: PartyId, dealers: string[] = []) =>
    reshare.proposal(ring.reshareInput(self, NEXT, dealers));
  assert.deepEqual(at(ALICE), at(DAVE));
  assert.notDeepEqual(at(ALICE), at(ALICE, ["carol"]));
  assert.deepEqual(at(CAROL, ["carol"]).participants, [1, 2, 3, 4]);
  assert.throws(() => at(CAROL), { code: "NOT_A_MEMBER", message: /neither in the new policy/ });
  const single = { policy: parsePolicy("or(alice, bob)", { allowSingle: true }) };
  const members = ring.members(["alice", "bob"]);
  assert.throws(() => reshare.proposal({ ...ring.reshareInput(ALICE, NEXT), ...single, members }), {
    code: "POLICY_INVALID",
  });
  reshare.proposal({ ...ring.reshareInput(ALICE, NEXT), ...single, members, allowSingle: true });
});

Deno.test("a reshare that nobody certified is left behind by another one, and by a refresh", () => {
  const ring = new Keyring(THREE);
  const hide = { tamper: (message: LocalMessage) => message.round === 3 ? undefined : message.body };
  ring.reshare(NEXT, [], hide as never);
  assert.deepEqual([...ring.store(ALICE).rows.keys()], [0, 1]);
  assert.deepEqual([...ring.store(DAVE).rows.keys()], [1]);
  // Nothing that is pending hinders the old members, or a reshare to others.
  for (const { outcome, record } of allValues(ring.refresh())) {
    assert.deepEqual([outcome, record.epoch], ["dealt", 2]);
  }
  ring.holds(2, ["alice", "bob", "carol"]);
  allValues(ring.reshare("2 of (alice, carol, dave)"));
  ring.holds(3, ["alice", "carol", "dave"]);
});

Deno.test("a reshare that some certified is completed by the same command, also where one has left", () => {
  const ring = new Keyring("and(alice, bob)");
  const tamper = (message: LocalMessage) =>
    message.round === 3 && message.receiver === BOB ? undefined : message.body;
  ring.reshare("and(bob, carol)", ["alice"], { tamper } as never);
  assert.deepEqual([...ring.store(BOB).rows].map(([epoch, { state }]) => `${state} ${epoch}`), [
    "active 0",
    "pending 1",
  ]);
  assert.deepEqual([...ring.store(ALICE).rows].map(([epoch, { state }]) => `${state} ${epoch}`), ["left 1"]);
  for (const { outcome } of allValues(ring.reshare("and(bob, carol)", ["alice"]))) {
    assert.equal(outcome, "completed");
  }
  const record = ring.holds(1, ["bob", "carol"]);
  verifyCertificate(record, ring.store(ALICE).rows.get(1)?.certificate as Bytes);
});

/** Hash of all messages of a refresh, a reshare in which two leave, a repair and a sync, and of the certificate. */
const GOLDEN: Readonly<Record<string, string>> = {
  secp256k1: "f1e7f95b38e0a1d5bf356f366d17b552c4d33cd2931a35e419e8c1e273a7c343",
  p256: "220a8ee945304402462f6d6c030f071440772e71c4e75ae53aa457d7c3197c82",
};

Deno.test("refresh, reshare and repair send the golden messages: a change here is another version of a protocol", () => {
  for (const curve of Object.values(CURVES)) {
    const messages: Bytes[] = [];
    const options = {
      sid: sessionId(new Uint8Array(32).fill(6)),
      rng: seededRng("golden"),
      tamper: (message: LocalMessage) => {
        messages.push(message.body);
        return message.body;
      },
    };
    const ring = new Keyring("and(alice, 2 of (bob, carol, dave))", { curve, seed: "golden" });
    allValues(ring.refresh(options));
    allValues(ring.reshare("2 of (bob, dave, erin)", ["alice", "carol"], options));
    ring.store(BOB).rows.clear();
    allValues(ring.repair("bob", ["dave", "erin"], options));
    allValues(ring.sync(["bob", "dave"], options));
    const certificate = ring.store(DAVE).rows.get(2)?.certificate as Bytes;
    assert.equal(hash(Tag.message, ...messages, certificate).toHex(), GOLDEN[curve.name], curve.name);
  }
});

Deno.test("a new member takes a key that one party had alone only where it agreed to import it from that party", () => {
  const NEW = "2 of (alice, dave)";
  const run = (policy: string, owners: Partial<Record<PartyId, string>>) => {
    const ring = new Keyring(policy, { allowSingle: true });
    const outcomes = ring.run(reshare, (self) => {
      const owner = owners[self];
      return ring.reshareInput(self, NEW, [], owner === undefined ? {} : { owner });
    }, [ALICE, DAVE]);
    return { ring, outcomes };
  };
  for (const policy of ["alice", "or(alice, bob)"]) {
    const { outcomes } = run(policy, {});
    const dave = outcomes.get(DAVE);
    assert.ok(dave?.ok === false && (dave.error as { code: string }).code === "PEER_REFUSED");
    assert.match((dave.error as Error).message, /a single party can use alone: key import is for those/);
  }
  // An import takes the key of its owner, and no other.
  const both = { [ALICE]: "alice", [DAVE]: "alice" };
  const { ring, outcomes } = run("alice", both);
  allValues(outcomes);
  ring.holds(1, ["alice", "dave"]);
  const { outcomes: wrong } = run("or(alice, bob)", both);
  const dave = wrong.get(DAVE);
  assert.ok(dave?.ok === false);
  assert.match((dave.error as Error).message, /a single party can use alone/);
});

Deno.test("an import that is repeated deals on from the epoch that it made", () => {
  // Two more signers hold the key beside dave, who has lost it: its policy is that of the import.
  const three = new Keyring("2 of (alice, bob, dave)");
  three.stores.set(DAVE, new MemoryStore());
  const outcomes = three.run(
    reshare,
    (self) => three.reshareInput(self, "2 of (alice, bob, dave)", [], { owner: "alice" }),
    [ALICE, BOB, DAVE],
  );
  allValues(outcomes);
  three.holds(1, ["alice", "bob", "dave"]);
});
