import assert from "node:assert/strict";
import net from "node:net";
import { partyId } from "../../src/base/brands.ts";
import { concat, EMPTY, u32, utf8 } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { FrameType, type LinkEvent } from "../../src/session/links.ts";
import { Admission } from "../../src/transport/admission.ts";
import { Backoff } from "../../src/transport/backoff.ts";
import { decodeBatch, encodeBatch } from "../../src/transport/batch.ts";
import { der, DerReader, derSequence, DerTag, derTime } from "../../src/transport/der.ts";
import { EventQueue } from "../../src/transport/event_queue.ts";
import { Gate } from "../../src/transport/gate.ts";
import { LINK_CODES, LinkFault } from "../../src/transport/faults.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";
import { memoryNetwork } from "../../src/transport/memory.ts";
import { selfTest } from "../../src/transport/self_test.ts";
import { addressText, type ConnectionOutcome, parseAddress } from "../../src/transport/tls_listener.ts";
import { frameOf, makeWorld, type Node, SESSION, withNodes } from "./world.ts";

const ALICE = partyId(1);
const BOB = partyId(2);
const CAROL = partyId(3);

Deno.test("Admission drops the oldest of an address that has too many", () => {
  const admission = new Admission({ ...DEFAULT_LIMITS, strangersPerAddress: 2, strangersTotal: 10 });
  const evicted: string[] = [];
  const stranger = (address: string, name: string) => ({ address, evict: () => evicted.push(name) });
  const [a1, a2, a3, b1] = [
    stranger("a", "a1"),
    stranger("a", "a2"),
    stranger("a", "a3"),
    stranger("b", "b1"),
  ];
  for (const one of [a1, b1, a2, a3]) admission.admit(one);
  assert.deepEqual(evicted, ["a1"]);
  assert.equal(admission.count, 3);
  admission.release(a2);
  admission.release(a2);
  assert.equal(admission.count, 2);
  admission.admit(stranger("a", "a4"));
  assert.deepEqual(evicted, ["a1"]);
});

Deno.test("Admission drops the oldest of the address with most when all places are taken", () => {
  const admission = new Admission({ ...DEFAULT_LIMITS, strangersPerAddress: 9, strangersTotal: 4 });
  const evicted: string[] = [];
  const admit = (address: string, name: string) =>
    admission.admit({ address, evict: () => evicted.push(name) });
  admit("good", "g1");
  for (const name of ["b1", "b2", "b3"]) admit("bad", name);
  admit("good", "g2");
  assert.deepEqual(evicted, ["b1"]);
  admit("bad", "b4");
  assert.deepEqual(evicted.length, 2);
  assert.equal(admission.count, 4);
});

Deno.test("Backoff doubles with jitter up to its most, and begins anew only after a long link", () => {
  const limits = {
    ...DEFAULT_LIMITS,
    retryFirstMinMs: 20,
    retryFirstMaxMs: 50,
    retryMaxMs: 1_000,
    retryResetMs: 30_000,
  };
  for (
    const [random, expected] of [[0, [20, 50, 100, 200, 400, 500, 500]], [0xff, [
      50,
      100,
      200,
      400,
      800,
      1_000,
      1_000,
    ]]] as const
  ) {
    const backoff = new Backoff(limits, { bytes: (length) => new Uint8Array(length).fill(random) });
    assert.deepEqual(Array.from({ length: 7 }, () => Math.round(backoff.next())), expected);
    backoff.linkEnded(29_999);
    assert.equal(Math.round(backoff.next()), expected[6]);
    backoff.linkEnded(30_000);
    assert.equal(Math.round(backoff.next()), expected[0]);
  }
});

Deno.test("decodeBatch() gives back what encodeBatch() joined", () => {
  const frames = [frameOf("one"), frameOf("", FrameType.DONE), frameOf("three", FrameType.ABORT)];
  assert.deepEqual(decodeBatch(encodeBatch(frames), () => true), frames);
});

Deno.test("decodeBatch() refuses what is cut off, empty, above a cap or of a type that is not allowed", () => {
  const bytes = encodeBatch([frameOf("one"), frameOf("two")]);
  for (const size of [1, 20, 21, 23, bytes.length - 1]) {
    assert.throws(() => decodeBatch(bytes.slice(0, size), () => true), { code: "FRAME_INVALID" }, `${size}`);
  }
  assert.throws(() => decodeBatch(EMPTY, () => true), { code: "FRAME_INVALID" });
  assert.throws(() => decodeBatch(bytes, (type) => type !== FrameType.ENVELOPE), {
    code: "FRAME_UNEXPECTED",
  });
  const large = concat(Uint8Array.of(FrameType.DONE), SESSION, u32(300), new Uint8Array(300));
  assert.throws(() => decodeBatch(large, () => true), { code: "FRAME_INVALID" });
});

Deno.test("EventQueue delivers in order, one at a time, and keeps events until somebody listens", () => {
  const tasks: (() => void)[] = [];
  const failures: unknown[] = [];
  const queue = new EventQueue((error) => failures.push(error), (task) => tasks.push(task));
  const seen: string[] = [];
  const done: string[] = [];
  const push = (reason: string) => queue.push({ kind: "down", peer: BOB, reason }, () => done.push(reason));
  push("1");
  assert.equal(tasks.length, 0);
  queue.listen((event) => {
    if (event.kind !== "down") return;
    seen.push(`<${event.reason}`);
    if (event.reason === "1") push("3");
    if (event.reason === "2") throw new Error("receiver");
    seen.push(`${event.reason}>`);
  });
  push("2");
  assert.deepEqual(seen, []);
  while (tasks.length > 0) tasks.shift()?.();
  assert.deepEqual(seen, ["<1", "1>", "<2", "<3", "3>"]);
  assert.deepEqual(done, ["1", "2", "3"]);
  assert.equal(failures.length, 1);
});

Deno.test("Gate stops its TCP socket while nobody reads, and loses nothing", async () => {
  const total = 48 << 20;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.end(new Uint8Array(total).fill(5));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const raw = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const gate = new Gate(raw);
  gate.once("readable", () => {});
  await new Promise((resolve) => setTimeout(resolve, 150));
  const before = raw.bytesRead;
  assert.ok(before > 0 && before < 1 << 20, `${before} bytes were read`);
  let received = 0;
  await new Promise<void>((resolve) => {
    gate.on("data", (chunk: Uint8Array) => received += chunk.length);
    gate.on("end", () => resolve());
  });
  assert.equal(received, total);
  gate.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

Deno.test("selfTest() fails where the listener lets a stranger in, or only our own checks refuse it", async () => {
  const world = await makeWorld(1);
  await withNodes(world, [1], async (nodes) => {
    const { mesh } = nodes.get(1) as Node;
    const leaf = world.leaves.get(ALICE);
    assert.ok(leaf !== undefined);
    const run = (...outcomes: (ConnectionOutcome | undefined)[]) =>
      selfTest({
        listener: {
          watch: () =>
            outcomes.length > 0 ? Promise.resolve(outcomes.shift()) as never : new Promise(() => {}),
        },
        host: "127.0.0.1",
        port: mesh.port as number,
        material: { ...leaf, authoritiesPem: world.authority.certPem },
        limits: { ...DEFAULT_LIMITS, selfTestDeadlineMs: 50 },
        rng: seededRng("probe"),
      });
    const none = { runtimeAuthorized: false, refused: "CERT_MISSING" } as const;
    const foreign = { runtimeAuthorized: false, refused: "CERT_UNKNOWN_CA" } as const;
    const own = { runtimeAuthorized: true, refused: "SELF_CONNECT" } as const;
    const crowded = { runtimeAuthorized: undefined, refused: "EVICTED" } as const;
    const busy = { runtimeAuthorized: undefined, refused: "DEADLINE_TLS" } as const;
    await run(none, foreign, own);
    await run(crowded, busy, none, foreign, crowded, own);
    const letIn = { runtimeAuthorized: true, refused: undefined } as const;
    const bad: (ConnectionOutcome | undefined)[][] = [
      [letIn, foreign, own],
      [{ ...none, refused: undefined }, foreign, own],
      [{ ...none, runtimeAuthorized: true }, foreign, own],
      [{ ...none, runtimeAuthorized: undefined }, foreign, own],
      [none, letIn, own],
      [none, { ...foreign, runtimeAuthorized: true }, own],
      [none, foreign, letIn],
      [none, foreign, foreign],
      [none, foreign, { ...own, runtimeAuthorized: false }],
      [crowded, crowded, crowded, none, foreign, own],
      [undefined, undefined, undefined, none, foreign, own],
      [],
    ];
    for (const outcomes of bad) await assert.rejects(run(...outcomes), { code: "SELF_TEST_FAILED" });
  });
});

Deno.test("DerReader refuses lengths that are indefinite, not minimal, or longer than what is there", () => {
  for (
    const hex of [
      "",
      "30",
      "3080",
      "308100",
      "30817f",
      "30820080",
      "308200ff",
      "3084000000ff",
      "308401000000",
      "30ff",
      "3001",
      "1f0100",
    ]
  ) {
    assert.throws(() => new DerReader(Uint8Array.fromHex(hex)).any(), { name: "DecodeError" }, hex);
  }
  assert.throws(() => derSequence(Uint8Array.fromHex("300000")), { name: "DecodeError" });
  assert.throws(() => new DerReader(Uint8Array.fromHex("0400")).read(DerTag.integer), {
    name: "DecodeError",
  });
});

Deno.test("der() writes what DerReader reads, in every length form", () => {
  for (const length of [0, 127, 128, 255, 256, 5_000]) {
    const content = seededRng("der").bytes(length);
    assert.deepEqual(new Uint8Array(new DerReader(der(DerTag.octetString, content)).any().content), content);
  }
});

Deno.test("derTime() reads the two forms of RFC 5280 and no other", () => {
  const read = (tag: number, text: string) => derTime(new DerReader(der(tag, utf8(text))).any());
  assert.equal(read(DerTag.utcTime, "491231235959Z"), Date.UTC(2049, 11, 31, 23, 59, 59));
  assert.equal(read(DerTag.utcTime, "500101000000Z"), Date.UTC(1950, 0, 1));
  assert.equal(read(DerTag.generalizedTime, "20500101000000Z"), Date.UTC(2050, 0, 1));
  for (const text of ["4912312359Z", "491231235959+0000", "20491231235959Z"]) {
    assert.throws(() => read(DerTag.utcTime, text), { name: "DecodeError" });
  }
  assert.throws(() => read(DerTag.integer, "20500101000000Z"), { name: "DecodeError" });
});

Deno.test("parseAddress() reads host:port and [ipv6]:port, and refuses the rest", () => {
  assert.deepEqual(parseAddress("127.0.0.1:8001"), { host: "127.0.0.1", port: 8001 });
  assert.deepEqual(parseAddress("alice.example:1"), { host: "alice.example", port: 1 });
  assert.deepEqual(parseAddress("[::1]:8001"), { host: "::1", port: 8001 });
  for (
    const text of [
      "",
      "alice",
      "alice:",
      ":80",
      "::1:80",
      "alice:65536",
      "alice:8x",
      "alice :80",
      "https://alice:80",
    ]
  ) {
    assert.throws(() => parseAddress(text), { code: "CONFIG_INVALID" }, text);
  }
  assert.equal(addressText("::ffff:10.0.0.1", 5), "10.0.0.1:5");
  assert.equal(addressText("fe80::1", 5), "[fe80::1]:5");
});

Deno.test("LinkFault says what its code means", () => {
  assert.equal(new LinkFault("SEQUENCE").message, LINK_CODES.SEQUENCE);
  assert.equal(new LinkFault("SEQUENCE", "more").message, "more");
});

/** A memory network with a receiver at each party and a scheduler that the test turns. */
function memory(parties = [ALICE, BOB, CAROL]) {
  const tasks: (() => void)[] = [];
  const network = memoryNetwork(parties, { schedule: (task) => tasks.push(task), rng: seededRng("memory") });
  const seen = new Map(parties.map((party) => [party, [] as LinkEvent[]]));
  for (const party of parties) network.links(party).listen((event) => seen.get(party)?.push(event));
  const settle = () => {
    while (tasks.length > 0) tasks.shift()?.();
  };
  const kinds = (party: typeof ALICE) =>
    (seen.get(party) ?? []).map((event) => `${event.kind} ${event.peer}`);
  return { network, seen, settle, kinds };
}

Deno.test("memoryNetwork() links all, keeps order per direction and delivers nothing from inside send()", () => {
  const { network, seen, settle, kinds } = memory();
  settle();
  assert.deepEqual(kinds(ALICE), ["up 2", "up 3"]);
  const frame = frameOf("one");
  assert.ok(network.links(ALICE).send(BOB, frame));
  network.links(ALICE).send(BOB, frameOf("two"));
  frame.payload.fill(0);
  assert.equal(kinds(BOB).length, 2);
  settle();
  const texts = (seen.get(BOB) ?? []).flatMap((e) =>
    e.kind === "frame" ? [new TextDecoder().decode(e.frame.payload)] : []
  );
  assert.deepEqual(texts, ["one", "two"]);
});

Deno.test("memoryNetwork() cuts a link with what is on its way, and restores it", () => {
  const { network, settle, kinds } = memory([ALICE, BOB]);
  settle();
  network.links(ALICE).send(BOB, frameOf("lost"));
  network.cut(ALICE, BOB);
  assert.equal(network.links(ALICE).send(BOB, frameOf("refused")), false);
  assert.equal(network.links(ALICE).bootId(BOB), undefined);
  network.restore(ALICE, BOB);
  settle();
  assert.deepEqual(kinds(BOB), ["up 1", "down 1", "up 1"]);
  assert.deepEqual(kinds(ALICE), ["up 2", "down 2", "up 2"]);
});

Deno.test("memoryNetwork() gives a restarted party another boot id", () => {
  const { network, seen, settle } = memory([ALICE, BOB]);
  network.restart(BOB);
  settle();
  const ids = (seen.get(ALICE) ?? []).flatMap((event) => event.kind === "up" ? [event.bootId.toHex()] : []);
  assert.equal(ids.length, 2);
  assert.notEqual(ids[0], ids[1]);
  assert.equal(network.links(ALICE).bootId(BOB)?.toHex(), ids[1]);
});

Deno.test("memoryNetwork() ends a link for both when one closes it", () => {
  const { network, seen, settle } = memory([ALICE, BOB]);
  network.links(ALICE).closeLink(BOB, "WHY", "because");
  settle();
  const down = seen.get(ALICE)?.at(-1);
  assert.equal(down?.kind === "down" && down.reason, "WHY: because");
  assert.equal(seen.get(BOB)?.at(-1)?.kind, "down");
  assert.throws(() => network.links(CAROL), RangeError);
});

const permittedPorts = [freePort(), freePort()];
Deno.test({
  name: "Mesh needs no permission but the network of its own address and those it dials",
  permissions: { net: permittedPorts.map((port) => `127.0.0.1:${port}`) },
  async fn() {
    const world = await makeWorld(2);
    await withNodes(world, [1, 2], async (nodes) => {
      await (nodes.get(1) as Node).upWith(2);
      await (nodes.get(2) as Node).upWith(1);
    }, (self) => ({ listen: `127.0.0.1:${permittedPorts[self - 1]}` }));
  },
});

Deno.test({
  name: "Mesh says what is wrong where it has no permission to dial",
  permissions: { net: [`127.0.0.1:${permittedPorts[0]}`] },
  async fn() {
    const world = await makeWorld(2);
    await withNodes(world, [1], async (nodes) => {
      const event = await (nodes.get(1) as Node).logged("DIAL_FAILED");
      assert.match(event.text, /net access/);
    }, () => ({ listen: `127.0.0.1:${permittedPorts[0]}`, addressOf: () => "127.0.0.1:1" }));
  },
});

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}
