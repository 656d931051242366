/**
 * One example of everything that travels between parties outside a protocol, and of records that are stored in the same forms, made from
 * fixed seeds, and how it is opened.
 */

import assert from "node:assert/strict";
import { partyId, sessionId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { type Ed25519Signer, ed25519Signer, ed25519Verifier } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { CHECKPOINT_ANSWER, CHECKPOINT_REQUEST, WITNESS_MESSAGE } from "../../src/audit/witness_messages.ts";
import { type Envelope, openEnvelope, sealEnvelope, verifyEnvelope } from "../../src/session/envelope.ts";
import { FrameType } from "../../src/session/links.ts";
import {
  abortCodec,
  doneCodec,
  entryOf,
  offerHashOf,
  openCodec,
  openDigest,
  type OpenMessage,
  proposalHash,
  readyCodec,
  readyDigest,
  refusedCodec,
  verifyEntry,
  type WireProposal,
} from "../../src/session/messages.ts";
import { decodeBatch, encodeBatch } from "../../src/transport/batch.ts";
import { encodePlainFrame, type FrameFields, FrameParser, type RawFrame } from "../../src/transport/frame.ts";
import { HelloCodec, type HelloContext, HelloExchange } from "../../src/transport/hello.ts";
import { ackMessage, errorMessage, heartbeatMessage } from "../../src/transport/message.ts";
import { type LinkRole, SealedChannel, type Suite } from "../../src/transport/sealed_channel.ts";
import { type Approval, decodeApproval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateCodec, certificateFault, certificateOf } from "../../src/voting/certificate.ts";
import { gossipCodec, isGossipValid, signGossip } from "../../src/voting/gossip.ts";
import { decodeItem, encodeItem, type Item } from "../../src/voting/items.ts";
import { doubleVote, offenceCodec, type OffenceProof, verifyOffence } from "../../src/voting/offence.ts";
import { proposalCodec, proposalFault, signProposal } from "../../src/voting/proposal.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, type Vote, voteCodec, voteFault } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";
import { canonical, filled, type WireExample } from "./example.ts";
import { KEY_WIRE } from "./key_wire.ts";
import { VOTING_WIRE } from "./voting_wire.ts";

/** Where they are stored. */
export const WIRE_PATH: string = new URL("wire.json", import.meta.url).pathname;

/** What is stored, by name. */
export function readWire(): Map<string, Bytes> {
  let text: string;
  try {
    text = Deno.readTextFileSync(WIRE_PATH);
  } catch {
    return new Map();
  }
  return new Map(
    Object.entries(JSON.parse(text) as Record<string, string>).map((
      [name, hex],
    ) => [name, Uint8Array.fromHex(hex)]),
  );
}

const [ALICE, BOB] = [partyId(1), partyId(2)];
const SID = sessionId(new Uint8Array(32).fill(5));
const BINDING = { exporterClient: filled(6), exporterServer: filled(7) };
const SIGNERS = [1, 2].map((i) => ed25519Signer(filled(i))) as [Ed25519Signer, Ed25519Signer];
const FRAME: FrameFields = {
  type: FrameType.ENVELOPE,
  from: 1,
  to: 2,
  sequence: 3,
  timestamp: 1_800_000_000_000,
  session: new Uint8Array(16).fill(4),
};
const { membership, signers: voters, vote } = council(5, 4);

const PROPOSAL: WireProposal = {
  protocol: "example",
  version: 1,
  params: [{ name: "curve", value: utf8("secp256k1") }],
  rosterHash: filled(8),
  policyHash: filled(9),
  keyId: filled(10),
  epoch: 2,
  participants: [1, 2],
  payload: [{ name: "message digest", value: filled(11) }],
  request: filled(0),
};

const APPROVAL: Approval = {
  kind: "approve",
  cluster: membership.cluster,
  txId: "tx_001",
  keyId: filled(12),
  publicKey: new Uint8Array(33).fill(2),
  policyHash: filled(13),
  scheme: "ecdsa-secp256k1",
  path: [0, 5],
  mode: "digest",
  input: filled(14),
  context: [{ name: "amount", value: "5" }, { name: "to", value: "dave" }],
  supersedes: "",
  notBefore: 1_800_000_000_000n,
  notAfter: 1_800_000_600_000n,
  lowS: true,
};

/** All of them, by name. */
export const WIRE: ReadonlyMap<string, WireExample> = new Map<string, WireExample>([
  ["frame", {
    make: () => encodePlainFrame(FRAME, utf8("hello")),
    open: (bytes) => assert.deepEqual(fieldsOf(parsed(bytes)), { ...FRAME, sealed: false }),
  }],
  ...([1, 2] as const).map((suite): [string, WireExample] => [`sealed frame of suite ${suite}`, {
    make: () => using(channel(suite, "dialler"), (own) => own.seal(FRAME, utf8("hello"))),
    open: (bytes) =>
      using(channel(suite, "listener"), (own) => assert.deepEqual(own.open(parsed(bytes)), utf8("hello"))),
  }]),
  ["batch", {
    make: () => encodeBatch([{ type: FrameType.DONE, session: FRAME.session as Bytes, payload: utf8("x") }]),
    open: (bytes) => assert.deepEqual(decodeBatch(bytes, () => true)[0]?.payload, utf8("x")),
  }],
  ["hello of a dialler", {
    make: () => using(hello("dialler"), ({ own }) => own),
    open(bytes) {
      using listener = hello("listener");
      const { hello: said, suite, version } = listener.receive(bytes);
      assert.deepEqual([said.from, said.to, suite, version], [1, 2, 2, 1]);
      assert.deepEqual(encode(HelloCodec, said), bytes);
    },
  }],
  ["acknowledgement of a hello", {
    make() {
      using dialler = hello("dialler"), listener = hello("listener");
      dialler.receive(listener.own);
      return dialler.acknowledge(BINDING, SIGNERS[0]);
    },
    open(bytes) {
      using dialler = hello("dialler"), listener = hello("listener");
      listener.receive(dialler.own);
      listener.verify(bytes, BINDING, ed25519Verifier(SIGNERS[0].publicKey) ?? assert.fail());
    },
  }],
  ["open", {
    make: () => encode(openCodec, opening()),
    open(bytes) {
      const open = decode(openCodec, bytes);
      const verifier = ed25519Verifier(SIGNERS[0].publicKey) ?? assert.fail();
      assert.ok(verifyEntry(verifier, ALICE, proposalHash(open.proposal), entryOf(open)));
      assert.deepEqual(open.proposal, PROPOSAL);
    },
  }],
  ["ready", {
    make() {
      const entries = [entryOf(opening())];
      const prop = proposalHash(PROPOSAL);
      return encode(readyCodec, {
        prop,
        entries,
        signature: SIGNERS[0].sign(readyDigest(ALICE, prop, entries)),
      });
    },
    open(bytes) {
      const { prop, entries, signature } = decode(readyCodec, bytes);
      const verifier = ed25519Verifier(SIGNERS[0].publicKey) ?? assert.fail();
      assert.ok(verifier.verify(readyDigest(ALICE, prop, entries), signature));
    },
  }],
  canonical("refusal", refusedCodec, {
    prop: filled(1),
    nonce: filled(2),
    otherProp: filled(3),
    otherNonce: filled(4),
    parties: [2],
    code: "PEER_REFUSED",
    field: "message digest",
    ours: "aa",
    theirs: "bb",
    ourCommand: "key sign --key treasury",
  }),
  canonical("abort", abortCodec, {
    sid: SID,
    code: "TIMEOUT",
    parties: [2],
    text: "bob",
    evidence: [filled(3)],
  }),
  canonical("done", doneCodec, { sid: SID }),
  ...[false, true].map((
    hasEcho,
  ): [string, WireExample] => [`envelope ${hasEcho ? "with" : "without"} an echo`, {
    make: () => {
      const fields = {
        round: 2,
        from: ALICE,
        to: BOB,
        echo: hasEcho ? filled(1) : new Uint8Array(),
        body: utf8("body"),
      };
      return sealEnvelope(SIGNERS[0], SID, "example", fields);
    },
    open(bytes) {
      const envelope: Envelope = openEnvelope(bytes, hasEcho);
      const verifier = ed25519Verifier(SIGNERS[0].publicKey) ?? assert.fail();
      assert.ok(verifyEnvelope(verifier, SID, "example", envelope));
      assert.deepEqual([envelope.round, envelope.body], [2, utf8("body")]);
    },
  }]),
  canonical("heartbeat", heartbeatMessage.codec, { clockMs: 1_800_000_000_000n }),
  canonical("acknowledgement", ackMessage.codec, { type: 32, digest: filled(1) }),
  canonical("error", errorMessage.codec, { code: "TIMEOUT", text: "late", detail: utf8("x") }),
  canonical("request of a witness", CHECKPOINT_REQUEST, {
    from: 3,
    proof: [filled(1)],
    checkpoint: "demo/alice\n",
  }),
  canonical("answer of a witness", CHECKPOINT_ANSWER, { kind: "cosigned", line: "— demo/bob x\n" }),
  canonical("message of a witness", WITNESS_MESSAGE, { id: 7, isAnswer: true, body: utf8("x") }),
  ["approval", {
    make: () => encodeApproval(APPROVAL),
    open: (bytes) => assert.deepEqual(decodeApproval(bytes), APPROVAL),
  }],
  ["vote", {
    make: () => encode(voteCodec, vote(2)),
    open: (bytes) => assert.equal(voteFault(membership, decode(voteCodec, bytes)), undefined),
  }],
  ["proposal", {
    make: () => encode(proposalCodec, proposal()),
    open: (bytes) => assert.equal(proposalFault(membership, decode(proposalCodec, bytes)), undefined),
  }],
  ["quorum certificate", {
    make: () => encode(certificateCodec, certificateOf(membership, votes()) ?? assert.fail()),
    open: (bytes) => assert.equal(certificateFault(membership, decode(certificateCodec, bytes)), undefined),
  }],
  ["proof of a double vote", {
    make: () => encode(offenceCodec, offence()),
    open(bytes) {
      const proven = verifyOffence(membership, decode(offenceCodec, bytes));
      assert.deepEqual([proven?.kind, proven?.subject], ["double-vote", 3]);
    },
  }],
  ["gossip", {
    make: () => encode(gossipCodec, gossip()),
    open(bytes) {
      const envelope = decode(gossipCodec, bytes);
      assert.ok(isGossipValid(membership, envelope));
      assert.deepEqual(envelope.items.map((item) => decodeItem(item).kind), [
        "vote",
        "proposal",
        "certificate",
        "offence",
      ]);
    },
  }],
  ...KEY_WIRE,
  ...VOTING_WIRE,
]);

function parsed(bytes: Bytes): RawFrame {
  const parser = new FrameParser(() => true);
  parser.push(bytes);
  return parser.next() ?? assert.fail("no whole frame");
}

function fieldsOf({ bytes, ...fields }: RawFrame) {
  return { ...fields, session: bytes.slice(35, 51) };
}

function channel(suite: Suite, role: LinkRole): SealedChannel {
  return new SealedChannel({ suite, role, prk: filled(15) });
}

function hello(role: LinkRole): HelloExchange {
  const isDialler = role === "dialler";
  const context: HelloContext = {
    role,
    self: isDialler ? 1 : 2,
    peer: isDialler ? 2 : 1,
    clusterHash: filled(16),
    rosterHash: filled(17),
    ownLeafSha256: filled(isDialler ? 18 : 19),
    peerLeafSha256: filled(isDialler ? 19 : 18),
    bootId: new Uint8Array(16).fill(20),
  };
  return new HelloExchange(context, seededRng(role), 1_800_000_000_000);
}

function opening(): OpenMessage {
  const said = { nonce: filled(21), offerHash: offerHashOf(utf8("offer")) };
  return {
    proposal: PROPOSAL,
    offer: utf8("offer"),
    command: "key sign --key treasury",
    auxiliary: false,
    nonce: said.nonce,
    signature: SIGNERS[0].sign(openDigest(ALICE, proposalHash(PROPOSAL), said)),
  };
}

function votes(): Vote[] {
  return [1, 2, 3, 5].map((voter) => vote(voter));
}

function signedBy(voter: number): (message: Bytes) => Bytes {
  return (message) => (voters[voter - 1] as Ed25519Signer).sign(message);
}

function proposal() {
  const value = encodeValue({ schema: "approval", bytes: encodeApproval(APPROVAL) });
  return signProposal(questionOf(membership, APPROVAL.txId, value), partyId(4), signedBy(4));
}

function offence(): OffenceProof {
  return doubleVote(vote(3, 1n), vote(3, 2n)) ?? assert.fail();
}

function gossip() {
  const items: Item[] = [
    { kind: "vote", vote: vote(1) },
    { kind: "proposal", proposal: proposal() },
    { kind: "certificate", certificate: certificateOf(membership, votes()) ?? assert.fail() },
    { kind: "offence", proof: offence() },
  ];
  return signGossip(membership, { from: ALICE, to: BOB, items: items.map(encodeItem) }, signedBy(1));
}

function using<T extends Disposable, R>(resource: T, work: (resource: T) => R): R {
  using own = resource;
  return work(own);
}
