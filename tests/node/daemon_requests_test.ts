import assert from "node:assert/strict";
import { z } from "zod";
import { TransportError, UsageError } from "../../src/base/errors.ts";
import { type AnyCommand, peersCommand, storeCommand } from "../../src/node/command.ts";
import { NodeRequests } from "../../src/node/daemon_requests.ts";
import type { OperatorCall } from "../../src/node/operator_server.ts";
import type { OperatorEvent } from "../../src/node/operator_wire.ts";
import type { Party } from "../../src/node/party.ts";
import { Log } from "../../src/telemetry/log.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import type { MeshEvent } from "../../src/transport/mesh.ts";
import { Cluster } from "./fixture.ts";

/** Requests to a party of its own, with commands of these tests. */
class Place implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly party: Party;
  readonly requests: NodeRequests;
  readonly metrics = new Metrics();
  readonly lines: Readonly<Record<string, unknown>>[] = [];

  private constructor(cluster: Cluster, party: Party, commands: readonly AnyCommand[]) {
    this.cluster = cluster;
    this.party = party;
    this.requests = new NodeRequests({
      party,
      commands,
      metrics: this.metrics,
      log: new Log({
        party: "alice",
        cluster: "demo",
        format: "json",
        level: "info",
        write: (line) => void this.lines.push(JSON.parse(line)),
      }),
    });
  }

  static async make(...commands: unknown[]): Promise<Place> {
    const cluster = await Cluster.make(["alice", "bob"]);
    return new Place(cluster, await cluster.open("alice"), commands as AnyCommand[]);
  }

  /** Asks as the operator does. */
  ask(name: string, input: unknown = {}, more: Partial<OperatorCall> & { readonly timeoutMs?: number } = {}) {
    const route = this.requests.routes.get(`POST /v1/commands/${name}`);
    assert.ok(route !== undefined);
    const { timeoutMs, ...call } = more;
    return route.serve({
      operator: "admin",
      input: { command: `do ${name}`, ...(timeoutMs === undefined ? {} : { timeoutMs }), input },
      signal: new AbortController().signal,
      emit: () => {},
      ...call,
    }) as Promise<unknown>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.party.close();
    this.cluster[Symbol.dispose]();
  }
}

const ANYTHING = z.strictObject({ key: z.string().optional(), n: z.int().optional() });

/** A command that runs until it is let go, or cancelled. */
function held() {
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<string>();
  const command = peersCommand("held", ANYTHING, async (party) => {
    const { cancel } = party;
    party.cancel = () => {
      cancel.call(party);
      end.reject(new TransportError("CANCELLED", "cancelled here"));
    };
    begun.resolve();
    return await end.promise;
  });
  return { command, begun: begun.promise, end };
}

Deno.test("a request is checked before anything is done for it", async () => {
  await using place = await Place.make(peersCommand("go", ANYTHING, () => Promise.resolve("done")));
  const { serve } = place.requests.routes.get("POST /v1/commands/go") ?? assert.fail();
  const call = { operator: "admin", signal: new AbortController().signal, emit: () => {} };
  const cases: [unknown, RegExp][] = [
    [undefined, /no valid form/],
    [{ input: {} }, /no valid command/],
    [{ command: "x".repeat(257), input: {} }, /no valid command/],
    [{ command: "x", timeoutMs: 999, input: {} }, /no valid timeoutMs/],
    [{ command: "x", timeoutMs: 3_600_001, input: {} }, /no valid timeoutMs/],
    [{ command: "x", more: 1, input: {} }, /no valid form/],
    [{ command: "x", input: { n: 1.5 } }, /no valid n/],
    [{ command: "x", input: { more: 1 } }, /no valid form/],
  ];
  for (const [input, message] of cases) {
    await assert.rejects(serve({ ...call, input }) as Promise<unknown>, { code: "USAGE", message });
  }
  assert.deepEqual(place.lines, []);
  assert.equal(await serve({ ...call, input: { command: "x", timeoutMs: 1000, input: { n: 1 } } }), "done");
});

Deno.test("a request is logged, counted and recorded with its operator, also where it fails", async () => {
  await using place = await Place.make(
    peersCommand("good", ANYTHING, () => Promise.resolve(1)),
    peersCommand(
      "bad",
      ANYTHING,
      () => Promise.reject(new UsageError("STORE_UNWRITABLE", "the disk is full")),
    ),
    peersCommand("bug", ANYTHING, () => Promise.reject(new TypeError("secret 1234"))),
  );
  await place.ask("good");
  await assert.rejects(place.ask("bad"), { code: "STORE_UNWRITABLE" });
  await assert.rejects(place.ask("bug"), TypeError);
  assert.deepEqual(place.lines.map(({ code, req, operator, reason }) => [code, req, operator, reason]), [
    ["REQUEST_STARTED", "1", "admin", undefined],
    ["REQUEST_DONE", "1", "admin", undefined],
    ["REQUEST_STARTED", "2", "admin", undefined],
    ["STORE_UNWRITABLE", "2", "admin", "the disk is full"],
    ["REQUEST_STARTED", "3", "admin", undefined],
    ["INVARIANT", "3", "admin", "a bug in this program"],
  ]);
  const text = place.metrics.text();
  assert.match(text, /^quorate_commands_total\{command="good",result="ok"\} 1$/m);
  assert.match(text, /^quorate_commands_total\{command="bad",result="STORE_UNWRITABLE"\} 1$/m);
  assert.match(text, /^quorate_share_store_errors_total\{code="STORE_UNWRITABLE"\} 1$/m);
  const { size, waiting } = place.party.local.audit.log.status();
  assert.equal(size + waiting, 3);
});

Deno.test("stop() takes no new requests, and waits for those that run", async () => {
  const one = held();
  await using place = await Place.make(one.command);
  const asked = place.ask("held");
  await one.begun;
  let isOver = false;
  const stopped = place.requests.stop(60_000).then(() => isOver = true);
  assert.equal(place.requests.isStopping, true);
  await assert.rejects(place.ask("held"), { code: "PARTY_BUSY", message: /stopping/ });
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(isOver, false);
  one.end.resolve("signed");
  assert.equal(await asked, "signed");
  await stopped;
});

Deno.test("stop() cancels what has not ended in time, and cancel() at once", async () => {
  const one = held(), two = held();
  await using place = await Place.make(one.command);
  await using other = await Place.make(two.command);
  const asked = place.ask("held"), alsoAsked = other.ask("held");
  for (const promise of [asked, alsoAsked]) promise.catch(() => {});
  await Promise.all([one.begun, two.begun]);
  await place.requests.stop(1);
  await assert.rejects(asked, { code: "CANCELLED" });
  const stopped = other.requests.stop(60_000);
  other.requests.cancel();
  await stopped;
  await assert.rejects(alsoAsked, { code: "CANCELLED" });
});

Deno.test("a request that waits for its turn is waited for and cancelled as those that run", async () => {
  const one = held();
  const command = { ...one.command, keyOf: () => "k" };
  const store = storeCommand("store", ANYTHING, () => "never", () => "k");
  await using place = await Place.make(command, store);
  const first = place.ask("held");
  await one.begun;
  const [turn] = [place.requests.turns.take("k")];
  turn.runs();
  const second = place.ask("store");
  second.catch(() => {});
  first.catch(() => {});
  const stopped = place.requests.stop(60_000);
  place.requests.cancel();
  await stopped;
  await assert.rejects(second, { code: "CANCELLED" });
  await assert.rejects(first, { code: "CANCELLED" });
  turn[Symbol.dispose]();
});

Deno.test("a request of an operator who went away is cancelled, also before it has begun", async () => {
  const one = held();
  await using place = await Place.make(one.command);
  const gone = new AbortController();
  const asked = place.ask("held", {}, { signal: gone.signal });
  await one.begun;
  gone.abort();
  await assert.rejects(asked, { code: "CANCELLED" });
  await assert.rejects(place.ask("held", {}, { signal: gone.signal }), {
    code: "CANCELLED",
    message: /before it began/,
  });
});

Deno.test("a request whose key was changed meanwhile begins anew, a bounded number of times and not for nobody", async () => {
  let runs = 0;
  const stale = new UsageError("KEY_CHANGED", "another request changed the key");
  const gone = new AbortController();
  await using place = await Place.make(
    peersCommand(
      "twice",
      ANYTHING,
      () => ++runs < 3 ? Promise.reject(stale) : Promise.resolve(runs),
      () => "k",
    ),
    peersCommand("always", ANYTHING, () => Promise.reject((runs++, stale)), () => "k"),
    peersCommand("nobody", ANYTHING, () => {
      runs++;
      gone.abort();
      return Promise.reject(stale);
    }, () => "k"),
  );
  assert.equal(await place.ask("twice"), 3);
  runs = 0;
  await assert.rejects(place.ask("always"), { code: "KEY_CHANGED" });
  assert.equal(runs, 8);
  runs = 0;
  await assert.rejects(place.ask("nobody", {}, { signal: gone.signal }), { code: "KEY_CHANGED" });
  assert.equal(runs, 1);
  assert.equal(place.requests.turns.sizes.size, 0, "every turn was given back");
});

Deno.test("who waits for peers hears what happens to links, as long as it waits", async () => {
  const one = held();
  await using place = await Place.make(one.command);
  const heard: OperatorEvent[] = [];
  const asked = place.ask("held", {}, { emit: (event) => void heard.push(event) });
  await one.begun;
  const link: MeshEvent = { code: "LINK_UP", peer: "bob", text: "the link to bob is up" };
  place.requests.linkChanged(link);
  one.end.resolve("");
  await asked;
  place.requests.linkChanged(link);
  assert.deepEqual(heard, [{ event: "link", link }]);
});
