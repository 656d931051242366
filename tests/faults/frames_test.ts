import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, concat, copy, u32, utf8 } from "../../src/base/bytes.ts";
import { bytes, type Codec, decode, DecodeError, fixed, list, struct, U16 } from "../../src/base/codec.ts";
import { systemRng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { ed25519 } from "../../src/math/ed25519.ts";
import { parseConfig } from "../../src/node/config.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { agreeRandom, type AgreeRandomInput } from "../../src/protocols/agree_random.ts";
import { type Definition, exchange, type Protocol, type Round } from "../../src/protocols/protocol.ts";
import { verifyEvidence } from "../../src/session/evidence.ts";
import { FrameType, type LinkEvent, type Links, type SessionFrame } from "../../src/session/links.ts";
import { openCodec } from "../../src/session/messages.ts";
import { agreed, Cluster, named, pause } from "./cluster.ts";

/** Records what a party sends, and lets the test change it. */
function recording(
  links: Links,
  send: (peer: PartyId, frame: SessionFrame, pass: (frame: SessionFrame) => boolean) => boolean,
): Links {
  return {
    self: links.self,
    send: (peer, frame) => send(peer, frame, (changed) => links.send(peer, changed)),
    bootId: (peer) => links.bootId(peer),
    closeLink: (peer, code, why) => links.closeLink(peer, code, why),
    listen: (receiver: (event: LinkEvent) => void) => links.listen(receiver),
  };
}

for (const kind of ["replay", "reorder", "flip"] as const) {
  Deno.test(`${kind === "reorder" ? "F2" : "F1"} a middlebox that does "${kind}" to the bytes ends the link, not the session`, async () => {
    await Cluster.run({ parties: 3 }, async (cluster) => {
      await cluster.linked();
      cluster.fault(1, 2, { kind: "delay", ms: 100 });
      const endings = cluster.agree(1, 2, 3);
      await cluster.until("the session began", () => cluster.party(1).events.length > 0);
      const ups = cluster.party(2).mesh.metrics().peers[0]?.ups as number;
      cluster.fault(1, 2, { kind });
      await cluster.until("the link ended", () => cluster.status(2, 1).state === "down");
      cluster.fault(1, 2, { kind: "pass" });
      cluster.proxy(1, 2).cut();
      assert.ok(agreed(await endings));
      assert.ok((cluster.party(2).mesh.metrics().peers[0]?.ups as number) > ups);
      assert.ok(
        cluster.party(2).events.every((event) => event.kind !== "dropped"),
        "nothing of it reached a session",
      );
      const end = cluster.party(2).log.find(({ code, peer }) => peer === "alice" && code !== "LINK_UP");
      if (kind === "flip") assert.equal(end?.code, "SOCKET", "TLS noticed");
    });
  });
}

Deno.test("F1 replay by an authenticated peer: frames of its former sessions are dropped and counted, and change nothing", async () => {
  const sent: { readonly peer: PartyId; readonly frame: SessionFrame }[] = [];
  let replays = false;
  const wrap = (party: PartyId, links: Links) =>
    party !== 1 ? links : recording(links, (peer, frame, pass) => {
      if (!replays) sent.push({ peer, frame: { ...frame, payload: copy(frame.payload) } });
      else for (const old of sent.splice(0)) links.send(old.peer, old.frame);
      return pass(frame);
    });
  await Cluster.run({ parties: 3, wrap }, async (cluster) => {
    await cluster.linked();
    const first = await cluster.agree(1, 2, 3);
    await cluster.until("all settled", () => [1, 2, 3].every((at) => cluster.party(at).host.size === 0));
    const before = cluster.party(2).host.dropped;
    const recorded = sent.filter(({ peer, frame }) => peer === 2 && frame.type === FrameType.ENVELOPE).length;
    assert.ok(recorded >= 3);
    replays = true;
    const second = await cluster.agree(1, 2, 3);
    assert.ok(agreed(first) && agreed(second));
    assert.notDeepEqual(first.get(1), second.get(1));
    assert.ok(
      cluster.party(2).host.dropped - before >= recorded,
      "every envelope of the first session was counted",
    );
  });
});

Deno.test("F2 an authenticated peer that says everything twice, and late, changes nothing", async () => {
  let queue = Promise.resolve();
  const wrap = (party: PartyId, links: Links) =>
    party !== 1 ? links : recording(links, (_peer, frame, pass) => {
      const later = { ...frame, payload: copy(frame.payload) };
      queue = queue.then(() => pause(15)).then(() => {
        pass(later);
        pass(later);
      });
      return true;
    });
  await Cluster.run({ parties: 3, wrap }, async (cluster) => {
    await cluster.linked();
    assert.ok(agreed(await cluster.agree(1, 2, 3)));
    for (const at of [2, 3]) assert.equal(cluster.status(at, 1).state, "up");
  });
  await queue;
});

Deno.test("F3 a stream that is cut off within a frame ends the link and leaves nothing behind; the session goes on", async () => {
  await Cluster.run({ parties: 2 }, async (cluster) => {
    await cluster.linked();
    for (const bytes of [1, 30, 60]) {
      cluster.fault(1, 2, { kind: "truncate", bytes });
      const endings = cluster.agree(1, 2);
      await cluster.until("the link ended", () => cluster.status(2, 1).state === "down");
      cluster.fault(1, 2, { kind: "pass" });
      assert.ok(agreed(await endings));
    }
  });
});

/** One round in which everybody shows a point, a scalar, a word and indices. */
const SHOWN = struct({
  point: secp256k1.pointCodec,
  edwards: ed25519.pointCodec,
  scalar: secp256k1.scalarCodec,
  word: fixed(32),
  indices: list(U16, 4),
});
const SHOW: Round<unknown, never> = {
  number: 1,
  name: "show",
  broadcast: SHOWN as Codec<unknown>,
  echo: "own",
};

/** Sessions with different numbers need not wait for each other's end. */
function showing(
  number: number,
  round: Round<unknown, never>,
  value: unknown,
): Definition<AgreeRandomInput, Bytes> {
  return {
    ...agreeRandom,
    name: "show",
    proposal: (input) => agreeRandom.proposal({ ...input, bits: 256 + 8 * number }),
    rounds: () => [round] as Round[],
    *run(): Protocol<Bytes> {
      yield* exchange(round, { broadcast: value });
      return new Uint8Array(1);
    },
  };
}

/** Reads what honest parties show, and writes bytes as they are. */
const RAW: Codec<unknown> = {
  sizeMax: 4_096,
  write: (out, value) => out.put(value as Bytes),
  read: (input) => SHOWN.read(input),
};
const POINT = secp256k1.encodePoint(secp256k1.mulBase(secp256k1.randomScalar(systemRng)));
const EDWARDS = ed25519.encodePoint(ed25519.mulBase(ed25519.randomScalar(systemRng)));
const SCALAR = new Uint8Array(32).fill(7);
const WORD = new Uint8Array(32);
const INDICES = Uint8Array.of(0, 5, 0, 6);
const COUNT = encodedCount();

function encodedCount(): Bytes {
  // However lists are counted: taken from an encoding, so that only the parts below differ from a right one.
  const two = [1, 2];
  const encoded: Uint8Array[] = [];
  const codec = list(U16, 4);
  codec.write({ put: (part: Uint8Array) => encoded.push(part) } as never, two);
  const whole = concat(...encoded);
  return copy(whole.subarray(0, whole.length - 4));
}

const parts = { point: POINT, edwards: EDWARDS, scalar: SCALAR, word: WORD, count: COUNT, indices: INDICES };
function shown(change: Partial<Record<keyof typeof parts, Uint8Array>> = {}): Bytes {
  return concat(...Object.values({ ...parts, ...change }));
}
const ORDER = Uint8Array.fromHex(secp256k1.order.toString(16).padStart(64, "0"));
const MALFORMED: readonly (readonly [string, Bytes])[] = [
  ["nothing", new Uint8Array(0)],
  ["a byte too few", shown().slice(0, -1)],
  ["a byte too many", concat(shown(), new Uint8Array(1))],
  ...Object.keys(parts).map((field) =>
    [`without its ${field}`, shown({ [field]: new Uint8Array(0) })] as const
  ),
  ["a point off the curve", shown({ point: concat(Uint8Array.of(2), new Uint8Array(31), Uint8Array.of(5)) })],
  ["the identity", shown({ point: new Uint8Array(33) })],
  ["an uncompressed point's prefix", shown({ point: concat(Uint8Array.of(4), POINT.subarray(1)) })],
  ["an Edwards point of order 4", shown({ edwards: new Uint8Array(32) })],
  ["the Edwards identity", shown({ edwards: concat(Uint8Array.of(1), new Uint8Array(31)) })],
  ["a scalar equal to the order", shown({ scalar: ORDER })],
  ["a scalar of all ones", shown({ scalar: new Uint8Array(32).fill(0xff) })],
  ["a list of more than there may be", shown({ count: COUNT.with(-1, 5) })],
  ["a list longer than it says", shown({ count: COUNT.with(-1, 1) })],
  ["a list shorter than it says", shown({ count: COUNT.with(-1, 3) })],
];

Deno.test("F5 malformed payloads end the session with INVALID_MESSAGE, name their sender, and prove it to anyone", async () => {
  await Cluster.run({ parties: 2, timeoutMs: 5_000 }, async (cluster) => {
    await cluster.linked();
    const right = decode(SHOWN, shown());
    assert.ok(
      agreed(await cluster.session([1, 2], showing(0, SHOW, right))),
      "the parts are right where nothing is changed",
    );
    for (const [i, [what, payload]] of MALFORMED.entries()) {
      cluster.party(2).events.length = 0;
      const evil = showing(i + 1, { ...SHOW, broadcast: RAW }, payload);
      const endings = await cluster.session([1, 2], showing(i + 1, SHOW, right), { 1: evil });
      assert.deepEqual(endings.get(2), { code: "INVALID_MESSAGE", names: [1], cheats: true }, what);
      const failed = cluster.party(2).events.find(({ kind }) => kind === "failed");
      assert.ok(failed?.evidence?.length, what);
      for (const item of failed.evidence) assert.ok(verifyEvidence(item, cluster.world.roster), what);
      assert.equal(cluster.status(2, 1).state, "up", "the process and the link live on");
    }
    assert.ok(agreed(await cluster.agree(1, 2)));
  });
});

Deno.test("F5 an OPEN and a READY that do not decode end the link, and their sender is named in the log", async () => {
  await Cluster.run({ parties: 2, timeoutMs: 500 }, async (cluster) => {
    await cluster.linked();
    for (const type of [FrameType.OPEN, FrameType.READY, FrameType.SESSION_REFUSED]) {
      const ups = cluster.party(2).mesh.metrics().peers[0]?.ups as number;
      cluster.party(1).mesh.send(partyId(2), { type, session: new Uint8Array(16), payload: utf8("{}") });
      await cluster.until(
        "the link was closed and made anew",
        () =>
          (cluster.party(2).mesh.metrics().peers[0]?.ups as number) > ups &&
          cluster.status(1, 2).state === "up",
      );
    }
    const closed = cluster.party(2).mesh.metrics().peers[0]?.downs ?? {};
    assert.equal(Object.values(closed).reduce((a, b) => a + b, 0), 3, JSON.stringify(closed));
    assert.ok(agreed(await cluster.agree(1, 2)));
    assert.deepEqual(named(await cluster.session([1, 2], agreeRandom), 1), undefined);
  });
});

Deno.test("F6 bombs: deep nesting, huge counts and endless numbers are refused in no time and little memory", () => {
  const before = Deno.memoryUsage().heapUsed;
  const started = performance.now();
  const deep = "and(a, ".repeat(100_000) + "b" + ")".repeat(100_000);
  assert.throws(() => parsePolicy(deep), { code: "POLICY_INVALID" });
  assert.throws(() => parsePolicy(`${"9".repeat(1_000_000)} of (a, b)`), { code: "POLICY_INVALID" });
  assert.throws(() => parseConfig(`cluster = ${"[".repeat(50_000)}`, "quorate.toml"), {
    code: "CONFIG_INVALID",
  });
  assert.throws(() => parseConfig(`timeout_seconds = ${"9".repeat(1_000_000)}`, "quorate.toml"), {
    code: "CONFIG_INVALID",
  });
  for (const count of [0xffffffff, 0x7fffffff, 65_536]) {
    const bomb = concat(u32(count), new Uint8Array(64));
    for (const codec of [list(fixed(1 << 20), 4), bytes(1 << 30), openCodec] as Codec<unknown>[]) {
      assert.throws(() => decode(codec, bomb), DecodeError);
    }
  }
  assert.ok(performance.now() - started < 10_000);
  assert.ok(Deno.memoryUsage().heapUsed - before < 256 << 20);
});
