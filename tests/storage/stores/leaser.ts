/**
 * A process that holds a key by a lease: `leaser.ts KEY TTL_MS sqlite PATH`, or `etcd ENDPOINTS CA CERT KEY`. Prints what it is told
 * each time that it keeps the lease alive, until that fails.
 */

import { utf8 } from "../../../src/base/bytes.ts";
import { openStore } from "./racer.ts";

const [key, ttlMs, ...place] = Deno.args as [string, string, ...string[]];
const store = await openStore(place);
const lease = await store.lease(Number(ttlMs));
const outcome = await store.create(key, utf8("held"), lease.id);
console.log(outcome.ok && outcome.value.created ? "held" : "not held");
for (let alive = true; alive;) {
  alive = await lease.keepAlive();
  console.log(String(alive));
  await new Promise((resolve) => setTimeout(resolve, Number(ttlMs) / 4));
}
Deno.exit(0);
