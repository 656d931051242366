import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { type Ed25519Signer, ed25519Signer } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { LedgerVoteStore } from "../../src/node/vote_store.ts";
import { type VotingEvent, VotingService, type VotingServiceOptions } from "../../src/node/voting.ts";
import type { LinkEvent, Links } from "../../src/session/links.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { VOTING } from "../../src/storage/tables.ts";
import type { Approval } from "../../src/voting/approval.ts";
import { makeMembership } from "../../src/voting/membership.ts";
import { VotingNode } from "../../src/voting/node.ts";

const SIGNERS = Array.from({ length: 4 }, () => ed25519Signer(systemRng.bytes(32)));
const MEMBERSHIP = makeMembership({
  cluster: "c",
  epoch: 0,
  quorum: 3,
  voters: SIGNERS.map(({ publicKey }, i) => ({ name: `n${i + 1}`, key: publicKey })),
});
const FULL = "the disk is full";
const KEYS = new Map(MEMBERSHIP.voters.map(({ index, key }) => [index, key.publicKey]));
const APPROVAL: Approval = {
  kind: "approve",
  cluster: "c",
  txId: "pay",
  keyId: new Uint8Array(32),
  publicKey: new Uint8Array(33),
  policyHash: new Uint8Array(32),
  scheme: "ed25519",
  path: [],
  mode: "message",
  input: new Uint8Array(1),
  context: [],
  supersedes: "",
  notBefore: 0n,
  notAfter: 0n,
  lowS: false,
};

function signer(index: number): (message: Bytes) => Bytes {
  return (message) => (SIGNERS[index - 1] as Ed25519Signer).sign(message);
}

/** Node 1 on a disk that can be full, and links to nodes for which the test speaks. */
class Stage implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly events: VotingEvent[] = [];
  readonly sent: { readonly to: PartyId; readonly bytes: Bytes }[] = [];
  readonly closed: string[] = [];
  isFull = false;
  isBroken = false;
  #hears: (event: LinkEvent) => void | Promise<void> = () => {};
  #running: { readonly service: VotingService; readonly ledger: Ledger } | undefined;

  constructor() {
    Deno.chmodSync(this.directory, 0o700);
  }

  start(change: Partial<VotingServiceOptions> = {}): VotingService {
    const ledger = Ledger.open({
      directory: this.directory,
      owner: { cluster: "c", party: "n1", index: 1 },
      sealing: { kind: "key", key: new Secret(new Uint8Array(32)) },
      rng: systemRng,
    });
    const seen: Pick<Ledger, "find" | "transact"> = {
      find: (...args) => ledger.find(...args),
      transact: (work) => {
        if (this.isFull) throw new UsageError("STORE_UNWRITABLE", FULL);
        return ledger.transact(work);
      },
    };
    const outbox = new Outbox(seen, { cluster: "c", stream: "n1" });
    const service = new VotingService({
      config: { membership: MEMBERSHIP, peers: KEYS, ttlMs: 3_600_000, digestMs: 3_600_000, silenceMs: 80 },
      self: partyId(1),
      sign: signer(1),
      store: new LedgerVoteStore({ ledger: seen, outbox, membershipAt: () => MEMBERSHIP, now: Date.now }),
      links: this.#links((receiver) => this.#hears = receiver),
      rosters: this.#links(() => {}),
      rng: systemRng,
      now: Date.now,
      on: (event) => this.events.push(event),
      ...change,
    });
    this.#running = { service, ledger };
    return service;
  }

  /** What a peer sends. */
  hear(from: number, bytes: Bytes): void {
    const session = new Uint8Array(16);
    void this.#hears({ kind: "frame", peer: partyId(from), frame: { type: 0, session, payload: bytes } });
  }

  link(to: number, kind: "up" | "down"): void {
    const peer = partyId(to);
    void this.#hears(
      kind === "up" ? { kind, peer, bootId: new Uint8Array(16) } : { kind, peer, reason: "AGE" },
    );
  }

  /** A vote of a peer, as it would send it to node 1. */
  vote(from: number, txId: string, integer: bigint): void {
    const effects = peer(from).cast(txId, { schema: "integer", integer }, Date.now());
    for (const effect of effects) {
      if (effect.kind === "send" && effect.to === 1) this.hear(from, effect.bytes);
    }
  }

  count(kind: VotingEvent["kind"]): number {
    return this.events.filter((event) => event.kind === kind).length;
  }

  /** How many rows of a kind are on disk. */
  rows(kind: string): number {
    return this.#running?.ledger.find(VOTING, {}).filter((row) => row.kind === kind).length ?? 0;
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (!isSo()) {
      ok(performance.now() < deadline, `it did not happen: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  stop(): void {
    this.#running?.service[Symbol.dispose]();
    this.#running?.ledger[Symbol.dispose]();
    this.#running = undefined;
  }

  [Symbol.dispose](): void {
    this.stop();
    Deno.removeSync(this.directory, { recursive: true });
  }

  #links(listen: Links["listen"]): Links {
    return {
      self: partyId(1),
      send: (to, { payload }) => {
        if (this.isBroken) throw new Error("a bug");
        return this.sent.push({ to, bytes: payload }) > 0;
      },
      bootId: () => undefined,
      closeLink: (_peer, code) => void this.closed.push(code),
      listen,
    };
  }
}

function peer(index: number): VotingNode {
  const store = { load: () => [], commit: () => {} };
  return new VotingNode({ membership: MEMBERSHIP, self: partyId(index), sign: signer(index), store });
}

const value = (integer: bigint) => ({ schema: "integer", integer }) as const;

Deno.test("VotingService passes on what others have said a moment later, and says what is its own at once", async () => {
  using stage = new Stage();
  const service = stage.start();
  stage.vote(2, "tx_001", 42n);
  await stage.until("the vote is stored", () => stage.count("vote") === 1);
  equal(stage.sent.length, 0);
  service.cast("tx_001", { schema: "integer", integer: 42n });
  equal(stage.sent.length, MEMBERSHIP.voters.length - 1);
  await stage.until(
    "the other one's vote is passed on",
    () => stage.sent.length === 2 * MEMBERSHIP.voters.length - 3,
  );
});

Deno.test("VotingService sends its vote again when a disk that was full is not any more", async () => {
  using stage = new Stage();
  const service = stage.start();
  service.cast("tx", value(1n));
  // The vote was to be written a moment later; the lock is on disk.
  stage.isFull = true;
  await stage.until("the fault is told", () => stage.count("store") > 0);
  deepEqual(service.unready(), [{ reason: "store", text: `votes cannot be stored: ${FULL}` }]);
  deepEqual(service.status("tx"), undefined);
  // It does not mend by doing nothing.
  await new Promise((resolve) => setTimeout(resolve, 60));
  equal(service.unready().length, 1);
  stage.isFull = false;
  await stage.until("the vote is there again", () => service.status("tx")?.own !== undefined);
  deepEqual(service.unready(), []);
  equal(stage.count("mended"), 1);
  deepEqual(stage.events.flatMap((event) => event.kind === "cast" ? [event.txId] : []), ["tx"]);
});

Deno.test("VotingService starts on a full disk, and decides what it can when there is room", async () => {
  using stage = new Stage();
  stage.start().cast("tx", value(1n));
  for (const from of [2, 3]) stage.vote(from, "tx", 1n);
  await stage.until("the votes are there", () => stage.count("decided") === 1);
  stage.stop();
  const before = stage.count("store");
  stage.isFull = true;
  const service = stage.start();
  await new Promise((resolve) => setTimeout(resolve, 40));
  equal(service.status("tx")?.state, "decided");
  throws(() => service.cast("tx2", value(1n)), { code: "STORE_UNWRITABLE" });
  equal(stage.count("store") > before, true);
  stage.isFull = false;
  await stage.until("it is mended", () => stage.count("mended") === 1);
  service.cast("tx2", value(1n));
});

Deno.test("VotingService tells what fails by the clock, which ends no process", async () => {
  using stage = new Stage();
  stage.start();
  stage.isBroken = true;
  stage.vote(2, "tx", 1n);
  await stage.until("what was to be passed on has failed", () => stage.count("failed") === 1);
});

Deno.test("VotingService compares, looks who is silent and begins by the clock, and tells what fails", async () => {
  using stage = new Stage();
  const config = { membership: MEMBERSHIP, peers: KEYS, ttlMs: 3_600_000, digestMs: 5, silenceMs: 3_600_000 };
  stage.start({ config });
  stage.link(2, "up");
  stage.isBroken = true;
  await stage.until("a comparison has failed", () => stage.count("failed") > 0);
});

Deno.test("VotingService takes proposals that are open as long as its policy allows", () => {
  using stage = new Stage();
  const now = Date.now();
  const approval = { ...APPROVAL, notBefore: BigInt(now), notAfter: BigInt(now + 25 * 3_600_000) };
  throws(() => stage.start().propose(approval), { code: "USAGE" });
  stage.stop();
  stage.start({ approvalLifetimeMs: 25 * 3_600_000 }).propose(approval);
});

Deno.test("VotingService decides nothing that it could not write, and learns it again", async () => {
  using stage = new Stage();
  const service = stage.start();
  stage.isFull = true;
  for (const from of [2, 3, 4]) stage.vote(from, "tx", 1n);
  await stage.until("the fault is told", () => stage.count("store") > 0);
  deepEqual([stage.count("decided"), service.status("tx")], [0, undefined]);
  stage.isFull = false;
  await stage.until("it is mended", () => stage.count("mended") === 1);
  for (const from of [2, 3, 4]) stage.vote(from, "tx", 1n);
  await stage.until("it is decided", () => stage.count("decided") === 1);
  equal(service.status("tx")?.state, "decided");
});

Deno.test("VotingService tells of a vote once, and of none where it has none to give", async () => {
  using stage = new Stage();
  const service = stage.start();
  service.cast("a", value(1n));
  service.cast("a", value(1n));
  throws(() => service.cast("a", value(2n)), { code: "ALREADY_VOTED" });
  for (const from of [2, 3, 4]) stage.vote(from, "b", 1n);
  await stage.until("b is decided", () => stage.count("decided") === 1);
  // It is decided so: there is nothing left to vote for.
  service.cast("b", value(1n));
  throws(() => service.cast("b", value(2n)), { code: "ALREADY_DECIDED" });
  deepEqual(stage.events.flatMap((event) => event.kind === "cast" ? [event.txId] : []), ["a"]);
});

Deno.test("VotingService.decision() ends with the decision, the time or the signal, whichever is first", async () => {
  using stage = new Stage();
  const service = stage.start();
  const stop = new AbortController();
  const given = service.decision("tx", 60_000, stop.signal);
  const waiting = service.decision("tx", 60_000, new AbortController().signal);
  equal(await service.decision("tx", 60_000, AbortSignal.abort()), undefined);
  equal(await service.decision("tx", 1, new AbortController().signal), undefined);
  stop.abort();
  equal(await given, undefined);
  for (const from of [2, 3, 4]) stage.vote(from, "tx", 1n);
  equal((await waiting)?.state, "decided");
  equal((await service.decision("tx", 60_000, new AbortController().signal))?.state, "decided");
});

Deno.test("VotingService ends the link of a peer that sends what is no gossip, and goes on", async () => {
  using stage = new Stage();
  const service = stage.start();
  stage.hear(2, utf8("garbage"));
  // Of another sender than the link's peer.
  for (const effect of peer(3).cast("tx", value(1n), Date.now())) {
    if (effect.kind === "send" && effect.to === 1) stage.hear(2, effect.bytes);
  }
  for (const from of [2, 3, 4]) stage.vote(from, "tx", 1n);
  await stage.until("it is decided", () => service.status("tx")?.state === "decided");
  deepEqual(stage.closed, ["MESSAGE_INVALID", "MESSAGE_INVALID"]);
  equal(stage.count("closed"), 2);
});

Deno.test("VotingService says what it has to a peer whose link comes up, counts links, and does nothing when it is closed", async () => {
  using stage = new Stage();
  const service = stage.start();
  stage.link(2, "up");
  stage.link(3, "up");
  deepEqual(stage.sent.map(({ to }) => Number(to)), [2, 3]);
  equal(service.reachable, 3);
  stage.link(3, "down");
  equal(service.reachable, 2);
  service[Symbol.dispose]();
  const sent = stage.sent.length;
  stage.link(3, "up");
  stage.vote(2, "tx", 1n);
  await new Promise((resolve) => setTimeout(resolve, 20));
  equal(stage.sent.length, sent);
  equal(service.status("tx"), undefined);
});

Deno.test("VotingService stores nothing twice that was given up with a write that failed", async () => {
  using stage = new Stage();
  const service = stage.start();
  stage.vote(2, "a", 1n);
  await stage.until("the vote is there", () => service.status("a") !== undefined);
  // It was to be written with the next lock.
  stage.isFull = true;
  throws(() => service.cast("b", value(1n)), { code: "STORE_UNWRITABLE" });
  stage.isFull = false;
  stage.vote(2, "a", 1n);
  await stage.until("the vote is there again", () => service.status("a") !== undefined);
  service.cast("b", value(1n));
  equal(stage.rows("vote"), 1);
});
