import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { CheaterError, TransportError } from "../../src/base/errors.ts";
import { compute, exchange, type Round } from "../../src/protocols/protocol.ts";
import { echoHash, openEnvelope } from "../../src/session/envelope.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { FrameType } from "../../src/session/links.ts";
import { abortCodec, doneCodec, refusedCodec } from "../../src/session/messages.ts";
import { World } from "../sim/world.ts";
import {
  ALICE,
  BOB,
  CAROL,
  chat,
  failureOf,
  Lonely,
  SAY,
  startAll,
  stateOf,
  toy,
  valueOf,
  wordBody,
} from "./support.ts";

const TIMEOUT_MS = 30_000;
const ROUND: Round<Bytes, Bytes> = { ...SAY, echo: "none" };
/** One round without an echo. */
const word = toy([ROUND] as Round[], function* () {
  return (yield* exchange(ROUND, { broadcast: utf8("x") })).broadcast.size;
});

function partiesOf(error: Error): readonly number[] {
  assert.ok(error instanceof TransportError, error.message);
  return error.parties;
}

function lastAbort(lonely: Lonely, to: PartyId) {
  return decode(abortCodec, lonely.framesOf(FrameType.ABORT, to).at(-1)?.payload as Bytes);
}

Deno.test("deadline: a party that never opens is named at the deadline, and the others are told", () => {
  const lonely = new Lonely();
  lonely.down(CAROL);
  const slot = lonely.start(chat);
  lonely.pass(1_000);
  lonely.receiveOpen(BOB);
  lonely.pass(TIMEOUT_MS - 1);
  assert.equal(stateOf(slot), "running", "restarted by bob's OPEN");
  lonely.pass(1);
  const error = failureOf(slot);
  assert.deepEqual([error.code, error.exitCode, error.party, partiesOf(error)], ["TIMEOUT", 4, "carol", [
    CAROL,
  ]]);
  const refused = decode(
    refusedCodec,
    lonely.framesOf(FrameType.SESSION_REFUSED, BOB).at(-1)?.payload as Bytes,
  );
  assert.deepEqual([refused.code, refused.parties], ["TIMEOUT", [CAROL]]);
});

Deno.test("deadline: a missing peer that is connected has a last word", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.pass(TIMEOUT_MS + SessionLimits.lastWordMs - 1);
  assert.equal(stateOf(slot), "running");
  assert.deepEqual(lastAbort(lonely, BOB).parties, [BOB]);
  lonely.pass(1);
  assert.deepEqual(partiesOf(failureOf(slot)), [BOB]);
  assert.match(failureOf(slot).message, /^bob did not answer in round 1 \(say\)/);
});

Deno.test("deadline: each awaited envelope begins the wait anew, others do not", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.pass(20_000);
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.pass(20_000);
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.pass(9_999);
  assert.equal(lonely.framesOf(FrameType.ABORT).length, 0);
  lonely.pass(1);
  assert.equal(lonely.framesOf(FrameType.ABORT).length, 2, "the copy was no progress");
  lonely.pass(SessionLimits.lastWordMs);
  assert.deepEqual(partiesOf(failureOf(slot)), [BOB]);
});

Deno.test("deadline: no progress carries a session beyond timeout x (rounds + 2)", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  for (let i = 0; i < 8; i++) {
    lonely.receiveOpen(BOB, lonely.openOf(BOB, { nonce: sha256(utf8(`again ${i}`)) }));
    lonely.pass(TIMEOUT_MS / 2);
  }
  assert.equal(stateOf(slot), "failed");
  assert.ok((slot.endedAt as number) <= TIMEOUT_MS * 3 + SessionLimits.lastWordMs, `${slot.endedAt}`);
  assert.ok((slot.endedAt as number) >= TIMEOUT_MS * 3);
});

Deno.test("deadline: own computing is not the peers' silence, but every session ends", () => {
  for (const [steps, ends] of [[4, "done"], [6, "failed"]] as const) {
    const slow = toy([ROUND] as Round[], function* () {
      for (let i = 0; i < steps; i++) yield* compute(() => void (lonely.now += 20_000), undefined);
      return (yield* exchange(ROUND, { broadcast: utf8("x") })).broadcast.size;
    });
    const lonely = new Lonely();
    const slot = lonely.start(slow);
    const sid = lonely.openWithAll();
    lonely.pass(85_000);
    for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody("w") });
    assert.equal(stateOf(slot), ends === "done" ? "done" : "running");
    lonely.pass(SessionLimits.lastWordMs);
    assert.equal(stateOf(slot), ends);
  }
});

Deno.test("abort: who speaks after a peer called it silent is not named; after the own deadline it is", () => {
  for (const how of ["envelope", "done", "deadline", "other"] as const) {
    const lonely = new Lonely();
    const slot = lonely.start(word);
    const sid = lonely.openWithAll();
    if (how === "deadline") {
      // Both are missing then; bob says why.
      lonely.pass(TIMEOUT_MS);
      lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [CAROL] });
    } else lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [CAROL] });
    assert.equal(stateOf(slot), "running");
    if (how === "done") lonely.receive(CAROL, FrameType.DONE, encode(doneCodec, { sid }), sid.slice(0, 16));
    else lonely.receiveEnvelope(how === "other" ? BOB : CAROL, sid, { body: wordBody("w") });
    if (how === "deadline" || how === "other") {
      assert.equal(stateOf(slot), "running");
      lonely.pass(SessionLimits.lastWordMs);
    }
    const { code, message } = failureOf(slot);
    const isNamed = how === "deadline" || how === "other";
    assert.equal(code, isNamed ? "TIMEOUT" : "PEER_ABORTED", how);
    assert.match(message, isNamed ? /^carol did not answer/ : /^bob ended the session \(TIMEOUT: /);
  }
});

Deno.test("abort: a TIMEOUT that names somebody who is missing here too ends the wait for that one", () => {
  const lonely = new Lonely();
  lonely.down(CAROL);
  const slot = lonely.start(word);
  lonely.up(CAROL);
  const sid = lonely.openWithAll();
  lonely.down(CAROL);
  lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [CAROL] });
  const error = failureOf(slot);
  assert.deepEqual([error.code, error.exitCode, partiesOf(error)], ["TIMEOUT", 4, [CAROL]]);
});

Deno.test("abort: a TIMEOUT that names somebody who answered here is the word of its sender", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [CAROL], text: "carol" });
  const error = failureOf(slot);
  assert.deepEqual([error.code, partiesOf(error)], ["PEER_ABORTED", [BOB]]);
});

Deno.test("abort: a lie that bob is missing does not get bob named while he answers", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveAbort(CAROL, sid, { code: "TIMEOUT", parties: [BOB], text: "bob" });
  assert.equal(stateOf(slot), "running");
  assert.deepEqual(lastAbort(lonely, BOB).parties, [BOB]);
  lonely.receiveAbort(BOB, sid, { code: "PEER_ABORTED", parties: [ALICE], text: "alice" });
  const error = failureOf(slot);
  assert.deepEqual([error.code, partiesOf(error)], ["PEER_ABORTED", [CAROL]]);
});

Deno.test("abort: at its own deadline a party names who only answers its farewell", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.pass(TIMEOUT_MS);
  lonely.receiveAbort(BOB, sid, { code: "PEER_ABORTED", parties: [ALICE] });
  lonely.receiveAbort(CAROL, sid, { code: "TIMEOUT", parties: [BOB] });
  lonely.pass(SessionLimits.lastWordMs);
  assert.deepEqual([failureOf(slot).code, partiesOf(failureOf(slot))], ["TIMEOUT", [BOB]]);
});

Deno.test("abort: after the deadline the word of somebody who was not missing is not the reason", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.pass(TIMEOUT_MS);
  lonely.receiveAbort(CAROL, sid, { code: "CANCELLED" });
  lonely.receiveAbort(BOB, sid, { code: "CHEATED", parties: [CAROL] });
  assert.deepEqual([failureOf(slot).code, partiesOf(failureOf(slot))], ["PEER_ABORTED", [BOB]]);
});

Deno.test("abort: a peer that gave up on this party only is the one who ended the session, and that is passed on", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [ALICE] });
  assert.deepEqual([failureOf(slot).code, partiesOf(failureOf(slot))], ["PEER_ABORTED", [BOB]]);
  assert.deepEqual([lastAbort(lonely, CAROL).code, lastAbort(lonely, CAROL).parties], ["PEER_ABORTED", [
    BOB,
  ]]);
});

Deno.test("abort: two honest parties that wait for each other name the third, who told only one of them", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.pass(TIMEOUT_MS);
  // Bob had a word of carol and waits for alice's; carol is silent.
  lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [CAROL] });
  assert.equal(stateOf(slot), "running");
  lonely.pass(SessionLimits.lastWordMs);
  assert.deepEqual(partiesOf(failureOf(slot)), [CAROL]);

  const world = new World({
    seed: "silent",
    parties: 3,
    intercept: ({ from, to, frame }) =>
      from === CAROL && to === ALICE && frame.type >= FrameType.ENVELOPE ? [] : [{ frame }],
  });
  const slots = startAll(world, chat);
  world.run();
  for (const party of [ALICE, BOB]) {
    const error = failureOf(slots.get(party));
    assert.ok(!partiesOf(error).includes(error.code === "TIMEOUT" ? 3 - party : 0), error.message);
  }
  assert.deepEqual(partiesOf(failureOf(slots.get(ALICE))), [CAROL]);
});

Deno.test("abort: who is told that it is missing says for whom it waits", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("b") });
  lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [ALICE] });
  assert.deepEqual([lastAbort(lonely, BOB).code, lastAbort(lonely, BOB).parties], ["TIMEOUT", [CAROL]]);
  lonely.pass(SessionLimits.lastWordMs);
  assert.deepEqual(partiesOf(failureOf(slot)), [CAROL]);
});

Deno.test("abort: when the wait is over only those who were missing are listened to, and nothing resurrects the session", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB)];
  lonely.pass(TIMEOUT_MS);
  lonely.receiveRefused(BOB, { code: "CANCELLED", nonce: (opens[1] as { nonce: Bytes }).nonce });
  assert.equal(stateOf(slot), "running");
  const carol = lonely.receiveOpen(CAROL);
  lonely.receiveReady(BOB, [...opens, carol]);
  lonely.receiveReady(CAROL, [...opens, carol]);
  assert.equal(lonely.framesOf(FrameType.READY).length, 0);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 0);
  lonely.pass(SessionLimits.lastWordMs);
  assert.deepEqual(partiesOf(failureOf(slot)), [CAROL]);
  assert.deepEqual([lonely.host.size, lonely.timers], [0, 0]);
});

Deno.test("opening: a peer that waits for the same silent party is not named with it", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  assert.equal(opens.length, 3);
  lonely.receiveRefused(BOB, {
    code: "TIMEOUT",
    parties: [CAROL],
    nonce: (opens[1] as { nonce: Bytes }).nonce,
  });
  assert.equal(stateOf(slot), "running");
  lonely.pass(SessionLimits.lastWordMs);
  assert.deepEqual(partiesOf(failureOf(slot)), [CAROL]);
});

Deno.test("links: a drop costs a retransmission of the very same bytes to the same process", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const sid = lonely.openWithAll();
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("b") });
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  const before = lonely.sent.filter(({ to }) => to === BOB).map(({ frame }) => frame);
  assert.deepEqual(before.map(({ type }) => type), [
    FrameType.OPEN,
    FrameType.OPEN,
    FrameType.READY,
    FrameType.ENVELOPE,
    FrameType.ENVELOPE,
    FrameType.ENVELOPE,
  ]);
  lonely.down(BOB);
  lonely.pass(100);
  lonely.up(BOB);
  const again = lonely.sent.filter(({ to }) => to === BOB).map(({ frame }) => frame).slice(before.length);
  assert.deepEqual(
    again.map((f) => [f.type, f.payload.toHex()]),
    before.slice(1).map((f) => [f.type, f.payload.toHex()]),
  );
  assert.equal(stateOf(slot), "running");
});

Deno.test("links: sessions survive drops in every round, and the fourth one ends them", () => {
  for (const drops of [SessionLimits.linkDropsMax, SessionLimits.linkDropsMax + 1]) {
    const world = new World({
      seed: `drops ${drops}`,
      parties: 3,
      intercept: ({ frame }) => [{ frame, delayMs: frame.type === FrameType.ENVELOPE ? 2_000 : 0 }],
    });
    for (let i = 0; i < drops; i++) world.at(300 + i * 300, () => world.cut(ALICE, BOB, 100));
    const slots = startAll(world, chat);
    world.run();
    if (drops <= SessionLimits.linkDropsMax) {
      assert.equal(new Set([...slots.values()].map((slot) => valueOf(slot))).size, 1);
      continue;
    }
    const error = failureOf(slots.get(ALICE));
    assert.deepEqual([error.code, partiesOf(error)], ["LINK_FLAP", [BOB]]);
    assert.notEqual(failureOf(slots.get(CAROL)).code, "TIMEOUT");
  }
});

Deno.test("links: a farewell that a link missed is said when the same process is back in time", () => {
  const cases: [number, number, number][] = [[1, 1_000, 1], [2, 1_000, 0], [1, TIMEOUT_MS, 0]];
  for (const [boot, after, said] of cases) {
    const lonely = new Lonely();
    const slot = lonely.start(word);
    lonely.openWithAll();
    lonely.down(BOB);
    slot.cancel();
    assert.equal(lonely.framesOf(FrameType.ABORT, CAROL).length, 1);
    assert.equal(lonely.framesOf(FrameType.ABORT, BOB).length, 0);
    lonely.pass(after);
    for (let i = 0; i < 2; i++) lonely.up(BOB, boot);
    assert.equal(lonely.framesOf(FrameType.ABORT, BOB).length, said, `${boot} ${after}`);
  }
});

Deno.test("links: of the farewells that a link missed the newest 16 are kept", () => {
  const lonely = new Lonely({ mode: "daemon" });
  const slots = Array.from({ length: SessionLimits.unsaidMax + 1 }, (_, i) => {
    const slot = lonely.start(word, { payload: `${i}` });
    lonely.receiveOpen(BOB);
    return slot;
  });
  lonely.down(BOB);
  for (const slot of slots) slot.cancel();
  lonely.up(BOB);
  assert.equal(lonely.framesOf(FrameType.SESSION_REFUSED, BOB).length, SessionLimits.unsaidMax);
});

Deno.test("links: drops are counted per peer", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  lonely.openWithAll();
  for (const peer of [BOB, CAROL, BOB, CAROL, BOB, CAROL]) {
    lonely.down(peer);
    lonely.up(peer);
  }
  assert.equal(stateOf(slot), "running");
  lonely.down(BOB);
  assert.equal(failureOf(slot).code, "LINK_FLAP");
});

Deno.test("links: another process of a peer ends a running session without blame", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  lonely.openWithAll();
  lonely.down(BOB);
  lonely.up(BOB, 2);
  const error = failureOf(slot);
  assert.deepEqual([error.code, partiesOf(error)], ["PEER_RESTARTED", [BOB]]);
  assert.ok(!(error instanceof CheaterError));
});

Deno.test("links: another process of a peer that takes no part does nothing", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word, { participants: [ALICE, BOB] });
  const bob = lonely.receiveOpen(BOB);
  const flap = () => {
    for (let i = 2; i < 9; i++) {
      lonely.down(CAROL);
      lonely.up(CAROL, i);
    }
  };
  flap();
  lonely.receiveReady(BOB, [lonely.ownOpen(), bob]);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 1);
  flap();
  assert.equal(stateOf(slot), "running");
  assert.ok(lonely.sent.every(({ to }) => to === BOB));
  const sid = lonely.events.at(-1)?.sid as Parameters<Lonely["receiveEnvelope"]>[1];
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  lonely.receiveAbort(CAROL, sid, {});
  assert.deepEqual([lonely.host.dropped, stateOf(slot)], [2, "running"]);
});

Deno.test("links: while the session opens, the same process need not open anew", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  lonely.receiveReady(BOB, opens);
  lonely.down(BOB);
  lonely.up(BOB);
  lonely.receiveReady(CAROL, opens);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2);
});

Deno.test("links: a list that differs is no split any more when its subject has to open anew", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const newer = lonely.openOf(BOB, { nonce: sha256(utf8("newer")) });
  lonely.receiveReady(CAROL, [opens[0], newer, opens[2]] as never);
  lonely.down(BOB);
  lonely.up(BOB, 2);
  assert.deepEqual(lonely.events.at(-1)?.kind, "opening");
  lonely.pass(SessionLimits.splitMs * 2);
  assert.equal(stateOf(slot), "running");
  slot.cancel();
  assert.deepEqual(lonely.events.at(-1)?.kind, "failed");
  assert.equal(lonely.timers, 0);
});

Deno.test("links: while the session opens, a new process of a peer has to open anew", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  lonely.receiveReady(BOB, opens);
  lonely.down(BOB);
  lonely.up(BOB, 2);
  lonely.receiveReady(CAROL, opens);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 0, "the dead process does not count");
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [BOB]);
  const newer = lonely.receiveOpen(BOB, lonely.openOf(BOB, { nonce: sha256(utf8("new process")) }));
  for (const peer of [BOB, CAROL]) lonely.receiveReady(peer, [opens[0], newer, opens[2]] as never);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2);
});

Deno.test("done: a session settles when all have said so, and lingers 2 s for those who have not", () => {
  const { lonely, slot, sid } = finished();
  assert.equal(lonely.framesOf(FrameType.DONE).length, 2);
  assert.equal(slot.settled, undefined);
  done(lonely, BOB, sid);
  assert.equal(slot.settled, undefined);
  done(lonely, CAROL, sid);
  assert.deepEqual(slot.settled, { doneBy: [BOB, CAROL], all: true });
  assert.equal(lonely.host.size, 0);

  const other = finished();
  done(other.lonely, CAROL, other.sid);
  other.lonely.pass(SessionLimits.lingerMs - 1);
  assert.equal(other.slot.settled, undefined);
  other.lonely.pass(1);
  assert.deepEqual(other.slot.settled, { doneBy: [CAROL], all: false });
  assert.equal(other.lonely.host.size, 0);
});

Deno.test("done: a party that lingers sends everything again, and no abort or restart takes its result away", () => {
  const { lonely, slot, sid } = finished();
  const before = lonely.sent.length;
  lonely.down(BOB);
  lonely.up(BOB);
  const types = lonely.sent.slice(before).map(({ frame }) => frame.type);
  assert.deepEqual(types, [FrameType.OPEN, FrameType.READY, FrameType.ENVELOPE, FrameType.DONE]);
  lonely.receiveAbort(BOB, sid, { code: "TIMEOUT", parties: [ALICE] });
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("changed") });
  lonely.down(CAROL);
  lonely.up(CAROL, 7);
  slot.cancel();
  assert.equal(valueOf(slot), 2);
  assert.equal(slot.settled, undefined);
  lonely.host.stop();
  assert.deepEqual(slot.settled, { doneBy: [], all: false });
});

Deno.test("done: a peer with a result may begin the next session of the same proposal meanwhile", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  done(lonely, BOB, sid);
  lonely.receiveEnvelope(BOB, sid, { body: wordBody("b") });
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { nonce: sha256(utf8("next session")) }));
  assert.equal(stateOf(slot), "running");
  const next = lonely.start(word);
  lonely.receiveEnvelope(CAROL, sid, { body: wordBody("c") });
  assert.equal(valueOf(slot), 2);
  assert.equal(stateOf(next), "running");
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [CAROL]);
});

Deno.test("done: an OPEN that ends a session serves the next one that waits here", () => {
  const lonely = new Lonely();
  const [first, next] = [lonely.start(word), lonely.start(word)];
  lonely.openWithAll();
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { nonce: sha256(utf8("restarted")) }));
  assert.equal(failureOf(first).code, "PEER_RESTARTED");
  assert.equal(stateOf(next), "running");
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [CAROL]);
});

Deno.test("done: who is last settles at once", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  for (const peer of [BOB, CAROL]) done(lonely, peer, sid);
  for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody("w") });
  assert.deepEqual(slot.settled, { doneBy: [BOB, CAROL], all: true });
  assert.deepEqual([lonely.host.size, lonely.timers], [0, 0]);
});

Deno.test("done: a failed session says who had a result", () => {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  done(lonely, CAROL, sid);
  slot.cancel();
  assert.deepEqual(slot.settled, { doneBy: [CAROL], all: false });
});

Deno.test("stop() ends what runs and tells the peers", () => {
  const lonely = new Lonely();
  const slots = [lonely.start(word), lonely.start(word), lonely.start(chat, { payload: "2" })];
  lonely.openWithAll();
  lonely.host.stop();
  for (const slot of slots) assert.equal(failureOf(slot).code, "CANCELLED");
  assert.equal(lonely.host.size, 0);
});

Deno.test("echoes and bodies are bound to their session and round", () => {
  const [one, two] = [sha256(utf8("1")), sha256(utf8("2"))] as never as [
    Parameters<typeof echoHash>[0],
    Parameters<typeof echoHash>[0],
  ];
  const bodies = [utf8("ab"), utf8("c")];
  const hashes = [
    echoHash(one, 1, bodies),
    echoHash(two, 1, bodies),
    echoHash(one, 2, bodies),
    echoHash(one, 1, [utf8("a"), utf8("bc")]),
    echoHash(one, 1, [...bodies].reverse()),
  ];
  assert.equal(new Set(hashes.map((h) => h.toHex())).size, hashes.length);
  assert.throws(() => openEnvelope(new Uint8Array(3), false));
});

function finished() {
  const lonely = new Lonely();
  const slot = lonely.start(word);
  const sid = lonely.openWithAll();
  for (const peer of [BOB, CAROL]) lonely.receiveEnvelope(peer, sid, { body: wordBody("w") });
  assert.equal(stateOf(slot), "done");
  return { lonely, slot, sid };
}

function done(lonely: Lonely, peer: PartyId, sid: Bytes): void {
  lonely.receive(peer, FrameType.DONE, encode(doneCodec, { sid }), sid.slice(0, 16));
}
