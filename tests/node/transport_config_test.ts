import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import { FrameType } from "../../src/session/links.ts";
import { parseConfig } from "../../src/node/config.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import { PARTIES } from "./config_text.ts";

function transport(section: string, environment: Record<string, string> = {}) {
  return parseConfig(`${PARTIES}\n[transport]\n${section}`, "/q/quorate.toml", environment).transport;
}

function refused(section: string, match: RegExp): void {
  assert.throws(() => transport(section), (error: unknown) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, "CONFIG_INVALID");
    assert.match(error.message, match);
    return true;
  });
}

Deno.test("[transport] changes the limits that it names, and no others", () => {
  assert.deepEqual(transport(""), {});
  assert.deepEqual(transport("slow_seconds = 5\ndial_attempts = 9\nclock_skew_max_seconds = 60\n"), {
    slowDeadlineMs: 5000,
    dialAttemptsMax: 9,
    clockSkewMaxMs: 60_000,
  });
  assert.deepEqual(transport("", { QUORATE_TRANSPORT_SLOW_SECONDS: "2.5" }), { slowDeadlineMs: 2500 });
});

Deno.test("[transport] sets the rates of a peer: of frames, of bytes and of types", () => {
  const { rates } = transport(
    "frame_rate = 400\nframe_burst = 800\nbyte_burst = 1000000\n" +
      "[transport.type_rates]\nOPEN = { per_second = 7, burst = 9 }\nVOTE = { per_second = 50.5, burst = 60 }\n",
  );
  assert.deepEqual(rates, {
    frames: { ...DEFAULT_LIMITS.rates.frames, perSecond: 400, burst: 800 },
    bytes: { ...DEFAULT_LIMITS.rates.bytes, burst: 1_000_000 },
    types: {
      ...DEFAULT_LIMITS.rates.types,
      [FrameType.OPEN]: { perSecond: 7, burst: 9 },
      [NodeMessageType.VOTE]: { perSecond: 50.5, burst: 60 },
    },
  });
  assert.deepEqual(transport("frame_rate_ceiling = 20000\nframe_rate_floor = 5\nbyte_rate = 70000\n").rates, {
    ...DEFAULT_LIMITS.rates,
    frames: { ...DEFAULT_LIMITS.rates.frames, ceiling: 20_000, floor: 5 },
    bytes: { ...DEFAULT_LIMITS.rates.bytes, perSecond: 70_000 },
  });
});

Deno.test("[transport] sets how often addresses connect, and when keys of links change", () => {
  const { connectionRates, rotation } = transport(
    "address_rate = 0.5\nconnection_burst = 7\nrotation_seconds = 60\n",
  );
  assert.deepEqual(connectionRates, {
    perAddress: { ...DEFAULT_LIMITS.connectionRates.perAddress, perSecond: 0.5 },
    total: { ...DEFAULT_LIMITS.connectionRates.total, burst: 7 },
  });
  assert.deepEqual(rotation, { ...DEFAULT_LIMITS.rotation, ms: 60_000 });
  const others = transport(
    "address_burst = 3\nconnection_rate = 4\nrotation_frames = 2048\nrotation_bytes = 2097152\n",
  );
  assert.equal(others.connectionRates?.perAddress.burst, 3);
  assert.equal(others.connectionRates?.total.perSecond, 4);
  assert.deepEqual(others.rotation, { ...DEFAULT_LIMITS.rotation, frames: 2048, bytes: 2 ** 21 });
});

Deno.test("[transport] refuses limits that contradict each other, and names both", () => {
  refused(
    "frame_rate = 50\n",
    /transport\.frame_rate_floor must be at most transport\.frame_rate: found 100 \(the default\) and 50$/,
  );
  refused(
    "frame_rate = 500\nframe_rate_ceiling = 400\n",
    /transport\.frame_rate must be at most transport\.frame_rate_ceiling: found 500 and 400$/,
  );
  refused(
    "ping_interval_seconds = 20\n",
    /transport\.ping_interval_seconds must be at most transport\.silence_seconds: found 20 and 15 \(the default\)$/,
  );
  refused(
    "send_buffer_bytes = 100000000\n",
    /transport\.send_buffer_bytes must be at most transport\.send_backlog_bytes/,
  );
  refused(
    "clock_skew_max_seconds = 0.1\n",
    /transport\.clock_skew_warn_seconds must be at most transport\.clock_skew_max_seconds: found 0\.2 \(the default\) and 0\.1$/,
  );
});

Deno.test("[transport] says which key of a rate is wrong", () => {
  refused(
    "rotation_frames = 2000000\n",
    /transport\.rotation_frames must be a whole number from 1024 to 1048576/,
  );
  refused(
    "[transport.type_rates]\nPING = {}\n",
    /there is no key transport\.type_rates\.PING: expected are OPEN, /,
  );
  refused(
    "[transport.type_rates]\nOPEN = 5\n",
    /transport\.type_rates\.OPEN must be a table with per_second and burst: found 5$/,
  );
  refused(
    "[transport.type_rates]\nOPEN = { per_second = 5 }\n",
    /transport\.type_rates\.OPEN\.burst must be a whole number from 1 to 1000000: found nothing$/,
  );
  refused(
    "[transport.type_rates]\nOPEN = { per_second = 5, burst = 5, max = 1 }\n",
    /there is no key transport\.type_rates\.OPEN\.max: expected are per_second, burst$/,
  );
});

Deno.test("environment variables hold true or false, and lists with commas", () => {
  const loaded = (environment: Record<string, string>) =>
    parseConfig(PARTIES, "/q/quorate.toml", environment).parties[0];
  assert.equal(loaded({ QUORATE_AUDIT_MESSAGES: "true" })?.audit.messages, true);
  assert.throws(() => loaded({ QUORATE_AUDIT_MESSAGES: "yes" }), /audit\.messages must be true or false/);
  const { coordination } = loaded({
    QUORATE_STORAGE_COORDINATION: "etcd",
    QUORATE_STORAGE_ETCD_ENDPOINTS: "https://a:2379, https://b:2379",
    QUORATE_STORAGE_ETCD_CA_PATH: "ca.pem",
    QUORATE_STORAGE_ETCD_CERT_PATH: "cert.pem",
    QUORATE_STORAGE_ETCD_KEY_PATH: "key.pem",
  })?.stores ?? {};
  assert.deepEqual(coordination?.kind === "etcd" && coordination.endpoints, [
    "https://a:2379",
    "https://b:2379",
  ]);
  assert.throws(
    () => loaded({ QUORATE_TRANSPORT_TYPE_RATES: "OPEN" }),
    /QUORATE_TRANSPORT_TYPE_RATES overrides nothing/,
  );
});
