import assert from "node:assert/strict";
import { type KeyId, type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, EMPTY, utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { CheaterError, TransportError, UsageError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import type { CheckedApproval } from "../../src/node/approval_checks.ts";
import { ApprovalSessions, errorOf, type SessionsOptions } from "../../src/node/approval_sessions.ts";
import { ApprovalTask } from "../../src/node/approval_task.ts";
import {
  type ApprovalMessage,
  decodeApprovalMessage,
  encodeApprovalMessage,
} from "../../src/node/approval_wire.ts";
import type { BoundSigning } from "../../src/protocols/bound.ts";
import { SignLocks } from "../../src/node/sign_locks.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { type KeyRow, KEYS } from "../../src/storage/tables.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import type { Membership } from "../../src/voting/membership.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";

const NOW = 1_800_000_000_000;
const COUNCIL = council(5, 4);
const KEY_ID = sha256(utf8("key")) as KeyId;

const APPROVAL: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx",
  keyId: KEY_ID,
  publicKey: new Uint8Array(33).fill(2),
  policyHash: new Uint8Array(32),
  scheme: "ecdsa-secp256k1",
  path: [],
  mode: "message",
  input: utf8("pay 5"),
  context: [],
  supersedes: "",
  notBefore: BigInt(NOW),
  notAfter: BigInt(NOW + 1000),
  lowS: true,
};

function certificate(changes: Partial<Approval> = {}): QuorumCertificate {
  const value = encodeValue({ schema: "approval", bytes: encodeApproval({ ...APPROVAL, ...changes }) });
  const question = questionOf(COUNCIL.membership, "tx", value);
  const votes = [1, 2, 3, 4].map((voter) =>
    signVote(question, partyId(voter), (message) => COUNCIL.signers[voter - 1]!.sign(message))
  );
  return certificateOf(COUNCIL.membership, votes)!;
}

const KEY_ROW: KeyRow = {
  keyId: KEY_ID,
  epoch: 3,
  name: "treasury",
  curve: "secp256k1",
  state: "active",
  settled: 1,
  sealed: EMPTY,
  certificate: EMPTY,
  time: 0,
};

/** A party whose lock for the approval is prepared, and a session of it that runs; `gate` is what its last message passes. */
class Last implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly #ledger: Ledger;
  readonly locks: SignLocks;
  readonly task: ApprovalTask;
  monotonic = 50;
  wall: number = NOW;
  votes: {
    alarm?: string;
    membership: Membership;
    certificate: QuorumCertificate | undefined;
    state: "decided" | "violated";
  } = {
    membership: COUNCIL.membership,
    certificate: certificate(),
    state: "decided",
  };
  /** What was told to be the signature. */
  readonly signed: Bytes[] = [];
  sessions = 0;
  /** What others have made first. */
  chosen: Bytes | undefined;
  readonly #sessions: ApprovalSessions;
  /** What the others say in round 0. */
  #clocks: ReadonlyMap<PartyId, bigint> = new Map();

  constructor(changes: Partial<Approval> = {}) {
    Deno.chmodSync(this.#directory, 0o700);
    this.#ledger = Ledger.open({
      directory: this.#directory,
      owner: { cluster: "demo", party: "bob", index: 2 },
      sealing: { kind: "key", key: new Secret(systemRng.bytes(32)) },
      rng: systemRng,
    });
    this.locks = new SignLocks({ ledger: this.#ledger, now: () => this.wall });
    const votes = () => this.votes;
    const clock = { now: () => this.monotonic, timer: () => () => {} };
    this.votes.certificate = certificate(changes);
    this.task = new ApprovalTask(certificate(changes), { ...APPROVAL, ...changes }, clock);
    const attempt = { wall: BigInt(NOW), monotonic: this.monotonic };
    this.task.attempt = {
      request: new Uint8Array(32),
      asker: partyId(1),
      signers: [1, 2, 3].map(partyId),
      epoch: 3,
      time: attempt,
      cancel: () => {},
    };
    const rates = { perHour: undefined, perDay: undefined };
    this.locks.prepare({ payload: this.task.payload, clock: NOW, rates });
    this.#sessions = new ApprovalSessions(
      {
        party: { local: { timeoutMs: 1000 }, forRequest: () => ({ signApproved: this.#signApproved }) },
        policy: { sessionLimitMs: 1000, maxOffsetMs: 30_000, maxLifetimeMs: 86_400_000, rates },
        choose: (_task: ApprovalTask, signature: Bytes) => Promise.resolve(this.chosen ?? signature),
        signed: (_task: ApprovalTask, signature: Bytes) => this.signed.push(signature),
        changed: () => {},
        votes: {
          get membership() {
            return votes().membership;
          },
          certificate: () => this.votes.certificate,
          status: () => ({ state: this.votes.state, tally: [], proposals: [] }),
          get alarm() {
            return votes().alarm;
          },
        },
        locks: this.locks,
        clock,
        taskOf: (txId: string) => txId === "tx" ? this.task : undefined,
        view: {
          name: "bob",
          nameOf: (party: PartyId) => `party ${party}`,
          time: () => BigInt(this.wall),
          clocks: () => [BigInt(this.wall), BigInt(this.locks.highWater)],
        },
      } as unknown as SessionsOptions,
    );
  }

  readonly #signApproved = ({ bound }: { readonly bound: BoundSigning }): Promise<Bytes> => {
    this.sessions++;
    bound.admit(this.#clocks);
    this.pass();
    return Promise.resolve(new Uint8Array(64));
  };

  /** A session in which the others have these clocks. */
  async sign(clocks: ReadonlyMap<PartyId, bigint>): Promise<void> {
    this.#clocks = clocks;
    const [request, asker] = [new Uint8Array(32), partyId(1)];
    const { payload, approval } = this.task;
    const checked = {
      ...payload,
      approval,
      digest: new Uint8Array(32),
      key: { epoch: 3 },
      time: BigInt(this.wall),
    } as unknown as CheckedApproval;
    await this.#sessions.run(this.task, checked, {
      request,
      asker,
      signers: [1, 2, 3].map(partyId),
      begun() {},
    });
  }

  pass(
    changes: Partial<{ keyId: Bytes; epoch: number; txId: string; core: Bytes }> = {},
    row: KeyRow | null = KEY_ROW,
  ): void {
    this.#ledger.transact((transaction) => {
      if (row !== null) transaction.put(KEYS, row);
      this.#sessions.gate(transaction, {
        keyId: KEY_ID,
        epoch: 3,
        txId: "tx",
        core: this.task.payload.core,
        ...changes,
      });
    });
  }

  [Symbol.dispose](): void {
    this.#ledger[Symbol.dispose]();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

Deno.test("the last message passes while everything is as it was, and the lock says that it left", () => {
  using last = new Last();
  last.monotonic += 999.5;
  last.pass();
  assert.equal(last.locks.get(last.task.payload)?.state, "released");
  assert.equal(last.locks.highWater, NOW + 1000);
});

for (
  const [what, change, code, message] of [
    [
      "nothing runs",
      (last) => last.task.attempt = undefined,
      "APPROVAL_REQUIRED",
      /nothing of tx is signed here now/,
    ],
    ["signing was paused", (last) => last.locks.pause(), "SIGNING_PAUSED", /paused/],
    ["voting has stopped", (last) => last.votes.alarm = "SELF_EQUIVOCATION", "VOTING_STOPPED", /SELF_EQ/],
    [
      "the node has two decisions",
      (last) => last.votes.state = "violated",
      "VOTING_STOPPED",
      /SAFETY_VIOLATION/,
    ],
    [
      "another decision came",
      (last) => last.votes.certificate = certificate({ input: utf8("pay 6") }),
      "CERTIFICATE_INVALID",
      /tx is decided otherwise/,
    ],
    [
      "the members have changed since",
      (last) => last.votes.membership = council(5, 4, { epoch: 2 }).membership,
      "CERTIFICATE_INVALID",
      /tx was decided by other members/,
    ],
    [
      "the wall clock is after the end",
      (last) => last.wall = NOW + 1001,
      "APPROVAL_EXPIRED",
      /the time of tx is over/,
    ],
    [
      "it took too long, whatever the wall clock says",
      (last) => last.monotonic += 1001,
      "APPROVAL_EXPIRED",
      /the time of tx is over/,
    ],
    [
      "the lock is for something else",
      (last) => last.locks.fail(last.task.payload, "why"),
      "REQUEST_CONFLICT",
      /tx is failed here/,
    ],
  ] as readonly (readonly [string, (last: Last) => unknown, string, RegExp])[]
) {
  Deno.test(`the last message stays where ${what}`, () => {
    using last = new Last();
    change(last);
    assert.throws(() => last.pass(), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
    assert.notEqual(last.locks.get(last.task.payload)?.state, "released");
  });
}

Deno.test("the last message stays where the key or the payload is another one", () => {
  for (
    const [changes, row, code] of [
      [{ txId: "other" }, KEY_ROW, "APPROVAL_REQUIRED"],
      [{ keyId: sha256(utf8("other")) }, KEY_ROW, "APPROVAL_REQUIRED"],
      [{ core: sha256(utf8("other")) }, KEY_ROW, "REQUEST_CONFLICT"],
      [{}, null, "APPROVAL_KEY"],
      [{}, { ...KEY_ROW, state: "left" }, "APPROVAL_KEY"],
      [{ epoch: 4 }, { ...KEY_ROW, epoch: 4 }, "APPROVAL_KEY"],
    ] as const
  ) {
    using last = new Last();
    assert.throws(
      () => last.pass(changes, row),
      (error: unknown) => error instanceof UsageError && error.code === code,
    );
    assert.equal(last.locks.get(last.task.payload)?.state, "prepared");
  }
});

Deno.test("a signer whose clock is a little ahead moves the time by that, and not by more each time", async () => {
  using last = new Last({ notAfter: BigInt(NOW + 600_000) });
  const sign = (aheadMs: number) => last.sign(new Map([[partyId(2), BigInt(NOW + aheadMs)]]));
  await sign(29_000);
  assert.equal(last.locks.highWater, NOW + 29_000);
  await assert.rejects(sign(58_000), { code: "CLOCK_OFFSET" });
  assert.equal(last.locks.highWater, NOW + 29_000);
});

Deno.test("a signer whose clock says that the approval ends too soon ends the session before anything is signed", async () => {
  using last = new Last({ notAfter: BigInt(NOW + 10_000) });
  await assert.rejects(last.sign(new Map([[partyId(2), BigInt(NOW + 9_001)]])), {
    code: "APPROVAL_EXPIRED",
    message: /check 6/,
  });
  assert.equal(last.locks.get(last.task.payload)?.state, "failed");
  await last.sign(new Map([[partyId(2), BigInt(NOW + 9_000)]]));
  assert.equal(last.locks.get(last.task.payload)?.state, "released");
});

Deno.test("a payload of which a signature is known gets no other session", async () => {
  using last = new Last({ notAfter: BigInt(NOW + 600_000) });
  const known = new Uint8Array(64).fill(7);
  last.locks.sign(last.task.payload, known);
  await last.sign(new Map());
  assert.deepEqual([last.sessions, last.signed], [0, [known]]);
});

Deno.test("errorOf() says of a failure of this program nothing that it may hold", () => {
  assert.deepEqual(errorOf(new Error("secret")), {
    code: "INVARIANT",
    message: "a bug in this program",
    parties: [],
  });
  const late = new TransportError("TIMEOUT", "carol did not answer", { parties: [3] });
  assert.deepEqual(errorOf(late), { code: "TIMEOUT", message: "carol did not answer", parties: [3] });
});

Deno.test("errorOf() names who failed a check, also after the last message", () => {
  const cheated = new CheaterError({
    code: "CHEATED",
    round: 3,
    culprits: [2],
    what: "its share is wrong",
  });
  const unknown = new TransportError("OUTCOME_UNKNOWN", "a signature may exist", { cause: cheated });
  assert.deepEqual(errorOf(cheated).parties, [2]);
  assert.deepEqual(errorOf(unknown).parties, [2]);
});

Deno.test("messages about approvals have one encoding, and what no encoder writes is refused", () => {
  const place = { keyId: KEY_ID as Bytes, txId: "tx" };
  const messages: ApprovalMessage[] = [
    {
      kind: "invite",
      request: new Uint8Array(32).fill(1),
      certificate: certificate(),
      signers: [1, 2, 3].map(partyId),
      digest: new Uint8Array(32).fill(2),
      superseded: encodeApproval(APPROVAL),
    },
    { kind: "refused", request: new Uint8Array(32), txId: "tx", code: "SIGNING_PAUSED", reason: "why" },
    { kind: "ask", ...place },
    {
      kind: "certify",
      request: new Uint8Array(32),
      ...place,
      ballot: new Uint8Array(32).fill(4),
      signers: [2, 5].map(partyId),
    },
    ...(["none", "prepared", "failed", "released", "signed", "superseded"] as const).map((state) => ({
      kind: "told" as const,
      ...place,
      state,
      signature: state === "signed" ? new Uint8Array(64).fill(3) : EMPTY,
    })),
  ];
  for (const message of messages) {
    const encoded = encodeApprovalMessage(message);
    assert.deepEqual(decodeApprovalMessage(encoded), message);
    const wrong = encoded.slice();
    wrong[0] = 9;
    for (const bytes of [encoded.slice(0, -1), new Uint8Array([...encoded, 0]), wrong, EMPTY]) {
      assert.throws(() => decodeApprovalMessage(bytes), DecodeError);
    }
  }
  const told = encodeApprovalMessage(messages[4]!);
  told[told.indexOf(0x74, 33) + 2] = 6;
  assert.throws(() => decodeApprovalMessage(told), DecodeError);
});

Deno.test("run() keeps the signature that counts, where others have made another one", async () => {
  using last = new Last();
  await last.sign(new Map());
  last.chosen = new Uint8Array(64).fill(7);
  await last.sign(new Map());
  assert.deepEqual(last.signed, [new Uint8Array(64), last.chosen]);
});
