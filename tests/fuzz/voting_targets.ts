/** What of voting reads bytes of peers, of stores, and of what was decided. */

import { partyId } from "../../src/base/brands.ts";
import { type Bytes, concat, EMPTY, u8, utf8 } from "../../src/base/bytes.ts";
import { type Codec, decode, DecodeError, encode } from "../../src/base/codec.ts";
import type { Ed25519Signer } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import type { Rng } from "../../src/base/rng.ts";
import {
  type ApprovalMessage,
  decodeApprovalMessage,
  encodeApprovalMessage,
} from "../../src/node/approval_wire.ts";
import { decodeVoteRecord, encodeVoteRecord, type StoredRecord } from "../../src/node/vote_records.ts";
import { type Approval, decodeApproval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateCodec, certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { decodeItem, encodeItem, type Item } from "../../src/voting/items.ts";
import { doubleVote, type OffenceProof } from "../../src/voting/offence.ts";
import { signProposal } from "../../src/voting/proposal.ts";
import { nextMembership, rosterTxId, rosterValue } from "../../src/voting/roster.ts";
import { decodeValue, encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../../src/voting/vote.ts";
import { type Council, council } from "../voting/support.ts";
import type { Target } from "./targets.ts";

const DOES_NOT_DECODE = (error: unknown) => error instanceof DecodeError;
const TX = "tx_001";
const [ALICE, BOB, ERIN] = [partyId(1), partyId(2), partyId(5)];

/** The targets. */
export function votingTargets(rng: Rng): Target[] {
  const here = council(5, 4);
  const { membership } = here;
  const approval = payment(rng);
  const roster = rosterValue(membership, { voters: votersOf(here), quorum: 4, faults: 1 });
  const values = [
    encodeValue({ schema: "integer", integer: -42n }),
    encodeValue({ schema: "bytes", bytes: utf8("pay 5") }),
    encodeValue({ schema: "approval", bytes: encodeApproval(approval) }),
    encodeValue(roster),
  ];
  const items = itemsOf(here, rng);
  const encodedItems = items.map(encodeItem);
  const envelope = signGossip(
    membership,
    { from: partyId(2), to: partyId(3), items: encodedItems },
    signer(here, 2),
  );
  return [
    ofCodec("gossip", gossipCodec, [envelope, { ...envelope, items: [] }]),
    {
      name: "gossip, item",
      inputs: encodedItems,
      read: (input) => encodeItem(decodeItem(input)),
      refuses: DOES_NOT_DECODE,
    },
    ofCodec("ROSTER", certificateCodec, [certificate(here), decided(here, encodeValue(roster))]),
    {
      name: "value",
      inputs: values,
      read: (input) => encodeValue(decodeValue(input)),
      refuses: DOES_NOT_DECODE,
    },
    {
      name: "approval",
      inputs: [encodeApproval(approval), encodeApproval({ ...approval, path: [0, 7], context: [] })],
      read: (input) => encodeApproval(decodeApproval(input)),
      refuses: DOES_NOT_DECODE,
    },
    {
      // Whatever a quorum has decided: members that cheat together decide what they like.
      name: "roster that was decided",
      inputs: [encodeValue(roster)],
      read: (input) => void nextMembership(membership, decided(here, input)),
      refuses: (error) => error instanceof UsageError && error.code === "EVIDENCE_INVALID",
    },
    {
      name: "APPROVAL",
      inputs: approvalMessages(here, rng).map(encodeApprovalMessage),
      read: (input) => encodeApprovalMessage(decodeApprovalMessage(input)),
      refuses: DOES_NOT_DECODE,
    },
    ...storedRows(here, rng),
  ];
}

function ofCodec<T>(name: string, codec: Codec<T>, values: readonly T[]): Target {
  return {
    name,
    inputs: values.map((value) => encode(codec, value)),
    read: (input) => encode(codec, decode(codec, input)),
    refuses: DOES_NOT_DECODE,
  };
}

/** One of each kind. */
function itemsOf(here: Council, rng: Rng): Item[] {
  const { membership, vote } = here;
  const signature = rng.bytes(64);
  const sent = signGossip(membership, { from: BOB, to: ALICE, items: [rng.bytes(30)] }, signer(here, 2));
  const value = encodeValue({ schema: "approval", bytes: encodeApproval(payment(rng)) });
  return [
    { kind: "vote", vote: vote(1) },
    { kind: "proposal", proposal: signProposal(questionOf(membership, TX, value), BOB, signer(here, 2)) },
    { kind: "certificate", certificate: certificate(here) },
    { kind: "receipt", receipt: { txId: TX, state: "seen", member: BOB, signature } },
    { kind: "suspicion", suspicion: { txId: TX, subject: ERIN, observer: BOB, signature } },
    { kind: "locked", page: { epoch: 2, page: 0, pages: 2, prefixes: rng.bytes(24) } },
    { kind: "locked-request", request: { epoch: 2, page: 1 } },
    { kind: "offence", proof: twice(here) },
    { kind: "offence", proof: { kind: "invalid-signature", envelope: sent, item: 0 } },
    {
      kind: "digest",
      digest: {
        after: "",
        upTo: "tx_900",
        transactions: [
          {
            txId: TX,
            votes: [{ voter: ALICE, ballots: [rng.bytes(8), rng.bytes(8)] }, {
              voter: BOB,
              ballots: [rng.bytes(8)],
            }],
            decided: rng.bytes(8),
            proposals: [rng.bytes(8)],
            seen: 5n,
            abstained: 0n,
            suspicions: [{ subject: ERIN, observers: 3n }],
          },
          { txId: "tx_002", votes: [], proposals: [], seen: 0n, abstained: 31n, suspicions: [] },
        ],
        offences: [rng.bytes(8)],
      },
    },
  ];
}

function approvalMessages(here: Council, rng: Rng): ApprovalMessage[] {
  const place = { keyId: rng.bytes(32), txId: TX };
  const request = rng.bytes(32);
  const signers = [1, 2, 4].map(partyId);
  return [
    {
      kind: "invite",
      request,
      certificate: certificate(here),
      signers,
      digest: rng.bytes(32),
      superseded: encodeApproval(payment(rng)),
    },
    { kind: "refused", request, txId: TX, code: "APPROVAL_POLICY", reason: "the policy of bob forbids it" },
    { kind: "ask", ...place },
    { kind: "certify", request, ...place, ballot: rng.bytes(32), signers },
    { kind: "told", ...place, state: "signed", signature: rng.bytes(64) },
    { kind: "told", ...place, state: "none", signature: EMPTY },
  ];
}

/** Rows of a node's own file; the first byte of an input is the number of the kind. */
function storedRows(here: Council, rng: Rng): Target[] {
  const { vote } = here;
  const id = rng.bytes(32), signature = rng.bytes(64), time = 1_795_000_000_123;
  const records: StoredRecord[] = [
    { kind: "vote", vote: vote(1), payer: BOB },
    { kind: "opened", epoch: 1, txId: TX, time },
    { kind: "receipt", epoch: 1, receipt: { txId: TX, state: "abstained", member: BOB, signature } },
    { kind: "suspicion", epoch: 1, suspicion: { txId: TX, subject: ERIN, observer: BOB, signature } },
    { kind: "locked", page: { epoch: 2, member: BOB, page: 0, pages: 1, prefixes: rng.bytes(16) } },
    { kind: "decision", certificate: certificate(here) },
    { kind: "dissent", dissent: { id, kind: "minority", subject: ERIN, txId: TX, epoch: 1, time } },
    {
      kind: "offence",
      offence: { id, kind: "double-vote", subject: ERIN, txId: TX, proof: twice(here), time },
    },
  ];
  const kinds = records.map(({ kind }) => kind);
  return [{
    name: "stored row of votes",
    inputs: records.map((record, number) => concat(u8(number), encodeVoteRecord(record))),
    read(input) {
      const number = input[0] ?? kinds.length;
      const kind = kinds[number] ?? "unknown";
      return concat(u8(number), encodeVoteRecord(decodeVoteRecord(kind, input.slice(1))));
    },
    refuses: DOES_NOT_DECODE,
  }];
}

function certificate({ membership, vote }: Council): QuorumCertificate {
  return certificateOf(membership, [1, 2, 3, 4].map((voter) => vote(voter))) as QuorumCertificate;
}

/** The decision of a quorum for a value, however little sense it makes. */
function decided(here: Council, value: Bytes): QuorumCertificate {
  const question = questionOf(here.membership, rosterTxId(here.membership), value);
  const votes = [1, 2, 3, 4].map((voter): Vote => signVote(question, partyId(voter), signer(here, voter)));
  return certificateOf(here.membership, votes) as QuorumCertificate;
}

function twice({ vote }: Council): OffenceProof {
  return doubleVote(vote(5, 1n), vote(5, 2n)) as OffenceProof;
}

function votersOf({ membership }: Council): { readonly name: string; readonly key: Bytes }[] {
  return membership.voters.map(({ name, key }) => ({ name, key: key.publicKey }));
}

function signer({ signers }: Council, member: number): (message: Bytes) => Bytes {
  return (message) => (signers[member - 1] as Ed25519Signer).sign(message);
}

function payment(rng: Rng): Approval {
  return {
    kind: "approve",
    cluster: "demo",
    txId: TX,
    keyId: rng.bytes(32),
    publicKey: rng.bytes(33),
    policyHash: rng.bytes(32),
    scheme: "ecdsa-secp256k1",
    path: [],
    mode: "message",
    input: utf8("pay 5 to dave"),
    context: [{ name: "amount", value: "5" }, { name: "to", value: "dave" }],
    supersedes: "",
    notBefore: 0n,
    notAfter: 5000n,
    lowS: true,
  };
}
