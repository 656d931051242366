import assert from "node:assert/strict";
import { PARTIES } from "../../deploy/prepare.ts";
import { loadConfig } from "../../src/node/config.ts";
import { partyPermissions } from "../../src/node/permissions.ts";
import { DEPLOY } from "./support.ts";

Deno.test("deploy/config/quorate.toml is a configuration of five parties that vote, with stores and limits", () => {
  const config = loadConfig(new URL("config/quorate.toml", DEPLOY).pathname);
  assert.deepEqual(config.parties.map(({ name }) => name), PARTIES);
  assert.equal(config.voting?.membership.quorum, 4);
  assert.equal(config.transport.clockSkewMaxMs, 30_000);
  for (const { name, dataDirectory, stores, node } of config.parties) {
    assert.equal(dataDirectory, `/var/lib/quorate/${name}`);
    assert.deepEqual([stores.coordination.kind, stores.records.kind], ["etcd", "postgres"]);
    assert.deepEqual([node.operatorListen.host, node.telemetryListen.host], ["127.0.0.1", "127.0.0.1"]);
    // What the unit of systemd makes writable.
    assert.deepEqual(partyPermissions(config, name).write, [dataDirectory]);
  }
});
