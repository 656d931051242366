/**
 * Three nodes that sign all the time, while every certificate is renewed, the authority is replaced, and one party is shut out.
 */

import assert from "node:assert/strict";
import { connect, type TLSSocket } from "node:tls";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { sha256 } from "../../src/base/crypto.ts";
import { partyConfig } from "../../src/node/config.ts";
import { generateCommand, signCommand } from "../../src/node/key_commands.ts";
import { OperatorClient } from "../../src/node/operator_client.ts";
import { quorate } from "../cli/quorate.ts";
import { Cluster } from "./cluster.ts";
import { type Node, Nodes, poll } from "./nodes.ts";

const NAMES = ["alice", "bob", "carol"];

Deno.test("T4 nodes sign on while certificates are renewed and the authority changes; who is revoked is out within seconds", async () => {
  using cluster = await Cluster.make(NAMES);
  cluster.edit((text) => text.replace("ca_cert_path", 'crl_path = "certs/crl.pem"\nca_cert_path'));
  const [alice, bob, carol] = NAMES as [string, string, string];
  const certs = join(cluster.directory, "cluster", "certs");
  const cert = async (...args: string[]) => {
    const { code, stdout, stderr } = await quorate(
      "cert",
      ...args,
      "--config",
      cluster.config.path,
      "--json",
    );
    assert.equal(code, 0, `cert ${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  };
  await cert("revoke", "--refresh");
  await using nodes = new Nodes(cluster);
  const all = nodes.start(NAMES);
  for (const node of all) await node.until("NODE_READY");
  const key = { key: "treasury", curve: "secp256k1", policy: "2 of (alice, bob, carol)" };
  await Promise.all(all.map((node) => node.call(generateCommand, key)));

  const signatures = new Signatures(cluster, "treasury");
  signatures.begin([alice, bob]);
  signatures.begin([bob, carol]);
  signatures.begin([carol, alice]);

  /** New keys for all parties: pins first, then the certificates, as docs/certificates.md has it. */
  const renewAll = async () => {
    const pins = new Map<string, string>();
    for (const party of NAMES) pins.set(party, (await cert("renew", "--party", party)).pin);
    await reloaded(all, () => cluster.edit((text) => withPins(text, pins)));
    signatures.renewClients();
    await reloaded(all, async () => {
      for (const party of NAMES) await cert("renew", "--party", party, "--activate");
    });
    for (const party of NAMES) {
      const { certPath } = partyConfig(cluster.config, party);
      const file = new X509Certificate(Deno.readTextFileSync(certPath)).fingerprint256;
      await poll(() => shownBy(cluster, party), (shown) => shown === file);
    }
  };

  await signatures.more(3);
  await renewAll();
  await signatures.more(3);
  for (const node of all) {
    const { peers } = await node.ask<{ peers: { name: string; flaps: number }[] }>("/v1/peers");
    assert.deepEqual(peers.map(({ flaps }) => flaps), [0, 0], `${node.party}'s links have stayed`);
  }

  await reloaded(all, () => cert("rotate-ca"));
  await signatures.more(3);
  await renewAll();
  await cert("issue", "--operator", "admin", "--out", join(certs, "operator"), "--force");
  signatures.renewClients();
  await reloaded(all, () => cert("rotate-ca", "--finish"));
  await signatures.more(3);
  await signatures.end([bob]);
  assert.deepEqual(signatures.failures, []);
  for (const node of all) assert.deepEqual((await node.status()).reasons, []);
  // What was read again is what is judged by, and not what the node began with.
  const doctor = await quorate("doctor", "--config", cluster.config.path, "--party", alice);
  assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);

  // Alice dials bob, and bob dials carol. Alice is told to look, carol looks by herself.
  const before = all.map(({ lines }) => lines.length);
  await cert("revoke", "--party", bob);
  const installedAt = performance.now();
  nodes.of(alice).signal("SIGHUP");
  const ended = async (party: string, from: number | undefined) => {
    await nodes.of(party).until("CERT_REVOKED", ({ peer }) => peer === bob, from);
    return performance.now() - installedAt;
  };
  const refused = async (party: string, from: number | undefined) => {
    await nodes.of(party).until("CERT_REVOKED", ({ peer, dir }) => peer === undefined && dir === "in", from);
    return performance.now() - installedAt;
  };
  const [signalled, watched, again] = await Promise.all([
    ended(alice, before[0]),
    ended(carol, before[2]),
    refused(carol, before[2]),
  ]);
  const figures = [signalled, watched, again].map((ms) => `${ms.toFixed(0)} ms`);
  console.log(
    `bob's link ended ${figures[0]} after the list was there (SIGHUP), ${
      figures[1]
    } (without); he was refused ${figures[2]} after it`,
  );
  assert.ok(Math.max(signalled, watched, again) < 5_000, figures.join());
  const { unreachable, quorum } = await poll(
    () => nodes.of(alice).status(),
    ({ unreachable }) => unreachable.length === 1,
  );
  assert.deepEqual([unreachable, quorum], [[bob], true]);
  await nodes.of(bob).until("RELOAD_REFUSED");
  const shutOut = { key: "treasury", digest: sha256(new Uint8Array(3)), signers: [alice, bob] };
  await assert.rejects(nodes.of(alice).call(signCommand, shutOut, { timeoutMs: 1000 }), {
    message: /bob/,
  });
  await signatures.more(3);
  await signatures.end(NAMES);
  assert.deepEqual(signatures.failures, []);
  console.log(`${signatures.count} signatures meanwhile`);
  await Promise.all(all.map((node) => node.stop()));

  const { dataDirectory } = partyConfig(cluster.config, alice);
  const records = [...Deno.readDirSync(`${dataDirectory}/audit`)].filter(({ name }) =>
    name.endsWith(".jsonl")
  )
    .map(({ name }) => Deno.readTextFileSync(`${dataDirectory}/audit/${name}`)).join("");
  const times = (type: string) => records.split(`"type":"${type}"`).length - 1;
  assert.deepEqual([times("certificate_renewed"), times("certificate_revoked")], [2, 1]);
  const verified = await quorate("audit", "verify", "--config", cluster.config.path, "--party", alice);
  assert.equal(verified.code, 0, verified.stderr);
});

interface Loop {
  readonly signers: readonly string[];
  count: number;
  isOver: boolean;
  end?: Promise<void>;
}

/** Pairs of parties that sign one message after the other. */
class Signatures {
  count = 0;
  readonly failures: string[] = [];
  readonly #cluster: Cluster;
  readonly #key: string;
  readonly #loops: Loop[] = [];
  #clients = new Map<string, OperatorClient>();

  constructor(cluster: Cluster, key: string) {
    this.#cluster = cluster;
    this.#key = key;
    this.renewClients();
  }

  /** Asks with what is in the files now. */
  renewClients(): void {
    const { config } = this.#cluster;
    this.#clients = new Map(
      NAMES.map((party) => [party, new OperatorClient(config, partyConfig(config, party))]),
    );
  }

  /** These sign from now on. */
  begin(signers: readonly string[]): void {
    const loop: Loop = { signers: signers.toSorted(), count: 0, isOver: false };
    this.#loops.push(loop);
    loop.end = this.#run(loop);
  }

  /** Waits until every pair has signed more often. */
  async more(times: number): Promise<void> {
    const due = this.#loops.filter(({ isOver }) => !isOver).map((loop) =>
      [loop, loop.count + times] as const
    );
    await poll(
      () => Promise.resolve(due.map(([{ count }, least]) => least - count)),
      (left) => this.failures.length > 0 || left.every((one) => one <= 0),
    );
  }

  /** Pairs with one of these sign no more. */
  async end(parties: readonly string[]): Promise<void> {
    for (const loop of this.#loops) {
      if (!loop.signers.some((party) => parties.includes(party))) continue;
      loop.isOver = true;
      await loop.end;
    }
  }

  async #run(loop: Loop): Promise<void> {
    const { signers } = loop;
    while (!loop.isOver) {
      const digest = sha256(new TextEncoder().encode(`${signers} ${loop.count}`));
      const input = { key: this.#key, digest, signers };
      const results = await Promise.allSettled(
        signers.map((party) =>
          (this.#clients.get(party) as OperatorClient).follow({
            method: "POST",
            path: `/v1/commands/${signCommand.name}`,
            input: { command: "test", timeoutMs: 15_000, input },
          }, () => {})
        ),
      );
      for (const [i, result] of results.entries()) {
        if (result.status === "rejected") this.failures.push(`${signers} at ${signers[i]}: ${result.reason}`);
      }
      loop.count++;
      this.count++;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Changes something, and waits until all nodes have seen it and no more is to be seen. */
async function reloaded(nodes: readonly Node[], change: () => unknown): Promise<void> {
  const before = nodes.map(({ lines }) => lines.length);
  await change();
  await Promise.all(nodes.map((node, i) => node.until("RELOADED", () => true, before[i])));
}

/** The present pin of a party and a new one. */
function withPins(text: string, pins: ReadonlyMap<string, string>): string {
  return text.split(/(?=\[\[parties\]\])/).map((section) => {
    const pin = pins.get(/^name = "(.*)"$/m.exec(section)?.[1] ?? "");
    return section.replace(/^tls_pin = \[.*?("[^"]*")\]$/m, (_all, last) => `tls_pin = [${last}, "${pin}"]`);
  }).join("");
}

/** Fingerprint of the certificate that a node shows to operators. */
async function shownBy({ config }: Cluster, party: string): Promise<string> {
  const { node } = partyConfig(config, party);
  const socket: TLSSocket = connect({
    ...node.operatorListen,
    cert: Deno.readTextFileSync(node.operatorCertPath),
    key: Deno.readTextFileSync(node.operatorKeyPath),
    rejectUnauthorized: false,
  });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}
