/**
 * Fills in the metrics of voting when they are asked for.
 *
 * @module
 */

import type { Metrics } from "../telemetry/metrics.ts";
import type { Membership } from "../voting/membership.ts";
import { reputationOf } from "../voting/reputation.ts";
import type { StoredOffence } from "../voting/store.ts";

/** How voting stands at a node. */
export interface VotingFigures {
  /** Who votes. */
  readonly membership: Membership;
  /** Votes by what became of them. */
  readonly votes: Readonly<Record<string, number>>;
  /** Transactions that were decided since the node started. */
  readonly decided: number;
  /** Transactions that are not decided. */
  readonly open: number;
  /** Members that can be reached, this one included. */
  readonly reachable: number;
  /** Why the node does not vote. */
  readonly alarm: string | undefined;
  /** Offences with their proofs. */
  readonly offences: readonly StoredOffence[];
  /** Records that wait, and how many may. */
  readonly outbox: { readonly waiting: number; readonly limit: number };
  /** Decisions that wait. */
  readonly handOffWaiting: number;
  /** Why a store cannot be reached. */
  readonly storeFaults: Readonly<Record<"coordination" | "records", string | undefined>>;
}

/** Brings all figures up to date. @param now milliseconds since 1970. */
export function collectVoting(metrics: Metrics, figures: VotingFigures, now: number): void {
  const { membership, votes, offences, alarm, outbox, storeFaults } = figures;
  const { voters, quorum } = membership;
  const rows = Object.entries(votes).map(([result, count]) => [{ result }, count] as const);
  metrics.replace("votes_total", rows);
  metrics.replace("decisions_total", [[{}, figures.decided]]);
  metrics.replace("tx_open", [[{}, figures.open]]);
  metrics.replace("voting_quorum", [[{}, quorum]]);
  metrics.replace("voting_margin", [[{}, figures.reachable - quorum]]);
  metrics.replace("voting_stopped", alarm === undefined ? [] : [[{ alarm }, 1]]);
  metrics.replace(
    "reputation_score",
    voters.map(({ index, name }) => [{ peer: name }, reputationOf(offences, index, now)]),
  );
  metrics.replace("offences_stored", offenceRows(membership, offences));
  metrics.replace("outbox_waiting", [[{}, outbox.waiting]]);
  metrics.replace("outbox_limit", [[{}, outbox.limit]]);
  metrics.replace("hand_off_waiting", [[{}, figures.handOffWaiting]]);
  metrics.replace(
    "store_reachable",
    Object.entries(storeFaults).map(([store, fault]) => [{ store }, fault === undefined ? 1 : 0]),
  );
}

/** Every member and kind has a row, so that the first offence is seen to come. */
function offenceRows({ voters }: Membership, offences: readonly StoredOffence[]) {
  return voters.flatMap(({ index, name }) =>
    KINDS.map((kind) => {
      const count = offences.filter((one) => one.subject === index && one.kind === kind).length;
      return [{ peer: name, kind }, count] as const;
    })
  );
}

const KINDS: readonly StoredOffence["kind"][] = ["double-vote", "invalid-signature"];
