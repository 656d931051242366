/**
 * Messages about approvals over the links of a party, and who is there to get them.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, EMPTY } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import type { LinkEvent, Links } from "../session/links.ts";
import { printable } from "../session/messages.ts";
import { NO_SESSION } from "../session/opening.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import {
  type ApprovalMessage,
  decodeApprovalMessage,
  encodeApprovalMessage,
  type TxPlace,
} from "./approval_wire.ts";
import type { SignLock } from "./sign_locks.ts";

/** What is told of the links. */
export interface PostEvents {
  /** A peer can be reached, or not any more. */
  link(peer: PartyId, isUp: boolean): void;
  /** A peer says something. */
  message(peer: PartyId, message: ApprovalMessage): void;
}

/** Sends and receives. */
export class ApprovalPost {
  readonly #links: Links;
  readonly #up = new Set<PartyId>();

  /** Listens. @param links of frames of the type `APPROVAL`. */
  constructor(links: Links, events: PostEvents) {
    this.#links = links;
    links.listen((event) => this.#hear(event, events));
  }

  /** Who can be reached. */
  get up(): readonly PartyId[] {
    return [...this.#up];
  }

  /** Whether a peer can be reached. */
  reaches(peer: PartyId): boolean {
    return this.#up.has(peer);
  }

  /** Sends a message, where the link is up. */
  send(peer: PartyId, message: ApprovalMessage): boolean {
    const payload = encodeApprovalMessage(message);
    return this.#links.send(peer, { type: NodeMessageType.APPROVAL, session: NO_SESSION, payload });
  }

  /** Says how something stands here. */
  tell(peers: readonly PartyId[], { keyId, txId }: TxPlace, lock: SignLock | undefined): void {
    const [state, signature] = [lock?.state ?? "none", lock?.signature ?? EMPTY] as const;
    for (const peer of peers) this.send(peer, { kind: "told", keyId, txId, state, signature });
  }

  /** Says that this node does not take part. */
  refuse(
    peers: readonly PartyId[],
    refusal: {
      readonly txId: string;
      readonly request?: Bytes;
      readonly code: string;
      readonly reason: string;
    },
  ): void {
    const { txId, request = NO_REQUEST, code } = refusal;
    const reason = printable(refusal.reason, REASON_BYTES_MAX);
    for (const peer of peers) this.send(peer, { kind: "refused", request, txId, code, reason });
  }

  #hear(event: LinkEvent, events: PostEvents): void {
    if (event.kind !== "frame") {
      if (event.kind === "up") this.#up.add(event.peer);
      else this.#up.delete(event.peer);
      return events.link(event.peer, event.kind === "up");
    }
    let message: ApprovalMessage;
    try {
      message = decodeApprovalMessage(event.frame.payload);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return this.#links.closeLink(event.peer, "MESSAGE_INVALID", error.message);
    }
    events.message(event.peer, message);
  }
}

const NO_REQUEST: Bytes = new Uint8Array(32);
const REASON_BYTES_MAX = 1000;
