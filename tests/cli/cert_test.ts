import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { Cluster } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

const hasOpenssl = await new Deno.Command("openssl", { args: ["version"] }).output().then(
  () => true,
  () => false,
);

/** What OpenSSL says, where it is installed; it must not be an error. */
async function openssl(...args: string[]): Promise<string | undefined> {
  if (!hasOpenssl) return undefined;
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.ok(success, text);
  return text;
}

/** Runs a command and reads the JSON that it prints. */
async function json(...args: string[]) {
  const { code, stdout, stderr } = await quorate(...args, "--json");
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

async function fails(args: readonly string[], code: number, match: RegExp): Promise<void> {
  const result = await quorate(...args);
  assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
  assert.match(result.stderr, match);
}

const mode = (path: string) => (Deno.statSync(path).mode as number) & 0o777;

Deno.test("quorate cert makes an authority and certificates that openssl verifies, for own keys and for requests", async () => {
  const root = Deno.makeTempDirSync();
  try {
    const certs = `${root}/certs`;
    const made = await json("cert", "create-ca", "--cluster", "c", "--out", certs);
    assert.deepEqual([made.certificate, mode(made.key)], [`${certs}/ca.pem`, 0o600]);
    await fails(
      ["cert", "create-ca", "--cluster", "c", "--out", certs],
      73,
      /FILE_EXISTS.*--force keeps a copy/,
    );
    const authority = ["--cluster", "c", "--ca", `${certs}/ca.pem`];
    const issued = await json(
      ...["cert", "issue", "--party", "alice", "--host", "10.0.0.5", ...authority, "--out", `${root}/alice`],
    );
    assert.equal(mode(issued.key), 0o600);
    const [shown] = await json("cert", "inspect", issued.certificate);
    assert.deepEqual(shown.uris, ["quorate://c/alice"]);
    assert.deepEqual([shown.hosts, shown.purposes], [["10.0.0.5"], ["serverAuth", "clientAuth"]]);
    assert.deepEqual([shown.authority, shown.daysLeft, shown.pin], [false, 89, issued.pin]);

    // A key that never leaves its host.
    const subject = ["--party", "bob", "--host", "bob.example", "--cluster", "c"];
    const csr = await json("cert", "csr", ...subject, "--out", `${root}/bob`);
    assert.equal(mode(csr.key), 0o600);
    const answered = await json(
      ...[
        "cert",
        "issue",
        ...subject,
        "--ca",
        `${certs}/ca.pem`,
        "--csr",
        csr.request,
        "--out",
        `${root}/bob`,
      ],
    );
    assert.equal(answered.key, undefined);
    const certificate = new X509Certificate(Deno.readTextFileSync(answered.certificate));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(Deno.readTextFileSync(csr.key))));
    for (const path of [issued.certificate, answered.certificate]) {
      await openssl("verify", "-x509_strict", "-CAfile", `${certs}/ca.pem`, path);
    }

    // A request that another key signed proves nothing.
    const text = Deno.readTextFileSync(csr.request);
    const body = Uint8Array.fromBase64(text.split("\n").filter((line) => !line.startsWith("-----")).join(""));
    body[body.length - 1] = (body[body.length - 1] as number) ^ 1;
    const forged = `${root}/forged.pem`;
    const lines = body.toBase64().match(/.{1,64}/g)?.join("\n");
    Deno.writeTextFileSync(
      forged,
      `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`,
    );
    await fails(
      ["cert", "issue", ...subject, "--ca", `${certs}/ca.pem`, "--csr", forged, "--out", `${root}/x`],
      77,
      /not signed by the key that it is for/,
    );
    const forced = await json("cert", "create-ca", "--cluster", "c", "--out", certs, "--force");
    assert.equal(forced.copies.length, 2);
    assert.equal(mode(forced.copies[1]), 0o600);
    await fails(
      ["cert", "issue", ...subject, "--ca", forced.copies[0], "--ca-key", forced.key, "--out", `${root}/y`],
      77,
      /belongs to none of the 1 certificates/,
    );
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("quorate cert renews a certificate, revokes one, and takes a second authority beside the first", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const config = ["--config", cluster.configPath];
  const certs = `${cluster.root}/demo/certs`;
  const states = async () =>
    (await json("cert", "list", ...config)).map((
      { name, status }: { name: string; status: string },
    ) => [name, status]);
  const operator = ["operator admin", "good"];
  assert.deepEqual(await states(), [["demo CA", "good"], ["alice", "good"], ["bob", "good"], operator]);
  assert.equal((await quorate("cert", "needs-renewal", ...config)).code, 0);
  await fails(
    ["cert", "needs-renewal", ...config, "--days", "100"],
    1,
    /CERT_DUE.*alice \(89 days left\), bob.*, operator admin \(89/,
  );

  // Renewal: the pin comes first, then the certificate.
  const alice = [...config, "--party", "alice"];
  const next = await json("cert", "renew", ...alice);
  assert.equal(next.known, false);
  await fails(["cert", "renew", ...alice, "--activate"], 77, /is not in tls_pin of alice/);
  const text = Deno.readTextFileSync(cluster.configPath);
  Deno.writeTextFileSync(
    cluster.configPath,
    text.replace(/tls_pin = \[(.*)\]/, `tls_pin = [$1, "${next.pin}"]`),
  );
  const before = Deno.readTextFileSync(`${certs}/alice/cert.pem`);
  const active = await json("cert", "renew", ...alice, "--activate");
  assert.equal(active.copies.length, 2);
  assert.notEqual(Deno.readTextFileSync(`${certs}/alice/cert.pem`), before);
  assert.equal(mode(`${certs}/alice/key.pem`), 0o600);
  assert.deepEqual(await states(), [["demo CA", "good"], ["alice", "good"], ["bob", "good"], operator]);

  // Revocation: a list that grows, and that openssl verifies.
  const crl = ["--crl", `${certs}/crl.pem`];
  const first = await json("cert", "revoke", ...config, ...crl, "--party", "bob");
  assert.deepEqual(first.lists, [{ issuer: "demo CA", number: 1, entries: 1 }]);
  const old = `${cluster.root}/old.pem`;
  Deno.writeTextFileSync(old, before);
  const second = await json("cert", "revoke", ...config, ...crl, "--cert", old);
  assert.deepEqual(second.lists, [{ issuer: "demo CA", number: 2, entries: 2 }]);
  const again = await json("cert", "revoke", ...config, ...crl, "--refresh");
  assert.deepEqual(again.lists, [{ issuer: "demo CA", number: 3, entries: 2 }]);
  const verified = await openssl(
    "crl",
    "-in",
    `${certs}/crl.pem`,
    "-CAfile",
    `${certs}/ca.pem`,
    "-noout",
    "-verify",
  );
  assert.match(verified ?? "verify OK", /verify OK/);
  Deno.writeTextFileSync(
    cluster.configPath,
    Deno.readTextFileSync(cluster.configPath).replace(
      "ca_cert_path",
      'crl_path = "certs/crl.pem"\nca_cert_path',
    ),
  );
  assert.deepEqual((await states()).at(-2), ["bob", "revoked"]);

  // A second authority: both hold while every party changes over.
  const rotated = await json("cert", "rotate-ca", ...config);
  assert.equal(mode(rotated.key), 0o600);
  const list = ["revocation list", "good"];
  assert.deepEqual((await states()).slice(0, 4), [["demo CA", "good"], ["demo CA 2", "good"], list, list]);
  // What the first authority revoked stays revoked when the second one is asked for a list.
  const refreshed = await json("cert", "revoke", ...config, "--refresh");
  assert.deepEqual(refreshed.lists, [
    { issuer: "demo CA", number: 4, entries: 2 },
    { issuer: "demo CA 2", number: 2, entries: 0 },
  ]);
  const onlySecond = await json("cert", "revoke", ...config, "--refresh", "--ca-key", rotated.key);
  assert.deepEqual(onlySecond.lists, [{ issuer: "demo CA 2", number: 3, entries: 0 }]);
  assert.deepEqual((await states()).at(-2), ["bob", "revoked"]);
  await fails(["cert", "needs-renewal", ...config], 1, /CERT_DUE: renew bob \(revoked\):/);
  const only = [...config, "--cert", `${certs}/bob/cert.pem`];
  await fails(["cert", "revoke", ...only, "--ca-key", rotated.key], 77, /of no authority whose key is here/);
  await fails(["cert", "rotate-ca", ...config], 64, /holds 2 authorities already/);
  await fails(["cert", "rotate-ca", ...config, "--finish"], 64, /not of the newest authority: renew first/);
  for (const party of ["alice", "bob"]) {
    const renewed = await json("cert", "renew", ...config, "--party", party);
    const pinned = Deno.readTextFileSync(cluster.configPath).split(/(?=\[\[parties\]\])/).map((section) =>
      section.includes(`name = "${party}"`)
        ? section.replace(/tls_pin = \[.*\]/, `tls_pin = ["${renewed.pin}"]`)
        : section
    ).join("");
    Deno.writeTextFileSync(cluster.configPath, pinned);
    await json("cert", "renew", ...config, "--party", party, "--activate");
  }
  // Operators are shut out with the first authority: they need certificates of the second one too.
  await fails(
    ["cert", "rotate-ca", ...config, "--finish"],
    64,
    /operator\/cert\.pem is not of the newest authority/,
  );
  const own = ["cert", "issue", ...config, "--operator", "admin", "--out", `${certs}/operator`];
  await fails(own, 73, /FILE_EXISTS/);
  const issued = await json(...own, "--force");
  assert.deepEqual([issued.operator, issued.copies.length, mode(issued.key)], ["admin", 2, 0o600]);
  const [inspected] = await json("cert", "inspect", issued.certificate);
  assert.deepEqual(inspected.uris, ["quorate://demo/operator/admin"]);
  assert.deepEqual([inspected.purposes, inspected.issuer], [["clientAuth"], "demo CA 2"]);
  await json("cert", "rotate-ca", ...config, "--finish");
  assert.deepEqual(await states(), [
    ["demo CA 2", "good"],
    list,
    ["alice", "good"],
    ["bob", "good"],
    operator,
  ]);
  assert.equal((await quorate("cert", "needs-renewal", ...config)).code, 0);
  await json("cert", "revoke", ...config, "--refresh", "--days", "5");
  await fails(
    ["cert", "needs-renewal", ...config],
    1,
    /CERT_DUE.*revocation list \(4 days left\).*--refresh/,
  );
  // The key of the first authority is of no use any more, and found out by itself.
  const keys = [`${certs}/ca-key.pem`, rotated.key];
  Deno.removeSync(keys[1] as string);
  await fails(["cert", "renew", ...config, "--party", "bob"], 77, /belongs to none of the 1 certificates/);
  Deno.removeSync(keys[0] as string);
  await fails(["cert", "renew", ...config, "--party", "bob"], 77, /no authority's key beside/);
});

Deno.test("quorate cert renew --activate refuses a next certificate that the peers would refuse", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const alice = ["--config", cluster.configPath, "--party", "alice"];
  const next = `${cluster.root}/demo/certs/alice/next`;
  const before = Deno.readTextFileSync(`${cluster.root}/demo/certs/alice/cert.pem`);
  // The party's own key stays on its host: the request goes to the authority, the certificate comes back.
  const { request } = await json("cert", "csr", ...alice, "--out", next);
  const { pin, certificate } = await json("cert", "issue", ...alice, "--csr", request, "--out", next);
  const text = Deno.readTextFileSync(cluster.configPath);
  Deno.writeTextFileSync(cluster.configPath, text.replace(/tls_pin = \[(.*)\]/, `tls_pin = [$1, "${pin}"]`));
  const key = Deno.readTextFileSync(`${next}/key.pem`);
  Deno.writeTextFileSync(`${next}/key.pem`, Deno.readTextFileSync(`${cluster.root}/demo/certs/bob/key.pem`));
  await fails(
    ["cert", "renew", ...alice, "--activate"],
    77,
    /TLS key of alice does not belong to its certificate/,
  );
  assert.equal(Deno.readTextFileSync(`${cluster.root}/demo/certs/alice/cert.pem`), before);
  Deno.writeTextFileSync(`${next}/key.pem`, key);
  const issued = Deno.readTextFileSync(certificate);
  assert.equal((await json("cert", "renew", ...alice, "--activate")).pin, pin);
  assert.equal(Deno.readTextFileSync(`${cluster.root}/demo/certs/alice/cert.pem`), issued);
});

Deno.test("quorate cert refuses what it cannot make sense of", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const config = ["--config", cluster.configPath];
  const nowhere = `${cluster.root}/nowhere.toml`;
  const cases: [string[], number, RegExp][] = [
    [["cert", "create-ca", "--cluster", "a b"], 64, /--cluster must be a name/],
    [["cert", "issue", "--out", "x", ...config], 64, /--party is missing/],
    [["cert", "csr", "--party", "alice", "--out", "x", "--config", nowhere], 64, /--cluster is missing/],
    [["cert", "csr", "--party", "dave", "--out", "x", ...config], 64, /--host is missing/],
    [["cert", "renew", ...config], 64, /--party is missing/],
    [["cert", "revoke", ...config], 64, /--cert or --party is needed/],
    [
      ["cert", "issue", "--party", "alice", "--out", "x", "--days", "0", ...config],
      64,
      /--days is a whole number/,
    ],
    [["cert", "issue", "--operator", "a b", "--out", "x", ...config], 64, /--operator must be a name/],
    [
      ["cert", "issue", "--operator", "admin", "--party", "alice", "--out", "x", ...config],
      64,
      /--operator goes with none of --party, --host and --csr/,
    ],
    [["cert", "inspect", cluster.configPath], 77, /holds no certificate/],
  ];
  for (const [args, code, match] of cases) await fails(args, code, match);
  const other = await Cluster.make(["carol", "dave"]);
  using _other = other;
  const foreign = `${other.root}/demo/certs/carol/cert.pem`;
  await fails(["cert", "revoke", ...config, "--cert", foreign], 77, /of no authority whose key is here/);
});
