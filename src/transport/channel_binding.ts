/**
 * What binds a HELLO to its TLS connection (WIRE.md 2).
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import { copy } from "../base/bytes.ts";
import { LinkFault } from "./faults.ts";
import type { ChannelBinding } from "./hello.ts";
import type { LinkRole } from "./sealed_channel.ts";

/** The TLS exporter values of this connection (PLATFORM.md): without them a HELLO could be relayed. */
export function readBinding(socket: TLSSocket, role: LinkRole): ChannelBinding {
  const own = socket.getFinished();
  const peer = socket.getPeerFinished();
  if (own?.length !== 32 || peer?.length !== 32) {
    throw new LinkFault(
      "TLS_FAILED",
      "this runtime does not give the TLS exporter values that HELLO is bound to",
    );
  }
  return role === "dialler"
    ? { exporterClient: copy(own), exporterServer: copy(peer) }
    : { exporterClient: copy(peer), exporterServer: copy(own) };
}
