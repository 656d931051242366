/**
 * How far a link is, and which frames may come there.
 *
 * @module
 */

import { FrameType } from "../session/links.ts";

/** How far a link is. */
export type LinkStage = "hello" | "ack" | "sealed" | "up" | "closed";

/** HELLO and HELLO_ACK only once and in order; the first sealed frame is a PING; nothing is unsealed afterwards. */
export function isAllowed(
  stage: LinkStage,
  { type, sealed, peerIsSealed }: {
    readonly type: number;
    readonly sealed: boolean;
    /** Whether that first PING has come. */
    readonly peerIsSealed: boolean;
  },
): boolean {
  switch (stage) {
    case "hello":
      return type === FrameType.HELLO && !sealed;
    case "ack":
      return type === FrameType.HELLO_ACK && !sealed;
    case "sealed":
      return type === FrameType.PING && sealed && !peerIsSealed;
    case "up":
      return sealed && type !== FrameType.HELLO && type !== FrameType.HELLO_ACK;
    case "closed":
      return false;
  }
}
