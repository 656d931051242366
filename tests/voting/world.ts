import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, equal, hex, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import type { Ed25519Signer } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { type Rng, seededRng } from "../../src/base/rng.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateCodec, certificateFault } from "../../src/voting/certificate.ts";
import type { Item } from "../../src/voting/items.ts";
import { makeMembership, type Membership } from "../../src/voting/membership.ts";
import { type Effect, VotingNode } from "../../src/voting/node.ts";
import { epochOf, offenceCodec, verifyOffence } from "../../src/voting/offence.ts";
import { followRosters, type NextRoster, rosterTxId, rosterValue } from "../../src/voting/roster.ts";
import { encodeValue, type Value } from "../../src/voting/value.ts";
import { ballotOf } from "../../src/voting/vote.ts";
import { Equivocator } from "./equivocator.ts";
import { Died, MemoryVoteStore } from "./memory_store.ts";
import { type Council, council } from "./support.ts";
import type { Weather } from "./weather.ts";

export { MemoryVoteStore } from "./memory_store.ts";
export { type Weather, WEATHERS } from "./weather.ts";

interface Message {
  readonly from: PartyId;
  readonly to: PartyId;
  readonly bytes: Bytes;
}

const SILENCE_MS = 4_000;
const TTL_MS = 30_000;

/** One run. Members are counted from 0; the first ones are equivocators, and the last one is new where the members change. */
export class World {
  readonly council: Council;
  readonly stores: MemoryVoteStore[];
  /** Those that run. */
  readonly nodes: (VotingNode | undefined)[] = [];
  readonly effects: Effect[] = [];
  readonly #weather: Weather;
  readonly #rng: Rng;
  readonly #signers: readonly Pick<Ed25519Signer, "publicKey" | "sign">[];
  readonly #first: Membership;
  /** Who is to vote next. */
  readonly #next: NextRoster;
  readonly #skewMs: readonly number[];
  #messages: Message[] = [];
  /** Sides of a partition; 0 everywhere where there is none. */
  #sides: number[];
  #now = 1_000_000;

  /** @param isQuick with signatures that only stand for some: they are what their signer makes of a message, and nobody forges one. */
  constructor(seed: string, weather: Weather, { isQuick = false }: { readonly isQuick?: boolean } = {}) {
    const { n, quorum, skewMs } = weather;
    this.#weather = weather;
    this.#rng = seededRng(seed);
    const size = n + 1;
    this.council = councilOf(size);
    const voters = this.council.membership.voters.map(({ name, key }) => ({ name, key: key.publicKey }));
    const genesis = makeMembership({
      cluster: "demo",
      epoch: 1,
      voters: voters.slice(0, n),
      quorum,
      faults: 0,
    });
    this.#first = isQuick ? quick(genesis) : genesis;
    // Verifiers stay with members that stay; that of the new one is made when it comes, and is a real one.
    this.#signers = this.council.signers.map((signer, i) => isQuick && i < n ? quickSigner(signer) : signer);
    const leaves = this.#draw(n);
    this.#next = { voters: voters.filter((_, i) => i !== leaves), quorum, faults: 0 };
    this.stores = voters.map(() => new MemoryVoteStore());
    this.#skewMs = voters.map(() => this.#draw(2 * skewMs) - skewMs);
    this.#sides = voters.map(() => 0);
    this.stores.forEach((_, i) => this.nodes[i] = this.#start(i));
  }

  /** Members that keep to the rules. */
  get honest(): number[] {
    return this.stores.map((_, i) => i).filter((i) => i >= this.#weather.equivocators);
  }

  /** Bad weather, then good weather until nothing changes any more; then everything is checked. */
  run(): void {
    const { steps, lost, doubled, crashes } = this.#weather;
    for (let step = 0; step < steps; step++) {
      this.#now += this.#draw(1000);
      if (this.#draw(16) === 0) this.#sides = this.stores.map(() => this.#draw(2));
      if (this.#draw(256) < crashes) {
        this.stores[this.#draw(this.stores.length)]!.dies = {
          commits: this.#draw(5),
          after: this.#draw(2) === 0,
        };
      }
      this.nodes.forEach((node, i) => {
        if (node === undefined && this.#draw(4) === 0) this.nodes[i] = this.#start(i);
      });
      if (this.#draw(2) === 0) this.#actSomewhere(step);
      for (const i of this.honest) if (this.#draw(4) > 0) this.#tick(i);
      for (
        let count = this.#draw(8 + this.#messages.length);
        count > 0 && this.#messages.length > 0;
        count--
      ) {
        const [message] = this.#messages.splice(this.#draw(this.#messages.length), 1) as [Message];
        const isCut = this.#sides[message.from - 1] !== this.#sides[message.to - 1];
        if (isCut || this.#draw(256) < lost) continue;
        if (this.#draw(256) < doubled) this.#messages.push(message);
        this.#deliver(message);
      }
    }
    this.#heal();
    this.check();
  }

  /** What may never be, and what must be once everybody can reach everybody. */
  check(): void {
    const nodes = this.#honestNodes();
    const longest = nodes.map((node) => node.chain).reduce((a, b) => a.length < b.length ? b : a);
    const memberships = followRosters(this.#first, longest);
    for (const { epoch } of memberships.slice(0, -1)) {
      for (const node of this.#honestNodes(epoch)) assert.ok(node.membership.epoch > epoch, "all go on");
    }
    this.#checkDecisions(memberships);
    for (const { epoch } of memberships) this.#checkOffences(epoch);
    for (const node of nodes) {
      assert.equal(node.alarm, undefined);
      this.#checkBlame(node, memberships);
      assert.deepEqual(node.recompute(this.#now).unproven, []);
      assert.deepEqual(node.recompute(this.#now).scores, node.reputation(this.#now));
      this.#checkSilence(node);
    }
    for (const i of this.honest) this.#votedOnce(i);
  }

  /** How often each kind of effect was seen. */
  count(kind: Effect["kind"]): number {
    return this.effects.filter((effect) => effect.kind === kind).length;
  }

  /** One decision per name, over all epochs, and everybody who voted under its membership has it. */
  #checkDecisions(memberships: readonly Membership[]): void {
    const nodes = this.#honestNodes();
    const names = new Set(nodes.flatMap((node) => node.transactions(this.#now).map(({ txId }) => txId)));
    for (const txId of names) {
      const decided = nodes.map((node) => node.certificate(txId));
      const ballots = new Set(decided.filter((one) => one !== undefined).map((one) => hex(ballotOf(one))));
      assert.ok(ballots.size <= 1, `two decisions for ${txId}`);
      for (const certificate of decided) {
        if (certificate === undefined) continue;
        const again = decode(certificateCodec, encode(certificateCodec, certificate));
        const membership = memberships.find(({ epoch }) => epoch === again.epoch)!;
        assert.equal(certificateFault(membership, again), undefined);
        for (const node of this.#honestNodes(again.epoch)) {
          assert.ok(node.certificate(txId) !== undefined, `${txId} is decided at some only`);
        }
      }
    }
  }

  /** Of invalid signatures each keeps the first few that it sees; of double votes all know the same. */
  #checkOffences(epoch: number): void {
    const doubleVotes = this.#honestNodes(epoch).map((node) =>
      node.offences
        .filter(({ kind, proof }) => kind === "double-vote" && epochOf(proof) === epoch)
        .map(({ id }) => hex(id)).sort()
    );
    for (const list of doubleVotes) {
      assert.deepEqual(list, doubleVotes[0], "all know of the same double votes");
    }
  }

  #checkBlame(node: VotingNode, memberships: readonly Membership[]): void {
    for (const { subject, proof } of node.offences) {
      const again = decode(offenceCodec, encode(offenceCodec, proof));
      const membership = memberships.find(({ epoch }) => epoch === epochOf(again))!;
      assert.equal(verifyOffence(membership, again)?.subject, subject);
      assert.ok(!this.#isHonest(membership, subject), `honest member ${subject} is blamed`);
    }
  }

  /** Nobody honest is silent in the end, and nobody honest was ever so by the word of liars alone. */
  #checkSilence(node: VotingNode): void {
    for (const { txId, epoch, presence } of node.transactions(this.#now)) {
      const membership = node.memberships.find((one) => one.epoch === epoch)!;
      for (const [name, state] of Object.entries(presence)) {
        const { index } = membership.voters.find((voter) => voter.name === name)!;
        const isHonest = this.#isHonest(membership, index);
        assert.ok(!isHonest || state !== "silent", `honest ${name} is silent in ${txId}`);
        if (state === "silent" || state === "late") this.#checkSuspected(membership, txId, index);
      }
    }
  }

  #checkSuspected(membership: Membership, txId: string, subject: PartyId): void {
    const isSuspected = this.stores.some(({ records }) =>
      records.some((record) =>
        record.kind === "suspicion" && record.epoch === membership.epoch && record.suspicion.txId === txId &&
        record.suspicion.subject === subject && this.#isHonest(membership, record.suspicion.observer)
      )
    );
    assert.ok(isSuspected, `${subject} is silent in ${txId} by the word of liars alone`);
  }

  /** Ballots that a member has ever signed, by transaction, in whatever epoch: in the stores of all. */
  #votedOnce(member: number): void {
    const key = this.council.signers[member]!.publicKey;
    const memberships = this.#honestNodes().map((node) => node.memberships).reduce((a, b) =>
      a.length < b.length ? b : a
    );
    const ballots = new Map<string, Set<string>>();
    for (const { records } of this.stores) {
      for (const record of records) {
        if (record.kind !== "vote") continue;
        const membership = memberships.find(({ epoch }) => epoch === record.vote.epoch)!;
        if (!equal(membership.voters[record.vote.voter - 1]!.key.publicKey, key)) continue;
        const { txId } = record.vote;
        ballots.set(txId, (ballots.get(txId) ?? new Set()).add(hex(ballotOf(record.vote))));
      }
    }
    for (const [txId, seen] of ballots) {
      assert.equal(seen.size, 1, `member ${member + 1} voted twice in ${txId}`);
    }
  }

  /** Those that keep to the rules, and were members in an epoch. */
  #honestNodes(epoch?: number): VotingNode[] {
    return this.honest.flatMap((i) => {
      const node = this.nodes[i] as VotingNode;
      const key = this.council.signers[i]!.publicKey;
      // Whoever was no member of the first epoch, and of no later one yet, has nothing that could be checked.
      if (epoch === undefined) {
        return node.memberships.some((one) => placeOf(one, key) !== undefined) ? [node] : [];
      }
      const membership = node.memberships.find((one) => one.epoch === epoch);
      return membership !== undefined && placeOf(membership, key) !== undefined ? [node] : [];
    });
  }

  #isHonest(membership: Membership, place: number): boolean {
    const key = membership.voters[place - 1]!.key.publicKey;
    return this.honest.some((i) => equal(this.council.signers[i]!.publicKey, key));
  }

  #actSomewhere(step: number): void {
    const { equivocators, transactions, changes } = this.#weather;
    const actor = this.#draw(this.stores.length);
    // Old ones go, and new ones come.
    const number = this.#draw(transactions) + Math.floor(step / 20);
    if (actor < equivocators) return this.#equivocate(actor, number);
    const choice = this.#draw(8);
    // Operators mostly want the same, so that there are decisions, and sometimes not.
    for (const i of this.honest.filter(() => this.#draw(2) === 0)) {
      this.#operate(i, {
        number,
        isOdd: this.#draw(8) === 0,
        choice: changes && step > 5 && step < 40 ? choice : choice | 4,
      });
    }
    if (changes) this.#tellNew();
  }

  /** What an operator wants of a node. */
  #operate(
    i: number,
    { number, isOdd, choice }: { readonly number: number; readonly isOdd: boolean; readonly choice: number },
  ): void {
    const now = this.#nowOf(i);
    if (choice < 3) return this.#at(i, (node) => node.changeRoster(this.#next, now));
    if (choice < 6) {
      const value: Value = { schema: "integer", integer: isOdd ? 43n : 42n };
      return this.#at(i, (node) => node.cast(`tx_${number}`, value, now));
    }
    const txId = `pay_${number}`;
    const [proposal] = this.nodes[i]?.status(txId)?.proposals ?? [];
    if (proposal === undefined) return this.#at(i, (node) => node.propose(payment(number, isOdd), now));
    this.#at(i, (node) => node.answer(txId, hex(ballotOf(proposal)), isOdd ? "reject" : "approve", now));
  }

  /** The operator of the new member brings it what was decided. */
  #tellNew(): void {
    const last = this.stores.length - 1;
    for (const node of this.nodes) {
      for (const certificate of node?.chain ?? []) {
        const isKnown = this.nodes[last]?.certificate(certificate.txId) !== undefined;
        if (!isKnown) this.#at(last, (one) => one.learn(certificate, this.#nowOf(last)));
      }
    }
  }

  /** Something else to each member: values, votes in the name of others, lies about who is silent. */
  #equivocate(actor: number, number: number): void {
    const membership = this.#draw(2) === 0 ? this.#first : this.#newest();
    const signer = this.#signers[actor]!;
    const place = placeOf(membership, signer.publicKey);
    if (place === undefined) return;
    const equivocator = new Equivocator(membership, place, (message) => signer.sign(message));
    for (let to = 0; to < this.stores.length; to++) {
      const there = placeOf(membership, this.council.signers[to]!.publicKey);
      if (to === actor || there === undefined || this.#draw(3) === 0) continue;
      const items = this.#lies(equivocator, membership, number);
      this.#messages.push({
        from: partyId(actor + 1),
        to: partyId(to + 1),
        bytes: equivocator.envelope(there, items),
      });
    }
  }

  #lies(equivocator: Equivocator, membership: Membership, number: number): Item[] {
    const { n, changes } = this.#weather;
    const txId = `tx_${number}`;
    const integer = encodeValue({ schema: "integer", integer: BigInt(41 + this.#draw(3)) });
    const approval = (isOdd: boolean) =>
      encodeValue({ schema: "approval", bytes: encodeApproval(payment(number, isOdd)) });
    switch (this.#draw(8)) {
      case 0:
        return [equivocator.vote(txId, integer, 1 + this.#draw(n))];
      case 1:
        return [equivocator.proposal(`pay_${number}`, approval(this.#draw(2) === 0))];
      case 2:
        return [equivocator.vote(`pay_${number}`, approval(this.#draw(2) === 0))];
      case 3:
        return [
          equivocator.receipt(txId, "seen"),
          ...Array.from({ length: n }, (_, i) => equivocator.suspicion(txId, i + 1)),
        ];
      case 4: {
        if (!changes || membership !== this.#first) return [equivocator.emptyList()];
        const { voters } = this.#next;
        const next = this.#draw(3) === 0 ? { ...this.#next, voters: voters.toReversed() } : this.#next;
        return [equivocator.vote(rosterTxId(membership), encodeValue(rosterValue(membership, next)))];
      }
      default:
        return [equivocator.vote(txId, integer)];
    }
  }

  #newest(): Membership {
    const epochs = this.nodes.map((node) => node?.membership ?? this.#first);
    return epochs.reduce((a, b) => a.epoch < b.epoch ? b : a);
  }

  #deliver({ from, to, bytes }: Message): void {
    if (to > this.#weather.equivocators) {
      this.#at(to - 1, (node) => node.receive(from, bytes, this.#nowOf(to - 1)));
    }
  }

  #tick(i: number): void {
    const linksUp =
      this.nodes.filter((node, j) => j !== i && node !== undefined && this.#sides[i] === this.#sides[j])
        .length;
    this.#at(i, (node) => node.tick({ now: this.#nowOf(i), monotonicMs: this.#now, linksUp }));
  }

  /** Runs a node; where it dies, nothing that it wanted to send leaves. What it refuses it refuses. */
  #at(i: number, work: (node: VotingNode) => Effect[]): void {
    const node = this.nodes[i];
    if (node === undefined) return;
    try {
      this.#carryOut(i, work(node));
    } catch (error) {
      if (error instanceof UsageError) return;
      if (!(error instanceof Died)) throw error;
      this.stores[i]!.dies = undefined;
      this.nodes[i] = undefined;
    }
  }

  #carryOut(i: number, effects: readonly Effect[]): void {
    this.effects.push(...effects.filter(({ kind }) => kind !== "send"));
    for (const effect of effects) {
      if (effect.kind === "send") {
        this.#messages.push({ from: partyId(i + 1), to: effect.to, bytes: effect.bytes });
      }
      if (effect.kind === "close" && i >= this.#weather.equivocators) {
        assert.ok(effect.peer <= this.#weather.equivocators, `an honest peer was cut off: ${effect.why}`);
      }
    }
  }

  /** Everybody is up, nothing is lost, and digests are exchanged until nothing is sent any more. */
  #heal(): void {
    this.#sides = this.stores.map(() => 0);
    for (const store of this.stores) store.dies = undefined;
    this.nodes.forEach((node, i) => this.nodes[i] = node ?? this.#start(i));
    for (let round = 0; round < 4; round++) {
      this.#tellNew();
      for (const i of this.honest) {
        this.#tick(i);
        for (const j of this.honest) {
          if (i !== j) this.#at(i, (node) => node.digestFor(partyId(j + 1)));
        }
      }
      while (this.#messages.length > 0) this.#deliver(this.#messages.shift() as Message);
    }
  }

  /** Starts a node from its store; undefined where it dies while it looks at it. */
  #start(i: number): VotingNode | undefined {
    const { signers } = this.council;
    this.nodes[i] = new VotingNode({
      membership: this.#first,
      self: partyId(i + 1),
      peers: new Map(signers.map(({ publicKey }, j) => [partyId(j + 1), publicKey])),
      sign: (message) => this.#signers[i]!.sign(message),
      store: this.stores[i]!,
      silenceMs: SILENCE_MS,
      ttlMs: TTL_MS,
      approves: ({ value }) => i % 2 === 0 && APPROVED_BY_ITSELF.some((one) => equal(one, value)),
    });
    this.#at(i, (node) => node.resume(this.#nowOf(i)));
    return this.nodes[i];
  }

  /** What a member takes for the time. */
  #nowOf(i: number): number {
    return this.#now + this.#skewMs[i]!;
  }

  /** A number below `limit`. */
  #draw(limit: number): number {
    const [a, b, c] = this.#rng.bytes(3) as unknown as [number, number, number];
    return Math.floor((a * 65536 + b * 256 + c) / 2 ** 24 * limit);
  }
}

/** A payment, or another one under the same name. */
function payment(number: number, isOdd: boolean): Approval {
  return {
    kind: "approve",
    cluster: "demo",
    txId: `pay_${number}`,
    keyId: new Uint8Array(32),
    publicKey: new Uint8Array(33),
    policyHash: new Uint8Array(32),
    scheme: "ed25519",
    path: [],
    mode: "message",
    input: utf8(isOdd ? "pay 6" : "pay 5"),
    context: [],
    supersedes: "",
    notBefore: 0n,
    notAfter: isOdd ? 1_000_000n : 80_000_000n,
    lowS: false,
  };
}

/** What is approved without an operator: payments of 5. */
const APPROVED_BY_ITSELF: readonly Bytes[] = Array.from(
  { length: 8 },
  (_, number) => encodeValue({ schema: "approval", bytes: encodeApproval(payment(number, false)) }),
);

/** All who may be members: the same in all runs. */
function councilOf(size: number): Council {
  const known = councils.get(size) ?? council(size, size, { faults: 0 });
  councils.set(size, known);
  return known;
}

const councils = new Map<number, Council>();

/** The members with keys that take no time. */
function quick(membership: Membership): Membership {
  const voters = membership.voters.map((voter) => {
    const signer = quickSigner(voter.key);
    const key = {
      ...voter.key,
      publicKey: voter.key.publicKey,
      verify: (message: Uint8Array, signature: Uint8Array) => equal(signer.sign(message), signature),
    };
    return { ...voter, key };
  });
  return { ...membership, voters };
}

/** Signs hashes. */
function quickSigner({ publicKey }: { readonly publicKey: Bytes }) {
  return {
    publicKey,
    sign(message: Uint8Array): Bytes {
      assert.equal(message.length, 32);
      const signature = new Uint8Array(64);
      for (let i = 0; i < 32; i++) {
        signature[i] = (message[i] as number) ^ (publicKey[i] as number);
        signature[32 + i] = publicKey[i] as number;
      }
      return signature;
    },
  };
}

function placeOf({ voters }: Membership, publicKey: Bytes): PartyId | undefined {
  return voters.find(({ key }) => equal(key.publicKey, publicKey))?.index;
}
