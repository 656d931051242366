import assert from "node:assert/strict";
import { utf8 } from "../../../src/base/bytes.ts";
import { EtcdStore } from "../../../src/storage/etcd.ts";
import { coordinationContract, known } from "./coordination_contract.ts";
import { type Credentials, type EtcdServers, installed, startEtcd, until } from "./servers.ts";

const program = installed("etcd");
const ignore = program === undefined;

function clientOf(servers: EtcdServers, credentials: Credentials, timeoutMs = 10_000): EtcdStore {
  return new EtcdStore({
    endpoints: servers.endpoints,
    ca: Deno.readTextFileSync(credentials.ca),
    cert: Deno.readTextFileSync(credentials.cert),
    key: Deno.readTextFileSync(credentials.key),
    timeoutMs,
  });
}

async function started(): Promise<EtcdServers> {
  const servers = await startEtcd(program as string);
  await using store = clientOf(servers, servers.client);
  await until(() => store.get("ready"));
  return servers;
}

coordinationContract("EtcdStore", ignore, async () => {
  const servers = await started();
  const { ca, cert, key } = servers.client;
  return {
    client: () => clientOf(servers, servers.client),
    racer: ["etcd", servers.endpoints.join(","), ca, cert, key],
    [Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
  };
});

Deno.test({
  name: "EtcdStore: members that end, and strangers",
  ignore,
  async fn(t) {
    await using servers = await started();
    await t.step("17: a client certificate of another authority is refused", async () => {
      await using store = clientOf(servers, servers.stranger, 2000);
      await assert.rejects(() => store.get("a"), { code: "STORE_UNAVAILABLE" });
    });
    await t.step(
      "4, 6: what was acknowledged is there after kill -9 of a member, and of all three",
      async () => {
        await using store = clientOf(servers, servers.client);
        known(await store.create("kept/1", utf8("1")));
        await servers.kill([0]);
        assert.deepEqual((await until(() => store.get("kept/1")))?.value, utf8("1"));
        await until(async () => known(await store.create("kept/2", utf8("2"))));
        await servers.kill([1, 2]);
        await assert.rejects(() => store.get("kept/1"), { code: "STORE_UNAVAILABLE" });
        await assert.rejects(() => store.create("kept/3", utf8("3")), { code: "STORE_UNAVAILABLE" });
        await servers.restart();
        const { entries } = await until(() => store.list("kept/"));
        assert.deepEqual(entries.map(({ value }) => new TextDecoder().decode(value)), ["1", "2"]);
      },
    );
  },
});
