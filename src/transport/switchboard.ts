/**
 * Several users of the same links: sessions, votes, witnesses of logs. Each gets the types of frames that are its own.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import type { LinkEvent, Links } from "../session/links.ts";

/** Receives events of links. */
type Receiver = (event: LinkEvent) => void;

/** Hands out what comes over links by the type of frame. Links that come up and end are told to everybody. */
export class Switchboard {
  /** The links for whoever gets all types that nobody else has asked for. */
  readonly rest: Links;
  readonly #links: Links;
  readonly #byType = new Map<number, Receiver>();
  readonly #receivers = new Set<Receiver>();
  readonly #up = new Map<PartyId, Bytes>();
  #rest: Receiver = () => {};

  readonly #failed: (error: unknown) => void;

  /** Takes over links that nobody listens to yet. @param failed hears what a user throws who came late: it must not end the process. */
  constructor(links: Links, failed: (error: unknown) => void = rethrown) {
    this.#links = links;
    this.#failed = failed;
    this.rest = this.#view((receiver) => this.#rest = receiver);
    links.listen((event) => this.#route(event));
  }

  /** The links for frames of one type. A user who comes late is told of the links that are up. */
  channel(type: number): Links {
    return this.#view((receiver) => {
      invariant(!this.#byType.has(type), "frames of one type have one receiver");
      this.#byType.set(type, receiver);
    });
  }

  #view(register: (receiver: Receiver) => void): Links {
    const links = this.#links;
    return {
      self: links.self,
      send: (peer, frame) => links.send(peer, frame),
      bootId: (peer) => links.bootId(peer),
      closeLink: (peer, code, why) => links.closeLink(peer, code, why),
      listen: (receiver) => {
        register(receiver);
        this.#receivers.add(receiver);
        for (const [peer, bootId] of this.#up) {
          // Never from inside the call that registers; and not of a link that is gone by then.
          queueMicrotask(() => {
            if (this.#up.get(peer) !== bootId) return;
            try {
              receiver({ kind: "up", peer, bootId });
            } catch (error) {
              this.#failed(error);
            }
          });
        }
      },
    };
  }

  #route(event: LinkEvent): void {
    if (event.kind === "frame") return (this.#byType.get(event.frame.type) ?? this.#rest)(event);
    if (event.kind === "up") this.#up.set(event.peer, event.bootId);
    else this.#up.delete(event.peer);
    let failed: { readonly error: unknown } | undefined;
    for (const receiver of [...this.#receivers]) {
      try {
        receiver(event);
      } catch (error) {
        // The others have to know of the link all the same.
        failed ??= { error };
      }
    }
    if (failed !== undefined) throw failed.error;
  }
}

function rethrown(error: unknown): never {
  throw error;
}
