/**
 * The sentences with which a session ends because of its peers (WIRE.md 3-5).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { equal } from "../base/bytes.ts";
import { CheaterError, TransportError } from "../base/errors.ts";
import type { SessionContext } from "./context.ts";
import { knownCode } from "./farewell.ts";
import type { Word } from "./last_words.ts";
import { SessionLimits } from "./limits.ts";
import { type AbortMessage, printable, type RefusedMessage } from "./messages.ts";

/** A peer leaves round 0. */
export function refusedWord(context: SessionContext, peer: PartyId, refused: RefusedMessage): Word {
  const { roster } = context;
  const name = roster.nameOf(peer);
  const code = knownCode(refused.code);
  const [field, ours, theirs] = [refused.field, refused.ours, refused.theirs].map((part) =>
    printable(part, 512)
  );
  const other = refused.parties[0] === undefined ? "another party" : roster.nameOf(refused.parties[0]);
  const sentence = equal(refused.prop, refused.otherProp)
    ? `${name} left before the first round (${code}: ${theirs}): see its log, then run the command again`
    : `${name} and ${other} do not agree on the ${field} (${ours} at ${name}, ${theirs} at ${other}): ${name} runs "${
      printable(refused.ourCommand, SessionLimits.commandBytesMax)
    }", this is "${context.command}"`;
  const error = new TransportError("PEER_REFUSED", sentence, { party: name, parties: [peer] });
  return { code, parties: refused.parties, error };
}

/** A peer ended the session; its word, not evidence. */
export function abortWord({ roster }: SessionContext, peer: PartyId, abort: AbortMessage): Word {
  const name = roster.nameOf(peer);
  const code = knownCode(abort.code);
  const error = new TransportError(
    "PEER_ABORTED",
    `${name} ended the session (${code}: ${
      printable(abort.text, 1024)
    }): see its log, then run the command again`,
    { party: name, parties: [peer] },
  );
  return { code, parties: abort.parties, error };
}

/** A link dropped too often. */
export function linkFlap({ roster }: SessionContext, peer: PartyId, drops: number): TransportError {
  const name = roster.nameOf(peer);
  return new TransportError(
    "LINK_FLAP",
    `the link with ${name} dropped ${drops} times within one session: check the network between us`,
    { party: name, parties: [peer] },
  );
}

/** Another process of a peer is there. */
export function peerRestarted({ roster }: SessionContext, peer: PartyId): TransportError {
  const name = roster.nameOf(peer);
  return new TransportError(
    "PEER_RESTARTED",
    `${name} restarted in the middle of the session: run the command again`,
    { party: name, parties: [peer] },
  );
}

/** Somebody did not answer. @param names of them; empty where nobody is missing. */
export function timeoutError(
  names: string,
  silent: readonly PartyId[],
  { running, wish }: {
    /** Undefined before round 1. */
    readonly running: { readonly round: number; readonly roundName: string } | undefined;
    /** What a missing peer wants instead, in words. */
    readonly wish: string | undefined;
  },
): TransportError {
  const where = running === undefined
    ? "before the first round"
    : `in round ${running.round} (${running.roundName})`;
  return new TransportError(
    "TIMEOUT",
    names === ""
      ? `the session took too long ${where}: run the command again`
      : `${names} did not answer ${where}: ${wish ?? "check that it runs and can be reached"}`,
    { ...(names === "" ? {} : { party: names }), parties: silent },
  );
}

/** Two different messages of one party are here. */
export function equivocation(round: number, culprit: PartyId): CheaterError {
  return new CheaterError({
    code: "EQUIVOCATION",
    round,
    culprits: [culprit],
    what: "it signed two different messages for one place",
  });
}

/** Broadcasts differ, and nobody has shown whose. */
export function echoMismatch(round: number): CheaterError {
  return new CheaterError({
    code: "ECHO_MISMATCH",
    round,
    culprits: [],
    what: "a broadcast differed between parties",
  });
}
