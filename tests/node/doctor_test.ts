import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { parseConfig } from "../../src/node/config.ts";
import {
  diagnose,
  examineCertificates,
  type Finding,
  isAboutIdentity,
  worstOf,
} from "../../src/node/doctor.ts";
import { LINK_CODES } from "../../src/transport/faults.ts";
import type { PeerStatus } from "../../src/transport/mesh.ts";
import { quorate } from "../cli/quorate.ts";
import { Cluster, values } from "./fixture.ts";

const DAY = 86_400_000;
const NOW = Date.now();
const UP: PeerStatus = {
  peer: partyId(2),
  name: "bob",
  state: "up",
  role: "dialler",
  version: 1,
  suite: 2,
  upForMs: 1500,
  rttMs: 0.4,
  clockOffsetMs: 3,
  certificate: { pin: "sha256/x", notAfter: NOW + 50 * DAY + 1 },
};

using shared = await Cluster.make(["alice", "bob", "carol"]);
const [alice] = shared.config.parties;
assert.ok(alice !== undefined);

/** What is found of one peer. */
function found(peer: PeerStatus, turnedAway?: string): Finding[] {
  assert.ok(alice !== undefined);
  return diagnose({ config: shared.config, party: alice, peers: [peer], turnedAway, now: NOW })
    .filter(({ who }) => who === peer.name);
}

function graded(change: Partial<PeerStatus>, what: Finding["what"]): Finding["grade"] | undefined {
  return found({ ...UP, ...change }).find((finding) => finding.what === what)?.grade;
}

Deno.test("diagnose() grades each aspect of a link that is up", () => {
  assert.deepEqual(found(UP).map(({ what, grade, value }) => `${what} ${grade} ${value}`), [
    "connection ok up",
    "pin ok ok",
    "identity ok ok",
    "version ok 1",
    "roster ok same",
    "clock ok +3 ms",
    "round trip ok 0.4 ms",
    "certificate ok 50 days",
  ]);
  assert.equal(graded({ otherRosterHash: new Uint8Array(32) }, "roster"), "fail");
  assert.deepEqual([200, -201, 30_000, -30_001].map((ms) => graded({ clockOffsetMs: ms }, "clock")), [
    "ok",
    "warn",
    "warn",
    "fail",
  ]);
  assert.deepEqual([500, 501].map((rttMs) => graded({ rttMs }, "round trip")), ["ok", "warn"]);
  const ends = [15, 13, 2].map((days) => ({ pin: "", notAfter: NOW + days * DAY }));
  assert.deepEqual(ends.map((certificate) => graded({ certificate }, "certificate")), ["ok", "warn", "fail"]);
});

Deno.test("diagnose() says of a link that is down why, which aspect that is, and what to do", () => {
  const down = (change: Partial<PeerStatus>, turnedAway?: string) => {
    const [finding, ...more] = found({
      peer: partyId(2),
      name: "bob",
      state: "down",
      role: "dialler",
      ...change,
    }, turnedAway);
    assert.ok(finding !== undefined && more.length === 0);
    assert.equal(finding.grade, "fail");
    return finding;
  };
  const address = `127.0.0.1:${shared.config.parties[1]?.address.port}`;
  const cases: [keyof typeof LINK_CODES, Finding["what"], RegExp][] = [
    ["DIAL_FAILED", "connection", new RegExp(`at ${address}`)],
    ["CERT_EXPIRED", "certificate", /cert renew/],
    ["CRL_EXPIRED", "revocation list", /--refresh/],
    ["PIN_MISMATCH", "pin", /add the new pin to tls_pin/],
    ["PEER_IDENTITY_MISMATCH", "pin", /exchanged/],
    ["HELLO_SIGNATURE", "identity", /ask its operator/],
    ["HELLO_VERSION", "version", /update the older one/],
    ["HELLO_CLUSTER", "roster", /compare the configuration files/],
    ["SILENT", "connection", /its log may say more/],
  ];
  for (const [code, what, match] of cases) {
    const finding = down({ lastFault: { code, text: LINK_CODES[code] } });
    assert.deepEqual([finding.code, finding.what], [code, what]);
    assert.ok(finding.text.startsWith(LINK_CODES[code]));
    assert.match(finding.text, match);
  }
  assert.match(down({}).text, new RegExp(`no answer from ${address} yet`));
  assert.match(
    down({ role: "listener" }).text,
    /has not connected to 127\.0\.0\.1:\d+, which is for it to do/,
  );
  assert.match(
    down({ role: "listener" }, "the certificate has expired").text,
    /refused here: the certificate has expired/,
  );
});

Deno.test("isAboutIdentity() is true of failures for which somebody has to show who he is", () => {
  const finding = { who: "bob", value: "", text: "" } as const;
  assert.equal(isAboutIdentity([{ ...finding, what: "pin", grade: "fail" }]), true);
  assert.equal(isAboutIdentity([{ ...finding, what: "certificate", grade: "warn" }]), false);
  assert.equal(isAboutIdentity([{ ...finding, what: "connection", grade: "fail" }]), false);
});

Deno.test("examineCertificates() warns two weeks before an end, and fails three days before it", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const { configPath } = cluster;
  assert.equal(
    (await quorate("cert", "revoke", "--config", configPath, "--refresh", "--crl", `${cluster.root}/crl.pem`))
      .code,
    0,
  );
  const text = Deno.readTextFileSync(configPath).replace(
    "ca_cert_path",
    `crl_path = "${cluster.root}/crl.pem"\nca_cert_path`,
  );
  const config = parseConfig(text, configPath);
  const [party] = config.parties;
  assert.ok(party !== undefined);
  const grades = (days: number) =>
    examineCertificates(config, party, NOW + days * DAY).map(({ grade }) => grade);
  assert.deepEqual(examineCertificates(config, party, NOW).map(({ who, what }) => `${who} ${what}`), [
    "alice certificate",
    "demo CA certificate",
    "demo CA revocation list",
  ]);
  assert.deepEqual(grades(0), ["ok", "ok", "ok"]);
  assert.deepEqual(grades(24), ["ok", "ok", "warn"]);
  assert.deepEqual(grades(77), ["warn", "ok", "fail"]);
  assert.deepEqual(grades(88), ["fail", "ok", "fail"]);
  assert.deepEqual(grades(3649), ["fail", "fail", "fail"]);
  assert.equal(worstOf(examineCertificates(config, party, NOW + 24 * DAY)), "warn");
  Deno.copyFileSync(config.parties[1]?.keyPath ?? "", party.keyPath);
  const [broken] = examineCertificates(config, party, NOW);
  assert.deepEqual([broken?.grade, broken?.code], ["fail", "IDENTITY_INVALID"]);
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
    await cluster.all(["alice", "bob", "carol"], async (party) => {
      const { config, party: self } = party.local;
      return diagnose({ config, party: self, peers: await party.reachPeers() });
    }, { transport: { pingIntervalMs: 100 } }),
  );
  for (const findings of all) {
    assert.equal(worstOf(findings), "ok");
    assert.deepEqual(findings.filter(({ what }) => what === "round trip").length, 2);
  }
});
