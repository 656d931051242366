/**
 * `quorate peers`: how the links of the node of this party are, per direction.
 *
 * @module
 */

import type { Command } from "commander";
import type { PeerReport, StatusReport } from "../src/node/daemon_report.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";
import { requireQuorum } from "./status.ts";

/** Adds the command. */
export function addPeers(root: Command): void {
  root.command("peers")
    .description(
      "how the links of the node of this party are, per direction; exit code 2 where there is no quorum",
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const client = operatorClientOf(options);
      const { peers } = await client.ask({ method: "GET", path: "/v1/peers" }) as {
        readonly peers: readonly PeerReport[];
      };
      print(options.json, peers, tableOfPeers(peers));
      requireQuorum(await client.ask({ method: "GET", path: "/v1/status" }) as StatusReport);
    });
}

function tableOfPeers(peers: readonly PeerReport[]): string {
  const head = [
    "PEER",
    "IN",
    "OUT",
    "RTT",
    "CLOCK",
    "FLAPS",
    "ROSTER",
    "VERSION",
    "CERTIFICATE",
    "ADDRESS",
    "",
  ];
  const rows = peers.map((peer) => [
    peer.name,
    peer.in,
    peer.out,
    milliseconds(peer.rttMs, 1),
    milliseconds(peer.clockOffsetMs, 0),
    String(peer.flaps),
    peer.rosterEqual === null ? "-" : peer.rosterEqual ? (peer.rosterHash ?? "").slice(0, 8) : "OTHER",
    peer.version === null ? "-" : String(peer.version),
    peer.certificateDays === null ? "-" : `${peer.certificateDays} days`,
    peer.address,
    peer.state === "up" || peer.lastFault === null ? "" : `${peer.lastFault.code}: ${peer.lastFault.text}`,
  ]);
  return table(rows, head);
}

function milliseconds(value: number | null, digits: number): string {
  return value === null ? "-" : `${value.toFixed(digits)} ms`;
}
