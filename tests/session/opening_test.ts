import assert from "node:assert/strict";
import { type Bytes, concat, copy, u32, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { CheaterError, type QuorateError, TransportError, UsageError } from "../../src/base/errors.ts";
import { verifyEvidence } from "../../src/session/evidence.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { FrameType } from "../../src/session/links.ts";
import { entryOf, openCodec, proposalHash, readyCodec, refusedCodec } from "../../src/session/messages.ts";
import { World } from "../sim/world.ts";
import {
  ALICE,
  BOB,
  CAROL,
  chat,
  evidenceOf,
  failureOf,
  Lonely,
  startAll,
  stateOf,
  toy,
  valueOf,
} from "./support.ts";

Deno.test("SessionHost: commands that want different things refuse each other at once, and everybody learns why", () => {
  const world = new World({ seed: "differ", parties: 3, mode: "command" });
  const slots = new Map([
    [ALICE, world.start(ALICE, chat, { participants: world.parties, payload: "pay 1" })],
    [BOB, world.start(BOB, chat, { participants: world.parties, payload: "pay 2" })],
    [CAROL, world.start(CAROL, chat, { participants: world.parties, payload: "pay 1" })],
  ]);
  world.run();
  for (const [party, slot] of slots) {
    const error = failureOf(slot);
    assert.equal(error.code, "PEER_REFUSED", `${party}: ${error.message}`);
    assert.equal(error.exitCode, 3);
    assert.ok((slot.endedAt as number) < 200);
  }
  for (const party of [ALICE, BOB, CAROL]) {
    const { message } = failureOf(slots.get(party));
    for (const part of ["message", "pay 1", "pay 2", "sim "]) assert.ok(message.includes(part), message);
  }
});

Deno.test("SessionHost: a refusal reaches a third party that has seen no other difference", () => {
  const lonely = new Lonely({ self: CAROL });
  const slot = lonely.start(chat);
  const alice = lonely.receiveOpen(ALICE);
  lonely.receiveOpen(BOB);
  lonely.receiveRefused(ALICE, {
    nonce: alice.nonce,
    otherProp: sha256(utf8("what bob told alice")),
    parties: [BOB],
    code: "PEER_REFUSED",
    field: "message",
    ours: "pay 1",
    theirs: "pay 2",
    ourCommand: "sign 1",
  });
  const error = failureOf(slot);
  assert.equal(error.code, "PEER_REFUSED");
  assert.match(
    error.message,
    /^alice and bob do not agree on the message \(pay 1 at alice, pay 2 at bob\): alice runs "sign 1"/,
  );
});

Deno.test("SessionHost: a command that refuses names the field, both values and both commands, to all", () => {
  const lonely = new Lonely({ command: "sign A" });
  const slot = lonely.start(chat, { payload: "A" });
  const other = lonely.ownOpen().proposal;
  const proposal = { ...other, payload: [{ name: "message", value: utf8("B") }] };
  const open = lonely.receiveOpen(BOB, lonely.openOf(BOB, { proposal, command: "sign B" }));
  const error = failureOf(slot);
  assert.equal(
    error.message,
    'bob has another message (B there, A here): bob runs "sign B", this is "sign A"',
  );
  for (const peer of [BOB, CAROL]) {
    const [frame] = lonely.framesOf(FrameType.SESSION_REFUSED, peer);
    const refused = decode(refusedCodec, frame?.payload as Bytes);
    assert.deepEqual([refused.ours, refused.theirs, refused.ourCommand], ["A", "B", "sign A"]);
    assert.deepEqual(refused.otherNonce, open.nonce);
    assert.deepEqual(refused.parties, [BOB]);
  }
});

Deno.test("SessionHost: a daemon keeps what it has not started and runs it later", () => {
  const world = new World({ seed: "daemon", parties: 3, mode: "daemon" });
  const [one, two] = [
    { participants: world.parties, payload: "1" },
    { participants: world.parties, payload: "2" },
  ];
  const slots = [
    world.start(ALICE, chat, one),
    world.start(BOB, chat, two),
    world.start(CAROL, chat, one),
    world.start(ALICE, chat, two, { delayMs: 3_000 }),
    world.start(BOB, chat, one, { delayMs: 4_000 }),
    world.start(CAROL, chat, two, { delayMs: 5_000 }),
  ];
  world.run();
  assert.equal(new Set([0, 2, 4].map((i) => valueOf(slots[i]))).size, 1);
  assert.equal(new Set([1, 3, 5].map((i) => valueOf(slots[i]))).size, 1);
});

Deno.test("SessionHost: a session that serves others is no sign of another wish", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const proposal = { ...lonely.ownOpen().proposal, protocol: "pair" };
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { proposal, auxiliary: true }));
  assert.equal(stateOf(slot), "running");
  const own = new Lonely();
  const helper = own.start(toy([], chat.run, { auxiliary: true }));
  own.receiveOpen(
    BOB,
    own.openOf(BOB, { proposal: { ...own.ownOpen().proposal, epoch: 9 }, auxiliary: false }),
  );
  assert.equal(stateOf(helper), "running");
});

Deno.test("SessionHost: a peer that takes no part in a session does not end it by wanting something else", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat, { participants: [ALICE, BOB] });
  const proposal = { ...lonely.ownOpen().proposal, participants: [ALICE, CAROL] };
  lonely.receiveOpen(CAROL, lonely.openOf(CAROL, { proposal }));
  assert.equal(stateOf(slot), "running");
  lonely.receiveRefused(CAROL, {
    nonce: lonely.ownOpen().nonce,
    otherNonce: lonely.ownOpen().nonce,
    parties: [ALICE],
  });
  assert.equal(stateOf(slot), "running");
});

Deno.test("SessionHost: a lying bob who gives carol another nonce splits round 0 and nobody is a culprit", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const bobToCarol = lonely.openOf(BOB, { nonce: sha256(utf8("another")) });
  lonely.receiveReady(CAROL, [opens[0], bobToCarol, opens[2]] as never);
  lonely.receiveReady(BOB, opens);
  lonely.pass(SessionLimits.splitMs - 1);
  assert.equal(stateOf(slot), "running");
  lonely.pass(1);
  const error = failureOf(slot);
  assert.equal(error.code, "ROUND0_SPLIT");
  assert.match(error.message, /^bob gave carol another nonce than us/);
  assert.ok(error instanceof TransportError && !((error as QuorateError) instanceof CheaterError));
  assert.deepEqual(error.parties, [BOB]);
  assert.deepEqual(evidenceOf(slot), []);
});

Deno.test("SessionHost: a peer that keeps to an earlier OPEN of ours is the one that the split names", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const earlier = lonely.openOf(ALICE, { nonce: sha256(utf8("earlier")) });
  lonely.receiveReady(BOB, [earlier, opens[1], opens[2]] as never);
  lonely.pass(SessionLimits.splitMs);
  const error = failureOf(slot) as TransportError;
  assert.deepEqual([error.code, error.parties], ["ROUND0_SPLIT", [BOB]]);
  assert.match(error.message, /^bob answers an earlier opening message/);
});

Deno.test("SessionHost: a session that ends while lists differ leaves no timer behind", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  lonely.receiveReady(
    CAROL,
    [opens[0], lonely.openOf(BOB, { nonce: sha256(utf8("other")) }), opens[2]] as never,
  );
  assert.equal(lonely.timers, 2);
  slot.cancel();
  assert.equal(lonely.timers, 0);
});

Deno.test("SessionHost: lists that agree again in time are no split", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const newer = lonely.openOf(BOB, { nonce: sha256(utf8("restarted")) });
  lonely.receiveReady(CAROL, [opens[0], newer, opens[2]] as never);
  lonely.pass(1_000);
  lonely.receiveOpen(BOB, newer);
  lonely.pass(3_000);
  assert.equal(stateOf(slot), "running");
  for (const peer of [BOB, CAROL]) lonely.receiveReady(peer, [opens[0], newer, opens[2]] as never);
  assert.equal(lonely.events.at(-1)?.round, 1);
});

Deno.test("SessionHost: a READY that lists what its subject never signed closes the link and changes nothing", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const cases = [
    opens.map((open) => open).slice(0, 2),
    [...opens, opens[2]],
    [{ ...opens[0], nonce: sha256(utf8("no")) }, opens[1], opens[2]],
    [opens[0], opens[1], { ...opens[2], offer: utf8("no") }],
  ];
  for (const [i, list] of cases.entries()) {
    lonely.receiveReady(BOB, list as never);
    assert.equal(lonely.closed.length, i + 1);
  }
  lonely.pass(10_000);
  assert.equal(lonely.events.at(-1)?.kind, "dropped");
  for (const peer of [BOB, CAROL]) lonely.receiveReady(peer, opens);
  assert.equal(lonely.events.at(-1)?.round, 1);
});

Deno.test("SessionHost: round 1 begins only when every READY equals the own list", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  lonely.receiveReady(BOB, opens);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 0);
  lonely.receiveReady(CAROL, opens);
  assert.equal(lonely.framesOf(FrameType.ENVELOPE).length, 2);
});

Deno.test("SessionHost: an OPEN or READY that its sender did not sign closes the link", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const bob = lonely.openOf(BOB);
  const changes = [
    { nonce: sha256(utf8("changed")) },
    { offer: utf8("changed") },
    { proposal: { ...bob.proposal, epoch: 1 } },
    { signature: lonely.openOf(CAROL).signature },
  ];
  for (const [i, change] of changes.entries()) {
    lonely.receive(BOB, FrameType.OPEN, encode(openCodec, { ...bob, ...change }));
    assert.equal(lonely.closed.length, i + 1, JSON.stringify(Object.keys(change)));
  }
  const opens = [lonely.ownOpen(), lonely.receiveOpen(BOB), lonely.receiveOpen(CAROL)];
  const prop = proposalHash(bob.proposal);
  const signature = sha256(utf8("no"), utf8("signature"));
  const ready = { prop, entries: opens.map(entryOf), signature: concat(signature, signature) };
  lonely.receive(BOB, FrameType.READY, encode(readyCodec, ready));
  assert.equal(lonely.closed.length, changes.length + 1);
});

Deno.test("SessionHost: an OPEN with impossible participants closes the link", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const { proposal } = lonely.openOf(BOB);
  for (const participants of [[BOB, ALICE, CAROL], [ALICE, ALICE, BOB], [ALICE, CAROL], [BOB, CAROL], []]) {
    const before: number = lonely.closed.length;
    lonely.receiveOpen(BOB, lonely.openOf(BOB, { proposal: { ...proposal, participants } }));
    assert.equal(lonely.closed.length, before + 1, participants.join());
  }
});

Deno.test("SessionHost: what does not decode closes the link, whatever its type", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const sid = lonely.openWithAll();
  const types = [FrameType.OPEN, FrameType.READY, FrameType.SESSION_REFUSED, FrameType.DONE, FrameType.ABORT];
  for (const type of types) {
    const before: number = lonely.closed.length;
    lonely.receive(BOB, type, utf8("?"), sid.slice(0, 16));
    assert.equal(lonely.closed.length, before + 1, `type ${type}`);
  }
});

Deno.test("SessionHost: a restart before the first round is waited for, one after it ends the session without blame", () => {
  for (const late of [true, false]) {
    const world = new World({
      seed: `restart-${late}`,
      parties: 3,
      intercept: ({ frame, from }) =>
        !late && from === CAROL && frame.type === FrameType.ENVELOPE ? [] : [{ frame }],
    });
    const input = { participants: world.parties };
    const alice = world.start(ALICE, chat, input);
    const dead = world.start(BOB, chat, input);
    const carol = world.start(CAROL, chat, input, { delayMs: late ? 5_000 : 0 });
    world.at(1_000, () => world.kill(BOB));
    world.at(2_000, () => world.restart(BOB));
    const again = world.start(BOB, chat, input, { delayMs: 2_001 });
    world.run();
    assert.equal(stateOf(dead), "running");
    if (late) {
      assert.equal(new Set([alice, again, carol].map((slot) => valueOf(slot))).size, 1);
      continue;
    }
    const error = failureOf(alice);
    assert.equal(error.code, "PEER_RESTARTED");
    assert.deepEqual((error as TransportError).parties, [BOB]);
    assert.equal(failureOf(carol).code, "PEER_RESTARTED");
  }
});

Deno.test("SessionHost: after round 1 a newer OPEN of a peer without a result means that it restarted", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  lonely.openWithAll();
  lonely.receiveOpen(BOB);
  assert.equal(stateOf(slot), "running", "the same OPEN is a retransmission");
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { nonce: sha256(utf8("newer")) }));
  assert.equal(failureOf(slot).code, "PEER_RESTARTED");
});

Deno.test("SessionHost: the same proposal twice is two sessions, one after the other", () => {
  for (const slow of [0, 400]) {
    const world = new World({
      seed: `twice-${slow}`,
      parties: 3,
      // Carol's link to bob is slow: alice has her result and begins again while bob still waits.
      intercept: ({ frame, from, to }) => [{ frame, delayMs: from === CAROL && to === BOB ? slow : 0 }],
    });
    const slots = [startAll(world, chat), startAll(world, chat), startAll(world, chat)];
    world.run();
    const values = slots.map((all) => {
      const set = new Set([...all.values()].map((slot) => valueOf(slot)));
      assert.equal(set.size, 1);
      return [...set][0];
    });
    assert.equal(new Set(values).size, 3);
    for (const party of world.parties) assert.equal(world.host(party).size, 0);
  }
});

Deno.test("SessionHost: a second session of a proposal that is cancelled while it waits does not disturb the first", () => {
  const lonely = new Lonely();
  const first = lonely.start(chat);
  const second = lonely.start(chat);
  second.cancel();
  assert.equal(failureOf(second).code, "CANCELLED");
  assert.equal(lonely.framesOf(FrameType.SESSION_REFUSED).length, 0);
  assert.equal(stateOf(first), "running");
  assert.equal(lonely.host.size, 1);
});

Deno.test("SessionHost: a refusal of an earlier attempt does not end a later one", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  const bob = lonely.receiveOpen(BOB);
  const dropped = lonely.host.dropped;
  lonely.receiveRefused(BOB, { nonce: sha256(utf8("earlier")), otherNonce: sha256(utf8("earlier")) });
  assert.equal(stateOf(slot), "running");
  assert.equal(lonely.host.dropped, dropped + 1);
  lonely.receiveRefused(BOB, { nonce: bob.nonce });
  assert.match(failureOf(slot).message, /^bob left before the first round \(CANCELLED: /);
});

Deno.test("SessionHost: a refusal that comes after round 1 began here ends the session too", () => {
  const lonely = new Lonely();
  const slot = lonely.start(chat);
  lonely.openWithAll();
  lonely.receiveRefused(BOB, { nonce: lonely.openOf(BOB).nonce });
  assert.equal(failureOf(slot).code, "PEER_REFUSED");
});

Deno.test("SessionHost: an OPEN that was withdrawn is not used", () => {
  const lonely = new Lonely({ mode: "daemon" });
  const template = new Lonely();
  template.start(chat);
  const bob = template.openOf(BOB);
  lonely.receiveOpen(BOB, { ...bob, proposal: { ...bob.proposal, rosterHash: lonely.roster.hash } });
  const prop = proposalHash(bob.proposal);
  lonely.receive(
    BOB,
    FrameType.SESSION_REFUSED,
    encode(refusedCodec, {
      prop,
      nonce: bob.nonce,
      otherProp: prop,
      otherNonce: bob.nonce,
      parties: [],
      code: "TIMEOUT",
      field: "",
      ours: "",
      theirs: "",
      ourCommand: "",
    }),
  );
  lonely.start(chat);
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [BOB, CAROL]);
});

Deno.test("SessionHost: an earlier refusal does not withdraw a later OPEN", () => {
  const lonely = new Lonely({ mode: "daemon" });
  const template = new Lonely();
  template.start(chat);
  const bob = lonely.receiveOpen(BOB, template.openOf(BOB));
  const prop = proposalHash(bob.proposal);
  const nonce = sha256(utf8("earlier"));
  const words = { parties: [], code: "TIMEOUT", field: "", ours: "", theirs: "", ourCommand: "" };
  const payload = encode(refusedCodec, { prop, nonce, otherProp: prop, otherNonce: nonce, ...words });
  lonely.receive(BOB, FrameType.SESSION_REFUSED, payload);
  lonely.start(chat);
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [CAROL]);
});

Deno.test("SessionHost: an OPEN is kept for 30 s, and no longer than its link", () => {
  const cases: [number, boolean, readonly number[]][] = [
    [SessionLimits.openKeptMs - 1, false, [CAROL]],
    [SessionLimits.openKeptMs, false, [BOB, CAROL]],
    [10, true, [BOB, CAROL]],
  ];
  for (const [wait, drops, missing] of cases) {
    const lonely = new Lonely({ mode: "daemon" });
    const template = new Lonely();
    template.start(chat);
    lonely.receiveOpen(BOB, template.openOf(BOB));
    lonely.pass(wait);
    if (drops) {
      lonely.down(BOB);
      lonely.up(BOB);
    }
    lonely.start(chat);
    assert.deepEqual(lonely.events.at(-1)?.waitingFor, missing);
  }
});

Deno.test("SessionHost: 16 OPENs of a peer are kept, and another one neither displaces them nor those of others", () => {
  const lonely = new Lonely({ mode: "daemon" });
  const template = new Lonely();
  for (let i = 0; i <= SessionLimits.openBufferedMax; i++) {
    template.start(chat, { payload: `${i}` });
    lonely.receiveOpen(BOB, template.openOf(BOB));
  }
  lonely.receiveOpen(CAROL, template.openOf(CAROL));
  lonely.start(chat, { payload: "0" });
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [CAROL]);
  lonely.start(chat, { payload: `${SessionLimits.openBufferedMax}` });
  assert.deepEqual(lonely.events.at(-1)?.waitingFor, [BOB]);
});

Deno.test("SessionHost: a peer that opens later is given our OPEN again, which it may have dropped", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  lonely.pass(29_000);
  const before = lonely.framesOf(FrameType.OPEN, BOB).length;
  lonely.receiveOpen(BOB);
  assert.equal(lonely.framesOf(FrameType.OPEN, BOB).length, before + 1);
  lonely.receiveOpen(BOB);
  assert.equal(lonely.framesOf(FrameType.OPEN, BOB).length, before + 1, "only once");
});

Deno.test("SessionHost: frames of sessions that are not here are dropped and counted", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const sid = lonely.openWithAll();
  const other = copy(sid);
  other[31] = (other[31] as number) ^ 1;
  const elsewhere = copy(sid);
  elsewhere[0] = (elsewhere[0] as number) ^ 1;
  lonely.receive(BOB, FrameType.ENVELOPE, utf8("?"), elsewhere.slice(0, 16));
  lonely.receive(BOB, FrameType.DONE, other, sid.slice(0, 16));
  lonely.receiveAbort(BOB, other as typeof sid, {});
  lonely.receiveReady(BOB, [{ ...lonely.ownOpen(), proposal: { ...lonely.ownOpen().proposal, epoch: 7 } }]);
  assert.equal(lonely.host.dropped, 4);
  assert.equal(lonely.closed.length, 0);
});

Deno.test("SessionHost: an OPEN, an ABORT and the participants have limits", () => {
  const lonely = new Lonely({ mode: "daemon" });
  const template = new Lonely();
  template.start(chat);
  const facts = Array.from({ length: 4 }, (_, i) => ({ name: `fact ${i}`, value: new Uint8Array(1000) }));
  const proposal = { ...template.ownOpen().proposal, params: facts };
  lonely.receiveOpen(BOB, template.openOf(BOB, { proposal }));
  assert.match(lonely.closed[0]?.why as string, /^an OPEN has \d+ bytes$/);

  assert.throws(() => lonely.start(chat, { participants: [BOB, CAROL] }), UsageError);
  const slot = lonely.start(chat, { params: facts });
  assert.equal(failureOf(slot).code, "USAGE");
  assert.equal(lonely.host.size, 0);

  const crowd = new Lonely({ parties: SessionLimits.participantsMax + 1 });
  assert.throws(() => crowd.start(chat), /at most 64 parties/);
  const most = crowd.roster.parties.slice(0, SessionLimits.participantsMax).map(({ index }) => index);
  crowd.start(chat, { participants: most });
  assert.equal(crowd.host.size, 1);

  const aborted = new Lonely();
  const running = aborted.start(chat);
  const sid = aborted.openWithAll();
  aborted.receiveAbort(BOB, sid, { evidence: [new Uint8Array(SessionLimits.abortBytesMax - 10)] });
  assert.match(aborted.closed[0]?.why as string, /^an ABORT has \d+ bytes$/);
  assert.equal(stateOf(running), "running");
});

Deno.test("SessionHost: at most 256 sessions at once", () => {
  const lonely = new Lonely();
  for (let i = 0; i < SessionLimits.sessionsMax; i++) lonely.start(chat, { payload: `${i}` });
  assert.throws(() => lonely.start(chat, { payload: "more" }), /PARTY_BUSY|sessions run already/);
  lonely.host.stop();
  assert.equal(lonely.host.size, 0);
});

Deno.test("SessionHost: what peers and operators typed cannot steer a terminal and is short", () => {
  const lonely = new Lonely({ command: `sign \u001b[2J${"x".repeat(300)}` });
  const slot = lonely.start(chat);
  assert.ok(utf8(lonely.ownOpen().command).length <= SessionLimits.commandBytesMax);
  const proposal = {
    ...lonely.ownOpen().proposal,
    payload: [{ name: "a\u0007", value: utf8("\u001b[31mB") }],
  };
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { proposal, command: "rm\r\n\u202e" }));
  const { message } = failureOf(slot);
  assert.ok(!/\p{C}/u.test(message), JSON.stringify(message));
});

Deno.test("SessionHost: an offer that fails a check is blamed on its sender with the signed OPEN as evidence", () => {
  const picky = toy([], chat.run, {
    unsettled: (_input, self, offers) => {
      const bad = [...offers].find(([party, offer]) => party !== self && offer.length > 0);
      if (bad === undefined) return { mine: [], others: [] };
      throw new CheaterError({
        code: "INVALID_MESSAGE",
        round: 0,
        culprits: [bad[0]],
        what: "its offer is wrong",
      });
    },
  });
  const lonely = new Lonely();
  const slot = lonely.start(picky);
  lonely.receiveOpen(BOB, lonely.openOf(BOB, { offer: u32(1) }));
  const error = failureOf(slot) as CheaterError;
  assert.match(error.message, /^round 0: bob: its offer is wrong$/);
  const [evidence] = evidenceOf(slot);
  assert.ok(evidence !== undefined && verifyEvidence(evidence, lonely.roster));
  assert.equal(evidence.kind, "open");
  assert.ok(!verifyEvidence({ ...evidence, culprit: CAROL }, lonely.roster));
  assert.ok(!verifyEvidence({ ...evidence, protocol: "other" }, lonely.roster));
  assert.ok(!verifyEvidence({ ...evidence, sid: sha256(utf8("other")) as never }, lonely.roster));
  assert.ok(!verifyEvidence({ ...evidence, envelopes: [] }, lonely.roster));
  assert.ok(!verifyEvidence({ ...evidence, envelopes: [{ raw: utf8("?"), hasEcho: false }] }, lonely.roster));
});
