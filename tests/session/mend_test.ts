import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import { type Bytes, equal, utf8 } from "../../src/base/bytes.ts";
import { CheaterError, TransportError } from "../../src/base/errors.ts";
import { type Definition, exchange, type Round } from "../../src/protocols/protocol.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { FrameType } from "../../src/session/links.ts";
import type { Mend } from "../../src/session/opening.ts";
import { type Slot, World } from "../sim/world.ts";
import {
  ALICE,
  BOB,
  CAROL,
  chat,
  failureOf,
  Lonely,
  SAY,
  stateOf,
  toy,
  type ToyInput,
  valueOf,
  wordBody,
} from "./support.ts";

const ROUND: Round<Bytes, Bytes> = { ...SAY, echo: "none" };

/** What pairs of parties share, by `i/j`: two halves that are equal, or not. */
type Halves = Map<string, Bytes>;

/** Signs like the real thing: offers the halves, and has those mended that differ. */
function pairing(halves: Halves): Definition<ToyInput & { readonly self: PartyId }, number> {
  const half = (i: PartyId, j: PartyId) => halves.get(`${i}/${j}`) ?? new Uint8Array(1);
  const tags = (self: PartyId, participants: readonly PartyId[]) =>
    Uint8Array.from(participants.map((peer) => peer === self ? 0 : half(self, peer)[0] as number));
  return {
    ...toy([ROUND] as Round[], function* () {
      return (yield* exchange(ROUND, { broadcast: utf8("x") })).broadcast.size;
    }),
    offer: ({ self, participants }) => tags(self, participants),
    unsettled({ participants }, self, offers) {
      const mine: PartyId[] = [], others: [PartyId, PartyId][] = [];
      for (const [a, i] of participants.entries()) {
        for (const [b, j] of participants.entries()) {
          const left = offers.get(i), right = offers.get(j);
          if (
            i >= j || left === undefined || right === undefined || (left[b] === right[a] && left[b] !== 0)
          ) continue;
          if (i === self) mine.push(j);
          else if (j === self) mine.push(i);
          else others.push([i, j]);
        }
      }
      return { mine, others };
    },
  };
}

/** The session that mends: both sides hold the other's word afterwards. */
const meet = toy([ROUND] as Round[], function* (session) {
  const mine = session.rng.bytes(1);
  const { broadcast } = yield* exchange(ROUND, { broadcast: mine });
  return ([...broadcast.values()][0]?.[0] as number ^ (mine[0] as number)) | 1;
}, { name: "meet", auxiliary: true });

function mendOver(world: World, self: PartyId, halves: Halves, mended: string[]): Mend {
  return (peer, done) => {
    const input = { participants: [self, peer].toSorted((a, b) => a - b) };
    world.host(self).observe(meet, input, {}, {
      outcome: (outcome) => {
        if (!outcome.ok) return done(outcome.error);
        halves.set(`${self}/${peer}`, Uint8Array.of(outcome.value as number));
        mended.push(`${self}/${peer}`);
        done();
      },
    });
  };
}

for (const mode of ["command", "daemon"] as const) {
  Deno.test(`mend: pairs that differ are set up anew while the session opens (${mode})`, () => {
    for (const broken of [[], ["2/3"], ["1/2", "2/3"], ["1/2", "1/3", "2/3"]]) {
      const world = new World({ seed: `mend ${broken}`, parties: 3, mode });
      const halves: Halves = new Map();
      for (const i of world.parties) for (const j of world.parties) halves.set(`${i}/${j}`, Uint8Array.of(7));
      for (const pair of broken) halves.set(pair, Uint8Array.of(9));
      const mended: string[] = [];
      const slots = world.parties.map((self) =>
        world.start(self, pairing(halves), { participants: world.parties, self }, {
          mend: mendOver(world, self, halves, mended),
          delayMs: self * 50,
        })
      );
      world.run();
      for (const slot of slots) assert.equal(valueOf(slot), 2);
      const both = broken.flatMap((pair) => [pair, [...pair].reverse().join("")]);
      assert.deepEqual(mended.toSorted(), both.toSorted());
      for (const pair of both) {
        assert.ok(equal(halves.get(pair) as Bytes, halves.get([...pair].reverse().join("")) as Bytes));
      }
      for (const party of world.parties) assert.equal(world.host(party).size, 0);
    }
  });
}

/** Alice alone with one pair that differs from bob's. */
function alone(mend?: Mend): { lonely: Lonely; slot: Slot<number> & { cancel: () => void } } {
  const lonely = new Lonely();
  const halves: Halves = new Map([["1/2", Uint8Array.of(7)], ["1/3", Uint8Array.of(7)]]);
  const participants = [ALICE, BOB, CAROL];
  const definition = pairing(halves) as Definition<ToyInput, number>;
  const slot = lonely.start(
    definition,
    { participants, self: ALICE } as never,
    mend === undefined ? {} : { mend },
  );
  return { lonely, slot };
}
const DIFFERS = { offer: Uint8Array.of(9, 0, 7) };

Deno.test("mend: without a way to mend the session fails at once and names the peer", () => {
  const { lonely, slot } = alone();
  lonely.receiveOpen(BOB, lonely.openOf(BOB, DIFFERS));
  const error = failureOf(slot) as TransportError;
  assert.deepEqual([error.code, error.parties], ["PAIR_MISSING", [BOB]]);
  assert.equal(lonely.framesOf(FrameType.SESSION_REFUSED).length, 2);
});

Deno.test("mend: a failure of it ends the session with its reason; blame stays where its evidence is", () => {
  const reasons: [Error, string][] = [
    [new TransportError("TIMEOUT", "bob did not answer", { party: "bob", parties: [BOB] }), "TIMEOUT"],
    [
      new CheaterError({ code: "CHEATED", round: 2, culprits: [BOB], what: "its trees are wrong" }),
      "PAIR_MISSING",
    ],
    [new Error("what"), "PAIR_MISSING"],
  ];
  for (const [reason, code] of reasons) {
    const { lonely, slot } = alone((_peer, done) => done(reason));
    lonely.receiveOpen(BOB, lonely.openOf(BOB, DIFFERS));
    const error = failureOf(slot);
    assert.equal(error.code, code);
    assert.ok(!(error instanceof CheaterError));
    assert.equal(lonely.host.size, 0);
  }
});

Deno.test("mend: READY waits for it, the new offer is said, and a peer that differs still is mended only once", () => {
  let calls = 0;
  let finish: (error?: Error) => void = () => {};
  const { lonely, slot } = alone((_peer, done) => {
    calls++;
    finish = done;
  });
  lonely.receiveOpen(BOB, lonely.openOf(BOB, DIFFERS));
  lonely.receiveOpen(CAROL, lonely.openOf(CAROL, { offer: Uint8Array.of(7, 7, 0) }));
  assert.equal(lonely.events.at(-1)?.kind, "mending");
  assert.equal(lonely.framesOf(FrameType.READY).length, 0);
  const first = lonely.ownOpen();
  finish();
  assert.ok(!equal(lonely.ownOpen().nonce, first.nonce), "a new attempt has a new nonce");
  assert.equal(calls, 1);
  assert.equal(lonely.framesOf(FrameType.READY).length, 0, "bob's old offer still differs");
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [BOB]);
  assert.equal(stateOf(slot), "running");
});

Deno.test("mend: what has begun is waited for, even if the peer offers what it should meanwhile", () => {
  let finish: () => void = () => {};
  const { lonely } = alone((_peer, done) => {
    finish = done;
  });
  lonely.receiveOpen(BOB, lonely.openOf(BOB, DIFFERS));
  lonely.receiveOpen(CAROL, lonely.openOf(CAROL, { offer: Uint8Array.of(7, 7, 0) }));
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { offer: Uint8Array.of(7, 0, 7), nonce: new Uint8Array(32) }));
  assert.equal(lonely.framesOf(FrameType.READY).length, 0);
  finish();
  assert.equal(lonely.framesOf(FrameType.READY).length, 2);
});

Deno.test("mend: while it goes on the deadline of the session does not fall, but the session ends", () => {
  const { lonely, slot } = alone(() => {});
  lonely.receiveOpen(BOB, lonely.openOf(BOB, DIFFERS));
  lonely.receiveOpen(CAROL, lonely.openOf(CAROL, { offer: Uint8Array.of(7, 7, 0) }));
  lonely.pass(80_000);
  assert.equal(stateOf(slot), "running");
  lonely.pass(10_000 + SessionLimits.lastWordMs);
  assert.equal(failureOf(slot).code, "TIMEOUT");
  assert.equal(lonely.host.size, 0);
});

Deno.test("mend: what ends after the session changes nothing", () => {
  let finish: (error?: Error) => void = () => {};
  const { lonely, slot } = alone((_peer, done) => {
    finish = done;
  });
  lonely.receiveOpen(BOB, lonely.openOf(BOB, DIFFERS));
  slot.cancel();
  const sent = lonely.sent.length;
  finish();
  assert.equal(lonely.sent.length, sent);
  assert.equal(failureOf(slot).code, "CANCELLED");
});

Deno.test("mend: a pair of others is waited for, and both are missing until it is settled", () => {
  const { lonely, slot } = alone();
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { offer: Uint8Array.of(7, 0, 1) }));
  lonely.receiveOpen(CAROL, lonely.openOf(CAROL, { offer: Uint8Array.of(7, 2, 0) }));
  assert.equal(lonely.framesOf(FrameType.READY).length, 0);
  assert.equal(stateOf(slot), "running");
  const opens = [
    lonely.ownOpen(),
    lonely.receiveOpen(BOB, lonely.openOf(BOB, { offer: Uint8Array.of(7, 0, 3), nonce: new Uint8Array(32) })),
    lonely.receiveOpen(
      CAROL,
      lonely.openOf(CAROL, { offer: Uint8Array.of(7, 3, 0), nonce: new Uint8Array(32).fill(1) }),
    ),
  ];
  assert.equal(lonely.framesOf(FrameType.READY).length, 2);
  for (const peer of [BOB, CAROL]) lonely.receiveReady(peer, opens);
  assert.equal(lonely.events.at(-1)?.round, 1);
});

Deno.test("offers are compared by READY and bound in the session id", () => {
  const ids = [Uint8Array.of(1), Uint8Array.of(2)].map((offer) => {
    const lonely = new Lonely();
    lonely.start(chat);
    const opens = [
      lonely.ownOpen(),
      lonely.receiveOpen(BOB, lonely.openOf(BOB, { offer })),
      lonely.receiveOpen(CAROL),
    ];
    for (const peer of [BOB, CAROL]) lonely.receiveReady(peer, opens);
    return lonely.events.at(-1)?.sid?.toHex();
  });
  assert.notEqual(ids[0], ids[1]);

  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const toCarol = lonely.openOf(BOB, { offer: Uint8Array.of(9) });
  lonely.receiveReady(CAROL, [opens[0], toCarol, opens[2]] as never);
  lonely.receiveReady(BOB, opens);
  lonely.pass(SessionLimits.splitMs);
  assert.equal(failureOf(slot).code, "ROUND0_SPLIT");
  assert.equal(wordBody("x").length, 5);
});
