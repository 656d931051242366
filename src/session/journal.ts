/**
 * Where protocols write what must survive a crash.
 *
 * @module
 */

import type { JournalRecord } from "../protocols/protocol.ts";

/** Durable, synchronous: when `write` returns, the record is on disk; when it throws, the session ends unsent. */
export interface Journal {
  write(record: JournalRecord): void;
}
