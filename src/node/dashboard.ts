/**
 * The dashboard: a page of the operator listener that shows a node as it is. It can be looked at with an operator's certificate, and
 * does nothing.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Roster } from "../session/roster.ts";
import type { Links } from "../session/links.ts";
import type { PeerStatus } from "../transport/mesh.ts";
import type { Changes, Topic } from "./changes.ts";
import type { NodeModule } from "./daemon.ts";
import { DASHBOARD_CSS, DASHBOARD_HTML, DASHBOARD_JS } from "./dashboard_page.ts";
import type { OperatorCall, OperatorRoute, OperatorRoutes } from "./operator_server.ts";
import { type LinkView, PeerViews } from "./peer_views.ts";

/** What a dashboard shows beside what operators can ask for. */
export interface DashboardOptions {
  /** Who is in the cluster. */
  readonly roster: Roster;
  /** The links for views. */
  readonly links: Links;
  /** Links, as they are now, and how often each has ended. */
  readonly peers: () => readonly (PeerStatus & { readonly flaps: number })[];
  /** What changes. */
  readonly changes: Changes;
}

/** The dashboard as a part of a node. */
export class Dashboard implements NodeModule {
  readonly #changes: Changes;
  readonly #views: PeerViews;

  /** Begins to tell the peers how the own links are, and to hear how theirs are. */
  constructor({ roster, links, peers, changes }: DashboardOptions) {
    this.#changes = changes;
    this.#views = new PeerViews({ roster, links, own: () => peers().map(viewOf) });
  }

  /** See {@linkcode NodeModule.routes}. */
  get routes(): OperatorRoutes {
    return new Map<string, OperatorRoute>([
      ["GET /", page("text/html; charset=utf-8", DASHBOARD_HTML)],
      ["GET /dashboard.css", page("text/css; charset=utf-8", DASHBOARD_CSS)],
      ["GET /dashboard.js", page("text/javascript; charset=utf-8", DASHBOARD_JS)],
      ["GET /v1/matrix", { serve: () => ({ views: this.#views.views() }) }],
      ["GET /v1/events", { streams: "events", serve: (call) => this.#follow(call) }],
    ]);
  }

  /** Tells nothing more. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#views[Symbol.dispose]();
    return Promise.resolve();
  }

  /** Says what has changed, at most every so often, until nobody listens; links and sessions are looked at anew every second. */
  async #follow({ emit, signal }: OperatorCall): Promise<null> {
    const topics = new Set<Topic>(["links", "sessions", "votes"]);
    const tell = () => {
      if (topics.size > 0) emit({ event: "data", data: { topics: [...topics] } });
      topics.clear();
    };
    const forget = this.#changes.listen((topic) => topics.add(topic));
    const often = setInterval(tell, TELL_MS);
    const seldom = setInterval(() => topics.add("links").add("sessions"), LOOK_MS);
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve());
      if (signal.aborted) resolve();
    });
    clearInterval(often);
    clearInterval(seldom);
    forget();
    return null;
  }
}

const TELL_MS = 200;
const LOOK_MS = 1_000;

function page(mediaType: string, text: string): OperatorRoute {
  return { page: mediaType, serve: () => text };
}

function viewOf(
  { name, state, directions, rttAverageMs, flaps }: PeerStatus & { readonly flaps: number },
): LinkView {
  const isUp = state === "up";
  return {
    name,
    in: isUp ? directions?.in ?? "up" : "down",
    out: isUp ? directions?.out ?? "up" : "down",
    rttMs: rttAverageMs ?? null,
    flaps,
  };
}

/** How often links have ended, by party. */
export function flapsOf(
  peers: readonly { readonly peer: PartyId; readonly downs: Readonly<Record<string, number>> }[],
): ReadonlyMap<PartyId, number> {
  return new Map(
    peers.map(({ peer, downs }) => [peer, Object.values(downs).reduce((sum, count) => sum + count, 0)]),
  );
}
