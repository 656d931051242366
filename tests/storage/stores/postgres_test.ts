import assert from "node:assert/strict";
import { type PostgresOptions, PostgresStore } from "../../../src/storage/postgres.ts";
import { known } from "./coordination_contract.ts";
import { recordsContract, rowOf, rowsOf } from "./records_contract.ts";
import { FaultProxy } from "../../faults/proxy.ts";
import { loseRecords, PATIENCE_MS } from "./lost_messages.ts";
import { installed, postgresDirectories, type PostgresServer, startPostgres, until } from "./servers.ts";

const program = installed("postgres", postgresDirectories());
const ignore = program === undefined;

function clientOf(
  { host, port, client }: PostgresServer,
  timeoutMs = 10_000,
  more: Partial<PostgresOptions> = {},
): PostgresStore {
  const [ca, cert, key] = [client.ca, client.cert, client.key].map((path) => Deno.readTextFileSync(path)) as [
    string,
    string,
    string,
  ];
  const role = { database: "quorate", user: "quorate", ca, cert, key };
  return PostgresStore.create({ host, port, ...role, timeoutMs, ...more });
}

recordsContract("PostgresStore", ignore, async () => {
  const server = await startPostgres(program as string);
  return {
    async client() {
      const store = clientOf(server);
      await store.prepare();
      return store;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

Deno.test({
  name: "PostgresStore: a server that ends, refuses or is set up badly, and a network that loses and delays",
  ignore,
  async fn(t) {
    await using server = await startPostgres(program as string);
    await t.step("a network that loses and delays", async (t) => {
      const proxy = await FaultProxy.open(server.port);
      await using direct = clientOf(server);
      await direct.prepare();
      await using remote = clientOf({ ...server, port: proxy.port }, PATIENCE_MS, { connections: 1 });
      await loseRecords(t, { direct, remote, proxy });
      await proxy.close();
    });
    await t.step("prepare() refuses a server that does not sync its commits", async () => {
      await using store = clientOf(server);
      await server.sql("alter role quorate set synchronous_commit = off");
      await assert.rejects(() => store.prepare(), { code: "STORE_UNSAFE" });
      await server.sql("alter role quorate reset synchronous_commit");
    });
    await t.step(
      "prepare() by many at once makes the tables once, and refuses tables of a later version",
      async () => {
        await using first = clientOf(server);
        await using second = clientOf(server);
        await Promise.all([first.prepare(), second.prepare(), first.prepare()]);
        assert.equal(await server.sql("select count(*) from quorate_migrations"), "2");
        await server.sql("insert into quorate_migrations values (99)");
        await assert.rejects(() => first.prepare(), { code: "STORE_UNSAFE" });
        await server.sql("delete from quorate_migrations where version = 99");
      },
    );
    await t.step("6: what was acknowledged is there after kill -9 of the server", async () => {
      await using store = clientOf(server);
      known(await store.append("kept", rowsOf("kept", 1, 3)));
      await server.kill();
      const head = await store.head("kept").catch((error) => error);
      const outcome = await store.append("kept", [rowOf("kept", 4)]).catch((error) => error);
      // Whatever is found here, the steps after this one need a server.
      await server.restart();
      assert.equal(head.code, "STORE_UNAVAILABLE", String(head.stack));
      assert.ok(outcome.ok === false || outcome.code === "STORE_UNAVAILABLE", String(outcome.stack));
      assert.deepEqual(await until(() => store.read("kept", 0n, 10)), rowsOf("kept", 1, 3));
      known(await store.append("kept", [rowOf("kept", 4)]));
    });
    await t.step(
      "P1: a server that is killed in the middle of appends ends nothing here, and has every row once",
      async () => {
        await using store = clientOf(server);
        let acknowledged = 0;
        const stop = new AbortController();
        const appending = (async () => {
          while (!stop.signal.aborted) {
            const head = await store.head("busy").catch(() => undefined);
            if (head === undefined && acknowledged > 0) continue;
            const seq = Number(head?.seq ?? 0n) + 1;
            const outcome = await store.append("busy", rowsOf("busy", seq, seq + 5)).catch(() => undefined);
            if (outcome?.ok === true) acknowledged = Number(outcome.value.head);
          }
        })();
        try {
          for (let kills = 0; kills < 3; kills++) {
            const before = acknowledged;
            await until(async () => {
              await new Promise((resolve) => setTimeout(resolve, 5));
              assert.ok(acknowledged >= before + 12, "rows are acknowledged again");
            });
            await server.kill();
            await server.restart();
          }
        } finally {
          stop.abort();
        }
        await appending;
        const rows = await store.read("busy", 0n, 100_000);
        assert.ok(rows.length >= acknowledged);
        assert.deepEqual(rows.map(({ seq }) => seq), rows.map((_, i) => BigInt(i + 1)));
      },
    );
    await t.step(
      "12: a database that may not be written says so, and works again without a restart",
      async () => {
        await using before = clientOf(server);
        await server.sql("alter role quorate set default_transaction_read_only = on");
        await using store = clientOf(server);
        await assert.rejects(() => store.append("read only", [rowOf("read only", 1)]), {
          code: "STORE_UNAVAILABLE",
        });
        await server.sql("alter role quorate reset default_transaction_read_only");
        known(await before.append("read only", [rowOf("read only", 1)]));
      },
    );
    await t.step("12: a row that another transaction holds is waited for until the deadline", async () => {
      await using store = clientOf(server, 1000);
      known(await store.append("held", [rowOf("held", 1)]));
      const holder = server.sql(
        "begin; select * from outbox_position where stream = 'held' for update; select pg_sleep(2.5); commit",
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      const outcome = await store.append("held", [rowOf("held", 2)]).catch((error) => error);
      assert.ok(outcome.ok === false || outcome.code === "STORE_UNAVAILABLE", String(outcome));
      await holder;
      await until(async () => known(await store.append("held", [rowOf("held", 2)])));
      assert.deepEqual(await store.read("held", 0n, 10), rowsOf("held", 1, 2));
    });
    await t.step(
      "13: after the restore of an older copy the head goes back, and the rows are taken again",
      async () => {
        await using store = clientOf(server);
        known(await store.append("restored", rowsOf("restored", 1, 3)));
        await server.sql("create table copy as table records; create table place as table outbox_position");
        known(await store.append("restored", rowsOf("restored", 4, 6)));
        await server.sql("truncate records, outbox_position");
        await server.sql(
          "insert into records select * from copy; insert into outbox_position select * from place",
        );
        assert.equal((await store.head("restored"))?.seq, 3n);
        await assert.rejects(() => store.append("restored", [rowOf("restored", 7)]), { code: "RECORD_GAP" });
        assert.deepEqual(known(await store.append("restored", rowsOf("restored", 4, 7))), { head: 7n });
      },
    );
    await t.step("a server whose certificate has another name is refused", async () => {
      await using store = clientOf({ ...server, host: "localhost" });
      await assert.rejects(() => store.head("kept"), { code: "STORE_UNAVAILABLE" });
    });
    await t.step("17: a client without a certificate of the authority is refused", async () => {
      const text = (path: string) => Deno.readTextFileSync(path);
      const { host, port, client } = server;
      await using store = PostgresStore.create({
        host,
        port,
        database: "quorate",
        user: "postgres",
        ca: text(client.ca),
        cert: text(client.cert),
        key: text(client.key),
      });
      await assert.rejects(() => store.head("kept"), { code: "STORE_UNAVAILABLE" });
    });
  },
});
