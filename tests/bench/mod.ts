/**
 * All benchmark rows, in the order in which they run.
 *
 * @module
 */

import { ecdsaRows } from "./ecdsa_rows.ts";
import { epochRows } from "./epoch_rows.ts";
import { frostRows } from "./frost_rows.ts";
import { pveRows } from "./pve_rows.ts";
import { sessionRows } from "./session_rows.ts";
import { transportRows } from "./transport_rows.ts";
import { votingRows } from "./voting_rows.ts";
import type { BenchRow } from "./row.ts";

/** The registry: add the rows of a new file here. */
export const rows: readonly BenchRow[] = [
  ...ecdsaRows,
  ...epochRows,
  ...frostRows,
  ...pveRows,
  ...sessionRows,
  ...transportRows,
  ...votingRows,
];
