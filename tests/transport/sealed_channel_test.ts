import assert from "node:assert/strict";
import { createCipheriv, createHmac } from "node:crypto";
import { type Bytes, concat, u32, u64 } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { FrameType } from "../../src/session/links.ts";
import { encodePlainFrame, type FrameFields, FrameParser, type RawFrame } from "../../src/transport/frame.ts";
import type { RotationLimits } from "../../src/transport/limits.ts";
import { SealedChannel, sealedSize, type Suite, SUITES } from "../../src/transport/sealed_channel.ts";

const rng = seededRng("sealed");
const PRK = rng.bytes(32);
const SESSION = rng.bytes(16);

function fields(sequence: number): FrameFields {
  return {
    type: FrameType.ENVELOPE,
    from: 1,
    to: 2,
    sequence,
    timestamp: 1_800_000_000_000,
    session: SESSION,
  };
}

function pair(
  suite: Suite = 2,
  rotation?: RotationLimits,
  now?: () => number,
): [SealedChannel, SealedChannel] {
  const make = (role: "dialler" | "listener") =>
    new SealedChannel({
      suite,
      role,
      prk: PRK.slice(),
      ...(rotation === undefined ? {} : { rotation }),
      ...(now === undefined ? {} : { now }),
    });
  return [make("dialler"), make("listener")];
}

function parse(bytes: Uint8Array): RawFrame {
  const parser = new FrameParser(() => true);
  parser.push(bytes);
  return parser.next() as RawFrame;
}

function flipped(bytes: Uint8Array, at: number): RawFrame {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at] = (copy.at(at) as number) ^ 1;
  return parse(copy);
}

/** The sealing of WIRE.md 2, written a second time. */
function sealByHand(
  prefix: Uint8Array,
  epoch: number,
  sequence: number,
  sealed: (keys: { enc: Bytes; nonce: Bytes }) => Uint8Array,
): Bytes {
  const expand = (key: Uint8Array, info: string, length: number) => {
    const blocks: Uint8Array[] = [];
    for (let i = 1; blocks.length * 32 < length; i++) {
      const hmac = createHmac("sha256", key).update(blocks.at(-1) ?? new Uint8Array()).update(info);
      blocks.push(hmac.update(Uint8Array.of(i)).digest());
    }
    return concat(...blocks).subarray(0, length) as Bytes;
  };
  let root = expand(PRK, "quorate/v1/seal/d2l", 32);
  for (let i = 0; i < epoch; i++) root = expand(root, "next", 32);
  const keys = expand(root, "keys", 64);
  const nonce = concat(u32(epoch), u64(BigInt(sequence)));
  const body = concat(prefix, nonce, sealed({ enc: keys.slice(0, 32), nonce }));
  return concat(body, createHmac("sha256", keys.slice(32)).update(body).digest());
}

function aead(suite: Suite, key: Bytes, nonce: Bytes, aad: Uint8Array, plaintext: Uint8Array): Bytes {
  const cipher = createCipheriv(SUITES[suite] as "aes-256-gcm", key, nonce, { authTagLength: 16 });
  cipher.setAAD(aad);
  return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

for (const suite of [1, 2] as const) {
  Deno.test(`SealedChannel seals as WIRE.md 2 says, suite ${suite}`, () => {
    for (const size of [0, 1, 256, 5_000]) {
      const plaintext = rng.bytes(size);
      const frame = pair(suite)[0].seal(fields(3), plaintext);
      const prefix = frame.subarray(0, 51);
      const expected = sealByHand(
        prefix,
        0,
        3,
        ({ enc, nonce }) => aead(suite, enc, nonce, prefix, plaintext),
      );
      assert.equal(frame.toHex(), expected.toHex());
    }
  });

  Deno.test(`SealedChannel.open() gives back what was sealed, in both directions, suite ${suite}`, () => {
    const [dialler, listener] = pair(suite);
    for (let i = 0; i < 5; i++) {
      const plaintext = rng.bytes(i * 700);
      assert.deepEqual(listener.open(parse(dialler.seal(fields(i), plaintext))), plaintext);
      assert.deepEqual(dialler.open(parse(listener.seal(fields(i), plaintext))), plaintext);
    }
  });

  Deno.test(`SealedChannel.open() verifies the MAC before the AEAD, suite ${suite}`, () => {
    const [dialler, listener] = pair(suite);
    const frame = dialler.seal(fields(0), rng.bytes(40));
    const wrongBoth = frame.slice();
    wrongBoth[70] = (wrongBoth[70] as number) ^ 1;
    assert.throws(() => listener.open(parse(wrongBoth)), { code: "SEAL_MAC" });
    const prefix = frame.subarray(0, 51);
    const wrongAead = sealByHand(
      prefix,
      0,
      0,
      () => frame.slice(63, -32).map((byte, i) => i === 3 ? byte ^ 1 : byte),
    );
    assert.throws(() => listener.open(parse(wrongAead)), { code: "SEAL_AEAD" });
    listener.open(parse(frame));
  });
}

Deno.test("SealedChannel.open() refuses a change of any byte, and stays usable", () => {
  const [dialler, listener] = pair();
  const frame = dialler.seal(fields(5), rng.bytes(20));
  for (let at = 0; at < frame.length; at++) {
    let changed: RawFrame;
    try {
      changed = flipped(frame, at);
    } catch (error) {
      assert.equal((error as Error).name, "LinkFault");
      continue;
    }
    if (changed === undefined) continue;
    assert.throws(() => listener.open(changed), { name: "LinkFault" }, `byte ${at}`);
  }
  listener.open(parse(frame));
});

Deno.test("SealedChannel.open() refuses a nonce that is not made of the header's sequence", () => {
  const [, listener] = pair();
  const prefix = pair()[0].seal(fields(4), new Uint8Array()).subarray(0, 51);
  const frame = sealByHand(prefix, 0, 5, ({ enc, nonce }) => aead(2, enc, nonce, prefix, new Uint8Array()));
  assert.throws(() => listener.open(parse(frame)), { code: "SEAL_NONCE" });
});

Deno.test("SealedChannel.open() refuses a frame that came before, and an older one", () => {
  const [dialler, listener] = pair();
  const frames = [0, 1].map((i) => dialler.seal(fields(i), rng.bytes(10)));
  listener.open(parse(frames[1] as Bytes));
  for (const frame of frames) assert.throws(() => listener.open(parse(frame)), { code: "SEQUENCE" });
});

Deno.test("SealedChannel.open() refuses a frame reflected to its sender", () => {
  const [dialler] = pair();
  assert.throws(() => dialler.open(parse(dialler.seal(fields(0), rng.bytes(10)))), { code: "SEAL_MAC" });
});

Deno.test("SealedChannel rotates after frames, bytes or time, at a frame border", () => {
  const never = { frames: 2 ** 20, bytes: 2 ** 36, ms: 3_600_000 };
  let now = 0;
  const cases: readonly (readonly [RotationLimits, (i: number) => void, number[]])[] = [
    [{ ...never, frames: 3 }, () => {}, [0, 0, 0, 1, 1, 1, 2, 2]],
    [{ ...never, bytes: 400 }, () => {}, [0, 0, 1, 1, 2, 2, 3, 3]],
    [{ ...never, ms: 1_000 }, (i) => now = i * 400, [0, 0, 0, 1, 1, 1, 2, 2]],
  ];
  for (const [rotation, before, expected] of cases) {
    now = 0;
    const [dialler, listener] = pair(2, rotation, () => now);
    const epochs = expected.map((_, i) => {
      before(i);
      const plaintext = rng.bytes(150);
      assert.deepEqual(listener.open(parse(dialler.seal(fields(i), plaintext))), plaintext);
      assert.equal(listener.receiveEpoch, dialler.sendEpoch);
      return dialler.sendEpoch;
    });
    assert.deepEqual(epochs, expected);
    assert.equal(dialler.receiveEpoch, 0);
  }
});

Deno.test("SealedChannel's next keys are those of WIRE.md 2", () => {
  const [dialler] = pair(2, { frames: 1, bytes: 2 ** 36, ms: 3_600_000 });
  const plaintext = rng.bytes(30);
  const frames = [0, 1, 2].map((i) => dialler.seal(fields(i), plaintext));
  for (const [epoch, frame] of frames.entries()) {
    const prefix = frame.subarray(0, 51);
    const expected = sealByHand(
      prefix,
      epoch,
      epoch,
      ({ enc, nonce }) => aead(2, enc, nonce, prefix, plaintext),
    );
    assert.equal(frame.toHex(), expected.toHex());
  }
});

Deno.test("SealedChannel.open() refuses an epoch left out and an epoch that is over", () => {
  const rotation = { frames: 1, bytes: 2 ** 36, ms: 3_600_000 };
  const [dialler, listener] = pair(2, rotation);
  const frames = [0, 1, 2].map((i) => parse(dialler.seal(fields(i), rng.bytes(8))));
  assert.throws(() => listener.open(frames[2] as RawFrame), { code: "SEAL_EPOCH" });
  listener.open(frames[0] as RawFrame);
  listener.open(frames[1] as RawFrame);
  const prefix = pair()[0].seal(fields(9), new Uint8Array()).subarray(0, 51);
  const old = sealByHand(prefix, 0, 9, ({ enc, nonce }) => aead(2, enc, nonce, prefix, new Uint8Array()));
  assert.throws(() => listener.open(parse(old)), { code: "SEAL_EPOCH" });
});

Deno.test("SealedChannel.open() does not move on for a forged frame of the next epoch", () => {
  const [dialler, listener] = pair(2, { frames: 2, bytes: 2 ** 36, ms: 3_600_000 });
  const frames = [0, 1, 2].map((i) => dialler.seal(fields(i), rng.bytes(8)));
  listener.open(parse(frames[0] as Bytes));
  assert.throws(() => listener.open(flipped(frames[2] as Bytes, -1)), { code: "SEAL_MAC" });
  assert.equal(listener.receiveEpoch, 0);
  listener.open(parse(frames[1] as Bytes));
  listener.open(parse(frames[2] as Bytes));
  assert.equal(listener.receiveEpoch, 1);
});

Deno.test("SealedChannel.seal() never uses a sequence twice, because its nonce would be used twice", () => {
  const [dialler] = pair();
  dialler.seal(fields(1), new Uint8Array());
  for (const sequence of [1, 0]) {
    assert.throws(() => dialler.seal(fields(sequence), new Uint8Array()), { code: "INVARIANT" });
  }
});

Deno.test("SealedChannel erases the key it was made from", () => {
  const prk = PRK.slice();
  const channel = new SealedChannel({ suite: 1, role: "dialler", prk });
  assert.ok(prk.every((byte) => byte === 0));
  channel[Symbol.dispose]();
});

/** What is overwritten with zeros meanwhile: how long each is, and that it held something. */
function erasedBy(action: () => void): number[] {
  const lengths: number[] = [];
  const { fill } = Uint8Array.prototype;
  Uint8Array.prototype.fill = function (value, ...range) {
    if (value === 0 && this.some((byte) => byte !== 0)) lengths.push(this.length);
    return fill.call(this, value, ...range);
  };
  try {
    action();
  } finally {
    Uint8Array.prototype.fill = fill;
  }
  return lengths.toSorted((a, b) => a - b);
}

Deno.test("SealedChannel erases what it derives keys from, and all keys when it is closed", () => {
  const make = (role: "dialler" | "listener") => new SealedChannel({ suite: 2, role, prk: PRK.slice() });
  // The key, the MAC key of data that is no frame, and per direction the two keys of a root.
  assert.deepEqual(erasedBy(() => make("dialler")), [32, 32, 64, 64]);
  const channel = make("dialler"), other = make("listener");
  // Per direction root and encryption key; and of three MAC keys the outer and the inner pads, with the last input behind them.
  const keys = [32, 32, 32, 32, 96, 96, 96, 1088, 1088, 1088];
  assert.deepEqual(erasedBy(() => channel.close()), keys);
  other.rotateKeys();
  assert.deepEqual(erasedBy(() => void other.seal(fields(0), new Uint8Array(5))), [32, 32, 64, 96, 1088]);
});

Deno.test("SealedChannel.sealInto() writes what seal() gives, into as much memory as it takes", () => {
  const plaintext = rng.bytes(300);
  const out = new Uint8Array(500);
  const [[first], [second]] = [pair(), pair()];
  first.sealInto(out.subarray(7, 7 + sealedSize(300)), fields(4), plaintext);
  assert.deepEqual(out.slice(7, 7 + sealedSize(300)), second.seal(fields(4), plaintext));
  for (const size of [sealedSize(300) - 1, sealedSize(300) + 1]) {
    const seal = () => second.sealInto(new Uint8Array(size), fields(5), plaintext);
    assert.throws(seal, { code: "INVARIANT", message: /fills the memory/ });
  }
});

Deno.test("SealedChannel is made from 32 bytes and opens sealed frames only", () => {
  assert.throws(() => new SealedChannel({ suite: 1, role: "dialler", prk: new Uint8Array(31) }), {
    code: "INVARIANT",
  });
  const plain = parse(encodePlainFrame(fields(0), new Uint8Array(100)));
  assert.throws(() => pair()[1].open(plain), { code: "INVARIANT" });
});
