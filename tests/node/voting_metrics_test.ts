import assert from "node:assert/strict";
import { collectVoting, type VotingFigures } from "../../src/node/voting_metrics.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { doubleVote, verifyOffence } from "../../src/voting/offence.ts";
import { council } from "../voting/support.ts";

const { membership, vote } = council(5, 4);
const FIGURES: VotingFigures = {
  membership,
  votes: { cast: 2, stored: 9, mismatch: 0, invalid: 1, over_quota: 0 },
  decided: 3,
  open: 4,
  reachable: 3,
  alarm: undefined,
  offences: [],
  outbox: { waiting: 12, limit: 100 },
  handOffWaiting: 5,
  storeFaults: { coordination: undefined, records: "the server is down" },
};

function lines(change: Partial<VotingFigures> = {}): string[] {
  const metrics = new Metrics();
  collectVoting(metrics, { ...FIGURES, ...change }, 0);
  return metrics.text().split("\n").filter((line) => !line.startsWith("#"));
}

Deno.test("collectVoting() shows votes, decisions, the margin of the quorum and what waits", () => {
  const shown = lines();
  for (
    const line of [
      'quorate_votes_total{result="stored"} 9',
      'quorate_votes_total{result="invalid"} 1',
      "quorate_decisions_total 3",
      "quorate_tx_open 4",
      "quorate_voting_quorum 4",
      "quorate_voting_margin -1",
      'quorate_reputation_score{peer="bob"} 100',
      'quorate_offences_stored{peer="bob",kind="double-vote"} 0',
      "quorate_outbox_waiting 12",
      "quorate_outbox_limit 100",
      "quorate_hand_off_waiting 5",
      'quorate_store_reachable{store="coordination"} 1',
      'quorate_store_reachable{store="records"} 0',
    ]
  ) assert.ok(shown.includes(line), `${line}\n${shown.join("\n")}`);
  assert.ok(!shown.some((line) => line.startsWith("quorate_voting_stopped")));
});

Deno.test("collectVoting() shows an alarm, and the offences of each member", () => {
  const proof = doubleVote(vote(2, 1n), vote(2, 2n));
  assert.ok(proof !== undefined);
  const proven = verifyOffence(membership, proof);
  assert.ok(proven !== undefined);
  const shown = lines({ alarm: "SAFETY_VIOLATION", offences: [{ ...proven, proof, time: 0 }] });
  for (
    const line of [
      'quorate_voting_stopped{alarm="SAFETY_VIOLATION"} 1',
      'quorate_offences_stored{peer="bob",kind="double-vote"} 1',
      'quorate_offences_stored{peer="alice",kind="double-vote"} 0',
      'quorate_reputation_score{peer="bob"} 0',
      'quorate_reputation_score{peer="alice"} 100',
    ]
  ) assert.ok(shown.includes(line), `${line}\n${shown.join("\n")}`);
});
