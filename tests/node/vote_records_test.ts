import { deepEqual, throws } from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { decodeVoteRecord, encodeVoteRecord, type StoredRecord } from "../../src/node/vote_records.ts";
import { certificateOf } from "../../src/voting/certificate.ts";
import { doubleVote } from "../../src/voting/offence.ts";
import { signProposal } from "../../src/voting/proposal.ts";
import { questionOf } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";

const { membership, signers, vote } = council(5, 4);
const [bob, erin] = [partyId(2), partyId(5)];
const signature = new Uint8Array(64).fill(7);
const id = new Uint8Array(32).fill(8);
const txId = "tx_001";

const RECORDS: readonly StoredRecord[] = [
  { kind: "vote", vote: vote(2), payer: bob },
  { kind: "proposal", proposal: proposed(), payer: bob },
  { kind: "opened", epoch: 1, txId, time: 1_795_000_000_123 },
  { kind: "receipt", epoch: 1, receipt: { txId, state: "abstained", member: bob, signature } },
  { kind: "suspicion", epoch: 1, suspicion: { txId, subject: erin, observer: bob, signature } },
  { kind: "locked", page: { epoch: 2, member: bob, page: 0, pages: 1, prefixes: new Uint8Array(16) } },
  { kind: "decision", certificate: certificateOf(membership, [1, 2, 3, 4].map((voter) => vote(voter)))! },
  { kind: "dissent", dissent: { id, kind: "minority", subject: erin, txId, epoch: 1, time: 5 } },
  {
    kind: "offence",
    offence: {
      id,
      kind: "double-vote",
      subject: erin,
      txId,
      proof: doubleVote(vote(5, 1n), vote(5, 2n))!,
      time: 5,
    },
  },
];

Deno.test("decodeVoteRecord() reads what encodeVoteRecord() wrote, of each kind", () => {
  for (const record of RECORDS) {
    deepEqual(decodeVoteRecord(record.kind, encodeVoteRecord(record)), record);
  }
});

Deno.test("decodeVoteRecord() refuses kinds that it does not know", () => {
  throws(() => decodeVoteRecord("toString", new Uint8Array()), DecodeError);
  for (const record of RECORDS) {
    const encoded = encodeVoteRecord(record);
    for (const [known, other] of [["minority", "minoritz"], ["double-vote", "double-votf"]] as const) {
      const at = new TextDecoder("latin1").decode(encoded).indexOf(known);
      if (at < 0) continue;
      encoded.set(new TextEncoder().encode(other), at);
      throws(() => decodeVoteRecord(record.kind, encoded), /unknown kind/);
    }
  }
});

Deno.test("decodeVoteRecord() refuses a time that a number cannot hold exactly", () => {
  const record = { kind: "opened", epoch: 1, txId, time: Number.MAX_SAFE_INTEGER } as const;
  const encoded = encodeVoteRecord(record);
  deepEqual(decodeVoteRecord("opened", encoded), record);
  encoded[encoded.length - 7] = 0x20;
  throws(() => decodeVoteRecord("opened", encoded), /no date/);
});

function proposed() {
  const question = questionOf(membership, txId, vote(2).value);
  return signProposal(question, bob, (message) => signers[1]!.sign(message));
}
