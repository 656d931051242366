import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, EMPTY, utf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import type { ApprovalKey } from "../../src/node/approval_key.ts";
import type { CertifyRequest } from "../../src/node/approval_wire.ts";
import { CompactCertificates, type CompactOptions } from "../../src/node/compact_certificates.ts";
import { SignLocks } from "../../src/node/sign_locks.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { ballotOf } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";

const { membership, vote } = council(5, 4);
const [ALICE, BOB] = [partyId(1), partyId(2)];
const KEY: ApprovalKey = {
  name: "notary",
  keyId: sha256(utf8("notary")),
  epoch: 1,
  purpose: "decision",
  scheme: "ed25519",
  publicKey: new Uint8Array(32),
  policyHash: new Uint8Array(32),
  members: [],
  quorum: (parties) => parties.length < 3 ? undefined : [...parties].sort((a, b) => a - b).slice(0, 3),
  pathFault: () => undefined,
  verifies: () => false,
};

function decided(value = 42n): QuorumCertificate {
  return certificateOf(
    membership,
    [1, 2, 3, 4].map((voter) => vote(voter, value, "tx")),
  ) as QuorumCertificate;
}

/** The node of bob, whose sessions never end by themselves. */
class Place implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly #ledger: Ledger;
  readonly locks: SignLocks;
  readonly compact: CompactCertificates;
  readonly refused: string[] = [];
  readonly told: Bytes[] = [];
  held: QuorumCertificate | undefined = decided();
  alarm: string | undefined;
  state: "decided" | "violated" = "decided";
  key: ApprovalKey | undefined = KEY;
  sessions = 0;

  constructor() {
    Deno.chmodSync(this.#directory, 0o700);
    this.#ledger = Ledger.open({
      directory: this.#directory,
      owner: { cluster: "demo", party: "bob", index: 2 },
      sealing: { kind: "key", key: new Secret(systemRng.bytes(32)) },
      rng: systemRng,
    });
    this.locks = new SignLocks({ ledger: this.#ledger, now: () => 0 });
    const alarm = () => this.alarm;
    this.compact = new CompactCertificates(
      {
        party: {
          forRequest: () => ({
            cancel: () => {},
            signApproved: () => {
              this.sessions++;
              return new Promise(() => {});
            },
          }),
        },
        votes: {
          certificate: () => this.held,
          status: () => ({ state: this.state }),
          get alarm() {
            return alarm();
          },
        },
        locks: this.locks,
        view: {
          self: BOB,
          name: "bob",
          nameOf: (party: number) => `party ${party}`,
          time: () => 0n,
          keyOf: () => this.key,
        },
        post: () => ({
          refuse: (_: unknown, { code }: { readonly code: string }) => this.refused.push(code),
          tell: (_: unknown, __: unknown, lock: { readonly signature: Bytes }) =>
            this.told.push(lock.signature),
        }),
        rng: systemRng,
        clock: { now: () => 0, timer: () => () => {} },
      } as unknown as CompactOptions,
    );
  }

  /** What becomes of a request of alice. */
  async ask(changes: Partial<CertifyRequest> = {}): Promise<string> {
    const joined = this.compact.join(ALICE, {
      kind: "certify",
      keyId: KEY.keyId,
      txId: "tx",
      request: new Uint8Array(32),
      ballot: ballotOf(decided()),
      signers: [1, 2, 3].map(partyId),
      ...changes,
    });
    await Promise.race([joined, new Promise((resolve) => setTimeout(resolve, 10))]);
    return this.refused.at(-1) ?? (this.told.length > 0 ? "told" : this.sessions > 0 ? "session" : "nothing");
  }

  release(core = ballotOf(decided())): void {
    this.#ledger.transact((transaction) => {
      this.compact.gate(transaction, { keyId: KEY.keyId, epoch: 1, txId: "tx", core });
    });
  }

  [Symbol.dispose](): void {
    this.#ledger[Symbol.dispose]();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

for (
  const [what, change, request, code] of [
    ["what is not decided here", (place) => place.held = undefined, {}, "TX_UNDECIDED"],
    ["what is decided otherwise here", (place) => place.held = decided(43n), {}, "CERTIFICATE_INVALID"],
    ["a key that is not here", (place) => place.key = undefined, {}, "KEY_UNKNOWN"],
    ["a plain key", (place) => place.key = { ...KEY, purpose: "plain" }, {}, "KEY_PURPOSE"],
    ["a key of another scheme", (place) => place.key = { ...KEY, scheme: "bip340" }, {}, "KEY_PURPOSE"],
    ["too few signers", () => {}, { signers: [1, 2].map(partyId) }, "APPROVAL_SIGNERS"],
    ["more signers than are needed", () => {}, { signers: [1, 2, 3, 4].map(partyId) }, "APPROVAL_SIGNERS"],
    ["signers in another order", () => {}, { signers: [2, 1, 3].map(partyId) }, "APPROVAL_SIGNERS"],
    ["signers without this node", () => {}, { signers: [1, 3, 4].map(partyId) }, "APPROVAL_SIGNERS"],
    ["signers without the one that asks", () => {}, { signers: [2, 3, 4].map(partyId) }, "APPROVAL_SIGNERS"],
    ["a node that is paused", (place) => place.locks.pause(), {}, "SIGNING_PAUSED"],
  ] as readonly (readonly [string, (place: Place) => unknown, Partial<CertifyRequest>, string])[]
) {
  Deno.test(`CompactCertificates.join() refuses ${what}`, async () => {
    using place = new Place();
    change(place);
    assert.equal(await place.ask(request), code);
    assert.equal(place.sessions, 0);
  });
}

Deno.test("CompactCertificates.join() takes part, and answers with the certificate that is there already", async () => {
  using place = new Place();
  assert.equal(await place.ask(), "session");
  assert.equal(place.compact.heardRefusal(ALICE, new Uint8Array(32).fill(1), "no"), false);
  assert.equal(place.compact.heardRefusal(ALICE, new Uint8Array(32), "no"), true);
  const { keyId } = KEY;
  const ballot = ballotOf(decided());
  const signature = new Uint8Array(64).fill(7);
  const payload = { keyId, txId: "tx", core: ballot, ballot, approvalHash: EMPTY, notAfter: 0 };
  place.locks.sign(payload, signature);
  assert.equal(await place.ask(), "told");
  assert.deepEqual(place.told, [signature]);
});

for (
  const [what, change, code] of [
    ["voting has stopped", (place) => place.alarm = "SELF_EQUIVOCATION", "VOTING_STOPPED"],
    ["there are two decisions", (place) => place.state = "violated", "VOTING_STOPPED"],
    ["there is no decision any more", (place) => place.held = undefined, "CERTIFICATE_INVALID"],
    ["it is decided otherwise", (place) => place.held = decided(43n), "CERTIFICATE_INVALID"],
    ["signing is paused", (place) => place.locks.pause(), "SIGNING_PAUSED"],
  ] as readonly (readonly [string, (place: Place) => unknown, string])[]
) {
  Deno.test(`the last message of a compact certificate stays where ${what}`, async () => {
    using place = new Place();
    assert.equal(await place.ask(), "session");
    change(place);
    assert.throws(() => place.release(), { code });
    assert.equal(place.locks.all({ txId: "tx" })[0]?.state, "prepared");
  });
}

Deno.test("the last message of a compact certificate passes once, for what is locked", async () => {
  using place = new Place();
  assert.throws(() => place.release(), { code: "REQUEST_CONFLICT" });
  await place.ask();
  place.release();
  assert.equal(place.locks.all({ txId: "tx" })[0]?.state, "released");
});
