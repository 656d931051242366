/**
 * What a new member has to know before it votes (VOTING 7): in which transactions the members that stay have voted before. Each says so
 * page by page, after its epoch is closed, so that its list does not grow any more.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, concat, hex, utf8 } from "../base/bytes.ts";
import { bytes, type Codec, DecodeError, map, struct, U32 } from "../base/codec.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { voterCodec } from "./vote.ts";

/** A page of a list. */
export interface LockedPage {
  /** The epoch that the list is for: of what was locked before it. */
  readonly epoch: number;
  /** Number of the page, from 0. */
  readonly page: number;
  /** How many there are. */
  readonly pages: number;
  /** Prefixes of the hashes of names, one after the other. */
  readonly prefixes: Bytes;
}

/** A page, and who says so: its place in the epoch that the list is for. */
export interface StoredPage extends LockedPage {
  /** Who says so. */
  readonly member: PartyId;
}

/** A question for pages. */
export interface PageRequest {
  /** See {@linkcode LockedPage.epoch}. */
  readonly epoch: number;
  /** From this one on. */
  readonly page: number;
}

/** Pages in one answer. */
export const PAGES_AT_ONCE = 3;
/** Names on one page. */
export const PAGE_PREFIXES = 4096;
const PREFIX_BYTES = 8;
const PAGES_MAX = 1024;

/** What stands for the name of a transaction in a list, in hexadecimal. */
export function lockedPrefix(txId: string): string {
  return hex(hash(Tag.voteTx, utf8(txId)).subarray(0, PREFIX_BYTES));
}

/** A list as pages; at least one. @param prefixes as {@linkcode lockedPrefix} makes them, in any order. */
export function pagesOf(epoch: number, prefixes: Iterable<string>): readonly LockedPage[] {
  const sorted = [...new Set(prefixes)].sort();
  const pages = Math.max(1, Math.ceil(sorted.length / PAGE_PREFIXES));
  return Array.from({ length: pages }, (_, page) => ({
    epoch,
    page,
    pages,
    prefixes: concat(
      ...sorted.slice(page * PAGE_PREFIXES, (page + 1) * PAGE_PREFIXES).map((one) => Uint8Array.fromHex(one)),
    ),
  }));
}

/** The lists that a new member has. */
export class JoinLists {
  readonly #epoch: number;
  readonly #from: ReadonlySet<PartyId>;
  readonly #needed: number;
  readonly #pages = new Map<PartyId, Map<number, LockedPage>>();
  readonly #closed = new Set<string>();

  /** @param from members that stay. @param needed the quorum before: of so many it needs all pages. */
  constructor({ epoch, from, needed }: {
    readonly epoch: number;
    readonly from: Iterable<PartyId>;
    readonly needed: number;
  }) {
    this.#epoch = epoch;
    this.#from = new Set(from);
    this.#needed = needed;
  }

  /** Whether it has enough of them. */
  get isComplete(): boolean {
    return [...this.#pages.keys()].filter((member) => this.#isWhole(member)).length >= this.#needed;
  }

  /** Everything that is in one of them. */
  get closed(): ReadonlySet<string> {
    return this.#closed;
  }

  /** Whether a page is new here, and of a member that stays. */
  lacks({ epoch, member, page, pages }: StoredPage): boolean {
    if (epoch !== this.#epoch || !this.#from.has(member)) return false;
    const known = this.#pages.get(member);
    const [first] = known?.values() ?? [];
    return page < pages && known?.has(page) !== true && (first === undefined || first.pages === pages);
  }

  /** Takes a page that is lacking. */
  add(stored: StoredPage): void {
    const known = this.#pages.get(stored.member) ?? new Map<number, LockedPage>();
    this.#pages.set(stored.member, known.set(stored.page, stored));
    for (let at = 0; at < stored.prefixes.length; at += PREFIX_BYTES) {
      this.#closed.add(hex(stored.prefixes.subarray(at, at + PREFIX_BYTES)));
    }
  }

  /** What to ask a member for; undefined where it has nothing to say that is needed. */
  request(member: PartyId): PageRequest | undefined {
    if (this.isComplete || !this.#from.has(member) || this.#isWhole(member)) return undefined;
    const known = this.#pages.get(member);
    let page = 0;
    while (known?.has(page)) page++;
    return { epoch: this.#epoch, page };
  }

  #isWhole(member: PartyId): boolean {
    const known = this.#pages.get(member);
    const [first] = known?.values() ?? [];
    return first !== undefined && known?.size === first.pages;
  }
}

/** A page. */
export const lockedPageCodec: Codec<LockedPage> = struct({
  epoch: U32,
  page: U32,
  pages: map(U32, (pages: number) => pages, (pages) => {
    if (pages > PAGES_MAX) {
      throw new DecodeError(`a list of locked transactions has at most ${PAGES_MAX} pages`);
    }
    return pages;
  }),
  prefixes: map(bytes(PAGE_PREFIXES * PREFIX_BYTES), (prefixes: Bytes) => prefixes, (prefixes) => {
    if (prefixes.length % PREFIX_BYTES === 0) return prefixes;
    throw new DecodeError("a list of prefixes ends within one");
  }),
});

/** A page, and who says so. */
export const storedPageCodec: Codec<StoredPage> = map(
  struct({ member: voterCodec, content: lockedPageCodec }),
  ({ member, ...content }: StoredPage) => ({ member, content }),
  ({ member, content }) => ({ member, ...content }),
);

/** A question for pages. */
export const pageRequestCodec: Codec<PageRequest> = struct({ epoch: U32, page: U32 });
