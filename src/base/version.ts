/**
 * The version of this program, as deno.json has it.
 *
 * @module
 */

/** Semantic version. */
export const VERSION = "0.1.0";
