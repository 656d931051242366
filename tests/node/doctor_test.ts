import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { examineCertificates, examinePeers, worstOf } from "../../src/node/doctor.ts";
import type { PeerStatus } from "../../src/transport/mesh.ts";
import { Cluster, values } from "./fixture.ts";

const UP: PeerStatus = {
  peer: partyId(2),
  name: "bob",
  state: "up",
  role: "dialler",
  version: 1,
  upForMs: 1500,
  rttMs: 0.4,
  clockOffsetMs: 3,
};

function graded(change: Partial<PeerStatus>): string[] {
  return examinePeers([{ ...UP, ...change }]).map(({ what, grade }) => `${what} ${grade}`);
}

Deno.test("examinePeers() grades link, roster, clock and round trip, and says why a link is down", () => {
  const good = ["link ok", "roster ok", "clock ok", "round trip ok"];
  assert.deepEqual(graded({}), good);
  assert.deepEqual(graded({ otherRosterHash: new Uint8Array(32) })[1], "roster fail");
  assert.deepEqual(graded({ clockOffsetMs: -201 })[2], "clock warn");
  assert.deepEqual(graded({ clockOffsetMs: 30_001 })[2], "clock fail");
  assert.deepEqual(graded({ rttMs: 501 })[3], "round trip warn");
  const lastFault = { code: "PIN_MISMATCH", text: "the certificate's key is none of the pinned keys of bob" };
  const { rttMs: _, ...rest } = UP;
  const [down] = examinePeers([{ ...rest, state: "down", lastFault }]);
  assert.deepEqual([down?.grade, down?.text], ["fail", `down: PIN_MISMATCH: ${lastFault.text}`]);
  const [silent] = examinePeers([{ ...rest, state: "down", role: "listener" }]);
  assert.match(silent?.text ?? "", /has not called yet/);
});

Deno.test("examineCertificates() warns two weeks before an end, and fails three days before it", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const [party] = cluster.config.parties;
  assert.ok(party !== undefined);
  const DAY = 86_400_000;
  const grades = (days: number) =>
    examineCertificates(cluster.config, party, Date.now() + days * DAY).map(({ grade }) => grade);
  assert.deepEqual(grades(0), ["ok", "ok"]);
  assert.deepEqual(grades(77), ["warn", "ok"]);
  assert.deepEqual(grades(88), ["fail", "ok"]);
  assert.deepEqual(grades(3649), ["fail", "fail"]);
  assert.equal(worstOf(examineCertificates(cluster.config, party, Date.now() + 77 * DAY)), "warn");
});

Deno.test("Party reaches its peers, and tells of those that do not come", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const two = values(
    await cluster.all(["alice", "bob"], (party) => party.reachPeers(), {
      timeoutMs: 1500,
      transport: { pingIntervalMs: 100 },
    }),
  );
  const states = two.map((peers) => peers.map(({ name, state }) => `${name} ${state}`));
  assert.deepEqual(states, [["bob up", "carol down"], ["alice up", "carol down"]]);
  const all = values(
    await cluster.all(["alice", "bob", "carol"], (party) => party.reachPeers(), {
      transport: { pingIntervalMs: 100 },
    }),
  );
  for (const peers of all) assert.ok(examinePeers(peers).every(({ grade }) => grade === "ok"));
});
