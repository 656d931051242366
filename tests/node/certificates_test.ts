import assert from "node:assert/strict";
import { CertificateWatch, type CertificateWatchOptions } from "../../src/node/certificate_watch.ts";
import { linkEvent } from "../../src/node/audit_events.ts";
import {
  certificateEvents,
  type CertificateMaterial,
  expiriesOf,
  loadCertificates,
  requireSameCluster,
} from "../../src/node/certificates.ts";
import { loadConfig, partyConfig } from "../../src/node/config.ts";
import { initCluster } from "../../src/node/init.ts";
import { openParty, type Party } from "../../src/node/party.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import type { MeshEvent } from "../../src/transport/mesh.ts";
import { quorate } from "../cli/quorate.ts";
import { Cluster } from "./fixture.ts";

/** A command that works, and what it prints. */
async function json(...args: string[]) {
  const { code, stdout, stderr } = await quorate(...args, "--json");
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Changes what the configuration says of one party's pins. */
function setPins(path: string, party: string, change: (pins: string[]) => string[]): void {
  const text = Deno.readTextFileSync(path).split(/(?=\[\[parties\]\])/).map((section) =>
    !section.includes(`name = "${party}"`) ? section : section.replace(
      /tls_pin = (\[.*\])/,
      (_, pins) => `tls_pin = ${JSON.stringify(change(JSON.parse(pins)))}`,
    )
  ).join("");
  Deno.writeTextFileSync(path, text);
}

async function until(condition: () => boolean, what = condition.toString()): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("loadCertificates() reads what a party shows and judges by, and says when each of it ends", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const config = ["--config", cluster.configPath];
  const load = () => {
    const config = loadConfig(cluster.configPath);
    return loadCertificates(config, partyConfig(config, "alice"));
  };
  assert.deepEqual(expiriesOf(load()).map(({ subject }) => subject), ["alice", "demo CA"]);
  assert.deepEqual(load().certificate.uris, ["quorate://demo/alice"]);
  const text = Deno.readTextFileSync(cluster.configPath);
  Deno.writeTextFileSync(
    cluster.configPath,
    text.replace("ca_cert_path", 'crl_path = "certs/crl.pem"\nca_cert_path'),
  );
  await json("cert", "revoke", ...config, "--party", "bob");
  const days = expiriesOf(load()).map((
    { subject, at },
  ) => [subject, Math.round((at.getTime() - Date.now()) / 86_400_000)]);
  assert.deepEqual(days, [["alice", 90], ["demo CA", 3650], ["revocation list of demo CA", 30]]);
  // What the audit log is told when a list and a certificate are read again.
  const [before, former] = [load(), load()];
  await json("cert", "revoke", ...config, "--cert", `${cluster.root}/demo/certs/bob/cert.pem`);
  assert.deepEqual(certificateEvents(former, load()), []);
  const [serial] = before.lists[0]?.revoked ?? [];
  const events = certificateEvents({ ...former, lists: [] }, {
    ...before,
    certificate: { ...before.certificate, fingerprint: "00" },
  });
  assert.deepEqual(events, [
    {
      type: "certificate_renewed",
      outcome: "ok",
      details: { subject: "alice", notAfter: before.certificate.notAfter.toISOString() },
    },
    { type: "certificate_revoked", outcome: "ok", details: { subject: "a certificate of demo CA", serial } },
  ]);
  assert.equal(linkEvent({ code: "RELOADED", text: "read again" }, 0), undefined);
  // What a peer would refuse, by the files that it is in.
  await json("cert", "revoke", ...config, "--party", "alice");
  assert.throws(load, { code: "IDENTITY_INVALID", message: /revocation list; the files are .*crl\.pem$/ });
  Deno.writeTextFileSync(cluster.configPath, text);
  const certs = `${cluster.root}/demo/certs`;
  Deno.copyFileSync(`${certs}/bob/key.pem`, `${certs}/alice/key.pem`);
  assert.throws(load, {
    message: /TLS key of alice does not belong to its certificate; the files are .*cert\.pem/,
  });
});

Deno.test("requireSameCluster() refuses other parties, and lets pins and addresses change", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  setPins(cluster.configPath, "bob", (pins) => [...pins, `sha256/${"A".repeat(43)}=`]);
  requireSameCluster(loadConfig(cluster.configPath), cluster.config);
  const { configPath } = await initCluster({
    names: ["alice", "bob"],
    directory: `${cluster.root}/other`,
    cluster: "demo",
  });
  assert.throws(() => requireSameCluster(loadConfig(configPath), cluster.config), {
    code: "CONFIG_INVALID",
    message: /restart the node/,
  });
});

/** A watch over alice's files, and what it tells. */
function watched(cluster: Cluster, options: Partial<CertificateWatchOptions> = {}) {
  const changes: CertificateMaterial[] = [];
  const refusals: string[] = [];
  const watch = new CertificateWatch({
    config: cluster.config,
    party: "alice",
    current: loadCertificates(cluster.config, partyConfig(cluster.config, "alice")),
    readConfig: () => loadConfig(cluster.configPath),
    changed: (material) => void changes.push(material),
    refused: (sentence) => void refusals.push(sentence),
    intervalMs: 10,
    ...options,
  });
  return { watch, changes, refusals };
}

Deno.test("CertificateWatch tells of what is whole, and keeps what is in use while half of a renewal is there", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const config = ["--config", cluster.configPath];
  const alice = partyConfig(cluster.config, "alice");
  const { watch, changes, refusals } = watched(cluster);
  using _watch = watch;
  const { pin, certificate, key } = await json("cert", "renew", ...config, "--party", "alice");
  // The pin alone is a change too, and good.
  setPins(cluster.configPath, "alice", (pins) => [...pins, pin]);
  await until(() => changes.length === 1);
  assert.ok(changes[0]?.pins.get(alice.index)?.includes(pin));
  // The certificate without its key, then half a key, then the key.
  const before = watch.current;
  Deno.copyFileSync(certificate, alice.certPath);
  await until(() => refusals.length === 1);
  assert.match(refusals[0] ?? "", /what is in use stays: the TLS key of alice does not belong/);
  const whole = Deno.readTextFileSync(key);
  Deno.writeTextFileSync(alice.keyPath, whole.slice(0, 100));
  await until(() => refusals.length === 2);
  assert.equal(watch.current, before);
  Deno.writeTextFileSync(alice.keyPath, whole);
  await until(() => changes.length === 2);
  assert.equal(watch.current.certificate.pin, pin);
  // The same bytes written again are no change; a file that is gone is one, and refused.
  Deno.writeTextFileSync(alice.keyPath, whole);
  assert.equal(await watch.check(), false);
  Deno.removeSync(alice.keyPath);
  await until(() => refusals.length === 3);
  assert.equal(changes.length, 2);
});

Deno.test("CertificateWatch keeps what is in use where the mesh refuses, or the configuration is of other parties", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const { watch, refusals } = watched(cluster, {
    intervalMs: 60_000,
    changed: () => Promise.reject(new Error("the mesh\nsays no")),
  });
  using _watch = watch;
  const before = watch.current;
  const text = Deno.readTextFileSync(cluster.configPath);
  setPins(cluster.configPath, "bob", (pins) => [...pins, `sha256/${"A".repeat(43)}=`]);
  assert.equal(await watch.check(), false);
  Deno.writeTextFileSync(cluster.configPath, text.replace('cluster = "demo"', 'cluster = "other"'));
  assert.equal(await watch.check(), false);
  Deno.writeTextFileSync(cluster.configPath, "");
  assert.equal(await watch.check(), false);
  assert.equal(watch.current, before);
  for (const [i, match] of [/: the mesh says no$/, /restart the node/, /must be/].entries()) {
    assert.match(refusals[i] ?? "", match);
  }
});

Deno.test("T4 a running cluster renews every certificate, changes its authority and revokes a party, while it signs", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const { configPath } = cluster;
  const text = Deno.readTextFileSync(configPath);
  Deno.writeTextFileSync(
    configPath,
    text.replace("ca_cert_path", 'crl_path = "certs/crl.pem"\nca_cert_path'),
  );
  const config = ["--config", configPath];
  await json("cert", "revoke", ...config, "--refresh");
  const names = ["alice", "bob", "carol"];
  const running = await Promise.all(names.map((name) => RunningParty.open(configPath, name)));
  const [alice, bob, carol] = running as [RunningParty, RunningParty, RunningParty];
  try {
    await Promise.all(
      running.map(({ party }) =>
        party.generateFrostKey({
          name: "k",
          scheme: "ed25519",
          policy: parsePolicy("2 of (alice, bob, carol)"),
        })
      ),
    );
    let signatures = 0;
    let isOver = false;
    // Alice signs with bob and with carol in turn, from here to the end.
    const sign = async (signers: readonly RunningParty[]) => {
      const message = new TextEncoder().encode(`message ${signatures}`);
      const request = { name: "k", message, signers: signers.map(({ name }) => name) };
      await Promise.all(signers.map(({ party }) => party.signMessage(request)));
      signatures++;
    };
    const signing = (async () => {
      while (!isOver) {
        await sign([alice, bob]);
        if (!isOver) await sign([alice, carol]);
      }
    })();
    const more = async () => {
      const enough = signatures + 2;
      await Promise.race([until(() => signatures >= enough), signing]);
    };
    await more();

    for (const one of running) one.news();
    await json("cert", "rotate-ca", ...config);
    await Promise.all(running.map((one) => one.reloaded()));
    await more();
    for (const { name } of running) {
      const { pin } = await json("cert", "renew", ...config, "--party", name);
      setPins(configPath, name, (pins) => [...pins, pin]);
      await Promise.all(running.map((one) => one.reloaded()));
      await json("cert", "renew", ...config, "--party", name, "--activate");
      await Promise.all(running.map((one) => one.reloaded()));
    }
    await more();
    assert.deepEqual(running.map((one) => one.news()), [[], [], []]);

    // The older authority goes: links that were made with its certificates are made anew with those of the newer one.
    const operator = ["--operator", "admin", "--out", `${cluster.root}/demo/certs/operator`, "--force"];
    await json("cert", "issue", ...config, ...operator);
    await json("cert", "rotate-ca", ...config, "--finish");
    await Promise.all(running.map((one) => one.reloaded()));
    await until(() =>
      alice.logged("LINK_UP", "bob").length > 1 && alice.logged("LINK_UP", "carol").length > 1
    );
    await more();

    // The loop ends before the party is revoked with which it signs.
    isOver = true;
    await signing;
    await json("cert", "revoke", ...config, "--party", "carol");
    await Promise.all([alice, bob].map((one) => one.reloaded()));
    const isOut = ({ log }: RunningParty) => log.findLast(({ peer }) => peer === "carol")?.code !== "LINK_UP";
    assert.ok(isOut(alice) && isOut(bob));
    assert.ok(alice.logged("CERT_REVOKED", "carol").length > 0);
    await sign([alice, bob]);
    await until(() => alice.logged("CERT_REVOKED", "carol").length > 2);
    assert.ok(isOut(alice) && isOut(bob));
  } finally {
    await Promise.all(running.map((one) => one.close()));
  }
});

/** A party with its watch, as a daemon has them. */
class RunningParty {
  readonly log: MeshEvent[] = [];
  readonly name: string;
  readonly party: Party;
  readonly watch: CertificateWatch;
  readonly #configPath: string;
  #mark = 0;

  private constructor(configPath: string, party: Party, log: MeshEvent[]) {
    const config = loadConfig(configPath);
    const { name } = party.local.party;
    this.#configPath = configPath;
    this.name = name;
    this.party = party;
    this.log = log;
    this.watch = new CertificateWatch({
      config,
      party: name,
      current: loadCertificates(config, partyConfig(config, name)),
      readConfig: () => loadConfig(configPath),
      changed: (material) => party.reloadCertificates(material),
      // While the files of a change are written one after the other.
      refused: () => {},
      intervalMs: 10,
    });
  }

  static async open(configPath: string, name: string): Promise<RunningParty> {
    const log: MeshEvent[] = [];
    const party = await openParty(loadConfig(configPath), name, {
      command: "test",
      timeoutMs: 20_000,
      log: (event) => log.push(event),
    });
    return new RunningParty(configPath, party, log);
  }

  /** What happened to links since the last time that this was asked. */
  news(): MeshEvent[] {
    const news = this.log.slice(this.#mark).filter(({ code }) => code !== "RELOADED");
    this.#mark = this.log.length;
    return news;
  }

  /** Log lines on a peer with a code. */
  logged(code: string, peer: string): MeshEvent[] {
    return this.log.filter((event) => event.code === code && event.peer === peer);
  }

  /** Waits until what the files say is in use. */
  async reloaded(): Promise<void> {
    const config = loadConfig(this.#configPath);
    const wanted = textOf(loadCertificates(config, partyConfig(config, this.name)));
    await until(() => textOf(this.watch.current) === wanted, `reload at ${this.name}`);
  }

  async close(): Promise<void> {
    this.watch[Symbol.dispose]();
    await this.party.close();
  }
}

function textOf({ tls, revocationListsPem, pins }: CertificateMaterial): string {
  return JSON.stringify([tls, revocationListsPem, [...pins]]);
}
