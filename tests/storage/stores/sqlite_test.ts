import { SqliteStore } from "../../../src/storage/sqlite_stores.ts";
import { coordinationContract } from "./coordination_contract.ts";
import { recordsContract } from "./records_contract.ts";

coordinationContract("SqliteStore", false, () => {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-sqlite-" });
  const path = `${directory}/shared.sqlite`;
  return Promise.resolve({
    client: () => SqliteStore.open({ path }),
    racer: ["sqlite", path],
    [Symbol.asyncDispose]: () => Promise.resolve(Deno.removeSync(directory, { recursive: true })),
  });
});

recordsContract("SqliteStore", false, () => {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-sqlite-" });
  return Promise.resolve({
    client: () => Promise.resolve(SqliteStore.open({ path: `${directory}/shared.sqlite` })),
    [Symbol.asyncDispose]: () => Promise.resolve(Deno.removeSync(directory, { recursive: true })),
  });
});
