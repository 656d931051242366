import assert from "node:assert/strict";
import { CONTAINER_USER, PARTIES, prepare, SERVERS } from "../../deploy/prepare.ts";
import { loadConfig, parseConfig } from "../../src/node/config.ts";
import { partyPermissions } from "../../src/node/permissions.ts";
import { programOf, run, textOf, yamlOf } from "./support.ts";

interface Service {
  readonly image: string;
  readonly build?: {
    readonly dockerfile: string;
    readonly args?: Readonly<Record<string, string>>;
    readonly additional_contexts?: Readonly<Record<string, string>>;
  };
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly command?: readonly string[];
  readonly networks: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly secrets?: readonly (string | { readonly source: string; readonly target: string })[];
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const COMPOSE = yamlOf<Compose>("compose.yaml");
const SERVICES = Object.entries(COMPOSE.services);
const serviceOf = (name: string) => COMPOSE.services[name] as Service;

Deno.test("compose.yaml has a node per party, three members of etcd, PostgreSQL, Prometheus and Grafana, all confined", () => {
  const names = SERVICES.map(([name]) => name);
  assert.deepEqual(names.toSorted(), [...PARTIES, ...SERVERS, "prometheus", "grafana"].toSorted());
  for (const [name, service] of SERVICES) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ["ALL"], name);
    assert.deepEqual(service.security_opt, ["no-new-privileges:true"], name);
    assert.ok(!("privileged" in service), name);
  }
  for (const name of [...PARTIES, ...SERVERS]) {
    assert.equal(serviceOf(name).user, `${CONTAINER_USER}:${CONTAINER_USER}`, name);
  }
});

Deno.test("compose.yaml names only networks, volumes and secrets that it has, and uses all of them", () => {
  const used = { networks: new Set<string>(), volumes: new Set<string>(), secrets: new Set<string>() };
  for (const [, { networks, volumes, secrets = [] }] of SERVICES) {
    for (const network of networks) used.networks.add(network);
    for (const volume of volumes.map((entry) => entry.split(":")[0] as string)) {
      if (!volume.startsWith("./")) used.volumes.add(volume);
    }
    for (const secret of secrets) used.secrets.add(typeof secret === "string" ? secret : secret.source);
  }
  for (const part of ["networks", "volumes", "secrets"] as const) {
    assert.deepEqual([...used[part]].toSorted(), Object.keys(COMPOSE[part]).toSorted(), part);
  }
});

Deno.test("compose.yaml: from outside only the loopback of the host leads in, to Prometheus and Grafana", () => {
  const outward = SERVICES.filter(([, { networks }]) =>
    networks.some((name) => !COMPOSE.networks[name]?.internal)
  );
  assert.deepEqual(outward.map(([name]) => name).toSorted(), ["grafana", "prometheus"]);
  for (const [name, { ports = [], networks }] of SERVICES) {
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name);
    if (["grafana", "prometheus"].includes(name)) assert.ok(!networks.includes("mesh"), name);
  }
});

Deno.test("prepare() makes everything that compose.yaml mounts, and nothing twice", async () => {
  const directory = await Deno.makeTempDir();
  const cluster = `${directory}/cluster`;
  try {
    await prepare(cluster);
    const place = (path: string) => path.replace("./cluster", cluster);
    for (const [, { volumes, build }] of SERVICES) {
      for (const source of volumes.map((entry) => entry.split(":")[0] as string)) {
        if (source.startsWith("./cluster")) Deno.statSync(place(source));
        else if (source.startsWith("./")) textOrDirectory(source.slice(2));
      }
      if (build !== undefined) textOf(build.dockerfile.replace("deploy/", ""));
      for (const context of Object.values(build?.additional_contexts ?? {})) {
        const files = [...Deno.readDirSync(place(context))].map(({ name }) => name);
        assert.deepEqual(files, ["quorate.toml"], "no key gets into a build");
      }
    }
    for (const { file } of Object.values(COMPOSE.secrets)) {
      assert.equal((Deno.statSync(place(file)).mode ?? 0) & 0o777, 0o600, file);
    }
    await assert.rejects(() => prepare(cluster), { code: "FILE_EXISTS" });
    checkNodes(cluster);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Each node finds in its container what its configuration names, and no key of another. */
function checkNodes(cluster: string): void {
  const text = Deno.readTextFileSync(`${cluster}/public/quorate.toml`);
  const config = parseConfig(text, "/etc/quorate/quorate.toml");
  assert.equal(config.voting?.membership.quorum, 4);
  for (const name of PARTIES) {
    const { command, volumes, secrets = [], networks, build, stop_grace_period, healthcheck } = serviceOf(
      name,
    );
    assert.deepEqual(command?.slice(0, 6), ["node", "run", "--config", config.path, "--party", name]);
    assert.deepEqual(build?.args, { PARTY: name });
    assert.deepEqual(networks, ["mesh", "stores", "monitoring"]);
    const drain = Number(command?.at(-1));
    assert.ok(Number.parseInt(stop_grace_period ?? "") >= drain + 15, name);
    assert.ok(healthcheck?.test.at(-1)?.includes("http://127.0.0.1:9200/livez"));

    const mounted = [
      ...volumes.map((entry) => entry.split(":")[1] as string),
      ...secrets.map((secret) => typeof secret === "string" ? `/run/secrets/${secret}` : secret.target),
    ];
    const { read, write, net } = partyPermissions(config, name);
    for (const path of read) {
      assert.ok(
        mounted.some((target) => path === target || path.startsWith(`${target}/`)),
        `${name} has no ${path}`,
      );
    }
    const writable = volumes.filter((entry) => !entry.endsWith(":ro")).map((entry) => entry.split(":")[1]);
    assert.deepEqual(write, writable, `${name} writes to its volume only`);
    for (const server of SERVERS) {
      const port = server === "postgres" ? 5432 : 2379;
      assert.ok(net.includes(`${server}:${port}`), `${name} does not know ${server}`);
    }
    assert.ok(net.includes("0.0.0.0:9200") && net.includes("0.0.0.0:9000"), name);
    const foreign = [...volumes, ...secrets.map((secret) => JSON.stringify(secret))].filter((entry) =>
      PARTIES.some((other) => other !== name && new RegExp(`\\b${other}\\b`).test(entry))
    );
    assert.deepEqual(foreign, [], `${name} sees files of others`);
  }
  assert.doesNotThrow(() => loadConfig(`${cluster}/public/quorate.toml`));
}

function textOrDirectory(name: string): void {
  Deno.statSync(new URL(`../../deploy/${name}`, import.meta.url));
}

Deno.test("compose.yaml: etcd knows each of its options, and each member the others", async () => {
  for (const name of ["etcd-1", "etcd-2", "etcd-3"]) {
    const options = new Map(
      serviceOf(name).command?.map((option) => option.split(/=(.*)/s) as [string, string]),
    );
    assert.equal(options.get("--name"), name);
    assert.equal(options.get("--advertise-client-urls"), `https://${name}:2379`);
    assert.equal(options.get("--initial-advertise-peer-urls"), `https://${name}:2380`);
    assert.ok(options.get("--initial-cluster")?.includes(`${name}=https://${name}:2380`));
    for (const kind of ["--client-cert-auth", "--peer-client-cert-auth"]) {
      assert.equal(options.get(kind), "true");
    }
  }
  const etcd = programOf("etcd");
  if (etcd === undefined) return;
  const { said } = await run(etcd, "--help");
  for (const option of serviceOf("etcd-1").command ?? []) {
    assert.ok(said.includes(`${option.split("=")[0]} `), option);
  }
});

Deno.test("Dockerfile: not root, no secret and no registry in it, and the program runs as compose.yaml says", () => {
  const lines = textOf("Dockerfile").split("\n");
  assert.ok(lines.includes(`USER ${CONTAINER_USER}:${CONTAINER_USER}`));
  assert.ok(lines.includes('ENTRYPOINT ["/usr/local/bin/quorate"]'));
  assert.ok(lines.includes("STOPSIGNAL SIGTERM"));
  const copied = lines.filter((line) => /^(?:COPY|ADD) /.test(line)).join("\n");
  assert.doesNotMatch(copied, /certs|data|\.pem|\.key|ADD /);
  const ignored = textOf("Dockerfile.dockerignore").split("\n");
  assert.ok(ignored.includes("*"), "what is not named does not get into the build");
  for (const source of ignored.filter((line) => line.startsWith("!"))) {
    assert.ok(copied.includes(source.slice(1)), `${source} is not copied`);
  }
  const images = [
    ...["Dockerfile", "etcd.Dockerfile"].flatMap((name) =>
      [...textOf(name).matchAll(/^(?:FROM|ARG DENO_IMAGE=) ?(\S+)/gm)].map(([, image]) => image as string)
    ),
    ...SERVICES.map(([, { image }]) => image),
  ];
  for (const image of images) assert.doesNotMatch(image, /^[^/]+[.:][^/]*\//, `${image} names a registry`);
});
