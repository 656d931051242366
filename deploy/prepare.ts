/**
 * `deno run -A deploy/prepare.ts [DIRECTORY]`: everything that `compose.yaml` mounts, in `deploy/cluster` unless another directory is
 * named: a cluster of five parties, an authority and certificates for etcd and PostgreSQL, and two passwords. Nothing is overwritten.
 *
 * @module
 */

import { join } from "node:path";
import { hex } from "../src/base/bytes.ts";
import { QuorateError } from "../src/base/errors.ts";
import { systemRng } from "../src/base/rng.ts";
import { loadConfig } from "../src/node/config.ts";
import { initCluster } from "../src/node/init.ts";
import { createAuthority, issueLeaf } from "../src/pki/authority.ts";

/** The parties of `compose.yaml`. */
export const PARTIES: readonly string[] = ["alice", "bob", "carol", "dave", "erin"];
/** The servers of its stores. */
export const SERVERS: readonly string[] = ["etcd-1", "etcd-2", "etcd-3", "postgres"];
/** The user of all its containers that hold keys. */
export const CONTAINER_USER = 10001;

const PORT = 9000;

/** Makes the files. @throws UsageError FILE_EXISTS where the directory holds a cluster already. */
export async function prepare(directory: string): Promise<void> {
  const { configPath, authorityKeyPath } = await initCluster({
    names: PARTIES,
    directory,
    cluster: "quorate",
    hosts: new Map(PARTIES.map((name) => [name, { host: name, port: PORT }])),
  });
  // What the build of an image sees holds no key.
  const open = join(directory, "public");
  Deno.mkdirSync(open, { mode: 0o755 });
  const inContainers = join(open, "quorate.toml");
  Deno.writeTextFileSync(inContainers, configuration(Deno.readTextFileSync(configPath)));
  Deno.removeSync(configPath);
  loadConfig(inContainers);

  const offline = join(directory, "offline");
  Deno.mkdirSync(offline, { mode: 0o700 });
  Deno.renameSync(authorityKeyPath, join(offline, "ca-key.pem"));
  await makeStoreCertificates(directory, offline);
  const secrets = join(directory, "secrets");
  Deno.mkdirSync(secrets, { mode: 0o700 });
  for (const name of ["postgres-password", "grafana-password"]) {
    writeSecret(join(secrets, name), hex(systemRng.bytes(24)));
  }
}

/** The configuration of `quorate init`, for containers: another data directory, listeners on all networks, stores. */
function configuration(made: string): string {
  const listening = made.replaceAll(
    /^address = .*$/gm,
    (line) => `${line}\nlisten = "0.0.0.0:${PORT}"`,
  );
  const added = Deno.readTextFileSync(new URL("config/compose.toml", import.meta.url));
  return `data_dir = "/var/lib/quorate"\n${listening}${added}`;
}

async function makeStoreCertificates(directory: string, offline: string): Promise<void> {
  const cluster = "stores";
  const authority = await createAuthority({ cluster });
  const stores = join(directory, "stores");
  Deno.mkdirSync(stores, { mode: 0o755 });
  Deno.writeTextFileSync(join(stores, "ca.pem"), authority.certPem);
  writeSecret(join(offline, "stores-ca-key.pem"), authority.keyPem);
  for (const name of [...PARTIES, ...SERVERS]) {
    const { certPem, keyPem } = await issueLeaf({ authority, cluster, party: name, host: name });
    const own = join(stores, name);
    Deno.mkdirSync(own, { mode: 0o700 });
    Deno.writeTextFileSync(join(own, "cert.pem"), certPem);
    writeSecret(join(own, "key.pem"), keyPem);
  }
}

function writeSecret(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { createNew: true, mode: 0o600 });
}

if (import.meta.main) {
  const directory = Deno.args[0] ?? new URL("cluster", import.meta.url).pathname;
  try {
    await prepare(directory);
    const folders = ["certs", "data", "secrets", "stores"].map((name) => join(directory, name)).join(" ");
    console.log(
      `${directory}\nkeep ${
        join(directory, "offline")
      } on no machine that runs a node, then:\n  sudo chown --recursive ${CONTAINER_USER}:${CONTAINER_USER} ${folders}\n  docker compose --file deploy/compose.yaml up --build --detach`,
    );
  } catch (error) {
    if (!(error instanceof QuorateError)) throw error;
    console.error(`error ${error.code}: ${error.message}`);
    Deno.exit(error.exitCode);
  }
}
