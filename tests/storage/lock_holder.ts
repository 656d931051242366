/**
 * A process that takes a party's lock, says so, and keeps it until it is killed; with `once` it ends at once.
 *
 * @module
 */

import { lockParty } from "../../src/storage/lock.ts";

await lockParty({
  directory: Deno.args[0] as string,
  party: "alice",
  bootId: new Uint8Array(16),
  command: "held by a child",
  timeoutMs: 0,
});
console.log("held");
if (Deno.args[1] === "once") Deno.exit(0);
setInterval(() => {}, 1000);
