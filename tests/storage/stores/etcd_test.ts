import assert from "node:assert/strict";
import { utf8 } from "../../../src/base/bytes.ts";
import { EtcdStore } from "../../../src/storage/etcd.ts";
import { coordinationContract, known } from "./coordination_contract.ts";
import { FaultProxy } from "../../faults/proxy.ts";
import { flapWatch, loseCoordination, PATIENCE_MS } from "./lost_messages.ts";
import { type Credentials, type EtcdServers, installed, startEtcd, until } from "./servers.ts";

const program = installed("etcd");
const etcdctlProgram = installed("etcdctl");
const ignore = program === undefined;

function clientOf(
  servers: Pick<EtcdServers, "endpoints">,
  credentials: Credentials,
  timeoutMs = 10_000,
): EtcdStore {
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

/** Says something to the servers as the operator of them would. */
async function etcdctl({ endpoints }: EtcdServers, { ca, cert, key }: Credentials, ...args: string[]) {
  const flags = [`--endpoints=${endpoints[0]}`, `--cacert=${ca}`, `--cert=${cert}`, `--key=${key}`];
  const command = new Deno.Command(etcdctlProgram as string, {
    args: [...flags, ...args],
    env: { ETCDCTL_API: "3" },
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stderr } = await command.output();
  assert.ok(success, `${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

Deno.test({
  name: "EtcdStore: a network that loses, delays and breaks, and roles",
  ignore: ignore || etcdctlProgram === undefined,
  async fn(t) {
    await using servers = await started();
    const [endpoint] = servers.endpoints as [string];
    const proxy = await FaultProxy.open(Number(new URL(endpoint).port));
    const through = { endpoints: [`https://127.0.0.1:${proxy.port}`] };
    {
      await using direct = clientOf(servers, servers.client);
      await using remote = clientOf(through, servers.client, PATIENCE_MS);
      const watched = { direct, remote, proxy };
      await loseCoordination(t, watched);
      await t.step("14: a watch under link flaps sees each final value", () => flapWatch(watched));
      await t.step("14: a watch from before a compaction has a gap", async () => {
        const { at } = await direct.list("old/");
        for (const i of ["1", "2", "3"]) known(await direct.create(`old/${i}`, utf8(i)));
        await etcdctl(servers, servers.client, "compact", String((await direct.list("old/")).at));
        const cancel = new AbortController();
        for await (const event of direct.watch("old/", at, cancel.signal)) {
          assert.deepEqual(event, { gap: true });
        }
      });
    }
    await proxy.close();
    await t.step("17: the role of one node cannot write the prefix of another", async () => {
      const [root, alice] = [await servers.credentials("root"), await servers.credentials("alice")];
      const say = (line: string) => etcdctl(servers, root, ...line.split(" "));
      await say("user add root --no-password");
      await say("user grant-role root root");
      await say("role add alice");
      await say("role grant-permission alice readwrite --prefix=true alice/");
      await say("role grant-permission alice read --prefix=true bob/");
      await say("user add alice --no-password");
      await say("user grant-role alice alice");
      await say("auth enable");
      await using store = clientOf(servers, alice);
      const { entry } = known(await store.create("alice/1", utf8("own")));
      assert.ok(known(await store.swap("alice/1", entry.version, utf8("next"))).swapped);
      await assert.rejects(() => store.create("bob/1", utf8("no")), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(() => store.swap("bob/1", 1n, utf8("no")), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(() => store.get("carol/1"), { code: "STORE_UNAVAILABLE" });
      assert.equal(await store.get("bob/1"), undefined);
    });
  },
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
