/**
 * Every limit of the session layer, in one place. A test crosses each.
 *
 * @module
 */

/** Numbers that bound memory, time and repetition within sessions (WIRE.md 3-5). */
export const SessionLimits = {
  /** What an operator typed, as shown to peers, in bytes. */
  commandBytesMax: 256,
  /** Participants of one session. */
  participantsMax: 64,
  /** One OPEN, encoded. */
  openBytesMax: 4096,
  /** One ABORT with its evidence, encoded. */
  abortBytesMax: 65536,
  /** OPENs kept for sessions that were not started here yet, per peer. */
  openBufferedMax: 16,
  /** How long such an OPEN is kept. */
  openKeptMs: 30_000,
  /** OPENs of sessions that are over here, remembered as used. */
  usedNoncesMax: 256,
  /** Farewells kept for a peer whose link is down, as long as it may wait for them. */
  unsaidMax: 16,
  /** Sessions that open or run at once. */
  sessionsMax: 256,
  /** READY lists that still differ after this long end the session. */
  splitMs: 2_000,
  /** How long the sides of an echo mismatch wait for each other's envelopes. */
  echoDisputeMs: 2_000,
  /** After a deadline, how long a missing peer that is connected may still say why it did not answer. */
  lastWordMs: 2_000,
  /** How long a party stays for others after its own result. */
  lingerMs: 2_000,
  /** Drops of one link within one session: one more ends it. */
  linkDropsMax: 3,
  /** A session ends at latest after timeout x (rounds + this). */
  extraRounds: 2,
} as const;
