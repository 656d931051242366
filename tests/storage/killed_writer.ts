/**
 * A process that kills itself as soon as the high-water mark of its next change is in place.
 *
 * @module
 */

import { Secret } from "../../src/base/secret.ts";
import { systemRng } from "../../src/base/rng.ts";
import { LocalStore } from "../../src/storage/local_store.ts";
import { burnRecord, fakeKey, id, inspectFake } from "./fixture.ts";

const store = LocalStore.open({
  directory: Deno.args[0] as string,
  owner: { cluster: "test", party: "alice", index: 1 },
  sealing: { kind: "key", key: new Secret(id("sealing key")) },
  rng: systemRng,
  inspect: inspectFake,
});
const rename = Deno.renameSync;
Deno.renameSync = (from, to) => {
  rename(from, to);
  Deno.kill(Deno.pid, "SIGKILL");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
};
store.write(burnRecord(fakeKey({ name: "treasury" }), "s"));
