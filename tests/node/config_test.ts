import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { formatAddress, loadConfig, parseAddress, parseConfig, partyConfig } from "../../src/node/config.ts";
import { generateIdentity } from "../../src/pki/identity.ts";

const rng = seededRng("config");
const PIN = `sha256/${new Uint8Array(32).fill(7).toBase64()}`;
const identities = ["alice", "bob"].map(() => generateIdentity(rng).publicText);

function party(name: string, port: number, identity: string | undefined): string {
  return `[[parties]]
name = "${name}"
address = "127.0.0.1:${port}"
cert_path = "certs/${name}/cert.pem"
key_path = "certs/${name}/key.pem"
tls_pin = ["${PIN}"]
identity = "${identity}"
identity_key_path = "data/${name}/identity.pem"
`;
}

const HEAD = `cluster = "demo"\nca_cert_path = "certs/ca.pem"\n`;
const PARTIES = party("alice", 9101, identities[0]) + party("bob", 9102, identities[1]);
const GOOD = HEAD + PARTIES;

function refused(text: string, match: RegExp, code = "CONFIG_INVALID", environment = {}): void {
  assert.throws(() => parseConfig(text, "/c/quorate.toml", environment), (error: unknown) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, match);
    assert.ok(!error.message.includes("\n"), "one sentence");
    return true;
  });
}

Deno.test("parseConfig() fills in defaults and makes paths relative to the file", () => {
  const config = parseConfig(GOOD, "/c/quorate.toml");
  assert.equal(config.timeoutMs, 30_000);
  assert.equal(config.bitLength, 256);
  assert.equal(config.authorityPath, "/c/certs/ca.pem");
  const bob = partyConfig(config, "bob");
  assert.equal(bob.index, 2);
  assert.deepEqual(bob.listen, { host: "127.0.0.1", port: 9102 });
  assert.equal(bob.dataDirectory, "/c/data/bob");
  assert.deepEqual(bob.sealing, { kind: "key", path: "/c/data/bob/sealing.key" });
  assert.equal(config.roster.named("alice").index, 1);
  assert.throws(() => partyConfig(config, "mallory"), /mallory is not a party of demo: alice, bob are/);
});

Deno.test("parseConfig() reads sections and places of secrets", () => {
  const config = parseConfig(
    HEAD + `data_dir = "/var/lib/quorate"\ncrl_path = "crl.pem"\n${PARTIES}` +
      `[transport]\nping_interval_seconds = 2\nstrangers_total = 8\n[storage]\npassphrase_file = "/run/{party}.txt"\n`,
    "/c/quorate.toml",
  );
  assert.deepEqual(config.transport, { pingIntervalMs: 2000, strangersTotal: 8 });
  assert.equal(config.revocationListPath, "/c/crl.pem");
  const alice = partyConfig(config, "alice");
  assert.equal(alice.dataDirectory, "/var/lib/quorate");
  assert.deepEqual(alice.sealing, { kind: "passphrase", path: "/run/alice.txt" });
});

Deno.test("parseConfig() says which key, what was found and what was expected", () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["= 3", /line 1, column 1 is not TOML/],
    [HEAD, /parties must be 2 to 64 \[\[parties\]\]: found nothing$/],
    [HEAD + party("alice", 9101, identities[0]), /parties must be 2 to 64 .*: found a list of 1$/],
    [PARTIES, /cluster must be a name of .*: found nothing$/],
    [GOOD.replace("demo", "de mo"), /cluster must be .*: found "de mo"$/],
    ["color = 1\n" + GOOD, /there is no key color: expected are cluster, ca_cert_path/],
    [GOOD + "colour = 1\n", /there is no key parties\[2\]\.colour: expected are name, address/],
    [GOOD + "[voting]\nttl = 1\n", /there is no key voting/],
    [GOOD + "[transport]\nttl = 1\n", /there is no key transport\.ttl: expected are up_deadline_seconds/],
    [GOOD + "[storage]\nkind = 1\n", /there is no key storage\.kind: expected are sealing_key_file/],
    ["timeout_seconds = 0\n" + GOOD, /timeout_seconds must be a number of seconds from 1 to 3600: found 0$/],
    [`timeout_seconds = "30"\n` + GOOD, /timeout_seconds must be .*: found "30"$/],
    ['key_policy = "3 of (alice, bob)"\n' + GOOD, /key_policy must be a policy over the parties: /],
    ['key_policy = "and(alice, carol)"\n' + GOOD, /key_policy must be .*: carol is none of the parties$/],
    ["bit_length = 100\n" + GOOD, /bit_length must be a multiple of 8 from 128 to 65536: found 100$/],
    ["bit_length = 129\n" + GOOD, /bit_length must be a multiple of 8 .*: found 129$/],
    [
      GOOD + "[transport]\nstrangers_total = 1.5\n",
      /transport\.strangers_total must be a whole number .*: found 1.5$/,
    ],
    [
      GOOD.replace("127.0.0.1:9101", "127.0.0.1"),
      /parties\[1\]\.address must be HOST:PORT with a port from 1 to 65535: found "127.0.0.1"$/,
    ],
    [GOOD.replace("127.0.0.1:9102", "127.0.0.1:0"), /parties\[2\]\.address must be HOST:PORT/],
    [GOOD.replace(PIN, "sha256/abc"), /parties\[1\]\.tls_pin\[1\] must be sha256\/ and 44 base64 characters/],
    [
      GOOD.replace(`["${PIN}"]`, "[]"),
      /parties\[1\]\.tls_pin must be a list of 1 to 3 pins: found a list of 0$/,
    ],
    [
      GOOD.replace(`["${PIN}"]`, `"${PIN}"`),
      /parties\[1\]\.tls_pin must be a list of 1 to 3 pins: found "sha256/,
    ],
    [GOOD.replace('name = "bob"', 'name = "and"'), /parties\[2\]\.name must be a name of .*: found "and"$/],
    [GOOD.replace('name = "bob"', 'name = "../bob"'), /parties\[2\]\.name must be/],
    [
      GOOD.replace('name = "bob"', 'name = "Alice"'),
      /parties\[1\]\.name and parties\[2\]\.name are both "Alice"$/,
    ],
    [
      GOOD.replace("9102", "9101"),
      /parties\[1\]\.address and parties\[2\]\.address are both "127.0.0.1:9101"$/,
    ],
    [GOOD.replace("data/bob/", "data/alice/"), /identity_key_path .* are both/],
    [GOOD.replace("certs/bob/key", "certs/alice/key"), /key_path .* are both/],
    [
      GOOD + `[storage]\nsealing_key_file = "a"\npassphrase_file = "b"\n`,
      /sealing_key_file and storage.passphrase_file exclude each other/,
    ],
  ];
  for (const [text, match] of wrong) refused(text, match);
});

Deno.test("parseConfig() refuses an identity key that is malformed, of small order or used twice", () => {
  const [alice, bob] = identities as [string, string];
  refused(GOOD.replace(bob, "ed25519/AAAA"), /identity of bob/, "IDENTITY_INVALID");
  const identity = `ed25519/${new Uint8Array(32).fill(1, 0, 1).toBase64()}`;
  refused(GOOD.replace(bob, identity), /identity of bob/, "IDENTITY_INVALID");
  refused(GOOD.replace(bob, alice), /alice and bob share/);
});

Deno.test("environment variables override values outside [[parties]], and unknown ones are refused", () => {
  const environment = {
    QUORATE_TIMEOUT_SECONDS: "5",
    QUORATE_TRANSPORT_STRANGERS_TOTAL: "9",
    QUORATE_STORAGE_PASSPHRASE_FILE: "/run/secret",
    HOME: "/root",
  };
  const config = parseConfig(GOOD, "/c/quorate.toml", environment);
  assert.equal(config.timeoutMs, 5000);
  assert.equal(config.transport.strangersTotal, 9);
  assert.deepEqual(partyConfig(config, "alice").sealing, { kind: "passphrase", path: "/run/secret" });
  refused(GOOD, /QUORATE_COLOUR overrides nothing: there are QUORATE_CLUSTER/, "CONFIG_INVALID", {
    QUORATE_COLOUR: "1",
  });
  refused(GOOD, /QUORATE_PARTIES overrides nothing/, "CONFIG_INVALID", { QUORATE_PARTIES: "1" });
  refused(
    GOOD,
    /^the environment variable QUORATE_TIMEOUT_SECONDS: timeout_seconds must be .*: found "soon"$/,
    "CONFIG_INVALID",
    { QUORATE_TIMEOUT_SECONDS: "soon" },
  );
  refused(GOOD, /^the environment variable QUORATE_KEY_POLICY: key_policy must be /, "CONFIG_INVALID", {
    QUORATE_KEY_POLICY: "or(alice, bob)",
  });
  refused(GOOD.replace("demo", "de mo"), /^\S+: cluster must be /, "CONFIG_INVALID", {
    QUORATE_TIMEOUT_SECONDS: "5",
  });
});

Deno.test("loadConfig() says that a file cannot be read", () => {
  assert.throws(() => loadConfig("/nowhere/quorate.toml"), (error: unknown) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.code, "CONFIG_UNREADABLE");
    assert.match(error.message, /quorate init makes one/);
    return true;
  });
  assert.throws(() => loadConfig(Deno.cwd()), /cannot read the configuration/);
});

Deno.test("parseAddress() reads names and both kinds of IP address, and nothing else", () => {
  for (const text of ["localhost:1", "10.0.0.5:65535", "[::1]:9000", "node-1.example.org:443"]) {
    const address = parseAddress(text);
    assert.ok(address, text);
    assert.equal(formatAddress(address), text);
  }
  for (
    const text of [
      "",
      "localhost",
      ":80",
      "a:0",
      "a:65536",
      "::1:80",
      "[zz]:1",
      "[1.2.3.4]:1",
      "a b:1",
      "http://a:1",
    ]
  ) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

Deno.test("[node] and [telemetry] say where a node is asked and watched, by default on loopback", () => {
  const { node } = partyConfig(parseConfig(GOOD, "/c/quorate.toml"), "bob");
  assert.deepEqual(node, {
    operatorListen: { host: "127.0.0.1", port: 9202 },
    operatorCertPath: "/c/certs/operator/cert.pem",
    operatorKeyPath: "/c/certs/operator/key.pem",
    telemetryListen: { host: "127.0.0.1", port: 9302 },
    logFormat: "json",
    logLevel: "info",
  });
  const high = GOOD.replace("127.0.0.1:9102", "127.0.0.1:65500");
  const { operatorListen, telemetryListen } = partyConfig(parseConfig(high, "/c/quorate.toml"), "bob").node;
  assert.deepEqual([operatorListen.port, telemetryListen.port], [65400, 65300]);
  const sections = `[node]
operator_listen = "10.0.0.5:1"
operator_cert_path = "op.pem"
operator_key_path = "/run/{party}.key"
[telemetry]
listen = "10.0.0.5:2"
log_format = "gelf"
log_level = "warn"
`;
  assert.deepEqual(partyConfig(parseConfig(GOOD + sections, "/c/quorate.toml"), "bob").node, {
    operatorListen: { host: "10.0.0.5", port: 1 },
    operatorCertPath: "/c/op.pem",
    operatorKeyPath: "/run/bob.key",
    telemetryListen: { host: "10.0.0.5", port: 2 },
    logFormat: "gelf",
    logLevel: "warn",
  });
  const moved = parseConfig(GOOD, "/c/quorate.toml", { QUORATE_NODE_OPERATOR_LISTEN: "127.0.0.1:7" });
  assert.equal(partyConfig(moved, "bob").node.operatorListen.port, 7);
  refused(`${GOOD}[node]\noperator_listen = "nowhere"\n`, /node\.operator_listen must be HOST:PORT/);
  refused(
    `${GOOD}[node]\nlisten = "127.0.0.1:1"\n`,
    /there is no key node\.listen: expected are operator_listen/,
  );
  refused(`${GOOD}[telemetry]\nlog_format = "xml"\n`, /telemetry\.log_format must be "plain" or "json"/);
});
