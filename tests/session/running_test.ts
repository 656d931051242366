import assert from "node:assert/strict";
import type { PartyId, SessionId } from "../../src/base/brands.ts";
import { type Bytes, copy, EMPTY, equal, utf8 } from "../../src/base/bytes.ts";
import { decode } from "../../src/base/codec.ts";
import {
  CheaterError,
  InvariantError,
  type QuorateError,
  type TransportError,
  UsageError,
} from "../../src/base/errors.ts";
import { compute, exchange, type JournalRecord, persist, type Round } from "../../src/protocols/protocol.ts";
import {
  ECHO_ROUND_BIT,
  echoHash,
  type Envelope,
  openEnvelope,
  sealEnvelope,
} from "../../src/session/envelope.ts";
import { verifyEvidence } from "../../src/session/evidence.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { FrameType } from "../../src/session/links.ts";
import { abortCodec, type AbortMessage } from "../../src/session/messages.ts";
import type { Passing } from "../sim/world.ts";
import { World } from "../sim/world.ts";
import {
  ALICE,
  BOB,
  CAROL,
  chat,
  CLOSE,
  evidenceOf,
  failureOf,
  Lonely,
  MALFORMED,
  SAY,
  shouting,
  startAll,
  stateOf,
  toy,
  valueOf,
  wordBody,
} from "./support.ts";

/** The echo that alice computes over round 1 when bob and carol said these. */
function echoOf(lonely: Lonely, sid: SessionId, bob: Bytes, carol: Bytes): Bytes {
  const own = lonely.framesOf(FrameType.ENVELOPE)[0]?.payload as Bytes;
  return echoHash(sid, 1, [openEnvelope(own, false).body, bob, carol]);
}

function abortsOf(lonely: Lonely, to: PartyId): AbortMessage[] {
  return lonely.framesOf(FrameType.ABORT, to).map((frame) => decode(abortCodec, frame.payload));
}

/** Alice in round 2 of a chat, with what bob and carol said. */
function inRound2() {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const sid = lonely.openWithAll();
  const bob = lonely.receiveEnvelope(BOB, sid, { body: wordBody("bob") });
  const carol = lonely.receiveEnvelope(CAROL, sid, { body: wordBody("carol") });
  const echo = echoOf(lonely, sid, wordBody("bob"), wordBody("carol"));
  return { lonely, slot, sid, bob, carol, echo };
}

/** Changes what bob says to carol in a round, signed by bob. */
function bobLiesToCarol(round: number, change: (envelope: Envelope) => Partial<Envelope>) {
  return ({ from, to, frame }: Passing, world: World) => {
    if (from !== BOB || to !== CAROL || frame.type !== FrameType.ENVELOPE || frame.payload[0] !== round) {
      return [{ frame }];
    }
    const session = world.sessions.get(frame.session.toHex());
    const envelope = openEnvelope(frame.payload, round !== 1);
    const signer = world.identities.get(BOB);
    if (session === undefined || signer === undefined) throw new Error("no session");
    const payload = sealEnvelope(signer, session.sid, "toy", { ...envelope, ...change(envelope) });
    return [{ frame: { ...frame, payload } }];
  };
}

for (const [name, protocol] of [["next", chat], ["own", shouting]] as const) {
  Deno.test(`echo "${name}": an equivocated broadcast names its sender at every honest party, with evidence for anyone`, () => {
    const world = new World({
      seed: name,
      parties: 3,
      intercept: bobLiesToCarol(1, () => ({ body: wordBody("another") })),
    });
    const slots = startAll(world, protocol);
    world.run();
    for (const party of [ALICE, CAROL]) {
      const error = failureOf(slots.get(party)) as CheaterError;
      assert.equal(error.code, "EQUIVOCATION", error.message);
      assert.deepEqual(error.culprits, [BOB]);
      const [evidence] = evidenceOf(slots.get(party));
      assert.ok(evidence !== undefined && verifyEvidence(evidence, world.roster));
      assert.equal(evidence.kind, "equivocation");
    }
  });

  Deno.test(`echo "${name}": without an equivocation everybody has the same`, () => {
    const world = new World({ seed: `honest ${name}`, parties: 5 });
    const slots = startAll(world, protocol);
    world.run();
    assert.equal(new Set([...slots.values()].map((slot) => valueOf(slot))).size, 1);
  });
}

Deno.test('echo "next": messages that came early are compared before anything of the next round leaves', () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const sid = lonely.openWithAll();
  const [bob, carol, toCarol] = [wordBody("bob"), wordBody("carol"), wordBody("to carol")];
  const echo = echoOf(lonely, sid, toCarol, carol);
  // Carol heard something else of bob; her whole round 2 is here before bob's word is.
  lonely.receiveEnvelope(CAROL, sid, { body: carol });
  lonely.receiveEnvelope(CAROL, sid, { round: 2, echo, body: wordBody("c") });
  lonely.receiveEnvelope(CAROL, sid, { round: 2, to: ALICE, echo, body: wordBody("c") });
  lonely.receiveEnvelope(BOB, sid, { round: 2, echo, body: wordBody("b") });
  lonely.receiveEnvelope(BOB, sid, { round: 2, to: ALICE, echo, body: wordBody("b") });
  const sent = lonely.framesOf(FrameType.ENVELOPE).length;
  lonely.receiveEnvelope(BOB, sid, { body: bob });
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, sent, "nothing of round 2 leaves");
  assert.equal(stateOf(slot), "running");
  assert.equal(abortsOf(lonely, CAROL)[0]?.code, "ECHO_MISMATCH");
  lonely.pass(SessionLimits.echoDisputeMs);
  assert.equal(failureOf(slot).code, "ECHO_MISMATCH");
});

Deno.test('echo "own": an echo that came early is compared when all broadcasts are here', () => {
  const lonely = new Lonely();
  const slot = lonely.start(shouting);
  const sid = lonely.openWithAll();
  const round = 1 | ECHO_ROUND_BIT;
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("carol") });
  lonely.receiveEnvelope(CAROL, sid, { round, echo: new Uint8Array(32), body: EMPTY });
  assert.equal(lonely.framesOf(FrameType.ABORT).length, 0);
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("bob") });
  assert.equal(abortsOf(lonely, BOB)[0]?.code, "ECHO_MISMATCH");
  lonely.pass(SessionLimits.echoDisputeMs);
  assert.equal(failureOf(slot).code, "ECHO_MISMATCH");
});

Deno.test('echo "own": a round ends only with the echoes of all, and each is compared', () => {
  for (const honest of [true, false]) {
    const lonely = new Lonely();
    const slot = lonely.start(shouting);
    const sid = lonely.openWithAll();
    const round = 1 | ECHO_ROUND_BIT;
    for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody(`${peer}`) });
    const echo = echoOf(lonely, sid, wordBody(`${BOB}`), wordBody(`${CAROL}`));
    lonely.receiveEnvelope(BOB, sid, { round, echo, body: EMPTY });
    assert.equal(stateOf(slot), "running");
    lonely.receiveEnvelope(CAROL, sid, { round, echo: honest ? echo : new Uint8Array(32), body: EMPTY });
    assert.equal(stateOf(slot), honest ? "done" : "running");
    assert.equal(lonely.framesOf(FrameType.ABORT).length, honest ? 0 : 2);
  }
});

Deno.test("dispute: both sides show the signed broadcasts; without two different ones nobody is named", () => {
  const { lonely, slot, sid, bob, carol } = inRound2();
  lonely.receiveEnvelope(CAROL, sid, { round: 2, echo: new Uint8Array(32), body: wordBody("c") });
  const [abort] = abortsOf(lonely, CAROL);
  assert.equal(abort?.code, "ECHO_MISMATCH");
  assert.deepEqual(
    abort.evidence.map((raw) => raw.toHex()).toSorted(),
    [bob, carol].map((raw) => raw.toHex()).toSorted(),
  );
  lonely.receiveAbort(CAROL, sid, { code: "ECHO_MISMATCH", evidence: [bob, carol] });
  lonely.pass(SessionLimits.echoDisputeMs - 1);
  assert.equal(stateOf(slot), "running");
  lonely.pass(1);
  const error = failureOf(slot) as CheaterError;
  assert.equal(error.code, "ECHO_MISMATCH");
  assert.deepEqual(error.culprits, []);
  assert.match(error.message, /nobody can be named$/);
});

Deno.test("dispute: it ends early when everybody has shown what it has, and the reporter is not named", () => {
  const { lonely, slot, sid, bob, carol } = inRound2();
  lonely.receiveAbort(CAROL, sid, { code: "ECHO_MISMATCH", evidence: [bob, carol] });
  assert.equal(abortsOf(lonely, BOB)[0]?.code, "ECHO_MISMATCH");
  assert.equal(stateOf(slot), "running");
  lonely.receiveAbort(BOB, sid, { code: "ECHO_MISMATCH", evidence: [bob, carol] });
  assert.deepEqual((failureOf(slot) as CheaterError).culprits, []);
});

Deno.test("dispute: the other version of a broadcast names its sender, if it signed it and for this place", () => {
  const lie = { body: wordBody("another") };
  const cases: [string, (lonely: Lonely, sid: SessionId, bob: Bytes) => Bytes[], boolean][] = [
    ["another body", (l, sid) => [sealed(l, BOB, sid, lie)], true],
    [
      "two versions of nothing that is here",
      (
        l,
        sid,
      ) => [
        sealed(l, BOB, sid, { round: 2, echo: new Uint8Array(32) }),
        sealed(l, BOB, sid, { round: 2, echo: new Uint8Array(32).fill(1) }),
      ],
      true,
    ],
    ["signed by carol", (l, sid) => [sealed(l, BOB, sid, { ...lie, signer: CAROL })], false],
    ["of another session", (l, sid) => [sealed(l, BOB, copy(sid).fill(3, 20) as SessionId, lie)], false],
    ["of another protocol", (l, sid) => [sealed(l, BOB, sid, { ...lie, protocol: "other" })], false],
    ["the same again", (_l, _sid, bob) => [bob, bob], false],
    ["of nobody", (l, sid) => [sealed(l, BOB, sid, { ...lie, from: 77 as PartyId })], false],
    ["of a round that there is not", (l, sid) => [sealed(l, BOB, sid, { ...lie, round: 9 })], false],
    [
      "direct",
      (
        l,
        sid,
      ) => [
        sealed(l, BOB, sid, { round: 2, to: CAROL, echo: new Uint8Array(32) }),
        sealed(l, BOB, sid, { round: 2, to: CAROL, echo: new Uint8Array(32).fill(1) }),
      ],
      false,
    ],
    ["not an envelope", () => [utf8("?"), EMPTY, new Uint8Array(300)], false],
  ];
  for (const [name, make, names] of cases) {
    const { lonely, slot, sid, bob } = inRound2();
    lonely.receiveAbort(CAROL, sid, { code: "ECHO_MISMATCH", evidence: make(lonely, sid, bob) });
    if (!names) {
      assert.equal(stateOf(slot), "running", name);
      continue;
    }
    const error = failureOf(slot) as CheaterError;
    assert.deepEqual([error.code, error.culprits], ["EQUIVOCATION", [BOB]], name);
    assert.ok(evidenceOf(slot).every((item) => verifyEvidence(item, lonely.roster)), name);
    // The others learn it with both envelopes.
    assert.equal(abortsOf(lonely, BOB).at(-1)?.evidence.length, 2, name);
  }

  function sealed(
    lonely: Lonely,
    from: PartyId,
    sid: SessionId,
    fields: Partial<Envelope> & { signer?: PartyId; protocol?: string },
  ): Bytes {
    const made = { round: 1, from, to: 0, echo: EMPTY, body: wordBody("x"), ...fields };
    return sealEnvelope(lonely.signerOf(fields.signer ?? from), sid, fields.protocol ?? "toy", made);
  }
});

Deno.test("dispute: each peer is listened to once", () => {
  const { lonely, slot, sid, bob } = inRound2();
  const lie = sealEnvelope(lonely.signerOf(BOB), sid, "toy", {
    ...openEnvelope(bob, false),
    body: wordBody("lie"),
  });
  lonely.receiveAbort(CAROL, sid, { code: "ECHO_MISMATCH" });
  lonely.receiveAbort(CAROL, sid, { code: "ECHO_MISMATCH", evidence: [lie] });
  assert.equal(stateOf(slot), "running");
  lonely.receiveAbort(CAROL, sid, { code: "EQUIVOCATION", evidence: [bob, lie] });
  assert.equal(failureOf(slot).code, "EQUIVOCATION");
});

Deno.test("equivocation: two different messages to one receiver name the sender; direct ones are not shown to others", () => {
  const { lonely, slot, sid, echo } = inRound2();
  lonely.receiveEnvelope(BOB, sid, { round: 2, to: ALICE, echo, body: wordBody("one") });
  lonely.receiveEnvelope(BOB, sid, { round: 2, to: ALICE, echo, body: wordBody("two") });
  const error = failureOf(slot) as CheaterError;
  assert.deepEqual([error.code, error.culprits, error.party], ["EQUIVOCATION", [BOB], "bob"]);
  assert.ok(evidenceOf(slot).every((item) => verifyEvidence(item, lonely.roster)));
  assert.deepEqual(abortsOf(lonely, CAROL)[0]?.evidence, []);
  assert.deepEqual(abortsOf(lonely, CAROL)[0]?.parties, [BOB]);
});

Deno.test("a malformed body names its sender, with all that it sent so far as evidence", () => {
  const { lonely, slot, sid, echo } = inRound2();
  for (const peer of [BOB, CAROL]) {
    lonely.receiveEnvelope(peer, sid, { round: 2, echo, body: peer === BOB ? MALFORMED : wordBody("c") });
    lonely.receiveEnvelope(peer, sid, { round: 2, to: ALICE, echo, body: wordBody("d") });
  }
  const error = failureOf(slot) as CheaterError;
  assert.deepEqual([error.code, error.culprits, error.round], ["INVALID_MESSAGE", [BOB], 2]);
  const [evidence, ...more] = evidenceOf(slot);
  assert.ok(evidence !== undefined && verifyEvidence(evidence, lonely.roster));
  assert.equal(evidence.envelopes.length, 3);
  assert.equal(more.length, 0);
  assert.ok(!verifyEvidence({ ...evidence, culprit: CAROL }, lonely.roster));
});

Deno.test("all whose messages are malformed are named at once, and a direct one is decoded too", () => {
  const { lonely, slot, sid, echo } = inRound2();
  lonely.receiveEnvelope(BOB, sid, { round: 2, echo, body: MALFORMED });
  lonely.receiveEnvelope(BOB, sid, { round: 2, to: ALICE, echo, body: wordBody("d") });
  lonely.receiveEnvelope(CAROL, sid, { round: 2, echo, body: wordBody("c") });
  lonely.receiveEnvelope(CAROL, sid, { round: 2, to: ALICE, echo, body: MALFORMED });
  assert.deepEqual((failureOf(slot) as CheaterError).culprits, [BOB, CAROL]);
});

Deno.test("an envelope that has no place closes the link and is forgotten", () => {
  const { lonely, slot, sid, echo } = inRound2();
  const max = CLOSE.broadcast?.sizeMax as number;
  const cases: Parameters<Lonely["receiveEnvelope"]>[2][] = [
    { round: 2, from: CAROL, echo, body: wordBody("x") },
    { round: 2, to: CAROL, echo, body: wordBody("x") },
    { round: 3, body: wordBody("x") },
    { round: 1 | ECHO_ROUND_BIT, body: wordBody("x") },
    { round: 1, to: ALICE, body: wordBody("x") },
    { round: 2, echo, body: new Uint8Array(max + 1) },
    { round: 2, echo, body: wordBody("x"), signer: CAROL },
    { round: 2, echo, body: wordBody("x"), protocol: "other" },
    { round: 2, body: wordBody("x") },
  ];
  for (const [i, fields] of cases.entries()) {
    lonely.receiveEnvelope(BOB, sid, fields);
    assert.equal(lonely.closed.length, i + 1, `case ${i}`);
    assert.equal(lonely.closed[i]?.peer, BOB);
  }
  for (const raw of [EMPTY, utf8("?"), new Uint8Array(5)]) {
    const before: number = lonely.closed.length;
    lonely.receive(BOB, FrameType.ENVELOPE, raw, sid.slice(0, 16));
    assert.equal(lonely.closed.length, before + 1);
  }
  assert.equal(stateOf(slot), "running");
  for (const peer of [BOB, CAROL]) {
    lonely.receiveEnvelope(peer, sid, { round: 2, echo, body: wordBody("c") });
    lonely.receiveEnvelope(peer, sid, { round: 2, to: ALICE, echo, body: wordBody("d") });
  }
  assert.equal(stateOf(slot), "done");
});

Deno.test("a largest body passes, and trailing or other bytes under a signature do not", () => {
  const { lonely, slot, sid, echo } = inRound2();
  const full = "x".repeat(64);
  const raw = lonely.receiveEnvelope(BOB, sid, { round: 2, echo, body: wordBody(full) });
  assert.equal(lonely.closed.length, 0);
  for (const changed of [flipped(raw, 40), flipped(raw, raw.length - 1), new Uint8Array([...raw, 0])]) {
    const before: number = lonely.closed.length;
    lonely.receive(BOB, FrameType.ENVELOPE, changed, sid.slice(0, 16));
    assert.equal(lonely.closed.length, before + 1);
  }
  assert.equal(stateOf(slot), "running");
});

Deno.test("a second copy of an envelope is dropped, in time or late", () => {
  const { lonely, slot, sid, bob } = inRound2();
  lonely.receive(BOB, FrameType.ENVELOPE, bob, sid.slice(0, 16));
  assert.equal(lonely.closed.length, 0);
  assert.equal(stateOf(slot), "running");
});

Deno.test("envelopes that come before round 1 began here are kept for it", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const template = new Lonely();
  template.start(chat);
  const sid = template.openWithAll();
  assert.ok(equal(template.ownOpen().nonce, lonely.ownOpen().nonce), "both are seeded alike");
  lonely.receiveReady(BOB, opens);
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("early") });
  lonely.receiveReady(CAROL, opens);
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("carol") });
  assert.equal(lonely.events.at(-1)?.round, 2);
  assert.equal(stateOf(slot), "running");
});

Deno.test("an abort before round 1 ends the session as the word of its sender", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  lonely.receiveReady(BOB, opens);
  const template = new Lonely();
  template.start(chat);
  lonely.receiveAbort(BOB, template.openWithAll(), {
    code: "CHEATED",
    parties: [CAROL],
    text: "carol: lies",
  });
  const error = failureOf(slot) as TransportError;
  assert.deepEqual([error.code, error.parties], ["PEER_ABORTED", [BOB]]);
  assert.match(error.message, /^bob ended the session \(CHEATED: carol: lies\)/);
  assert.equal(lonely.framesOf(FrameType.SESSION_REFUSED, CAROL).length, 1);
});

Deno.test("an abort is the word of its sender: its code and text are shown and blame nobody", () => {
  const { lonely, slot, sid } = inRound2();
  lonely.receiveAbort(BOB, sid, { code: "MADE_UP\u001b[2J", parties: [CAROL], text: "carol\u0007 did it" });
  const error = failureOf(slot);
  assert.ok(!(error instanceof CheaterError));
  assert.match(error.message, /^bob ended the session \(UNKNOWN: carol\? did it\)/);
  assert.deepEqual(evidenceOf(slot), []);
});

Deno.test("compute() steps run one at a time and their exceptions are the protocol's to catch", () => {
  const order: string[] = [];
  const computing = toy([SAY, CLOSE] as Round[], function* () {
    const two = yield* compute((x: number) => x + 1, 1);
    order.push(`computed ${two}`);
    try {
      yield* compute(() => {
        throw new RangeError("no");
      }, undefined);
    } catch (error) {
      order.push(`caught ${(error as Error).message}`);
    }
    return two;
  });
  const lonely = new Lonely();
  const slot = lonely.start(computing);
  lonely.openWithAll();
  assert.deepEqual(order, []);
  lonely.pass(1);
  assert.deepEqual(order, ["computed 2", "caught no"]);
  assert.equal(valueOf(slot), 2);
});

Deno.test("no exception of a protocol reaches the link: it ends the session, and peers learn nothing of it", () => {
  const throwing = [
    toy([SAY, CLOSE] as Round[], function* () {
      yield* exchange(SAY, { broadcast: utf8("x") });
      throw new RangeError("secret 1234");
    }),
    toy([SAY, CLOSE] as Round[], function* () {
      yield* compute(() => {
        throw new TypeError("secret 1234");
      }, undefined);
    }),
    toy([SAY, CLOSE] as Round[], function* () {
      yield* exchange(SAY, { broadcast: new Uint8Array(65) });
    }),
    toy([SAY, CLOSE] as Round[], () => {
      throw new RangeError("secret 1234");
    }),
    toy([SAY] as Round[], chat.run),
    toy([CLOSE, SAY] as Round[], chat.run),
    toy([{ ...SAY, number: 200 }, CLOSE] as Round[], chat.run),
    toy([SAY, CLOSE] as Round[], chat.run, {
      unsettled: () => {
        throw new RangeError("secret 1234");
      },
    }),
    toy([SAY, CLOSE] as Round[], function* (session) {
      yield* exchange(SAY, { broadcast: utf8("x") }, { from: session.parties.slice(1, 2) });
    }),
    toy([SAY, CLOSE] as Round[], function* (session) {
      const peers = session.parties.slice(1);
      yield* exchange(SAY, { broadcast: utf8("x") });
      yield* exchange(CLOSE, { broadcast: utf8("x"), direct: new Map() }, { from: peers.slice(1) });
    }),
  ];
  for (const [i, protocol] of throwing.entries()) {
    const lonely = new Lonely();
    const slot = lonely.start(protocol);
    if (slot.outcome === undefined) {
      const sid = lonely.openWithAll();
      lonely.receiveEnvelope(BOB, sid, { body: wordBody("b") });
      lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
      lonely.pass(1);
    }
    const error = failureOf(slot);
    assert.ok(error instanceof InvariantError, `${i}: ${error.message}`);
    assert.doesNotMatch(error.message, /1234/);
    for (const abort of abortsOf(lonely, BOB)) assert.equal(abort.code, "CANCELLED");
    assert.equal(lonely.host.size, 0);
  }
});

Deno.test("an exception of a codec that is no refusal blames nobody", () => {
  const broken: Round<Bytes, Bytes> = {
    ...SAY,
    echo: "none",
    broadcast: {
      sizeMax: 64,
      write: (out, value) => out.put(value),
      read: () => {
        throw new RangeError("a bug");
      },
    },
  };
  const lonely = new Lonely();
  const slot = lonely.start(toy([broken] as Round[], function* () {
    yield* exchange(broken, { broadcast: utf8("x") });
  }));
  const sid = lonely.openWithAll();
  for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody("w") });
  assert.ok(failureOf(slot) instanceof InvariantError);
});

Deno.test("blame for what is not here comes without evidence, not with an empty one", () => {
  const lonely = new Lonely();
  const slot = lonely.start(toy([SAY, CLOSE] as Round[], function* () {
    yield* compute(() => 1, undefined);
    throw new CheaterError({ code: "CHEATED", round: 1, culprits: [BOB], what: "it is wrong" });
  }));
  lonely.openWithAll();
  lonely.pass(1);
  assert.equal(failureOf(slot).code, "CHEATED");
  assert.deepEqual(evidenceOf(slot), []);
});

Deno.test("a callback of the caller that throws does not end the session", () => {
  const lonely = new Lonely({
    onEvent: () => {
      throw new Error("the progress display broke");
    },
  });
  const slot = lonely.start(chat);
  lonely.openWithAll();
  assert.equal(stateOf(slot), "running");
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2);
});

Deno.test("a protocol that is aborted disposes its secrets, wherever it is", () => {
  for (const where of ["exchange", "compute", "dispute"]) {
    let disposed = 0, computed = 0;
    const guarded = toy([SAY, CLOSE] as Round[], function* () {
      using _secret = { [Symbol.dispose]: () => void disposed++ };
      if (where === "compute") yield* compute(() => void computed++, undefined);
      yield* exchange(SAY, { broadcast: utf8("x") });
      yield* exchange(CLOSE, { broadcast: utf8("x"), direct: new Map() });
    });
    const lonely = new Lonely();
    const slot = lonely.start(guarded);
    const sid = lonely.openWithAll();
    if (where === "dispute") {
      lonely.receiveAbort(BOB, sid, { code: "ECHO_MISMATCH" });
      assert.equal(disposed, 1, "before the dispute ends");
      continue;
    }
    slot.cancel();
    assert.equal(disposed, 1, where);
    assert.equal(failureOf(slot).code, "CANCELLED");
    lonely.pass(1);
    assert.equal(computed, 0, "nothing is computed for nobody");
    assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, where === "compute" ? 0 : 2);
  }
});

const RELEASE = {
  kind: "release",
  keyId: new Uint8Array(32),
  epoch: 0,
  sid: new Uint8Array(32),
  payloadHash: EMPTY,
} as never as JournalRecord;

Deno.test("persist(): a record is written before the next message leaves, and a failing store stops it", () => {
  const releasing = toy([SAY, CLOSE] as Round[], function* () {
    yield* persist(RELEASE);
    yield* exchange(SAY, { broadcast: utf8("x") });
  });
  const lonely = new Lonely();
  let sentBefore = -1;
  lonely.onRecord = () => {
    sentBefore = lonely.framesOf(FrameType.ENVELOPE).length;
  };
  lonely.start(releasing);
  lonely.openWithAll();
  assert.equal(sentBefore, 0);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2);

  const full = new Lonely();
  full.onRecord = () => {
    throw new UsageError("STORE_UNWRITABLE", "the store cannot be written");
  };
  const slot = full.start(releasing);
  full.openWithAll();
  assert.equal(failureOf(slot).code, "STORE_UNWRITABLE", "not released: the outcome is known");
  assert.equal(full.framesOf(FrameType.ENVELOPE).length, 0);
  assert.equal(abortsOf(full, BOB)[0]?.code, "CANCELLED", "our disk is not the peers' business");
});

Deno.test("after a release every failure is an unknown outcome, and before it none is", () => {
  const ends: ((lonely: Lonely, sid: SessionId, cancel: () => void) => void)[] = [
    (lonely) => lonely.pass(60_000),
    (lonely, sid) => lonely.receiveAbort(BOB, sid, {}),
    (_lonely, _sid, cancel) => cancel(),
    (lonely) => lonely.up(BOB, 2),
    (lonely, sid) => {
      for (const body of ["one", "two"]) lonely.receiveEnvelope(BOB, sid, { body: wordBody(body) });
    },
  ];
  for (const released of [true, false]) {
    const protocol = toy([SAY, CLOSE] as Round[], function* () {
      if (released) yield* persist(RELEASE);
      yield* exchange(SAY, { broadcast: utf8("x") });
    });
    for (const end of ends) {
      const lonely = new Lonely();
      const slot = lonely.start(protocol);
      const sid = lonely.openWithAll();
      end(lonely, sid, slot.cancel);
      const error = failureOf(slot);
      assert.equal(error.code === "OUTCOME_UNKNOWN", released, error.message);
      if (!released) continue;
      assert.equal(error.exitCode, 4);
      assert.ok((error.cause as QuorateError).message.length > 0);
      assert.notEqual(abortsOf(lonely, CAROL)[0]?.code, "OUTCOME_UNKNOWN", "peers learn the cause");
    }
  }
});

Deno.test("a peer that leaves is judged by what it has sent, and nothing more is sent or released", () => {
  const computing = (body: "lies" | "ends" | "asks" | "releases") =>
    toy([SAY, CLOSE] as Round[], function* () {
      yield* exchange(SAY, { broadcast: utf8("x") });
      yield* compute(() => {
        if (body !== "lies") return;
        throw new CheaterError({ code: "CHEATED", round: 1, culprits: [BOB], what: "a check failed" });
      }, undefined);
      if (body === "releases") yield* persist(RELEASE);
      if (body === "asks") yield* exchange(CLOSE, { broadcast: utf8("y"), direct: new Map() });
      return "all is here";
    });
  const leaves: ((lonely: Lonely, sid: SessionId) => void)[] = [
    (lonely, sid) => lonely.receiveAbort(BOB, sid, { code: "CHEATED", parties: [ALICE] }),
    (lonely) => lonely.up(BOB, 2),
  ];
  for (const leave of leaves) {
    for (const body of ["lies", "ends", "asks", "releases"] as const) {
      const lonely = new Lonely();
      const slot = lonely.start(computing(body));
      const sid = lonely.openWithAll();
      for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, {});
      leave(lonely, sid);
      assert.equal(stateOf(slot), "running");
      lonely.pass(1);
      if (body === "ends") assert.equal(valueOf(slot), "all is here");
      else if (body === "lies") {
        assert.deepEqual((failureOf(slot) as CheaterError).culprits, [BOB]);
        assert.equal(evidenceOf(slot).length, 1);
      } else assert.match(failureOf(slot).code, /^PEER_(ABORTED|RESTARTED)$/);
      assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2, body);
      assert.deepEqual(lonely.records, []);
    }
  }
});

Deno.test("a peer that leaves is judged by a later round too, if all of it is here", () => {
  for (const complete of [true, false]) {
    const judging = toy([SAY, CLOSE] as Round[], function* () {
      yield* exchange(SAY, { broadcast: utf8("x") });
      yield* compute(() => {}, undefined);
      yield* exchange(CLOSE, { broadcast: utf8("y"), direct: new Map() });
      throw new CheaterError({ code: "CHEATED", round: 2, culprits: [BOB], what: "a check failed" });
    });
    const lonely = new Lonely();
    const slot = lonely.start(judging);
    const sid = lonely.openWithAll();
    for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody("a") });
    const echo = echoOf(lonely, sid, wordBody("a"), wordBody("a"));
    for (const peer of complete ? [BOB, CAROL] : [BOB]) {
      for (const to of [0, ALICE]) lonely.receiveEnvelope(peer, sid, { round: 2, to, echo });
    }
    lonely.receiveAbort(BOB, sid, {});
    lonely.pass(1);
    assert.equal(failureOf(slot).code, complete ? "CHEATED" : "PEER_ABORTED");
    assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2);
  }
});

Deno.test("a burned pair is told to peers only as a generic abort", () => {
  const burning = toy([SAY, CLOSE] as Round[], function* () {
    yield* exchange(SAY, { broadcast: utf8("x") });
    throw new CheaterError({ code: "PAIR_BURNED", round: 1, culprits: [BOB], what: "a check failed" });
  });
  const lonely = new Lonely();
  const slot = lonely.start(burning);
  const sid = lonely.openWithAll();
  for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody("w") });
  assert.equal(failureOf(slot).code, "PAIR_BURNED");
  assert.deepEqual((failureOf(slot) as CheaterError).culprits, [BOB]);
  assert.ok(evidenceOf(slot).every((item) => verifyEvidence(item, lonely.roster)));
  for (const peer of [BOB, CAROL]) {
    const [abort] = abortsOf(lonely, peer);
    assert.deepEqual([abort?.code, abort?.parties, abort?.evidence], ["CANCELLED", [], []]);
    assert.doesNotMatch(abort?.text as string, /bob|check|pair/);
  }
});

Deno.test("a burned pair found while opening is told to peers only as a generic refusal", () => {
  const burned = toy([SAY, CLOSE] as Round[], chat.run, {
    unsettled: (_input, _self, offers) => {
      if (offers.size > 1) throw new UsageError("PAIR_BURNED", "the pair with bob is banned");
      return { mine: [], others: [] };
    },
  });
  const lonely = new Lonely();
  const slot = lonely.start(burned);
  lonely.receiveOpen(BOB);
  assert.equal(failureOf(slot).code, "PAIR_BURNED");
  const text = new TextDecoder().decode(lonely.framesOf(FrameType.SESSION_REFUSED, BOB)[0]?.payload);
  assert.match(text, /CANCELLED/);
  assert.doesNotMatch(text, /PAIR_BURNED|banned/);
});

Deno.test("a round waits for those in `from` only", () => {
  const plain: Round<Bytes, Bytes> = { ...SAY, echo: "none" };
  const some = toy([plain] as Round[], function* () {
    return (yield* exchange(plain, { broadcast: utf8("x") }, { from: [BOB] })).broadcast.size;
  });
  const lonely = new Lonely();
  const slot = lonely.start(some);
  const sid = lonely.openWithAll();
  lonely.pass(20_000);
  const events: number = lonely.events.length;
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("not awaited") });
  assert.equal(lonely.events.length, events, "it is no progress");
  assert.equal(stateOf(slot), "running");
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("awaited") });
  assert.equal(valueOf(slot), 1);
});

function flipped(bytes: Bytes, at: number): Bytes {
  const out = copy(bytes);
  out[at] = (out[at] as number) ^ 1;
  return out;
}
