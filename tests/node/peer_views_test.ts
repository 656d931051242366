import { deepEqual, equal } from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { Changes } from "../../src/node/changes.ts";
import { parseConfig } from "../../src/node/config.ts";
import { Dashboard } from "../../src/node/dashboard.ts";
import type { OperatorEvent } from "../../src/node/operator_wire.ts";
import { type LinkView, PeerViews } from "../../src/node/peer_views.ts";
import type { LinkEvent, Links } from "../../src/session/links.ts";
import { PARTIES } from "./config_text.ts";

const { roster } = parseConfig(PARTIES, "/c/quorate.toml");
const VIEW: LinkView = { name: "alice", in: "up", out: "down", rttMs: 1.5, flaps: 2 };

class Place implements Disposable {
  readonly sent: { readonly to: PartyId; readonly payload: Bytes }[] = [];
  readonly views: PeerViews;
  readonly links: Links;
  #hears: (event: LinkEvent) => void = () => {};

  constructor() {
    this.links = {
      self: partyId(1),
      send: (to, { payload }) => this.sent.push({ to, payload }) > 0,
      bootId: () => undefined,
      closeLink: () => {
        throw new Error("a view is no reason to end a link");
      },
      listen: (receiver) => this.#hears = receiver,
    };
    this.views = new PeerViews({ roster, links: this.links, own: () => [{ ...VIEW, name: "bob" }] });
  }

  hear(from: number, content: unknown): void {
    const payload = content instanceof Uint8Array ? content as Bytes : utf8(JSON.stringify(content));
    const session = new Uint8Array(16);
    this.#hears({ kind: "frame", peer: partyId(from), frame: { type: 0, session, payload } });
  }

  /** What is known of the links of a party. */
  of(name: string): readonly LinkView[] | undefined {
    return this.views.views().find((view) => view.name === name)?.links;
  }

  [Symbol.dispose](): void {
    this.views[Symbol.dispose]();
  }
}

Deno.test("PeerViews shows the own links and those that peers told, whatever they call themselves", () => {
  using place = new Place();
  deepEqual(place.views.views().map(({ name }) => name), ["alice"]);
  place.hear(3, [{ ...VIEW, extra: 1 }]);
  deepEqual(place.views.views().map(({ name }) => name), ["alice", "carol"]);
  deepEqual(place.of("carol"), [VIEW]);
  deepEqual(place.of("alice"), [{ ...VIEW, name: "bob" }]);
  // Nobody speaks for this node.
  place.hear(1, [VIEW]);
  deepEqual(place.of("alice"), [{ ...VIEW, name: "bob" }]);
});

Deno.test("PeerViews leaves out what does not parse, and links to strangers", () => {
  const wrong: readonly unknown[] = [
    utf8("{"),
    Uint8Array.of(0xff),
    {},
    [1],
    [{ ...VIEW, name: "a".repeat(65) }],
    [{ ...VIEW, name: 1 }],
    [{ ...VIEW, in: "sideways" }],
    [{ ...VIEW, out: undefined }],
    [{ ...VIEW, rttMs: -1 }],
    [{ ...VIEW, rttMs: 1e10 }],
    [{ ...VIEW, flaps: 1.5 }],
    [{ ...VIEW, flaps: -1 }],
    Array.from({ length: 65 }, () => VIEW),
    [{ ...VIEW, extra: "x".repeat(64 * 1024) }],
  ];
  using place = new Place();
  for (const content of wrong) {
    place.hear(2, content);
    equal(place.of("bob"), undefined, JSON.stringify(content).slice(0, 80));
  }
  place.hear(2, [VIEW, { ...VIEW, name: "mallory" }, { ...VIEW, rttMs: null }]);
  deepEqual(place.of("bob"), [VIEW, { ...VIEW, rttMs: null }]);
});

Deno.test("PeerViews forgets who has said nothing for long", () => {
  using place = new Place();
  const { now } = performance;
  try {
    let at = 1000;
    performance.now = () => at;
    place.hear(2, [VIEW]);
    at += 10_000;
    deepEqual(place.views.views().map(({ name, ageMs }) => [name, ageMs]), [["alice", 0], ["bob", 10_000]]);
    at += 1;
    equal(place.of("bob"), undefined);
  } finally {
    performance.now = now;
  }
});

Deno.test("PeerViews tells everybody else, and nobody once it is disposed", async () => {
  const place = new Place();
  await new Promise((resolve) => setTimeout(resolve, 1050));
  place[Symbol.dispose]();
  deepEqual(place.sent.slice(0, 4).map(({ to }) => Number(to)), [2, 3, 4, 5]);
  deepEqual(JSON.parse(new TextDecoder().decode(place.sent[0]?.payload)), [{ ...VIEW, name: "bob" }]);
});

Deno.test("Dashboard follows changes until nobody listens, also where the listener is gone before", async () => {
  using place = new Place();
  const changes = new Changes();
  const dashboard = new Dashboard({ roster, links: place.links, peers: () => [], changes });
  const follow = dashboard.routes.get("GET /v1/events");
  const told: OperatorEvent[] = [];
  const stop = new AbortController();
  const call = { operator: "admin", input: undefined, emit: (event: OperatorEvent) => told.push(event) };
  const gone = follow?.serve({ ...call, signal: AbortSignal.abort() });
  const following = follow?.serve({
    ...call,
    signal: stop.signal,
    emit: (event) => {
      if (told.push(event) === 1) setTimeout(() => changes.say("votes"), 0);
      else stop.abort();
    },
  });
  equal(await gone, null);
  equal(await following, null);
  deepEqual(told, [
    { event: "data", data: { topics: ["links", "sessions", "votes"] } },
    { event: "data", data: { topics: ["votes"] } },
  ]);
  await dashboard[Symbol.asyncDispose]();
});
