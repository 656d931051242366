/**
 * Where a party keeps its audit log, and what is in it: the section `[audit]` of the configuration.
 *
 * @module
 */

import { join } from "node:path";
import { z } from "zod";
import { path, whole } from "./config_values.ts";

/** A party's audit log. */
export interface AuditConfig {
  /** Its directory. */
  readonly directory: string;
  /** A file of records that has grown to so many bytes is followed by another one. */
  readonly segmentBytes: number;
  /** How many peers must have cosigned a checkpoint for `audit verify` to be content. */
  readonly witnesses: number;
  /** Whether every message that is sent or received is recorded too. */
  readonly messages: boolean;
}

/** Keys of `[audit]`. In the path, `{party}` stands for the party's name. */
export const AUDIT_SHAPE = {
  path: path("a directory").optional(),
  segment_bytes: whole(4096, 2 ** 30, "a number of bytes").optional(),
  witnesses: whole(0, 63, "a number of peers").optional(),
  messages: z.boolean({ error: "true or false" }).optional(),
};

/** The section's values. */
export type AuditSection = z.infer<z.ZodObject<typeof AUDIT_SHAPE>>;

/**
 * The audit log of one party.
 *
 * @param dataDirectory the log is in it by default.
 * @param own puts the party's name into a path and makes it absolute.
 */
export function auditOf(
  section: AuditSection,
  dataDirectory: string,
  own: (template: string) => string,
): AuditConfig {
  return {
    directory: section.path === undefined ? join(dataDirectory, "audit") : own(section.path),
    segmentBytes: section.segment_bytes ?? 1024 * 1024,
    witnesses: section.witnesses ?? 0,
    messages: section.messages ?? false,
  };
}
