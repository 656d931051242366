/**
 * A process that creates one key ten times at once: `racer.ts KEY VALUE sqlite PATH`, or `etcd ENDPOINTS CA CERT KEY`. Prints what
 * it was told.
 */

import { utf8 } from "../../../src/base/bytes.ts";
import type { Coordination } from "../../../src/storage/coordination.ts";

const [key, value, kind, place, ca, cert, privateKey] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];
await using store: Coordination = kind === "sqlite"
  ? (await import("../../../src/storage/sqlite_stores.ts")).SqliteStore.open({ path: place })
  : new (await import("../../../src/storage/etcd.ts")).EtcdStore({
    endpoints: place.split(","),
    ca: Deno.readTextFileSync(ca),
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(privateKey),
  });
const outcomes = await Promise.all(
  Array.from({ length: 10 }, (_, i) => store.create(key, utf8(`${value}.${i}`))),
);
console.log(JSON.stringify(outcomes.map((outcome) => {
  if (!outcome.ok) throw new Error("unknown");
  return { created: outcome.value.created, value: new TextDecoder().decode(outcome.value.entry.value) };
})));
