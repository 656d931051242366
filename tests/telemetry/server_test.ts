import assert from "node:assert/strict";
import { EventLoopLag } from "../../src/telemetry/event_loop.ts";
import { TelemetryServer, type Unreadiness } from "../../src/telemetry/server.ts";

const listen = { host: "127.0.0.1", port: 0 };

Deno.test("TelemetryServer says metrics, life and readiness, each with its status", async () => {
  const reasons: Unreadiness[] = [];
  await using server = TelemetryServer.start({ listen, metrics: () => "a 1\n", unready: () => reasons });
  const get = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [response.status, response.headers.get("content-type"), await response.text()] as const;
  };
  assert.deepEqual(await get("/metrics"), [200, "text/plain; version=0.0.4; charset=utf-8", "a 1\n"]);
  assert.deepEqual((await get("/livez"))[0], 200);
  assert.deepEqual((await get("/readyz")).toSpliced(1, 1), [200, '{"ready":true,"reasons":[]}']);
  reasons.push({ reason: "quorum", text: "treasury cannot sign" });
  const [status, , body] = await get("/readyz");
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(body), { ready: false, reasons });
  assert.equal((await get("/other"))[0], 404);
  assert.equal((await get("/metrics", "POST"))[0], 405);
});

Deno.test("TelemetryServer.start() refuses an address that is taken", async () => {
  await using server = TelemetryServer.start({ listen, metrics: () => "", unready: () => [] });
  assert.throws(
    () =>
      TelemetryServer.start({
        listen: { host: "127.0.0.1", port: server.port },
        metrics: () => "",
        unready: () => [],
      }),
    { code: "ADDRESS_IN_USE" },
  );
});

Deno.test("EventLoopLag sees work that lasts", () => {
  using lag = new EventLoopLag();
  const until = performance.now() + 520;
  while (performance.now() < until);
  assert.ok(lag.seconds > 0);
});
