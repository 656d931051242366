import assert from "node:assert/strict";
import { keyId } from "../../src/base/brands.ts";
import { CheaterError, TransportError } from "../../src/base/errors.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { noteUnattributed } from "../../src/node/signers.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Cluster, rejects, values } from "./fixture.ts";

const DIGEST = new Uint8Array(32).fill(5);
const cheater = (code: "UNATTRIBUTABLE" | "CHEATED") =>
  new CheaterError({ code, round: 2, culprits: [], what: "the sum is wrong" });

Deno.test("noteUnattributed() counts failures with nobody to name, and no others", () => {
  const place = { keyId: keyId(new Uint8Array(32)), epoch: 0, signers: [1, 2] };
  const counted: unknown[] = [];
  const store = { signersFailed: (failed: unknown) => void counted.push(failed) };
  noteUnattributed(store, place, cheater("CHEATED"));
  noteUnattributed(store, place, new TransportError("TIMEOUT", "nobody came"));
  noteUnattributed(store, place, cheater("UNATTRIBUTABLE"));
  assert.deepEqual(counted, [place]);
});

Deno.test("Party refuses signers whose signatures failed three times with nobody to name, in this epoch alone", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const policy = parsePolicy("2 of (alice, bob, carol)");
  const request = { name: "k", curve: secp256k1, policy };
  values(await cluster.all(["alice", "bob", "carol"], (party) => party.generateKey(request)));
  const alice = await cluster.open("alice");
  const { store } = alice.local;
  const { keyId, epoch } = store.active("k");
  const signers = ["alice", "bob"];
  for (let i = 0; i < 3; i++) store.signersFailed({ keyId, epoch, signers: [1, 2] });
  await rejects(
    alice.sign({ name: "k", digest: DIGEST, signers }),
    "FAILURE_BUDGET",
    /3 signatures of these signers failed/,
  );
  store.admitSigners({ keyId, epoch, signers: [1, 3] });
  store.admitSigners({ keyId, epoch: epoch + 1, signers: [1, 2] });
  await alice.close();
  const others = values(
    await cluster.all(
      ["alice", "carol"],
      (party) => party.sign({ name: "k", digest: DIGEST, signers: ["alice", "carol"] }),
    ),
  );
  assert.ok(others.every(({ signature }) => signature !== undefined));
});
