import assert from "node:assert/strict";
import { Admission } from "../../src/transport/admission.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";
import {
  AdaptiveRate,
  ConnectionThrottle,
  PeerLimiter,
  type RateLimits,
  TokenBucket,
} from "../../src/transport/rate.ts";

const LIMITS: RateLimits = {
  frames: { perSecond: 100, burst: 3, floor: 10, ceiling: 1_000 },
  bytes: { perSecond: 1_000, burst: 5_000 },
  types: { 40: { perSecond: 1, burst: 2 } },
};

Deno.test("TokenBucket gives its burst at once, then its rate, and saves up no more than its burst", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, 1_000);
  assert.deepEqual([1, 2, 3, 4].map(() => bucket.take(1_000)), [true, true, true, false]);
  assert.equal(bucket.take(1_099), false);
  assert.equal(bucket.take(1_100), true);
  assert.equal(bucket.take(1_100), false);
  assert.deepEqual([1, 2, 3, 4].map(() => bucket.take(99_000)), [true, true, true, false]);
  assert.equal(bucket.isFull(99_000), false);
  assert.equal(bucket.isFull(99_300), true);
});

Deno.test("TokenBucket.charge() may owe tokens, and waitMs() says until when", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 1 }, 0);
  bucket.charge(0, 5);
  assert.equal(bucket.waitMs(0), 400);
  assert.equal(bucket.waitMs(300), 100);
  assert.equal(bucket.waitMs(401), 0);
  bucket.charge(401, 2);
  bucket.setRate(401, 1_000);
  assert.ok(bucket.waitMs(401) < 3);
});

Deno.test("TokenBucket refuses a rate that never lets anything through", () => {
  assert.throws(() => new TokenBucket({ perSecond: 0, burst: 1 }, 0), { code: "INVARIANT" });
  assert.throws(() => new TokenBucket({ perSecond: 1, burst: 0.5 }, 0), { code: "INVARIANT" });
});

Deno.test("AdaptiveRate halves to its floor with errors and grows to its ceiling with successes", () => {
  const rate = new AdaptiveRate({ base: 100, floor: 10, ceiling: 120 });
  rate.recordError();
  assert.equal(rate.current, 50);
  for (let i = 0; i < 10; i++) rate.recordError();
  assert.equal(rate.current, 10);
  rate.recordSuccess(900);
  assert.equal(Math.round(rate.current), 100);
  rate.recordSuccess(10_000);
  assert.equal(rate.current, 120);
  assert.throws(() => new AdaptiveRate({ base: 5, floor: 10, ceiling: 20 }), { code: "INVARIANT" });
  assert.throws(() => new AdaptiveRate({ base: 50, floor: 10, ceiling: 20 }), { code: "INVARIANT" });
});

Deno.test("PeerLimiter makes a peer wait for frames, for bytes, and for frames of one type", () => {
  const small = { type: 32, bytes: 1 };
  const frames = new PeerLimiter(LIMITS, 0);
  for (let i = 0; i < 3; i++) {
    frames.charge(0, small);
    assert.equal(frames.waitMs(0), 0);
  }
  frames.charge(0, small);
  assert.equal(frames.waitMs(0), 10);
  assert.equal(frames.waitMs(11), 0);

  const bytes = new PeerLimiter(LIMITS, 0);
  bytes.charge(0, { type: 32, bytes: 6_000 });
  assert.equal(bytes.waitMs(0), 1_000);

  const types = new PeerLimiter(LIMITS, 0);
  for (let i = 0; i < 3; i++) types.charge(0, { type: 40, bytes: 0 });
  assert.equal(types.waitMs(0), 1_000);
  assert.deepEqual(types.statistics.limitedByType, { 40: 1 });
});

Deno.test("PeerLimiter counts what it let through and how long it made wait", () => {
  const limiter = new PeerLimiter(LIMITS, 0);
  for (let i = 0; i < 4; i++) limiter.charge(0, { type: 32, bytes: 1 });
  limiter.waitMs(0);
  const { allowed, limited, limitedByType, waitedMs } = limiter.statistics;
  assert.deepEqual({ allowed, limited, limitedByType }, { allowed: 4, limited: 1, limitedByType: { 0: 1 } });
  assert.ok(waitedMs > 9 && waitedMs < 11);
});

Deno.test("PeerLimiter lets a peer whose frames are refused send less, down to the floor", () => {
  const limiter = new PeerLimiter(LIMITS, 0);
  for (let i = 0; i < 20; i++) limiter.recordError(0);
  assert.equal(limiter.statistics.currentRate, 10);
  for (let i = 0; i < 4; i++) limiter.charge(0, { type: 32, bytes: 1 });
  assert.ok(limiter.waitMs(0) > 90, "one frame at about 10 per second");
});

Deno.test("ConnectionThrottle limits an address and all together, and a refused one costs the others nothing", () => {
  const throttle = new ConnectionThrottle({
    perAddress: { perSecond: 1, burst: 2 },
    total: { perSecond: 1, burst: 5 },
  }, 0);
  assert.deepEqual([1, 2, 3, 4].map(() => throttle.allow("a", 0)), [true, true, false, false]);
  assert.deepEqual([1, 2, 3].map(() => throttle.allow("b", 0)), [true, true, false]);
  assert.deepEqual([1, 2].map(() => throttle.allow("c", 0)), [true, false], "five in all");
  assert.equal(throttle.allow("a", 1_500), true);
  assert.deepEqual(throttle.statistics, { allowed: 6, refused: 4, addresses: 3 });
});

Deno.test("ConnectionThrottle remembers a bounded number of addresses, and forgets those that waited first", () => {
  const throttle = new ConnectionThrottle({
    perAddress: { perSecond: 1, burst: 1 },
    total: { perSecond: 1e9, burst: 1e9 },
  }, 0);
  for (let i = 0; i < 5_000; i++) throttle.allow(`first ${i}`, 0);
  assert.ok(throttle.statistics.addresses <= 4_096);
  assert.equal(throttle.allow("first 4999", 0), false, "the newest are remembered");
  throttle.allow("later", 10_000);
  assert.equal(throttle.statistics.addresses, 1, "all others have waited long enough");
});

Deno.test("Admission.allows() throttles an address before its handshake", () => {
  const admission = new Admission({
    ...DEFAULT_LIMITS,
    connectionRates: { perAddress: { perSecond: 0.001, burst: 1 }, total: { perSecond: 1, burst: 10 } },
  });
  assert.deepEqual(["a", "a", "b"].map((address) => admission.allows(address)), [true, false, true]);
});
