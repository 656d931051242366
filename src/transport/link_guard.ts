/**
 * Ends links whose certificates no longer hold: when one of the two expires, and when authorities, lists or pins change. A party
 * that has a good certificate connects anew at once, and its sessions go on (WIRE.md 5); one that has none stays outside.
 *
 * @module
 */

import type { LinkCode } from "./faults.ts";
import { LinkFault } from "./faults.ts";
import type { CheckedLeaf, LeafPolicy } from "./peer_identity.ts";

/** As much of a link as is needed here. */
export interface GuardedLink {
  /** Ends the connection at once. */
  close(code: LinkCode, text?: string): void;
  /** Ends the connection after what was queued has left. */
  closeGently(code: string, text: string): void;
}

/** The certificates with which a link was made. */
export interface LinkCertificates {
  /** Ours. */
  readonly own: CheckedLeaf;
  /** The peer's. */
  readonly peer: CheckedLeaf;
}

/** Watches over links. */
export class LinkGuard {
  readonly #links = new Map<GuardedLink, { readonly peer: CheckedLeaf; readonly expiry: Timer }>();

  /** Begins to watch. */
  add(link: GuardedLink, { own, peer }: LinkCertificates): void {
    const [who, notAfter] = own.notAfter < peer.notAfter
      ? ["this node's certificate", own.notAfter] as const
      : ["the peer's certificate", peer.notAfter] as const;
    const expiry = new Timer(notAfter, () => link.closeGently("CERT_EXPIRED", `${who} has expired`));
    this.#links.set(link, { peer, expiry });
  }

  /** Stops watching. */
  remove(link: GuardedLink): void {
    this.#links.get(link)?.expiry.cancel();
    this.#links.delete(link);
  }

  /** Judges all links anew. A list that is too old, as a certificate's dates, ends none: the one for new links, the other in time. */
  judge(policy: LeafPolicy): void {
    const now = Date.now();
    for (const [link, { peer }] of [...this.#links]) {
      const fault = faultOf(policy, peer, now);
      if (fault === undefined || IN_TIME.has(fault.code)) continue;
      // What a party sends with a key that is not trusted any more is not waited for.
      link.close(fault.code, fault.message);
    }
  }
}

function faultOf(policy: LeafPolicy, { raw }: CheckedLeaf, now: number): LinkFault | undefined {
  try {
    policy.check(raw, now);
    return undefined;
  } catch (error) {
    return error instanceof LinkFault ? error : new LinkFault("INTERNAL");
  }
}

/** Calls back once a time of the wall clock has come, which may be set back or forth meanwhile. */
class Timer {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(time: number, callback: () => void) {
    const wait = () => {
      const left = time - Date.now();
      if (left < 0) return callback();
      this.#timer = setTimeout(wait, Math.min(left + 1, LOOK_AGAIN_MS));
    };
    this.#timer = setTimeout(wait, Math.min(Math.max(0, time - Date.now() + 1), LOOK_AGAIN_MS));
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}

const IN_TIME: ReadonlySet<LinkCode> = new Set<LinkCode>([
  "CERT_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CRL_EXPIRED",
]);
/** So often the clock is looked at. */
const LOOK_AGAIN_MS = 60_000;
