/**
 * What this party knows beside an error, in the error's own sentence: a link that is down, a stranger at the door, a file.
 *
 * @module
 */

import { TransportError, UsageError } from "../base/errors.ts";
import type { PeerStatus } from "../transport/mesh.ts";

/** What is known beside a session that failed. */
export interface Surroundings {
  /** How the links are. */
  readonly links: readonly Pick<PeerStatus, "peer" | "name" | "state" | "role" | "lastFault">[];
  /** Where this party listens. */
  readonly listen: string;
  /** Why the last connection of nobody in particular was refused here. */
  readonly turnedAway: string | undefined;
  /** Whether this party was told to stop. */
  readonly stopped: boolean;
}

/** A time-out says who did not reach whom and why, as far as it is seen from here; a stop says that it was one. */
export function explained(error: unknown, surroundings: Surroundings): unknown {
  if (!(error instanceof TransportError)) return error;
  if (error.code === "CANCELLED" && surroundings.stopped) {
    return reworded(error, "the command was stopped here before it ended: run it again at all its parties");
  }
  if (error.code !== "TIMEOUT") return error;
  const reasons = surroundings.links
    .filter(({ peer, state }) => state === "down" && error.parties.includes(peer))
    .map((link) => reasonOf(link, surroundings))
    .filter((reason) => reason !== undefined);
  return reasons.length === 0 ? error : reworded(error, `${error.message} (${reasons.join("; ")})`);
}

/** Names the files that hold what is wrong with the own certificate. */
export function withFiles(error: unknown, paths: readonly string[]): unknown {
  if (!(error instanceof UsageError) || error.code !== "IDENTITY_INVALID") return error;
  const { code, message, party } = error;
  return new UsageError(code, `${message}; the files are ${paths.join(", ")}`, {
    cause: error,
    ...(party === undefined ? {} : { party }),
  });
}

/** The one who dials sees why it fails. The one who is dialled sees nothing, or strangers. */
function reasonOf(
  { name, role, lastFault }: Surroundings["links"][number],
  { listen, turnedAway }: Surroundings,
): string | undefined {
  if (lastFault !== undefined) return `${name}: ${lastFault.text}`;
  if (role === "dialler") return undefined;
  const refused = turnedAway === undefined ? "" : `, where the last connection was refused: ${turnedAway}`;
  return `${name} has not connected to ${listen}${refused}`;
}

function reworded(error: TransportError, message: string): TransportError {
  const { code, party, parties } = error;
  return new TransportError(code, message, {
    cause: error,
    parties,
    ...(party === undefined ? {} : { party }),
  });
}
