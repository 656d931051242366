import assert from "node:assert/strict";
import { concat } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { FrameType } from "../../src/session/links.ts";
import {
  encodePlainFrame,
  FrameParser,
  HEADER_BYTES,
  payloadOf,
  type RawFrame,
  sessionOf,
} from "../../src/transport/frame.ts";
import { payloadCap } from "../../src/transport/limits.ts";

const rng = seededRng("frames");
const FIELDS = {
  type: FrameType.ENVELOPE,
  from: 1,
  to: 0xffffffff,
  sequence: 2 ** 40 + 5,
  timestamp: 1_800_000_000_000,
  session: rng.bytes(16),
};

function parse(bytes: Uint8Array, chunkSizes: number, parser = new FrameParser(() => true)): RawFrame[] {
  const out: RawFrame[] = [];
  for (let at = 0; at < bytes.length; at += chunkSizes) {
    parser.push(bytes.subarray(at, at + chunkSizes));
    for (let frame = parser.next(); frame !== undefined; frame = parser.next()) out.push(frame);
  }
  return out;
}

/** A header with one field changed, and nothing behind it. */
function header(change: (view: DataView) => void): Uint8Array {
  const bytes = encodePlainFrame(FIELDS, new Uint8Array(3)).slice(0, HEADER_BYTES);
  change(new DataView(bytes.buffer));
  return bytes;
}

Deno.test("encodePlainFrame() writes the layout of WIRE.md 1", () => {
  const hex = encodePlainFrame({ ...FIELDS, session: new Uint8Array(16).fill(0xab) }, Uint8Array.of(1, 2, 3))
    .toHex();
  assert.equal(
    hex,
    "0001" + "08" + "00000001" + "ffffffff" + "0000010000000005" + "000001a3185c5000" + "0000" + "00000003" +
      "0000" +
      "ab".repeat(16) + "010203",
  );
});

Deno.test("FrameParser cuts a stream into the frames that were sent, however it is chunked", () => {
  const payloads = [0, 1, 34, 35, 36, 500, 70_000].map((size) => rng.bytes(size));
  const stream = concat(
    ...payloads.map((payload, i) => encodePlainFrame({ ...FIELDS, sequence: i }, payload)),
  );
  for (const size of [1, 2, 34, 35, 36, 51, 52, 1_000, 65_536, stream.length]) {
    const frames = parse(stream, size);
    assert.equal(frames.length, payloads.length);
    for (const [i, frame] of frames.entries()) {
      assert.deepEqual({ ...frame, bytes: undefined }, {
        type: FrameType.ENVELOPE,
        from: 1,
        to: 0xffffffff,
        sequence: i,
        timestamp: FIELDS.timestamp,
        sealed: false,
        bytes: undefined,
      });
      assert.deepEqual(new Uint8Array(payloadOf(frame)), payloads[i]);
      assert.deepEqual(new Uint8Array(sessionOf(frame)), FIELDS.session);
    }
  }
});

const BAD_HEADERS: readonly (readonly [string, (view: DataView) => void, string])[] = [
  ["another version", (v) => v.setUint16(0, 2), "FRAME_INVALID"],
  ["a type that does not exist", (v) => v.setUint8(2, 12), "FRAME_INVALID"],
  ["type 0", (v) => v.setUint8(2, 0), "FRAME_INVALID"],
  ["a nonce without a MAC", (v) => v.setUint16(27, 12), "FRAME_INVALID"],
  ["a MAC without a nonce", (v) => v.setUint16(33, 32), "FRAME_INVALID"],
  ["a nonce of 13 bytes", (v) => (v.setUint16(27, 13), v.setUint16(33, 32)), "FRAME_INVALID"],
  ["a payload of 2^32 - 1 bytes", (v) => v.setUint32(29, 0xffffffff), "FRAME_INVALID"],
  [
    "a payload one byte above its cap",
    (v) => v.setUint32(29, (payloadCap(FrameType.ENVELOPE) as number) + 1),
    "FRAME_INVALID",
  ],
  [
    "a sealed payload shorter than its tag",
    (v) => (v.setUint16(27, 12), v.setUint16(33, 32), v.setUint32(29, 15)),
    "FRAME_INVALID",
  ],
  ["a sequence of 2^53", (v) => v.setUint32(11, 2 ** 21), "SEQUENCE"],
];

for (const [what, change, code] of BAD_HEADERS) {
  Deno.test(`F3 FrameParser refuses ${what} on the header alone`, () => {
    for (const size of [1, HEADER_BYTES]) assert.throws(() => parse(header(change), size), { code });
  });
}

Deno.test("F4 FrameParser judges each type by its own cap, sealed ones with 16 bytes more", () => {
  for (const type of [...Object.values(FrameType), 32, 255]) {
    const cap = payloadCap(type) as number;
    for (const sealed of [false, true]) {
      const sized = (size: number) =>
        header((view) => {
          view.setUint8(2, type);
          view.setUint16(27, sealed ? 12 : 0);
          view.setUint16(33, sealed ? 32 : 0);
          view.setUint32(29, size);
        });
      const most = cap + (sealed ? 16 : 0);
      assert.deepEqual(parse(sized(most), HEADER_BYTES), []);
      assert.throws(() => parse(sized(most + 1), HEADER_BYTES), { code: "FRAME_INVALID" });
    }
  }
});

Deno.test("FrameParser refuses a type that is not allowed now before it waits for the frame", () => {
  const parser = new FrameParser((type, sealed) => type === FrameType.HELLO && !sealed);
  assert.throws(() => parse(header(() => {}), HEADER_BYTES, parser), { code: "FRAME_UNEXPECTED" });
});

Deno.test("FrameParser survives random bytes", () => {
  for (let i = 0; i < 2_000; i++) {
    const bytes = rng.bytes(1 + i % 90);
    if (i % 2 === 0) {
      bytes.set(encodePlainFrame(FIELDS, new Uint8Array()).subarray(0, Math.min(11, bytes.length)));
    }
    try {
      parse(bytes, 1 + i % 7);
    } catch (error) {
      assert.equal((error as Error).name, "LinkFault");
    }
  }
});

Deno.test("FrameParser and encodePlainFrame() are called with what is whole", () => {
  assert.throws(() => encodePlainFrame({ ...FIELDS, session: new Uint8Array(15) }, new Uint8Array()), {
    code: "INVARIANT",
  });
  for (const sequence of [-1, 0.5, 2 ** 53]) {
    assert.throws(() => encodePlainFrame({ ...FIELDS, sequence }, new Uint8Array()), { code: "INVARIANT" });
  }
  const parser = new FrameParser(() => true);
  parser.push(new Uint8Array(1));
  assert.throws(() => parser.push(new Uint8Array(1)), { code: "INVARIANT" });
});
