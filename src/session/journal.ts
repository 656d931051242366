/**
 * Where protocols write what must survive a crash.
 *
 * @module
 */

import type { JournalRecord } from "../protocols/protocol.ts";

/** Durable, synchronous: when `write` returns, the record is on disk; when it throws, the session ends unsent. */
export interface Journal {
  /** Writes one record. @throws UsageError STORE_UNWRITABLE */
  write(record: JournalRecord): void;
}
