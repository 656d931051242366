/**
 * What a session says to its peers when it ends: DONE, ABORT, SESSION_REFUSED (WIRE.md 3, 4).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import type { QuorateError } from "../base/errors.ts";
import type { SessionContext } from "./context.ts";
import type { Evidence } from "./evidence.ts";
import { encodeAbort, type Farewell, farewellOf, shownEnvelopes } from "./farewell.ts";
import { FrameType, type SessionFrame } from "./links.ts";
import { doneCodec, printable, refusedCodec, type RefusedMessage } from "./messages.ts";
import { NO_SESSION } from "./opening.ts";

/** What an announcer knows of its session. */
export interface AnnouncerOptions {
  readonly context: SessionContext;
  readonly prop: Bytes;
  /** Everybody else in it. */
  readonly peers: readonly PartyId[];
  /** The nonce of a party's OPEN, if it is known. */
  nonceOf(party: PartyId): Bytes | undefined;
  /** The process of a peer that is in the session. */
  bootIdOf(peer: PartyId): Bytes | undefined;
  /** A farewell that could not be given. */
  unsaid(peer: PartyId, bootId: Bytes, frame: SessionFrame): void;
}

/** Sends what ends a session. */
export class Announcer {
  readonly #options: AnnouncerOptions;

  /** For one session. */
  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /**
   * Says why the session ends here. In round 0 an ABORT goes out only with evidence: a peer that has not all OPENs yet does not know
   * the session's id.
   *
   * @param sid undefined before round 1 where there is none.
   */
  failure(
    error: QuorateError,
    evidence: readonly Evidence[],
    { sid, isRunning }: { readonly sid: SessionId | undefined; readonly isRunning: boolean },
  ): void {
    const { context, prop, nonceOf } = this.#options;
    const farewell = farewellOf(error, context.roster);
    const shown = shownEnvelopes(evidence);
    if (isRunning || shown.length > 0) this.abort(sid as SessionId, farewell, shown);
    if (isRunning) return;
    this.refusal({
      otherProp: prop,
      otherNonce: nonceOf(context.self) ?? NO_NONCE,
      parties: farewell.parties,
      code: farewell.code,
      field: "",
      ours: "",
      theirs: printable(farewell.text, 512),
    });
  }

  /** Leaves round 0. */
  refusal(refused: Omit<RefusedMessage, "prop" | "nonce" | "ourCommand">): void {
    const { context: { self, command }, prop, nonceOf } = this.#options;
    const nonce = nonceOf(self);
    if (nonce === undefined) return;
    const message = { prop, nonce, ourCommand: command, ...refused };
    this.#sendToAll(FrameType.SESSION_REFUSED, NO_SESSION, encode(refusedCodec, message));
  }

  /** Ends the session for all. */
  abort(sid: SessionId, farewell: Farewell, envelopes: readonly Bytes[]): void {
    this.#sendToAll(FrameType.ABORT, sid.slice(0, 16), encodeAbort(sid, farewell, envelopes));
  }

  /** This party has its result. */
  done(peer: PartyId, sid: SessionId): void {
    const payload = encode(doneCodec, { sid });
    this.#options.context.links.send(peer, { type: FrameType.DONE, session: sid.slice(0, 16), payload });
  }

  #sendToAll(type: FrameType, session: Bytes, payload: Bytes): void {
    const { context, peers, bootIdOf, unsaid } = this.#options;
    const frame = { type, session, payload };
    for (const peer of peers) {
      const bootId = bootIdOf(peer);
      if (!context.links.send(peer, frame) && bootId !== undefined) unsaid(peer, bootId, frame);
    }
  }
}

/** In the place of a nonce that is not known. */
export const NO_NONCE: Bytes = new Uint8Array(32);
