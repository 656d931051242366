import assert from "node:assert/strict";
import { hex } from "../../src/base/bytes.ts";
import { UsageError } from "../../src/base/errors.ts";
import {
  createAuthority,
  createRevocationList,
  issueLeaf,
  issueRequested,
  readRevocationList,
} from "../../src/pki/authority.ts";
import { describeCertificate } from "../../src/pki/inspect.ts";
import { fromPem, toPem } from "../../src/pki/pem.ts";
import { createRequest, requestedKey } from "../../src/pki/request.ts";
import { listsIn } from "../../src/pki/revocation.ts";
import { requestOnP384 } from "./request_on_p384.ts";

const authority = await createAuthority({ cluster: "demo" });
const second = await createAuthority({ cluster: "demo", generation: 2 });
const namesake = await createAuthority({ cluster: "demo" });
const alice = await issueLeaf({ authority, cluster: "demo", party: "alice", host: "127.0.0.1" });

Deno.test("listsIn() tells lists apart by who signed them, not by who they say they are of", async () => {
  const first = await createRevocationList({ authority, revoked: [alice.certPem], number: 1, days: 10 });
  const next = await createRevocationList({ authority: second, revoked: [], number: 1 });
  const foreign = await createRevocationList({ authority: namesake, revoked: [], number: 9 });
  const lists = listsIn(first + foreign.trimEnd() + "\n" + next, [authority.certPem, second.certPem]);
  assert.deepEqual(lists.map(({ issuer }) => issuer), ["demo CA", undefined, "demo CA 2"]);
  assert.equal(lists.map(({ pem }) => pem).join(""), first + foreign + next);
  const { revoked, thisUpdate, nextUpdate } = lists[0] ?? assert.fail();
  assert.deepEqual([...revoked], [describeCertificate(alice.certPem, "alice").serial]);
  assert.equal(nextUpdate.getTime() - thisUpdate.getTime(), 10 * 86_400_000);
  assert.deepEqual(listsIn("no list", []), []);
});

Deno.test("listsIn() refuses what is no list, in one sentence", () => {
  const broken = toPem("X509 CRL", Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x01));
  assert.throws(() => listsIn(broken, []), {
    code: "IDENTITY_INVALID",
    message: /^a revocation list cannot be read/,
  });
});

Deno.test("createRevocationList() keeps former entries with their dates, and readRevocationList() reads numbers of any size", async () => {
  const former = await createRevocationList({
    authority,
    revoked: [alice.certPem],
    number: 255,
    thisUpdate: new Date("2026-01-01T00:00:00Z"),
  });
  const { number, entries } = readRevocationList(former);
  assert.deepEqual([number, entries.length], [255, 1]);
  const next = await createRevocationList({
    authority,
    revoked: [alice.certPem],
    former: entries,
    number: 65_536,
  });
  const read = readRevocationList(next);
  assert.equal(read.number, 65_536);
  assert.deepEqual(read.entries, entries);
  assert.equal(read.entries[0]?.date.toISOString(), "2026-01-01T00:00:00.000Z");
});

Deno.test("issueRequested() uses of a request the key alone, and refuses another kind of key", async () => {
  const options = { authority, cluster: "demo", party: "bob", host: "10.0.0.2" };
  // Whoever made the request says that he is alice.
  const { requestPem } = await createRequest({ cluster: "other", party: "alice", host: "10.0.0.1" });
  const issued = describeCertificate(await issueRequested({ ...options, requestPem }), "the certificate");
  assert.deepEqual([issued.subject, issued.uris, issued.hosts], ["bob", ["quorate://demo/bob"], [
    "10.0.0.2",
  ]]);
  const cases: [string, RegExp][] = [
    [await requestOnP384(), /not for a key on P-256/],
    [toPem("CERTIFICATE REQUEST", Uint8Array.of(0x30, 0x00)), /cannot be read/],
    [alice.certPem, /not one PEM block of the kind "CERTIFICATE REQUEST"/],
  ];
  for (const [requestPem, message] of cases) {
    await assert.rejects(issueRequested({ ...options, requestPem }), { code: "IDENTITY_INVALID", message });
  }
});

Deno.test("requestedKey() refuses a damaged request in one sentence, or finds the key that signed it", async () => {
  const { requestPem } = await createRequest({ cluster: "demo", party: "bob", host: "10.0.0.2" });
  const der = fromPem("CERTIFICATE REQUEST", requestPem, "the request");
  const spki = ({ rawData }: { readonly rawData: ArrayBuffer }) => hex(new Uint8Array(rawData));
  const wanted = spki(await requestedKey(requestPem));
  let refused = 0;
  for (let at = 0; at < der.length; at++) {
    for (const mask of [0x01, 0xff]) {
      const damaged = der.slice();
      damaged[at] = (damaged[at] as number) ^ mask;
      const found = await requestedKey(toPem("CERTIFICATE REQUEST", damaged)).catch((error) => {
        assert.ok(error instanceof UsageError, `byte ${at}: ${error}`);
        assert.match(error.message, /^the certificate request /);
        refused++;
      });
      if (found !== undefined) assert.equal(spki(found), wanted, `byte ${at}`);
    }
  }
  assert.ok(refused > 1.9 * der.length, `${refused} of ${2 * der.length} were refused`);
});
