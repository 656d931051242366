import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { loadCertificates } from "../../src/node/certificates.ts";
import { ReadinessLog } from "../../src/node/daemon_readiness.ts";
import { NodeReport, type ReportOptions } from "../../src/node/daemon_report.ts";
import type { Party } from "../../src/node/party.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Log } from "../../src/telemetry/log.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { SignLocks } from "../../src/node/sign_locks.ts";
import { SessionMonitor } from "../../src/telemetry/sessions.ts";
import type { Unreadiness } from "../../src/telemetry/server.ts";
import type { MeshMetrics, PeerStatus } from "../../src/transport/mesh.ts";
import { Cluster, values } from "./fixture.ts";

const BOB: PeerStatus = {
  peer: partyId(2),
  name: "bob",
  role: "dialler",
  state: "up",
  version: 1,
  directions: { in: "up", out: "up" },
  rttAverageMs: 3,
  clockOffsetMs: -20,
} as PeerStatus;
const CAROL: PeerStatus = { ...BOB, peer: partyId(3), name: "carol" };
const DOWN: Partial<PeerStatus> = { state: "down", directions: undefined as never };

/** A report of alice's, whose links are as they are said to be. */
class Place implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly party: Party;
  peers: readonly PeerStatus[] = [BOB, CAROL];
  downs: Readonly<Record<string, number>> = {};

  private constructor(cluster: Cluster, party: Party) {
    this.cluster = cluster;
    this.party = party;
  }

  static async make(names: readonly string[] = ["alice", "bob", "carol"]): Promise<Place> {
    const cluster = await Cluster.make(names);
    return new Place(cluster, await cluster.open("alice"));
  }

  report(options: Partial<ReportOptions> = {}): NodeReport {
    const { local } = this.party;
    const material = loadCertificates(local.config, local.party);
    const counts = { peers: [{ name: "bob", downs: this.downs }] } as unknown as MeshMetrics;
    return new NodeReport({
      local,
      links: () => ({ peers: this.peers, counts }),
      sessions: new SessionMonitor({ metrics: new Metrics(), nameOf: String, signing: new Set() }),
      material: () => material,
      isStopping: () => false,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.party.close();
    this.cluster[Symbol.dispose]();
  }
}

const reasonsOf = (report: NodeReport) => report.unready().map(({ reason }) => reason);

Deno.test("a node is ready with a majority of parties, and has a quorum as long as it is", async () => {
  await using place = await Place.make();
  assert.deepEqual(place.report().unready(), []);
  place.peers = [BOB, { ...CAROL, ...DOWN }];
  assert.deepEqual(place.report().unready(), []);
  assert.deepEqual(place.report().status().unreachable, ["carol"]);
  place.peers = [{ ...BOB, ...DOWN }, { ...CAROL, ...DOWN }];
  const { ready, quorum, reasons } = place.report().status();
  assert.deepEqual([ready, quorum], [false, false]);
  assert.deepEqual(reasons, [{ reason: "quorum", text: "only 1 of 3 parties can be reached" }]);
  assert.deepEqual(reasonsOf(place.report({ links: () => undefined })), ["quorum"]);
});

Deno.test("a party counts as reached where both directions of its link work", async () => {
  await using place = await Place.make();
  for (
    const directions of [{ in: "down", out: "up" }, { in: "up", out: "down" }, {
      in: "up",
      out: "unknown",
    }] as const
  ) {
    place.peers = [{ ...BOB, directions }, CAROL] as readonly PeerStatus[];
    const report = place.report();
    assert.deepEqual([...report.reachable()], ["alice", "carol"], JSON.stringify(directions));
    const [bob] = report.peers();
    assert.deepEqual([bob?.in, bob?.out], [directions.in, directions.out]);
  }
});

Deno.test("peers() says what is known of a link, and nothing of one that is down", async () => {
  await using place = await Place.make();
  place.downs = { SHUTDOWN: 2, HEARTBEAT: 1 };
  const otherRosterHash = new Uint8Array(32).fill(0xab) as Bytes;
  const notAfter = Date.now() + 10.5 * 86_400_000;
  place.peers = [
    { ...BOB, otherRosterHash, certificate: { pin: "sha256/x", notAfter } },
    { ...CAROL, ...DOWN, lastFault: { code: "DIAL_FAILED", text: "no connection" } },
  ];
  const [bob, carol] = place.report().peers();
  assert.deepEqual([bob?.rosterEqual, bob?.rosterHash?.slice(0, 4), bob?.certificateDays, bob?.flaps], [
    false,
    "abab",
    10,
    3,
  ]);
  assert.deepEqual(bob?.flapReasons, place.downs);
  assert.match(bob?.address ?? "", /^127\.0\.0\.1:\d+$/);
  assert.deepEqual([carol?.in, carol?.out, carol?.rosterHash, carol?.rosterEqual, carol?.flaps], [
    "down",
    "down",
    null,
    null,
    0,
  ]);
  assert.equal(carol?.lastFault?.code, "DIAL_FAILED");
});

Deno.test("unready() names clocks, rosters, certificates, the end of the node, and what other parts say", async () => {
  await using place = await Place.make();
  place.peers = [{ ...BOB, clockOffsetMs: -31_000 }, CAROL];
  assert.deepEqual(place.report().unready(), [
    { reason: "clock", text: "the clock of bob differs by -31 s: one of both is wrong" },
  ]);
  place.peers = [{ ...BOB, clockOffsetMs: 29_000 }, {
    ...CAROL,
    otherRosterHash: new Uint8Array(32) as Bytes,
  }];
  assert.match(place.report().unready()[0]?.text ?? "", /^carol has another list of parties/);
  place.peers = [BOB, CAROL];
  const material = loadCertificates(place.party.local.config, place.party.local.party);
  const notAfter = new Date(Date.now() - 1000);
  const certificate = { ...material.certificate, notAfter };
  assert.deepEqual(place.report({ material: () => ({ ...material, certificate }) }).unready(), [
    { reason: "certificate", text: `alice ended on ${notAfter.toISOString()}: renew it` },
  ]);
  assert.deepEqual(reasonsOf(place.report({ isStopping: () => true })), ["stopping"]);
  const more = () => [{ reason: "voting", text: "it has stopped" }];
  assert.deepEqual(reasonsOf(place.report({ more })), ["voting"]);
});

Deno.test("unready() notices a store that cannot be written, and looks again only after a while", async () => {
  await using place = await Place.make();
  const { dataDirectory } = place.party.local.party;
  const report = place.report();
  assert.deepEqual(report.unready(), []);
  Deno.renameSync(dataDirectory, `${dataDirectory}.away`);
  assert.deepEqual(report.unready(), []);
  const [fault] = place.report().unready();
  Deno.renameSync(`${dataDirectory}.away`, dataDirectory);
  assert.equal(fault?.reason, "store");
  assert.match(fault?.text ?? "", /data\/alice cannot be written: /);
  assert.deepEqual([...Deno.readDirSync(dataDirectory)].filter(({ name }) => name.startsWith(".")), []);
});

Deno.test("unready() notices an audit log that cannot be written", async () => {
  await using place = await Place.make();
  const failure = "the audit log cannot be written: no room";
  const { local } = place.party;
  const audit = { log: { status: () => ({ ...local.audit.log.status(), failure }) } };
  const failing = Object.create(local, { audit: { value: audit } }) as typeof local;
  assert.deepEqual(place.report({ local: failing }).unready(), [{ reason: "audit", text: failure }]);
});

Deno.test("status() says what an operator has paused", async () => {
  await using place = await Place.make();
  assert.deepEqual(place.report().status().paused, []);
  const locks = new SignLocks({ ledger: place.party.local.store.ledger, now: () => 0 });
  locks.pause();
  locks.pauseVoting();
  const since = "1970-01-01T00:00:00.000Z";
  assert.deepEqual(place.report().status().paused, [{ what: "signing", since }, { what: "voting", since }]);
});

Deno.test("status() says who waits for this node", async () => {
  await using place = await Place.make();
  const wanted = () => [{ peer: partyId(2), protocol: "sign", command: "key sign", waitingMs: 1_234 }];
  assert.deepEqual(place.report({ wanted }).status().wanted, [
    { peer: "bob", protocol: "sign", command: "key sign", waitingSeconds: 1.2 },
  ]);
  assert.deepEqual(place.report().status().wanted, []);
});

Deno.test("keys() says who of a key's members can be reached, and how many may fail", async () => {
  const cluster = await Cluster.make(["alice", "bob", "carol"]);
  const policy = parsePolicy("2 of (alice, bob, carol)");
  values(
    await cluster.all(
      cluster.config.parties.map(({ name }) => name),
      (party) => party.generateFrostKey({ name: "seal", scheme: "ed25519", policy }),
    ),
  );
  const party = await cluster.open("alice");
  try {
    const place = Object.assign(Object.create(Place.prototype) as Place, { cluster, party, downs: {} });
    const standing = (peers: readonly PeerStatus[]) => {
      place.peers = peers;
      const [{ key, epoch, curve, threshold, members, reachable, margin, policy } = {} as never] = place
        .report().keys();
      return { key, epoch, curve, threshold, members, reachable, margin, policy };
    };
    const all = ["alice", "bob", "carol"];
    const seal = {
      key: "seal",
      epoch: 0,
      curve: "ed25519",
      threshold: 2,
      members: all,
      policy: "2 of (alice, bob, carol)",
    };
    assert.deepEqual(standing([BOB, CAROL]), { ...seal, reachable: all, margin: 1 });
    assert.deepEqual(standing([{ ...BOB, ...DOWN }, CAROL]), {
      ...seal,
      reachable: ["alice", "carol"],
      margin: 0,
    });
    assert.deepEqual(standing([{ ...BOB, ...DOWN }, { ...CAROL, ...DOWN }]), {
      ...seal,
      reachable: ["alice"],
      margin: -1,
    });
    assert.deepEqual(place.report().unready().map(({ text }) => text), [
      "the key seal (2 of (alice, bob, carol)) cannot sign: bob, carol cannot be reached",
      "only 1 of 3 parties can be reached",
    ]);
  } finally {
    await party.close();
    cluster[Symbol.dispose]();
  }
});

Deno.test("ReadinessLog says what has changed, once", () => {
  const lines: string[] = [];
  let reasons: Unreadiness[] = [{ reason: "quorum", text: "only 1 of 3" }, {
    reason: "store",
    text: "no room",
  }];
  using readiness = new ReadinessLog({
    log: new Log({
      party: "alice",
      cluster: "demo",
      format: "plain",
      level: "info",
      write: (line) => void lines.push(line),
    }),
    unready: () => reasons,
    intervalMs: 3_600_000,
  });
  readiness.check();
  readiness.check();
  reasons = [];
  readiness.check();
  readiness.check();
  reasons = [{ reason: "quorum", text: "only 1 of 3" }];
  readiness.check();
  assert.deepEqual(lines.map((line) => line.replace(/^\S+ /, "")), [
    "WARN  alice NODE_NOT_READY the node is not ready: only 1 of 3; no room",
    "INFO  alice NODE_READY the node is ready",
    "WARN  alice NODE_NOT_READY the node is not ready: only 1 of 3",
  ]);
});

Deno.test("ReadinessLog looks by itself until it is disposed", async () => {
  let looks = 0;
  const log = new Log({ party: "a", cluster: "c", format: "json", level: "info", write: () => {} });
  const twice = Promise.withResolvers<void>();
  {
    using _readiness = new ReadinessLog({
      log,
      unready: () => (++looks === 2 && twice.resolve(), []),
      intervalMs: 1,
    });
    await twice.promise;
  }
  const before = looks;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(looks, before);
});
