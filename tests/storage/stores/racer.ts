/**
 * A process that creates one key ten times at once: `racer.ts KEY VALUE sqlite PATH`, or `etcd ENDPOINTS CA CERT KEY`. Prints what
 * it was told.
 */

import { utf8 } from "../../../src/base/bytes.ts";
import type { Coordination } from "../../../src/storage/coordination.ts";

/** Opens what the arguments of a process name. */
export async function openStore(place: readonly string[]): Promise<Coordination> {
  const [kind, where, ca, cert, key] = place as [string, string, string, string, string];
  if (kind === "sqlite") {
    return (await import("../../../src/storage/sqlite_stores.ts")).SqliteStore.open({ path: where });
  }
  const { EtcdStore } = await import("../../../src/storage/etcd.ts");
  return new EtcdStore({
    endpoints: where.split(","),
    ca: Deno.readTextFileSync(ca),
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  });
}

if (import.meta.main) {
  const [key, value, ...place] = Deno.args as [string, string, ...string[]];
  await using store = await openStore(place);
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, (_, i) => store.create(key, utf8(`${value}.${i}`))),
  );
  console.log(JSON.stringify(outcomes.map((outcome) => {
    if (!outcome.ok) throw new Error("unknown");
    return { created: outcome.value.created, value: new TextDecoder().decode(outcome.value.entry.value) };
  })));
}
