/**
 * A voting node as a function of what it is told (VOTING 2 to 5): no clock, no network, no waiting. Each call returns what is to be
 * sent; what must survive a crash is in the store before anything is returned.
 *
 * A node votes when its operator says so, once per transaction, and never because others did.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { decode, DecodeError, encode } from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import { certificateFault, certificateOf, type QuorumCertificate } from "./certificate.ts";
import { gossipCodec, type GossipEnvelope, isGossipValid, ITEMS_MAX, signGossip } from "./gossip.ts";
import {
  decodeItem,
  type Digest,
  DIGEST_PAGE,
  encodeItem,
  type Item,
  PREFIX_BYTES,
  type TxDigest,
} from "./items.ts";
import { type Membership, voterAt } from "./membership.ts";
import { doubleVote, type OffenceProof, verifyOffence, VOTE_ITEM } from "./offence.ts";
import type { StoredOffence, VoteLock, VoteRecord, VoteStore } from "./store.ts";
import { encodeValue, ROSTER_PREFIX, txIdFault, type Value } from "./value.ts";
import { ballotOf, questionOf, signVote, type Vote, voteFault } from "./vote.ts";

/** Undecided transactions that one member may open here. */
export const OPEN_PER_MEMBER_MAX = 64;
/** Proofs of invalid signatures that are kept of one member. */
export const INVALID_KEPT_MAX = 3;
/** Bytes of items in one envelope; a larger item travels alone. */
export const ENVELOPE_BYTES_MAX: number = 256 * 1024;
/** Locks that are kept. They are never removed. */
export const LOCKS_MAX = 1_000_000;

/** What makes a node. */
export interface VotingOptions {
  /** Who votes. */
  readonly membership: Membership;
  /** This node's place in it. */
  readonly self: PartyId;
  /** Its vote key. */
  readonly sign: (message: Bytes) => Bytes;
  /** What survives. */
  readonly store: VoteStore;
}

/** What is to be done. */
export type Effect =
  /** Send an encoded envelope to a member. */
  | { readonly kind: "send"; readonly to: PartyId; readonly bytes: Bytes }
  /** End the link to a member: what came over it is not signed by it, or is not for us. */
  | { readonly kind: "close"; readonly peer: PartyId; readonly why: string }
  /** A transaction was decided here. */
  | { readonly kind: "decided"; readonly certificate: QuorumCertificate }
  /** An offence was proven. */
  | { readonly kind: "offence"; readonly offence: StoredOffence }
  /** Voting stops at this node until an operator has looked. */
  | { readonly kind: "alarm"; readonly alarm: Alarm; readonly text: string };

/** Why a node stops voting. */
export type Alarm =
  /** Two certificates for one transaction: more members cheat than the quorum survives. */
  | "SAFETY_VIOLATION"
  /** A vote of the own key that is not the own lock: a copied disk, a second process, or a stolen key. */
  | "SELF_EQUIVOCATION";

/** How a transaction stands here. */
export interface TxStatus {
  /** Name of the transaction. */
  readonly txId: string;
  /** `violated`: there are two certificates. */
  readonly state: "undecided" | "decided" | "violated";
  /** The decided value, encoded. */
  readonly value?: Bytes;
  /** Votes by value, encoded, with the names of those who voted for it. */
  readonly tally: readonly { readonly value: Bytes; readonly voters: readonly string[] }[];
  /** Names of those of whom no vote is stored. */
  readonly missing: readonly string[];
}

/** An item, and where it came from. */
interface Received {
  readonly envelope: GossipEnvelope;
  readonly item: number;
  readonly content: Bytes;
  readonly now: number;
}

interface Transaction {
  readonly txId: string;
  /** The first two ballots of each voter. */
  readonly votes: Map<PartyId, Vote[]>;
  /** At most two, the first is the decision. */
  readonly certificates: QuorumCertificate[];
  payer: PartyId;
}

/** One node. */
export class VotingNode {
  readonly #options: VotingOptions;
  readonly #transactions = new Map<string, Transaction>();
  readonly #locks = new Map<string, VoteLock>();
  readonly #offences = new Map<string, StoredOffence>();
  readonly #counts = { stored: 0, mismatch: 0, invalid: 0, overQuota: 0 };
  #alarm: Alarm | undefined;

  /** Restores a node from its store. What had enough votes when it crashed is decided in {@linkcode resume}. */
  constructor(options: VotingOptions) {
    this.#options = options;
    for (const record of options.store.load()) this.#restore(record);
    for (const { txId, votes } of this.#transactions.values()) {
      const lock = this.#locks.get(txId);
      const isOwn = (vote: Vote) => lock !== undefined && equal(ballotOf(vote), lock.ballot);
      if (!(votes.get(options.self) ?? []).every(isOwn)) this.#alarm ??= "SELF_EQUIVOCATION";
    }
  }

  /** Why this node does not vote. */
  get alarm(): Alarm | undefined {
    return this.#alarm;
  }

  /** Votes that were stored; and what was refused: votes of other memberships, invalid items, votes over a member's quota. */
  get counts(): Readonly<Record<"stored" | "mismatch" | "invalid" | "overQuota", number>> {
    return this.#counts;
  }

  /** How many transactions are not decided. */
  get open(): number {
    let open = 0;
    for (const { certificates } of this.#transactions.values()) if (certificates.length === 0) open++;
    return open;
  }

  /** Offences with their proofs. */
  get offences(): readonly StoredOffence[] {
    return [...this.#offences.values()];
  }

  /** The certificate of a decision. */
  certificate(txId: string): QuorumCertificate | undefined {
    return this.#transactions.get(txId)?.certificates[0];
  }

  /** How a transaction stands; undefined where nothing is known of it. */
  status(txId: string): TxStatus | undefined {
    const transaction = this.#transactions.get(txId);
    if (transaction === undefined) return undefined;
    const { voters } = this.#options.membership;
    const { certificates, votes } = transaction;
    const tally = new Map<string, { value: Bytes; voters: string[] }>();
    for (const { index, name } of voters) {
      for (const { value } of votes.get(index) ?? []) {
        const row = tally.get(hex(value)) ?? { value, voters: [] };
        row.voters.push(name);
        tally.set(hex(value), row);
      }
    }
    const decided = certificates[0];
    return {
      txId,
      state: certificates.length > 1 ? "violated" : decided === undefined ? "undecided" : "decided",
      ...(decided === undefined ? {} : { value: decided.value }),
      tally: [...tally.values()],
      missing: voters.filter(({ index }) => !votes.has(index)).map(({ name }) => name),
    };
  }

  /** After a restart: what the stored votes decide, and the own votes again. */
  resume(now: number): Effect[] {
    const effects: Effect[] = [];
    for (const lock of this.#alarm === undefined ? this.#locks.values() : []) {
      const own = this.#transactions.get(lock.txId)?.votes.get(this.#options.self) ?? [];
      if (!own.some((vote) => equal(ballotOf(vote), lock.ballot))) {
        effects.push(...this.#castLocked(lock, now));
      }
    }
    for (const transaction of this.#transactions.values()) effects.push(...this.#decide(transaction));
    return effects;
  }

  /**
   * Votes, once and for all. The same again sends the same vote again.
   *
   * @throws UsageError USAGE; ALREADY_VOTED where another value is locked; ALREADY_DECIDED where another one is decided; VOTING_STOPPED
   * after an alarm; LOCKS_FULL.
   */
  cast(txId: string, value: Value, now: number): Effect[] {
    const fault = txIdFault(txId) ??
      (txId.startsWith(ROSTER_PREFIX) ? `names that begin with ${ROSTER_PREFIX} are reserved` : undefined);
    if (fault !== undefined) throw new UsageError("USAGE", fault);
    if (this.#alarm !== undefined) {
      throw new UsageError(
        "VOTING_STOPPED",
        `this node has stopped voting: ${this.#alarm}; an operator has to look`,
      );
    }
    const { membership, store } = this.#options;
    const question = questionOf(membership, txId, encodeValue(value));
    const ballot = ballotOf(question);
    const decided = this.certificate(txId);
    if (decided !== undefined) {
      if (equal(ballotOf(decided), ballot)) return [];
      throw new UsageError("ALREADY_DECIDED", `${txId} is decided for another value`);
    }
    const locked = this.#locks.get(txId);
    if (locked !== undefined) {
      if (equal(locked.ballot, ballot)) return this.#castLocked(locked, now);
      throw new UsageError(
        "ALREADY_VOTED",
        `this node has voted for another value in ${txId}, and votes once`,
      );
    }
    if (this.#locks.size >= LOCKS_MAX) {
      throw new UsageError("LOCKS_FULL", `this node has voted ${LOCKS_MAX} times: no more locks are kept`);
    }
    const lock = { txId, epoch: membership.epoch, ballot, value: question.value };
    // The lock is on disk before anything is signed: a second vote cannot be made, whatever happens now.
    store.commit([{ kind: "lock", lock }]);
    this.#locks.set(txId, lock);
    return this.#castLocked(lock, now);
  }

  /** What came from a peer. @param from the peer of the link, as TLS and HELLO know it. */
  receive(from: PartyId, bytes: Uint8Array, now: number): Effect[] {
    const { membership, self } = this.#options;
    let envelope: GossipEnvelope;
    try {
      envelope = decode(gossipCodec, bytes);
    } catch (error) {
      if (error instanceof DecodeError) return [{ kind: "close", peer: from, why: error.message }];
      throw error;
    }
    if (envelope.from !== from || envelope.to !== self || !isGossipValid(membership, envelope)) {
      return [{
        kind: "close",
        peer: from,
        why: "an envelope that is not from this peer to us, under our membership",
      }];
    }
    return envelope.items.flatMap((content, item) => this.#receiveItem({ envelope, item, content, now }));
  }

  /** Takes a certificate that came from elsewhere than gossip: a store, a proposal. It is checked like any other. */
  learn(certificate: QuorumCertificate, now: number): Effect[] {
    return this.#receiveCertificate(certificate, now);
  }

  /** What this node has, for a peer that may lack some of it: sent when a link comes up, and now and then. */
  digestFor(peer: PartyId): Effect[] {
    const all = [...this.#transactions.values()].sort((a, b) => a.txId < b.txId ? -1 : 1);
    const offences = [...this.#offences.values()].map(({ id }) => id.slice(0, PREFIX_BYTES));
    const pages: Item[] = [];
    let after = "";
    do {
      const transactions = all.splice(0, DIGEST_PAGE).map(digestOf);
      const upTo = all.length === 0 ? "" : transactions.at(-1)?.txId ?? "";
      pages.push({
        kind: "digest",
        digest: { after, upTo, transactions, offences: after === "" ? offences : [] },
      });
      after = upTo;
    } while (all.length > 0);
    return this.#send(peer, pages);
  }

  #restore(record: VoteRecord): void {
    switch (record.kind) {
      case "lock":
        this.#locks.set(record.lock.txId, record.lock);
        return;
      case "vote": {
        const { vote, payer } = record;
        const transaction = this.#opened(vote.txId, payer);
        transaction.votes.set(vote.voter, [...transaction.votes.get(vote.voter) ?? [], vote]);
        return;
      }
      case "decision": {
        const { certificate } = record;
        const { certificates } = this.#opened(certificate.txId, this.#options.self);
        if (certificates.some((one) => equal(ballotOf(one), ballotOf(certificate)))) return;
        certificates.push(certificate);
        if (certificates.length > 1) this.#alarm = "SAFETY_VIOLATION";
        return;
      }
      case "offence":
        this.#offences.set(hex(record.offence.id), record.offence);
    }
  }

  /** Signs what is locked, and stores and sends it like any vote. */
  #castLocked(lock: VoteLock, now: number): Effect[] {
    const { membership, self, sign } = this.#options;
    if (lock.epoch !== membership.epoch) return [];
    const vote = signVote(questionOf(membership, lock.txId, lock.value), self, sign);
    const known = this.#transactions.get(lock.txId)?.votes.get(self) ?? [];
    if (known.some((one) => equal(ballotOf(one), lock.ballot))) {
      return this.#sendAll([{ kind: "vote", vote }]);
    }
    return this.#accept(vote, now);
  }

  #receiveItem(at: Received): Effect[] {
    const { envelope, content, now } = at;
    let item: Item;
    try {
      item = decodeItem(content);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return this.#invalidItem(at);
    }
    switch (item.kind) {
      case "vote":
        return this.#receiveVote(item.vote, at);
      case "certificate":
        return this.#receiveCertificate(item.certificate, now);
      case "offence":
        return this.#prove(item.proof, now);
      case "digest":
        return this.#answer(envelope.from, item.digest);
    }
  }

  #receiveVote(vote: Vote, at: Received): Effect[] {
    const known = this.#transactions.get(vote.txId)?.votes.get(vote.voter) ?? [];
    // The same ballot again is dropped before any cryptography, whatever its signature; a third one is not looked at.
    if (known.length > 1 || known.some((one) => equal(ballotOf(one), ballotOf(vote)))) return [];
    const fault = voteFault(this.#options.membership, vote);
    if (fault === "MEMBERSHIP_MISMATCH") {
      this.#counts.mismatch++;
      return [];
    }
    if (fault === "SIGNATURE") return this.#invalidItem(at);
    return this.#accept(vote, at.now);
  }

  /** Of an item that is no valid vote its sender is guilty, which its own envelope proves. */
  #invalidItem({ envelope, item, content, now }: Received): Effect[] {
    this.#counts.invalid++;
    return content[0] === VOTE_ITEM ? this.#prove({ kind: "invalid-signature", envelope, item }, now) : [];
  }

  /** Stores a valid vote that is new, tells everybody, and sees what follows. */
  #accept(vote: Vote, now: number): Effect[] {
    const { self, store } = this.#options;
    const known = this.#transactions.get(vote.txId)?.votes.get(vote.voter) ?? [];
    if (known.length > 1 || known.some((one) => equal(ballotOf(one), ballotOf(vote)))) return [];
    if (!this.#admits(vote)) {
      this.#counts.overQuota++;
      return [];
    }
    const payer = this.#transactions.get(vote.txId)?.payer ?? vote.voter;
    store.commit([{ kind: "vote", vote, payer }]);
    const transaction = this.#opened(vote.txId, payer);
    transaction.votes.set(vote.voter, [...known, vote]);
    this.#counts.stored++;
    const effects = this.#sendAll([{ kind: "vote", vote }]);
    const [first] = known;
    const proof = first === undefined ? undefined : doubleVote(first, vote);
    if (proof !== undefined) effects.push(...this.#prove(proof, now));
    const lock = this.#locks.get(vote.txId);
    if (vote.voter === self && (lock === undefined || !equal(lock.ballot, ballotOf(vote)))) {
      effects.push(
        this.#stop("SELF_EQUIVOCATION", `a vote of our own key in ${vote.txId} that this node has not made`),
      );
    }
    effects.push(...this.#decide(transaction));
    return effects;
  }

  /** Whether a vote may open a transaction: its voter pays with one of its places, until there is a decision. */
  #admits({ txId, voter }: Vote): boolean {
    if (this.#transactions.has(txId) || voter === this.#options.self) return true;
    const open = [...this.#transactions.values()].filter(({ payer, certificates }) =>
      payer === voter && certificates.length === 0
    );
    return open.length < OPEN_PER_MEMBER_MAX;
  }

  #receiveCertificate(certificate: QuorumCertificate, now: number): Effect[] {
    const { membership } = this.#options;
    const ballot = ballotOf(certificate);
    const held = this.#transactions.get(certificate.txId)?.certificates ?? [];
    if (held.length > 1 || held.some((one) => equal(ballotOf(one), ballot))) return [];
    if (certificateFault(membership, certificate) !== undefined) {
      this.#counts.invalid++;
      return [];
    }
    const effects = this.#certified(this.#opened(certificate.txId, this.#options.self), certificate);
    // Its votes are votes: they may show a double vote, and count for whoever asks.
    for (const { voter, signature } of certificate.votes) {
      const { cluster, epoch, membershipHash, txId, value } = certificate;
      effects.push(...this.#accept({ cluster, epoch, membershipHash, txId, value, voter, signature }, now));
    }
    return effects;
  }

  /** What the stored votes decide. */
  #decide(transaction: Transaction): Effect[] {
    const byBallot = new Map<string, Vote[]>();
    for (const vote of [...transaction.votes.values()].flat()) {
      const name = hex(ballotOf(vote));
      byBallot.set(name, [...byBallot.get(name) ?? [], vote]);
    }
    return [...byBallot].flatMap(([ballot, votes]) => {
      if (transaction.certificates.some((one) => hex(ballotOf(one)) === ballot)) return [];
      const certificate = certificateOf(this.#options.membership, votes);
      return certificate === undefined ? [] : this.#certified(transaction, certificate);
    });
  }

  /** A first certificate is a decision; a second one is what must not be. */
  #certified(transaction: Transaction, certificate: QuorumCertificate): Effect[] {
    if (transaction.certificates.length > 1) return [];
    this.#options.store.commit([{ kind: "decision", certificate }]);
    transaction.certificates.push(certificate);
    const effects = this.#sendAll([{ kind: "certificate", certificate }]);
    if (transaction.certificates.length === 1) return [...effects, { kind: "decided", certificate }];
    return [...effects, this.#stop("SAFETY_VIOLATION", `two certificates for ${certificate.txId}`)];
  }

  /** Stores an offence that is new, and tells everybody. */
  #prove(proof: OffenceProof, now: number): Effect[] {
    if (proof.kind === "invalid-signature" && this.#hasEnough(proof.envelope.from)) return [];
    const proven = verifyOffence(this.#options.membership, proof);
    if (proven === undefined || this.#offences.has(hex(proven.id))) return [];
    const offence: StoredOffence = { ...proven, proof, time: now };
    this.#options.store.commit([{ kind: "offence", offence }]);
    this.#offences.set(hex(proven.id), offence);
    return [...this.#sendAll([{ kind: "offence", proof }]), { kind: "offence", offence }];
  }

  /** Whoever wants to be guilty can be so without end: a few proofs are enough. */
  #hasEnough(member: PartyId): boolean {
    const kept = this.offences.filter(({ kind, subject }) =>
      kind === "invalid-signature" && subject === member
    );
    return kept.length >= INVALID_KEPT_MAX;
  }

  /** What a peer lacks of what is here. */
  #answer(peer: PartyId, digest: Digest): Effect[] {
    const has = new Map(digest.transactions.map((transaction) => [transaction.txId, transaction]));
    const items: Item[] = [];
    for (const transaction of this.#transactions.values()) {
      const { txId } = transaction;
      const isInPage = txId > digest.after && (digest.upTo === "" || txId <= digest.upTo);
      if (isInPage) items.push(...lackedOf(transaction, has.get(txId)));
    }
    for (const { id, proof } of digest.after === "" ? this.#offences.values() : []) {
      if (!digest.offences.some((known) => equal(known, id.slice(0, PREFIX_BYTES)))) {
        items.push({ kind: "offence", proof });
      }
    }
    return this.#send(peer, items);
  }

  #opened(txId: string, payer: PartyId): Transaction {
    let transaction = this.#transactions.get(txId);
    if (transaction === undefined) {
      transaction = { txId, votes: new Map(), certificates: [], payer };
      this.#transactions.set(txId, transaction);
    }
    return transaction;
  }

  #stop(alarm: Alarm, text: string): Effect {
    this.#alarm ??= alarm;
    return { kind: "alarm", alarm, text };
  }

  #sendAll(items: readonly Item[]): Effect[] {
    const { membership, self } = this.#options;
    return membership.voters.filter(({ index }) => index !== self).flatMap(({ index }) =>
      this.#send(index, items)
    );
  }

  #send(to: PartyId, items: readonly Item[]): Effect[] {
    const { membership, self, sign } = this.#options;
    invariant(voterAt(membership, to) !== undefined, "gossip goes to members");
    return batchesOf(items.map(encodeItem)).map((batch): Effect => {
      const envelope = signGossip(membership, { from: self, to, items: batch }, sign);
      return { kind: "send", to, bytes: encode(gossipCodec, envelope) };
    });
  }
}

/** Items in envelopes that a link takes. */
function batchesOf(items: readonly Bytes[]): Bytes[][] {
  const batches: Bytes[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const item of items) {
    if (size + item.length > ENVELOPE_BYTES_MAX || batches.at(-1)?.length === ITEMS_MAX) {
      batches.push([]);
      size = 0;
    }
    batches.at(-1)?.push(item);
    size += item.length;
  }
  return batches;
}

function digestOf({ txId, votes, certificates }: Transaction): TxDigest {
  const [decided] = certificates;
  return {
    txId,
    votes: [...votes].map(([voter, stored]) => ({ voter, ballots: stored.map(prefixOf) })),
    decided: decided === undefined ? undefined : prefixOf(decided),
  };
}

/** What of a transaction a peer does not have. A certificate holds its votes. */
function lackedOf({ votes, certificates }: Transaction, has: TxDigest | undefined): Item[] {
  const items: Item[] = [];
  for (const certificate of certificates) {
    if (has?.decided === undefined || !equal(has.decided, prefixOf(certificate))) {
      items.push({ kind: "certificate", certificate });
    }
  }
  for (const [voter, stored] of votes) {
    const known = has?.votes.find((one) => one.voter === voter)?.ballots ?? [];
    for (const vote of stored) {
      if (!known.some((prefix) => equal(prefix, prefixOf(vote)))) items.push({ kind: "vote", vote });
    }
  }
  return items;
}

function prefixOf(of: Vote | QuorumCertificate): Bytes {
  return ballotOf(of).slice(0, PREFIX_BYTES);
}
