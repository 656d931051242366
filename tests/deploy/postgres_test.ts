import assert from "node:assert/strict";
import { PARTIES } from "../../deploy/prepare.ts";
import { MIGRATIONS } from "../../src/storage/postgres_migrations.ts";
import { installed, postgresDirectories, startPostgres } from "../storage/stores/servers.ts";
import { textOf } from "./support.ts";

Deno.test("pg_hba.conf lets each party in over TLS with its own certificate, and nobody else from outside", () => {
  const rules = textOf("postgres/pg_hba.conf").split("\n").filter((line) =>
    line !== "" && !line.startsWith("#")
  )
    .map((line) => line.split(/\s+/));
  assert.deepEqual(rules, [
    ["local", "all", "all", "scram-sha-256"],
    ["hostssl", "quorate", PARTIES.join(","), "all", "cert"],
  ]);
});

Deno.test("roles.sql and own_rows.sql: whichever party is first makes the tables, and each adds to its own stream only", async () => {
  const program = installed("postgres", postgresDirectories());
  if (program === undefined) return;
  await using server = await startPostgres(program);
  // The server of the tests has a role and a database of this name already.
  const ours = (text: string) => text.replaceAll(/\bquorate\b/g, "deployed");
  // psql runs each statement of this by itself: a database is made outside transactions.
  for (const statement of ours(textOf("postgres/roles.sql")).replaceAll(/^--.*$/gm, "").split(";")) {
    if (statement.trim() !== "") await server.sql(statement);
  }
  const as = (party: string, sql: string) =>
    server.sql(`set session authorization ${party}; set role deployed; ${sql}`, "deployed");
  const acting = "select setconfig from pg_db_role_setting where setrole = 'erin'::regrole";
  assert.equal((await server.sql(acting)).trim(), "{role=deployed}");

  await as("carol", MIGRATIONS.join("\n"));
  await server.sql(textOf("postgres/own_rows.sql"), "deployed");
  const add = (stream: string, seq: number) => {
    const row = { seq, id: "01", kind: "vote", key: "t", body: "7b7d" };
    return `select append_records('${stream}', '${JSON.stringify([row])}')`;
  };
  await as("alice", add("alice", 1));
  await as("alice", add("alice", 2));
  await assert.rejects(() => as("bob", add("alice", 3)), /row-level security/);
  await as("bob", "update outbox_position set seq = 9");
  await as("bob", "delete from records; update records set key = 'x'");
  const rows = await as(
    "bob",
    "select stream, seq, key from records order by seq; select seq from outbox_position",
  );
  assert.deepEqual(rows.trim().split("\n"), ["alice|1|t", "alice|2|t", "2"]);
});
