/**
 * How the other nodes see their links, as they say it themselves: one row each of the matrix that a dashboard shows. For people alone;
 * nothing rests on it.
 *
 * @module
 */

import { z } from "zod";
import type { PartyId } from "../base/brands.ts";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { LinkEvent, Links } from "../session/links.ts";
import { NO_SESSION } from "../session/opening.ts";
import type { Roster } from "../session/roster.ts";
import { NodeMessageType } from "../transport/message_types.ts";

/** How one direction of a link is. `unknown`: the peer has not said yet. */
export type Direction = "up" | "down" | "unknown";

/** A link as one side sees it. */
export interface LinkView {
  /** Name of the peer. */
  readonly name: string;
  /** Whether what the peer sends arrives. */
  readonly in: Direction;
  /** Whether what is sent to the peer arrives. */
  readonly out: Direction;
  /** Average of the last round trips; null where it is not known. */
  readonly rttMs: number | null;
  /** How often the link has ended. */
  readonly flaps: number;
}

/** What a node says of its links. */
export interface NodeView {
  /** Whose view it is. */
  readonly name: string;
  /** How long ago it was said, in milliseconds. */
  readonly ageMs: number;
  /** Its links. */
  readonly links: readonly LinkView[];
}

/** What is needed to tell and to hear. */
export interface PeerViewsOptions {
  /** Who may say something of whom. */
  readonly roster: Roster;
  /** The links for views. */
  readonly links: Links;
  /** Own links, as they are now. */
  readonly own: () => readonly LinkView[];
}

/** Tells the own view, and remembers the last one of every peer. */
export class PeerViews implements Disposable {
  readonly #options: PeerViewsOptions;
  readonly #heard = new Map<PartyId, { readonly at: number; readonly links: readonly LinkView[] }>();
  readonly #timer: ReturnType<typeof setInterval>;

  /** Begins to tell. */
  constructor(options: PeerViewsOptions) {
    this.#options = options;
    options.links.listen((event) => this.#hear(event));
    this.#timer = setInterval(() => this.#tell(), TELL_MS);
  }

  /** All views, ascending by index, the own one among them. A node that has said nothing for long is left out. */
  views(): readonly NodeView[] {
    const { roster, links: { self }, own } = this.#options;
    const now = performance.now();
    return roster.parties.flatMap(({ index, name }): NodeView[] => {
      if (index === self) return [{ name, ageMs: 0, links: own() }];
      const heard = this.#heard.get(index);
      if (heard === undefined || now - heard.at > FORGET_MS) return [];
      return [{ name, ageMs: Math.round(now - heard.at), links: heard.links }];
    });
  }

  /** Says nothing more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    const { roster, links, own } = this.#options;
    const payload = utf8(JSON.stringify(own()));
    for (const { index } of roster.parties) {
      if (index === links.self) continue;
      links.send(index, { type: NodeMessageType.VIEW, session: NO_SESSION, payload });
    }
  }

  /** What does not parse is left out: a dashboard is no reason to end a link. */
  #hear(event: LinkEvent): void {
    if (event.kind !== "frame" || event.frame.payload.length > VIEW_BYTES_MAX) return;
    const { roster } = this.#options;
    const known = new Set(roster.parties.map(({ name }) => name));
    const parsed = VIEW.safeParse(jsonOf(event.frame.payload));
    if (!parsed.success) return;
    this.#heard.set(event.peer, {
      at: performance.now(),
      links: parsed.data.filter(({ name }) => known.has(name)),
    });
  }
}

const TELL_MS = 1_000;
const FORGET_MS = 10_000;
const VIEW_BYTES_MAX = 64 * 1024;
const DIRECTION = z.enum(["up", "down", "unknown"]);
const VIEW = z.array(z.object({
  name: z.string().max(64),
  in: DIRECTION,
  out: DIRECTION,
  rttMs: z.number().min(0).max(1e9).nullable(),
  flaps: z.int().min(0),
})).max(64);

function jsonOf(payload: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(payload) ?? "");
  } catch {
    return undefined;
  }
}
