import assert from "node:assert/strict";
import { type Bytes, concat, equal } from "../../../src/base/bytes.ts";
import { encode } from "../../../src/base/codec.ts";
import { sha256 } from "../../../src/base/crypto.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { type Curve, CURVES, p256, type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import { bytesOf } from "../../../src/protocols/ecdsa/bits.ts";
import type { SymSuite } from "../../../src/protocols/ecdsa/params.ts";
import {
  deltaColumn,
  type ExtensionMessage,
  extensionMessageCodec,
} from "../../../src/protocols/ecdsa/soft_spoken.ts";
import {
  voleCheck,
  type VoleContext,
  voleFinish,
  type VoleMessage,
  voleMessageCodec,
  voleReceive,
  voleSend,
} from "../../../src/protocols/ecdsa/vole.ts";
import { flipped } from "../support.ts";
import {
  combiner,
  expandAll,
  guessingReceiver,
  padsOf,
  referenceSend,
  rowsU,
  rowsV,
  rowsW,
  xor,
} from "./reference.ts";
import { dealTrees } from "./support.ts";

const SUITES: readonly SymSuite[] = ["aes", "hash"];

function setUp(curve: Curve, suite: SymSuite, seed = "vole") {
  const rng = seededRng(`${seed}/${curve.name}/${suite}`);
  const { receiver, sender } = dealTrees(rng);
  const context: VoleContext = { suite, curve, vsid: rng.bytes(32) };
  const a = [curve.randomScalar(rng), curve.randomScalar(rng)] as const;
  return {
    rng,
    context,
    a,
    leaves: receiver.receiveLeaves,
    state: { leaves: sender.sendLeaves, delta: sender.delta },
  };
}

function columnBytes(rows: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(416 * 16);
  for (let j = 0; j < 416; j++) {
    for (let i = 0; i < 128; i++) {
      const bit = ((rows[i] as Uint8Array)[j >> 3] as number) >> (j & 7) & 1;
      out[16 * j + (i >> 3)] = (out[16 * j + (i >> 3)] as number) | bit << (i & 7);
    }
  }
  return out;
}

for (const curve of Object.values(CURVES)) {
  for (const suite of SUITES) {
    Deno.test(`voleFinish() completes c + d = a·b on ${curve.name}, suite ${suite}`, () => {
      const { rng, context, a, leaves, state } = setUp(curve, suite);
      const { message, state: receiver } = voleReceive(context, leaves, rng);
      const columns = voleCheck(context, state, message);
      assert(columns !== undefined);
      const sent = voleSend(context, { columns, delta: state.delta, a, rng });
      const d = voleFinish(receiver, sent.message);
      assert(d !== undefined);
      for (const k of [0, 1] as const) {
        assert.equal(curve.add(sent.c[k], d[k]), curve.mul(a[k], receiver.b));
      }
      assert.equal(encode(extensionMessageCodec, message).length, 6816);
      assert.equal(encode(voleMessageCodec(curve), sent.message).length, 40000);
    });
  }
}

for (const suite of SUITES) {
  Deno.test(`voleReceive() and voleCheck() compute what SPEC 2.5 says, suite ${suite}`, () => {
    const { rng, context, leaves, state } = setUp(secp256k1, suite);
    const { message, state: receiver } = voleReceive(context, leaves, rng);
    const e = receiver.choices;
    const r = expandAll(context, leaves);
    const U = rowsU(r, e), V = rowsV(r);
    const comb = combiner(context.vsid, message.u);
    assert.deepEqual(message.u, concat(...U));
    assert.deepEqual(message.x, comb(e));
    assert.deepEqual(message.t, concat(...V.map(comb)));
    assert.deepEqual(bytesOf(receiver.columns.words), columnBytes(V));
    const W = rowsW(expandAll(context, state.leaves), state.delta, message.u);
    for (let i = 0; i < 128; i++) { // W = V ⊕ Δ·e
      const Delta_i = (state.delta[i >> 2] as number) >> (i & 3) & 1;
      assert.deepEqual(W[i], Delta_i === 1 ? xor(V[i] as Bytes, e) : V[i]);
    }
    const columns = voleCheck(context, state, message);
    assert(columns !== undefined);
    assert.deepEqual(bytesOf(columns.words), columnBytes(W));
  });

  Deno.test(`voleSend() computes what SPEC 2.5 says, suite ${suite}`, () => {
    const { rng, context, a, leaves, state } = setUp(p256, suite);
    const { message } = voleReceive(context, leaves, rng);
    const columns = voleCheck(context, state, message);
    assert(columns !== undefined);
    const W = bytesOf(columns.words).slice();
    const eta = p256.randomScalar(seededRng("eta"));
    const pads = padsOf(context, W, bytesOf(deltaColumn(state.delta)));
    const expected = referenceSend(context, { pads, a, eta });
    const sent = voleSend(context, { columns, delta: state.delta, a, rng: seededRng("eta") });
    assert.deepEqual(sent, expected);
  });
}

Deno.test("voleCheck() refuses any changed field", () => {
  const { rng, context, leaves, state } = setUp(secp256k1, "aes");
  const { message } = voleReceive(context, leaves, rng);
  for (const field of ["u", "x", "t"] as const) {
    for (const at of [0, message[field].length - 1]) {
      const changed: ExtensionMessage = { ...message, [field]: flipped(message[field], at) };
      assert.equal(voleCheck(context, state, changed), undefined, `${field}[${at}]`);
    }
  }
  assert.equal(voleCheck({ ...context, vsid: rng.bytes(32) }, state, message), undefined, "another session");
});

Deno.test("voleCheck() passes a receiver that guesses Δ_y exactly when the guess is right: one time in 16", () => {
  const { rng, context, leaves } = setUp(secp256k1, "aes");
  const e = rng.bytes(84);
  const error = new Uint8Array(84);
  error[3] = 1;
  const guess = 11, y = 5, trials = 480;
  const message = guessingReceiver(context, leaves, { y, guess, error, e });
  let passed = 0;
  for (let i = 0; i < trials; i++) {
    const delta = rng.bytes(32).map((byte) => byte & 15);
    const accepted = voleCheck(context, { leaves, delta }, message) !== undefined;
    assert.equal(accepted, delta[y] === guess);
    if (accepted) passed++;
  }
  assert(passed > trials / 32 && passed < trials / 8, `${passed} of ${trials}`);
});

Deno.test("voleFinish() passes a sender that guesses one choice bit: one time in two", () => {
  const { rng, context, a, leaves, state } = setUp(secp256k1, "aes");
  const receiver = voleReceive(context, leaves, rng);
  const columns = voleCheck(context, state, receiver.message);
  assert(columns !== undefined);
  const pads = padsOf(context, bytesOf(columns.words), bytesOf(deltaColumn(state.delta)));
  const trials = 48;
  let passed = 0;
  for (let i = 0; i < trials; i++) {
    const j = 7 * i % 416, guess = (i & 1) as 0 | 1;
    const { choices, columns } = receiver.state;
    const beta_j = (choices[j >> 3] as number) >> (j & 7) & 1;
    const cheat = { j, delta: secp256k1.scalar(5n), guess };
    const { message } = referenceSend(context, { pads, a, eta: secp256k1.randomScalar(rng), cheat });
    const attempt = {
      ...receiver.state,
      choices: choices.slice(),
      columns: { ...columns, words: columns.words.slice() },
    };
    const accepted = voleFinish(attempt, message) !== undefined;
    assert.equal(accepted, beta_j === guess);
    if (accepted) passed++;
  }
  assert(passed > trials / 4 && passed < 3 * trials / 4, `${passed} of ${trials}`);
});

Deno.test("voleFinish() refuses any changed field and a correction that is not below the order", () => {
  const { rng, context, a, leaves, state } = setUp(secp256k1, "aes");
  const notReduced = (aTilde: Bytes) => {
    const out = aTilde.slice();
    out.set(secp256k1.encodeScalar((secp256k1.order - 1n) as Scalar), 0);
    out[31] = 0x41; // the order itself: congruent to 0
    return out;
  };
  const changes: readonly ((message: VoleMessage) => VoleMessage)[] = [
    (message) => ({ ...message, aTilde: flipped(message.aTilde, 31) }),
    (message) => ({ ...message, aTilde: flipped(message.aTilde, message.aTilde.length - 1) }),
    (message) => ({ ...message, epsilon: secp256k1.add(message.epsilon, secp256k1.scalar(1n)) }),
    (message) => ({ ...message, mu: flipped(message.mu) }),
    (message) => ({ ...message, aTilde: notReduced(message.aTilde) }),
  ];
  for (const change of [(message: VoleMessage) => message, ...changes]) {
    const receiver = voleReceive(context, leaves, rng);
    const columns = voleCheck(context, state, receiver.message);
    assert(columns !== undefined);
    const { message } = voleSend(context, { columns, delta: state.delta, a, rng });
    assert.equal(voleFinish(receiver.state, change(message)) === undefined, changes.includes(change));
  }
});

Deno.test("voleFinish() refuses an unreduced correction whose value is right", () => {
  const { rng, context, a, leaves, state } = setUp(secp256k1, "aes");
  // A correction below 2^256 − q, written as itself plus q, has the right residue: only the range check can see it.
  const receiver = voleReceive(context, leaves, rng);
  const columns = voleCheck(context, state, receiver.message);
  assert(columns !== undefined);
  const pads = padsOf(context, bytesOf(columns.words), bytesOf(deltaColumn(state.delta)));
  const eta = secp256k1.randomScalar(rng);
  const honest = referenceSend(context, { pads, a, eta });
  const first = secp256k1.decodeScalars(honest.message.aTilde.slice(0, 32))?.[0] as Scalar;
  // Choose a_0 so that the first correction is 1: then 1 + q fits into 32 bytes.
  const a_0 = secp256k1.add(secp256k1.sub(a[0], first), secp256k1.scalar(1n));
  const rewrite = (aTilde: Bytes) => {
    assert.deepEqual(aTilde.slice(0, 32), secp256k1.encodeScalar(secp256k1.scalar(1n)));
    return concat(Uint8Array.fromHex((secp256k1.order + 1n).toString(16)), aTilde.slice(32));
  };
  const { message } = referenceSend(context, { pads, a: [a_0, a[1]], eta, rewrite });
  assert.equal(voleFinish(receiver.state, message), undefined);
});

Deno.test("a VOLE from a seed has frozen messages", () => {
  const digests = Object.values(CURVES).flatMap((curve) =>
    SUITES.map((suite) => {
      const { rng, context, a, leaves, state } = setUp(curve, suite, "golden");
      const { message } = voleReceive(context, leaves, rng);
      const columns = voleCheck(context, state, message);
      assert(columns !== undefined);
      const sent = voleSend(context, { columns, delta: state.delta, a, rng });
      const bytes = concat(
        encode(extensionMessageCodec, message),
        encode(voleMessageCodec(curve), sent.message),
      );
      return `${curve.name} ${suite} ${sha256(bytes).toHex()}`;
    })
  );
  assert.deepEqual(digests, [
    "secp256k1 aes 7973e54ef022a88fa0941ce003478207b4fea311ab165dc689d80cc428a6b3c8",
    "secp256k1 hash 327ce7bf48dc95e10e9150e8492645b1c4b6fd63ec6f7850697e155f19cb5bf9",
    "p256 aes 801f48759b21b846955d5c9421740e207a2cac8e8f2efb04333cbf75efdd1179",
    "p256 hash 12c4b48d0d760da0d5ea74c860a6de1974cb7ead9e334c8867d20bc4633b2d9f",
  ]);
});

Deno.test("voleReceive() shares nothing between sessions, even with the same randomness", () => {
  const { rng, context, leaves } = setUp(secp256k1, "aes");
  const other = { ...context, vsid: rng.bytes(32) };
  const first = voleReceive(context, leaves, seededRng("same")).message;
  const second = voleReceive(other, leaves, seededRng("same")).message;
  assert(!equal(first.u, second.u) && !equal(first.t, second.t));
});

Deno.test("voleReceive() draws again where b would be 0", () => {
  const { rng, context, leaves } = setUp(secp256k1, "aes");
  const draws = [new Uint8Array(84), rng.bytes(84)];
  const { state } = voleReceive(context, leaves, { bytes: () => draws.shift() as Bytes });
  assert.notEqual(state.b, 0n);
  assert.equal(draws.length, 0);
});
