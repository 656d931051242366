import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Agent, request, type RequestOptions } from "node:https";
import { createServer, type Server, type Socket } from "node:net";
import { connect } from "node:tls";
import { TransportError, UsageError } from "../../src/base/errors.ts";
import { partyConfig } from "../../src/node/config.ts";
import { readMaterial } from "../../src/node/certificates.ts";
import { OperatorClient, type Question } from "../../src/node/operator_client.ts";
import {
  type OperatorRoute,
  OperatorServer,
  type OperatorServerOptions,
} from "../../src/node/operator_server.ts";
import { createRevocationList } from "../../src/pki/authority.ts";
import type { LinkFault } from "../../src/transport/faults.ts";
import type { MeshMaterial } from "../../src/transport/mesh.ts";
import { Cluster } from "./fixture.ts";

/** What somebody shows: nothing, or the certificate in a directory. */
type Who = string | null;

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

/** A server of alice's, and those who ask it. */
class Place implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly server: OperatorServer;
  readonly material: MeshMaterial;
  readonly refused: string[];
  readonly certs: string;

  private constructor(fields: Pick<Place, "cluster" | "server" | "material" | "refused">) {
    this.cluster = fields.cluster;
    this.server = fields.server;
    this.material = fields.material;
    this.refused = fields.refused;
    this.certs = `${this.cluster.root}/demo/certs`;
  }

  static async make(
    routes: Readonly<Record<string, OperatorRoute>> = {},
    options: Partial<OperatorServerOptions> = {},
  ): Promise<Place> {
    const cluster = await Cluster.make(["alice", "bob"]);
    const material = readMaterial(cluster.config, partyConfig(cluster.config, "alice"));
    const refused: string[] = [];
    const server = await OperatorServer.start({
      listen: { host: "127.0.0.1", port: 0 },
      cluster: "demo",
      material,
      routes: new Map(Object.entries({ "GET /who": { serve: ({ operator }) => operator }, ...routes })),
      refused: ({ code }: LinkFault, address) => void refused.push(`${code} ${address}`),
      ...options,
    });
    return new Place({ cluster, server, material, refused });
  }

  client(party = "alice", port = this.server.port): OperatorClient {
    const { config } = this.cluster;
    return new OperatorClient(config, partyConfig(config, party), { host: "127.0.0.1", port });
  }

  /** Asks without the client of this package. */
  async knock(options: RequestOptions & { readonly body?: string | Uint8Array } = {}, who: Who = "operator") {
    const { body, ...rest } = options;
    const shown = who === null ? {} : {
      cert: Deno.readTextFileSync(`${this.certs}/${who}/cert.pem`),
      key: Deno.readTextFileSync(`${this.certs}/${who}/key.pem`),
    };
    return await new Promise<Answer>((resolve, reject) => {
      const asked = request(
        {
          ...{ host: "127.0.0.1", port: this.server.port, path: "/who", agent: false, ...shown },
          rejectUnauthorized: false,
          ...rest,
        },
        async (response: IncomingMessage) =>
          resolve({ status: response.statusCode, text: await textOf(response) }),
      );
      asked.on("error", reject);
      asked.end(body);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    this.cluster[Symbol.dispose]();
  }
}

async function textOf(response: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of response) text += decoder.decode(part, { stream: true });
  return text;
}

const echo: OperatorRoute = { serve: ({ input }) => input };
const JSON_TYPE = { "content-type": "application/json" };

Deno.test("OperatorServer answers operators, and nobody else", async () => {
  await using place = await Place.make();
  assert.deepEqual(await place.knock(), { status: 200, text: '"admin"\n' });
  const party = await place.knock({}, "bob");
  assert.equal(party.status, 403);
  assert.match(party.text, /"code":"IDENTITY_INVALID".*not that of an operator/);
  await assert.rejects(place.knock({}, null));
  using other = await Cluster.make(["alice", "bob"]);
  await assert.rejects(place.knock({
    cert: Deno.readTextFileSync(`${other.root}/demo/certs/operator/cert.pem`),
    key: Deno.readTextFileSync(`${other.root}/demo/certs/operator/key.pem`),
  }));
  assert.deepEqual(place.refused.map((line) => line.replace(/:\d+$/, "")), [
    "CERT_NAME 127.0.0.1",
    "CERT_MISSING 127.0.0.1",
    "TLS_FAILED 127.0.0.1",
  ]);
  await assert.rejects(
    new Promise((resolve, reject) => {
      const shown = { cert: place.material.tls.certPem, key: place.material.tls.keyPem };
      const old = {
        ...shown,
        port: place.server.port,
        rejectUnauthorized: false,
        maxVersion: "TLSv1.2",
      } as const;
      connect(old, () => resolve(null)).once("error", reject);
    }),
    "an older TLS",
  );
});

Deno.test("OperatorServer judges who is connected again at every request, by what was read last", async () => {
  await using place = await Place.make();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    assert.equal((await place.knock({ agent })).status, 200);
    const authority = {
      certPem: Deno.readTextFileSync(`${place.certs}/ca.pem`),
      keyPem: Deno.readTextFileSync(`${place.certs}/ca-key.pem`),
    };
    const revoked = [Deno.readTextFileSync(`${place.certs}/operator/cert.pem`)];
    const revocationListsPem = await createRevocationList({ authority, revoked, number: 1 });
    place.server.reload({ ...place.material, revocationListsPem });
    assert.equal((await place.knock({ agent })).status, 403);
    assert.match(place.refused[0] ?? "", /^CERT_REVOKED /);
  } finally {
    agent.destroy();
  }
});

Deno.test("OperatorServer.reload() shows another certificate from then on", async () => {
  await using place = await Place.make();
  const cert = Deno.readTextFileSync(`${place.certs}/bob/cert.pem`);
  const tls = {
    ...place.material.tls,
    certPem: cert,
    keyPem: Deno.readTextFileSync(`${place.certs}/bob/key.pem`),
  };
  place.server.reload({ ...place.material, tls });
  await assert.rejects(place.client().ask({ method: "GET", path: "/who" }), { message: /bob answers there/ });
  assert.equal(await place.client("bob").ask({ method: "GET", path: "/who" }), "admin");
});

Deno.test("OperatorServer refuses what is no request of this API", async () => {
  await using place = await Place.make({ "POST /echo": echo });
  const post = { method: "POST", path: "/echo", headers: JSON_TYPE };
  assert.deepEqual(await place.knock({ ...post, body: '{"a":1}' }), { status: 200, text: '{"a":1}\n' });
  const cases: [RequestOptions & { body?: string | Uint8Array }, number, RegExp][] = [
    [{ path: "/nothing" }, 404, /there is no GET \/nothing/],
    [{ path: "/echo" }, 404, /there is no GET \/echo/],
    [{ headers: { origin: "https://example.com" } }, 403, /not for pages in a browser/],
    [{ headers: { "sec-fetch-site": "same-site" } }, 403, /not for pages in a browser/],
    [{ headers: { "sec-fetch-site": "cross-site" } }, 403, /not for pages in a browser/],
    [
      { ...post, headers: { ...JSON_TYPE, "sec-fetch-site": "same-origin" }, body: "{}" },
      403,
      /not for pages in a browser/,
    ],
    [{ headers: { "sec-fetch-site": "none" } }, 200, /admin/],
    [{ headers: { "sec-fetch-site": "same-origin" } }, 200, /admin/],
    [
      { headers: { origin: "https://127.0.0.1", "sec-fetch-site": "same-origin" } },
      403,
      /not for pages in a browser/,
    ],
    [{ ...post, headers: { "content-type": "text/plain" }, body: "{}" }, 415, /application\/json/],
    [{ ...post, headers: { "content-type": "application/jsonp" }, body: "{}" }, 415, /application\/json/],
    [{ ...post, body: "{" }, 400, /not the JSON/],
    [{ ...post, body: new Uint8Array([34, 255, 34]) }, 400, /not UTF-8/],
    [{ ...post, body: `"${"x".repeat(16 << 20)}"` }, 413, /at most 16777216 bytes/],
  ];
  for (const [options, status, match] of cases) {
    const answer = await place.knock(options).catch((error) => ({ status: 0, text: String(error) }));
    // Whoever sends too much may find its connection ended before it has read why.
    if (status === 413 && answer.status === 0) continue;
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, match);
  }
});

Deno.test("OperatorServer says errors of ours as they are, and of others only where they happened", async () => {
  await using place = await Place.make({
    "GET /ours": {
      serve: () => {
        throw new TransportError("TIMEOUT", "bob did not answer", { party: "bob", parties: [2 as never] });
      },
    },
    "GET /bug": {
      serve: () => {
        throw new TypeError("secret 1234");
      },
    },
    "GET /streamed": {
      streams: true,
      serve: () => {
        throw new TypeError("secret 1234");
      },
    },
  });
  const get = (path: string): Question => ({ method: "GET", path });
  await assert.rejects(place.client().ask(get("/ours")), (error: unknown) => {
    assert.ok(error instanceof TransportError);
    assert.deepEqual([error.code, error.message, error.party, error.parties], [
      "TIMEOUT",
      "bob did not answer",
      "bob",
      [2],
    ]);
    return true;
  });
  for (const asked of [place.client().ask(get("/bug")), place.client().follow(get("/streamed"), () => {})]) {
    await assert.rejects(asked, (error: UsageError) => {
      assert.equal(error.code, "INVARIANT");
      assert.match(error.message, /an unexpected TypeError at operator_test\.ts:\d+/);
      assert.doesNotMatch(error.message, /1234/);
      return true;
    });
  }
  assert.equal((await place.knock({ path: "/bug" })).status, 500);
  assert.equal((await place.knock({ path: "/ours" })).status, 400);
});

Deno.test("follow() hears what happens and then the result, in the order in which it was said", async () => {
  await using place = await Place.make({
    "POST /run": {
      streams: true,
      serve: async ({ emit, input }) => {
        emit({ event: "warn", text: "first" });
        await Promise.resolve();
        emit({ event: "data", data: { bytes: new Uint8Array([1, 2]) } });
        return input;
      },
    },
  });
  const events: unknown[] = [];
  const result = await place.client().follow(
    { method: "POST", path: "/run", input: { given: new Uint8Array([3]), n: 5n } },
    (event) => events.push(event),
  );
  assert.deepEqual(result, { given: new Uint8Array([3]), n: "5" });
  assert.deepEqual(events, [
    { event: "warn", text: "first" },
    { event: "data", data: { bytes: new Uint8Array([1, 2]) } },
  ]);
});

Deno.test("who goes away ends what is done for it; so does the signal of its question", async () => {
  const aborted = Promise.withResolvers<void>();
  await using place = await Place.make({
    "GET /long": {
      streams: true,
      serve: async ({ emit, signal }) => {
        emit({ event: "warn", text: "begun" });
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        aborted.resolve();
      },
    },
  });
  const stop = new AbortController();
  const asked = place.client().follow(
    { method: "GET", path: "/long", signal: stop.signal },
    () => stop.abort(),
  );
  await assert.rejects(asked, { code: "CANCELLED" });
  await aborted.promise;
  await assert.rejects(place.client().ask({ method: "GET", path: "/who", signal: stop.signal }), {
    code: "CANCELLED",
  });
});

Deno.test("who does not read what it asked for fills no memory: it is cut off", async () => {
  const aborted = Promise.withResolvers<number>();
  await using place = await Place.make({
    "GET /flood": {
      streams: true,
      serve: async ({ emit, signal }) => {
        let megabytes = 0;
        const data = "x".repeat(1 << 20);
        for (; !signal.aborted && megabytes < 200; megabytes++) {
          emit({ event: "data", data });
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        aborted.resolve(megabytes);
      },
    },
  });
  const socket = connect({
    port: place.server.port,
    cert: Deno.readTextFileSync(`${place.certs}/operator/cert.pem`),
    key: Deno.readTextFileSync(`${place.certs}/operator/key.pem`),
    rejectUnauthorized: false,
  });
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  socket.on("error", () => {});
  socket.write("GET /flood HTTP/1.1\r\nhost: x\r\n\r\n");
  // The runtime reads ahead of a listener that is paused: nobody takes anything from the system's buffers here.
  const megabytes = await aborted.promise;
  socket.destroy();
  assert.ok(megabytes < 200, `${megabytes} MB`);
});

Deno.test("disposing the server ends what runs, sends its answers, and closes connections that are kept", async () => {
  const place = await Place.make({
    "GET /long": {
      streams: true,
      serve: async ({ emit, signal }) => {
        emit({ event: "warn", text: "begun" });
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        return "what it came to";
      },
    },
  });
  const agent = new Agent({ keepAlive: true });
  await place.knock({ agent });
  const begun = Promise.withResolvers<void>();
  const asked = place.client().follow({ method: "GET", path: "/long" }, () => begun.resolve());
  await begun.promise;
  const { port } = place.server;
  await place[Symbol.asyncDispose]();
  assert.equal(await asked, "what it came to");
  agent.destroy();
  await assert.rejects(Deno.connect({ port }), Deno.errors.ConnectionRefused);
});

Deno.test("OperatorServer.start() refuses an address that is taken", async () => {
  await using place = await Place.make();
  const again = OperatorServer.start({
    listen: { host: "127.0.0.1", port: place.server.port },
    cluster: "demo",
    material: place.material,
    routes: new Map(),
  });
  await assert.rejects(again, { code: "ADDRESS_IN_USE", message: /\[node\] operator_listen/ });
});

Deno.test("OperatorServer takes a bounded number of connections", async () => {
  await using place = await Place.make();
  const open: Deno.TcpConn[] = [];
  for (let i = 0; i < 70; i++) open.push(await Deno.connect({ port: place.server.port }));
  const first = await Promise.race(open.map(async (socket, i) => {
    await socket.read(new Uint8Array(1)).catch(() => null);
    return i;
  }));
  for (const socket of open) socket.close();
  // Those that were accepted wait for their handshake: they would end in the order in which they came.
  assert.ok(first >= 64, `${first}`);
});

/** Somebody who connects and asks nothing, or not to the end. @returns who it was, when its connection is ended. */
function silent(place: Place, who: string, said = ""): { readonly end: Promise<string>; stop(): void } {
  const socket = connect({
    port: place.server.port,
    cert: Deno.readTextFileSync(`${place.certs}/${who}/cert.pem`),
    key: Deno.readTextFileSync(`${place.certs}/${who}/key.pem`),
    rejectUnauthorized: false,
  }, () => said !== "" && socket.write(said));
  socket.on("error", () => {});
  socket.resume();
  const end = new Promise<string>((resolve) => socket.on("close", () => resolve(who)));
  return { end, stop: () => socket.destroy() };
}

Deno.test("OperatorServer keeps no connection that asks nothing", async () => {
  await using place = await Place.make({}, { idleMs: 200 });
  await Promise.all(["", "GET /who HTTP/1.1\r\n"].map((said) => silent(place, "operator", said).end));
});

Deno.test("OperatorServer keeps a connection of who is no operator for a moment only", async () => {
  await using place = await Place.make({}, { idleMs: 10_000 });
  const operator = silent(place, "operator"), party = silent(place, "bob");
  assert.equal(await Promise.race([operator.end, party.end]), "bob");
  operator.stop();
  await operator.end;
});

Deno.test("OperatorClient tells a node that is not there from one that it cannot trust", async () => {
  await using place = await Place.make();
  const who: Question = { method: "GET", path: "/who" };
  const refuses = async (client: OperatorClient, code: string, message: RegExp) =>
    await assert.rejects(client.ask(who), { code, message });
  await refuses(place.client("bob"), "IDENTITY_INVALID", /is not bob: alice answers there/);
  await refuses(
    place.client("alice", 1),
    "NODE_UNREACHABLE",
    /no node of alice answers at 127\.0\.0\.1:1: start it/,
  );

  using other = await Cluster.make(["alice", "bob"]);
  const stranger = new OperatorClient(other.config, partyConfig(other.config, "alice"), {
    host: "127.0.0.1",
    port: place.server.port,
  });
  await refuses(stranger, "IDENTITY_INVALID", /is not alice: unable to verify/);

  const text = await listen((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nhello"));
  await refuses(place.client("alice", text.port), "IDENTITY_INVALID", /is not alice/);
  const silent = await listen(() => {});
  const asked = place.client("alice", silent.port).ask({ ...who, silenceMs: 100 });
  await assert.rejects(asked, { code: "NODE_UNREACHABLE", message: /it said nothing for 0\.1 s/ });
  for (const { server } of [text, silent]) server.close();
});

Deno.test("OperatorClient refuses a node whose certificate is revoked, and says when the node refuses it", async () => {
  await using place = await Place.make();
  const authority = {
    certPem: Deno.readTextFileSync(`${place.certs}/ca.pem`),
    keyPem: Deno.readTextFileSync(`${place.certs}/ca-key.pem`),
  };
  const list = `${place.certs}/crl.pem`;
  const revoked = [place.material.tls.certPem];
  Deno.writeTextFileSync(list, await createRevocationList({ authority, revoked, number: 1 }));
  const { config } = place.cluster;
  const at = { host: "127.0.0.1", port: place.server.port };
  const careful = new OperatorClient(
    { ...config, revocationListPath: list },
    partyConfig(config, "alice"),
    at,
  );
  await assert.rejects(careful.ask({ method: "GET", path: "/who" }), {
    code: "IDENTITY_INVALID",
    message: /is not alice: .*revocation list/,
  });

  using other = await Cluster.make(["alice", "bob"]);
  const { node } = partyConfig(other.config, "alice");
  const foreign = new OperatorClient(config, { ...partyConfig(config, "alice"), node }, at);
  await assert.rejects(foreign.ask({ method: "GET", path: "/who" }), {
    code: "IDENTITY_INVALID",
    message: /refused the operator's certificate in .*operator\/cert\.pem/,
  });
});

Deno.test("OperatorClient waits as long as the node says that it is there, and no longer", async () => {
  const quiet = async () => await new Promise<string>((resolve) => setTimeout(() => resolve("late"), 400));
  await using place = await Place.make({
    "GET /alive": { streams: true, serve: quiet },
    "GET /quiet": { serve: quiet },
  }, { aliveMs: 30 });
  const { follow, ask } = { follow: "/alive", ask: "/quiet" };
  const client = place.client();
  assert.equal(await client.follow({ method: "GET", path: follow, silenceMs: 250 }, () => {}), "late");
  const said = { code: "NODE_UNREACHABLE", message: /said nothing for 0\.25 s/ };
  await assert.rejects(client.ask({ method: "GET", path: ask, silenceMs: 250 }), said);
  await using seldom = await Place.make({ "GET /alive": { streams: true, serve: quiet } });
  const asked = seldom.client().follow({ method: "GET", path: follow, silenceMs: 250 }, () => {});
  await assert.rejects(asked, said);
});

Deno.test("OperatorClient names a node that ends the connection before the answer", async () => {
  const place = await Place.make({
    "GET /half": { streams: true, serve: () => new Promise(() => {}) },
    "GET /cut": { serve: () => new Promise(() => {}) },
  });
  const asked = place.client().follow({ method: "GET", path: "/half" }, () => {});
  const cut = place.client().ask({ method: "GET", path: "/cut" });
  asked.catch(() => {});
  cut.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 100));
  await place[Symbol.asyncDispose]();
  await assert.rejects(asked, { code: "NODE_UNREACHABLE", message: /before the answer/ });
  await assert.rejects(cut, UsageError);
});

async function listen(
  accept: (socket: Socket) => void,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as { port: number }).port };
}
