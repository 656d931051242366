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
import { decode, DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { type Approval, approvalCore, encodeApproval } from "./approval.ts";
import {
  type Availability,
  availabilityOf,
  isReceiptValid,
  isSuspicionValid,
  type Presence,
  presenceOf,
  type Receipt,
  signReceipt,
  signSuspicion,
  type Suspicion,
} from "./availability.ts";
import { certificateFault, certificateOf, type QuorumCertificate } from "./certificate.ts";
import { gossipCodec, type GossipEnvelope, isGossipValid } from "./gossip.ts";
import { decodeItem, type Digest, digestPage, type Item, PREFIX_BYTES } from "./items.ts";
import type { Membership } from "./membership.ts";
import { doubleVote, type OffenceProof, verifyOffence, VOTE_ITEM } from "./offence.ts";
import { Outgoing } from "./outgoing.ts";
import { approvalOf, type Proposal, proposalFault, signProposal } from "./proposal.ts";
import type { StoredOffence, VoteLock, VoteRecord, VoteStore } from "./store.ts";
import { digestOf, lackedOf, PROPOSALS_MAX, type Transaction, Transactions } from "./transactions.ts";
import { decodeValue, encodeValue, formatValue, ROSTER_PREFIX, txIdFault, type Value } from "./value.ts";
import { ballotOf, type Question, questionOf, signVote, type Vote, voteFault } from "./vote.ts";
import { type Tick, Watch } from "./watch.ts";

export { ENVELOPE_BYTES_MAX } from "./outgoing.ts";
export { OPEN_PER_MEMBER_MAX } from "./transactions.ts";

/** Proofs of invalid signatures that are kept of one member. */
export const INVALID_KEPT_MAX = 3;
/** Locks that are kept. They are never removed. */
export const LOCKS_MAX = 1_000_000;
/** How long an approval may be open, from its first moment to its last. */
export const APPROVAL_LIFETIME_MS: number = 24 * 3_600_000;
/** How long what is over is compared with peers. */
export const RETENTION_MS: number = 7 * 24 * 3_600_000;
/** After how long a member that has seen a decided transaction and has not answered is silent. */
export const SILENCE_MS = 60_000;
/** How often an item is taken of a member that has sent {@linkcode INVALID_KEPT_MAX} invalid ones. */
export const LIMITED_MS = 1000;

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
  /** How long after this node has learned of a transaction it votes in it, where the value does not say. Default: for ever. */
  readonly ttlMs?: number;
  /** How long what is decided or has expired is compared with peers. Default: {@linkcode RETENTION_MS}. */
  readonly retentionMs?: number;
  /** How long an approval that is proposed here may be open. Default: {@linkcode APPROVAL_LIFETIME_MS}. */
  readonly approvalLifetimeMs?: number;
  /** After how long a member that has seen a decided transaction and has not answered is silent. Default: {@linkcode SILENCE_MS}. */
  readonly silenceMs?: number;
  /** Whether this node votes for a proposal by itself, asked once for each that it stores. Default: never. */
  readonly approves?: (proposal: Proposal) => boolean;
}

/** What is to be done. */
export type Effect =
  /** Send an encoded envelope to a member. */
  | { readonly kind: "send"; readonly to: PartyId; readonly bytes: Bytes }
  /** End the link to a member: what came over it is not signed by it, or is not for us. */
  | { readonly kind: "close"; readonly peer: PartyId; readonly why: string }
  /** A proposal was stored. */
  | { readonly kind: "proposal"; readonly proposal: Proposal }
  /** A vote was stored. */
  | { readonly kind: "vote"; readonly vote: Vote }
  /** A transaction was decided here. */
  | { readonly kind: "decided"; readonly certificate: QuorumCertificate }
  /** An offence was proven. */
  | { readonly kind: "offence"; readonly offence: StoredOffence }
  /** A member has become silent in a transaction, or has answered late. */
  | { readonly kind: "silence"; readonly txId: string; readonly subject: PartyId; readonly isLate: boolean }
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
  /** `expired`: this node votes no more, and it may still be decided. `violated`: there are two certificates. */
  readonly state: "undecided" | "expired" | "decided" | "violated";
  /** The decided value, encoded. */
  readonly value?: Bytes;
  /** Votes by value, encoded, with the names of those who voted for it. */
  readonly tally: readonly { readonly value: Bytes; readonly voters: readonly string[] }[];
  /** Names of those of whom no vote is stored. */
  readonly missing: readonly string[];
  /** What each of those did instead, by name. */
  readonly presence: Readonly<Record<string, Presence>>;
  /** What was proposed, in the order in which it came here. */
  readonly proposals: readonly Proposal[];
  /** What this node has voted for, encoded. */
  readonly own?: Bytes;
  /** Until when this node votes: milliseconds since 1970, or infinity. */
  readonly until: number;
}

/** An item, and where it came from. */
interface Received {
  readonly envelope: GossipEnvelope;
  readonly item: number;
  readonly content: Bytes;
  readonly now: number;
}

/** One node. */
export class VotingNode {
  readonly #options: VotingOptions;
  readonly #peers: readonly PartyId[];
  readonly #transactions: Transactions;
  readonly #locks = new Map<string, VoteLock>();
  readonly #offences = new Map<string, StoredOffence>();
  readonly #counts = { stored: 0, mismatch: 0, invalid: 0, overQuota: 0, limited: 0 };
  readonly #watch: Watch;
  /** Invalid items by sender, and when the last item of it was taken after too many of them. */
  readonly #invalid = new Map<PartyId, { count: number; takenAt: number }>();
  #alarm: Alarm | undefined;
  #outgoing = new Outgoing();
  #told: Effect[] = [];
  /** The time that was told last. */
  #now = 0;

  /** Restores a node from its store. What had enough votes when it crashed is decided in {@linkcode resume}. */
  constructor(options: VotingOptions) {
    const { membership, self, store, ttlMs, retentionMs, silenceMs } = options;
    this.#options = options;
    this.#peers = membership.voters.map(({ index }) => index).filter((index) => index !== self);
    this.#transactions = new Transactions({
      ttlMs: ttlMs ?? Number.POSITIVE_INFINITY,
      retentionMs: retentionMs ?? RETENTION_MS,
    });
    this.#watch = new Watch({ membership, self, silenceMs: silenceMs ?? SILENCE_MS });
    for (const record of store.load()) this.#restore(record);
    for (const { txId, votes } of this.#transactions.all) {
      const lock = this.#locks.get(txId);
      const isOwn = (vote: Vote) => lock !== undefined && equal(ballotOf(vote), lock.ballot);
      if (!(votes.get(self) ?? []).every(isOwn)) this.#alarm ??= "SELF_EQUIVOCATION";
    }
    for (const transaction of this.#transactions.all) this.#watch.add(transaction);
  }

  /** Why this node does not vote. */
  get alarm(): Alarm | undefined {
    return this.#alarm;
  }

  /**
   * Votes that were stored; and what was refused: votes of other memberships, invalid items, votes over a member's quota, items of
   * those who sent too many invalid ones.
   */
  get counts(): Readonly<Record<"stored" | "mismatch" | "invalid" | "overQuota" | "limited", number>> {
    return this.#counts;
  }

  /** How many transactions are not decided. */
  get open(): number {
    let open = 0;
    for (const { certificates } of this.#transactions.all) if (certificates.length === 0) open++;
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

  /** How a transaction stands; undefined where nothing is known of it. @param now default: the time that was told last. */
  status(txId: string, now: number = this.#now): TxStatus | undefined {
    const transaction = this.#transactions.get(txId);
    return transaction === undefined ? undefined : this.#statusOf(transaction, now);
  }

  /** How all transactions stand, in the order in which they came here. @param now default: the time that was told last. */
  transactions(now: number = this.#now): readonly TxStatus[] {
    return [...this.#transactions.all].map((transaction) => this.#statusOf(transaction, now));
  }

  /** What each member did in the transactions that are decided here. */
  availability(): readonly Availability[] {
    return availabilityOf(this.#options.membership, this.#transactions.all);
  }

  /** Tells the time and the links, every second or so: what this node has to say of what it has seen, and of who is silent. */
  tick(tick: Tick): Effect[] {
    const { membership, sign } = this.#options;
    return this.#turn(tick.now, () => {
      const { receipts, suspicions } = this.#watch.tick(
        tick,
        (transaction) =>
          transaction.certificates.length > 0 || tick.now > this.#transactions.limitOf(transaction),
        ({ txId }) => this.#locks.has(txId),
      );
      for (const receipt of receipts) this.#acceptReceipt(signReceipt(membership, receipt, sign));
      for (const suspicion of suspicions) this.#acceptSuspicion(signSuspicion(membership, suspicion, sign));
    });
  }

  /** After a restart: what the stored votes decide, and the own votes again. */
  resume(now: number): Effect[] {
    return this.#turn(now, () => {
      for (const lock of this.#alarm === undefined ? this.#locks.values() : []) {
        const own = this.#transactions.get(lock.txId)?.votes.get(this.#options.self) ?? [];
        if (!own.some((vote) => equal(ballotOf(vote), lock.ballot))) this.#castLocked(lock, now);
      }
      for (const transaction of this.#transactions.all) {
        this.#decide(transaction);
        for (const proposal of transaction.proposals) this.#approve(proposal, now);
      }
    });
  }

  /**
   * Votes, once and for all. The same again sends the same vote again.
   *
   * @throws UsageError USAGE; ALREADY_VOTED where another value is locked; ALREADY_DECIDED where another one is decided; TX_EXPIRED;
   * VOTING_STOPPED after an alarm; LOCKS_FULL.
   */
  cast(txId: string, value: Value, now: number): Effect[] {
    const fault = txIdFault(txId) ??
      (txId.startsWith(ROSTER_PREFIX) ? `names that begin with ${ROSTER_PREFIX} are reserved` : undefined);
    if (fault !== undefined) throw new UsageError("USAGE", fault);
    const question = questionOf(this.#options.membership, txId, encodeValue(value));
    if (value.schema === "approval" && approvalOf(question) === undefined) {
      throw new UsageError("USAGE", `the value is no approval of ${txId} in this cluster`);
    }
    return this.#turn(now, () => this.#cast(question, now));
  }

  /**
   * Votes for a ballot that is known here by its first digits, or for its rejection.
   *
   * @param ballot in hexadecimal; its beginning is enough where no other one begins so.
   * @throws UsageError BALLOT_UNKNOWN, or as {@linkcode cast}
   */
  answer(txId: string, ballot: string, kind: Approval["kind"], now: number): Effect[] {
    const approval = this.#approvalOf(txId, ballot);
    return this.cast(txId, { schema: "approval", bytes: encodeApproval({ ...approval, kind }) }, now);
  }

  /**
   * Proposes an approval. Where the transaction is known and asks for the same, that stands: nothing happens.
   *
   * @throws UsageError USAGE; TX_CONFLICT where its name is taken by something else; TX_EXPIRED
   */
  propose(approval: Approval, now: number): Effect[] {
    const { membership, self, sign } = this.#options;
    const { txId } = approval;
    this.#requireProposable(approval);
    const question = questionOf(
      membership,
      txId,
      encodeValue({ schema: "approval", bytes: encodeApproval(approval) }),
    );
    const known = this.#transactions.get(txId);
    if (known !== undefined) {
      requireSame(known, question, approval);
      return [];
    }
    if (now > Number(approval.notAfter)) throw this.#expired(txId, Number(approval.notAfter));
    return this.#turn(now, () => this.#acceptProposal(signProposal(question, self, sign), now));
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
    return this.#turn(now, () => {
      envelope.items.forEach((content, item) => this.#receiveItem({ envelope, item, content, now }));
    });
  }

  /** Takes a certificate that came from elsewhere than gossip: a store, a proposal. It is checked like any other. */
  learn(certificate: QuorumCertificate, now: number): Effect[] {
    return this.#turn(now, () => this.#receiveCertificate(certificate, now));
  }

  /** What this node has, for a peer that may lack some of it: sent when a link comes up, and now and then. */
  digestFor(peer: PartyId): Effect[] {
    const all = [...this.#transactions.all]
      .filter((one) => this.#transactions.isRecent(one, this.#now))
      .sort((a, b) => a.txId < b.txId ? -1 : 1);
    const offences = [...this.#offences.values()].map(({ id }) => id.slice(0, PREFIX_BYTES));
    const pages: Item[] = [];
    let after = "";
    do {
      const transactions = all.splice(0, digestPage(this.#peers.length + 1)).map(digestOf);
      const upTo = all.length === 0 ? "" : transactions.at(-1)?.txId ?? "";
      pages.push({
        kind: "digest",
        digest: { after, upTo, transactions, offences: after === "" ? offences : [] },
      });
      after = upTo;
    } while (all.length > 0);
    return this.#turn(this.#now, () => this.#outgoing.add([peer], pages));
  }

  #restore(record: VoteRecord): void {
    switch (record.kind) {
      case "lock":
        this.#locks.set(record.lock.txId, record.lock);
        return;
      case "vote":
        return this.#keepVote(record.vote, record.payer);
      case "proposal":
        return this.#keepProposal(record.proposal, record.payer);
      case "opened": {
        const transaction = this.#transactions.get(record.txId);
        if (transaction !== undefined) transaction.openedAt ??= record.time;
        return;
      }
      case "receipt":
        this.#transactions.get(record.receipt.txId)?.receipts.push(record.receipt);
        return;
      case "suspicion":
        this.#transactions.get(record.suspicion.txId)?.suspicions.push(record.suspicion);
        return;
      case "decision": {
        const { certificate } = record;
        const known = this.#transactions.get(certificate.txId)?.certificates ?? [];
        if (known.some((one) => equal(ballotOf(one), ballotOf(certificate)))) return;
        if (this.#keepCertificate(certificate) > 1) this.#alarm = "SAFETY_VIOLATION";
        return;
      }
      case "offence": {
        const { offence } = record;
        this.#offences.set(hex(offence.id), offence);
        if (offence.kind !== "invalid-signature") return;
        const known = this.#invalid.get(offence.subject)?.count ?? 0;
        this.#invalid.set(offence.subject, { count: known + 1, takenAt: offence.time });
      }
    }
  }

  #keepVote(vote: Vote, payer: PartyId): void {
    const transaction = this.#transactions.open(vote.txId, payer);
    transaction.votes.set(vote.voter, [...transaction.votes.get(vote.voter) ?? [], vote]);
    this.#transactions.know(transaction, vote);
  }

  #keepProposal(proposal: Proposal, payer: PartyId): void {
    const transaction = this.#transactions.open(proposal.txId, payer);
    transaction.proposals.push(proposal);
    this.#transactions.know(transaction, proposal);
  }

  #keepCertificate(certificate: QuorumCertificate): number {
    const transaction = this.#transactions.open(certificate.txId, this.#options.self);
    this.#transactions.know(transaction, certificate);
    return transaction.certificates.push(certificate);
  }

  /** Does something, and gathers what it leads to: what is to be sent comes first. */
  #turn(now: number, work: () => void): Effect[] {
    const outgoing = this.#outgoing = new Outgoing();
    const told: Effect[] = this.#told = [];
    this.#now = now;
    work();
    return [...outgoing.seal(this.#options), ...told];
  }

  /** Stores records, with the time where they open a transaction. */
  #commit(txId: string, record: VoteRecord, now: number): void {
    const { membership: { epoch }, store } = this.#options;
    const isOpen = this.#transactions.get(txId)?.openedAt !== undefined;
    store.commit(isOpen ? [record] : [record, { kind: "opened", epoch, txId, time: now }]);
  }

  #sendAll(items: readonly Item[]): void {
    this.#outgoing.add(this.#peers, items);
  }

  /** Why nothing can be cast for a question now; undefined where it can, or is done already. */
  #refusal(question: Question, now: number): UsageError | undefined {
    const { txId } = question;
    const ballot = ballotOf(question);
    if (this.#alarm !== undefined) {
      return new UsageError(
        "VOTING_STOPPED",
        `this node has stopped voting: ${this.#alarm}; an operator has to look`,
      );
    }
    const decided = this.certificate(txId);
    if (decided !== undefined) {
      if (equal(ballotOf(decided), ballot)) return undefined;
      return new UsageError("ALREADY_DECIDED", `${txId} is decided for ${shown(decided.value)}`);
    }
    const locked = this.#locks.get(txId);
    if (locked !== undefined) {
      if (equal(locked.ballot, ballot)) return undefined;
      return new UsageError(
        "ALREADY_VOTED",
        `this node has voted for ${shown(locked.value)} in ${txId}, and votes once`,
      );
    }
    const limit = this.#transactions.limit(txId, notAfterOf(question));
    if (now > limit) return this.#expired(txId, limit);
    if (this.#locks.size < LOCKS_MAX) return undefined;
    return new UsageError("LOCKS_FULL", `this node has voted ${LOCKS_MAX} times: no more locks are kept`);
  }

  #expired(txId: string, limit: number): UsageError {
    return new UsageError(
      "TX_EXPIRED",
      `votes in ${txId} ended at ${new Date(limit).toISOString()}: ask again under another name`,
    );
  }

  #cast(question: Question, now: number): void {
    const refusal = this.#refusal(question, now);
    if (refusal !== undefined) throw refusal;
    const { txId, epoch, value } = question;
    if (this.certificate(txId) !== undefined) return;
    const locked = this.#locks.get(txId);
    if (locked !== undefined) return this.#castLocked(locked, now);
    const lock = { txId, epoch, ballot: ballotOf(question), value };
    // The lock is on disk before anything is signed: a second vote cannot be made, whatever happens now.
    this.#options.store.commit([{ kind: "lock", lock }]);
    this.#locks.set(txId, lock);
    this.#castLocked(lock, now);
  }

  /** Signs what is locked, and stores and sends it like any vote. */
  #castLocked(lock: VoteLock, now: number): void {
    const { membership, self, sign } = this.#options;
    if (lock.epoch !== membership.epoch) return;
    const vote = signVote(questionOf(membership, lock.txId, lock.value), self, sign);
    const known = this.#transactions.get(lock.txId)?.votes.get(self) ?? [];
    if (known.some((one) => equal(ballotOf(one), lock.ballot))) {
      return this.#sendAll([{ kind: "vote", vote }]);
    }
    this.#accept(vote, now);
  }

  /** The approval of a ballot that was proposed or voted for. */
  #approvalOf(txId: string, prefix: string): Approval {
    const { membership: { cluster } } = this.#options;
    const found = [...this.#transactions.get(txId)?.ballots ?? []]
      .filter(([ballot]) => ballot.startsWith(prefix.toLowerCase()))
      .flatMap(([, { value }]) => approvalOf({ cluster, txId, value }) ?? [])
      .filter(({ kind }) => kind === "approve");
    const [approval, second] = found;
    if (approval !== undefined && second === undefined) return approval;
    throw new UsageError(
      "BALLOT_UNKNOWN",
      second === undefined
        ? `no proposal in ${txId} has a ballot that begins with ${prefix}`
        : `${found.length} proposals in ${txId} have ballots that begin with ${prefix}: write more of it`,
    );
  }

  #requireProposable({ txId, cluster, kind, notBefore, notAfter }: Approval): void {
    const { membership, approvalLifetimeMs } = this.#options;
    const lifetimeMs = approvalLifetimeMs ?? APPROVAL_LIFETIME_MS;
    const fault = txId.startsWith(ROSTER_PREFIX)
      ? `names that begin with ${ROSTER_PREFIX} are reserved`
      : cluster !== membership.cluster
      ? `an approval for ${cluster} is not proposed in ${membership.cluster}`
      : kind !== "approve"
      ? "what is proposed is an approval: whoever is against it votes for its rejection"
      : notAfter - notBefore > lifetimeMs
      ? `an approval is open for at most ${lifetimeMs / 1000} s: found ${(notAfter - notBefore) / 1000n} s`
      : undefined;
    if (fault !== undefined) throw new UsageError("USAGE", fault);
  }

  #receiveItem(at: Received): void {
    const { envelope, content, now } = at;
    let item: Item;
    if (this.#isLimited(envelope.from, now)) {
      this.#counts.limited++;
      return;
    }
    try {
      item = decodeItem(content);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return this.#invalidItem(at);
    }
    switch (item.kind) {
      case "vote":
        return this.#receiveVote(item.vote, at);
      case "proposal":
        return this.#receiveProposal(item.proposal, at);
      case "certificate":
        return this.#receiveCertificate(item.certificate, now, envelope.from);
      case "receipt":
        return this.#receiveReceipt(item.receipt, envelope.from);
      case "suspicion":
        return this.#receiveSuspicion(item.suspicion, envelope.from);
      case "offence":
        return this.#prove(item.proof, now);
      case "digest":
        return this.#answerDigest(envelope.from, item.digest);
    }
  }

  #receiveVote(vote: Vote, at: Received): void {
    const known = this.#transactions.get(vote.txId)?.votes.get(vote.voter) ?? [];
    // The same ballot again is dropped before any cryptography, whatever its signature; a third one is not looked at.
    if (known.length > 1 || known.some((one) => equal(ballotOf(one), ballotOf(vote)))) return;
    const fault = voteFault(this.#options.membership, vote);
    if (fault === "MEMBERSHIP_MISMATCH") {
      this.#counts.mismatch++;
      return;
    }
    if (fault === "SIGNATURE") return this.#invalidItem(at);
    this.#accept(vote, at.now);
  }

  #receiveProposal(proposal: Proposal, { envelope, now }: Received): void {
    const known = this.#transactions.get(proposal.txId)?.proposals ?? [];
    const ballot = ballotOf(proposal);
    if (known.length >= PROPOSALS_MAX || known.some((one) => equal(ballotOf(one), ballot))) return;
    const fault = proposalFault(this.#options.membership, proposal);
    if (fault === "MEMBERSHIP_MISMATCH") this.#counts.mismatch++;
    if (fault === "INVALID") this.#countInvalid(envelope.from);
    if (fault === undefined) this.#acceptProposal(proposal, now);
  }

  /** Of an item that is no valid vote its sender is guilty, which its own envelope proves. */
  #invalidItem({ envelope, item, content, now }: Received): void {
    this.#countInvalid(envelope.from);
    if (content[0] === VOTE_ITEM) this.#prove({ kind: "invalid-signature", envelope, item }, now);
  }

  #countInvalid(sender: PartyId): void {
    this.#counts.invalid++;
    const known = this.#invalid.get(sender);
    this.#invalid.set(sender, { count: (known?.count ?? 0) + 1, takenAt: known?.takenAt ?? this.#now });
  }

  /** Whoever sends what is invalid is still heard, it may be needed for a quorum, but costs little. */
  #isLimited(sender: PartyId, now: number): boolean {
    const known = this.#invalid.get(sender);
    if (known === undefined || known.count < INVALID_KEPT_MAX) return false;
    // A clock that was set back must not silence a member.
    if (Math.abs(now - known.takenAt) < LIMITED_MS) return true;
    known.takenAt = now;
    return false;
  }

  #receiveReceipt(receipt: Receipt, from: PartyId): void {
    const known = this.#transactions.get(receipt.txId)?.receipts;
    const isKnown = known?.some(({ member, state }) => member === receipt.member && state === receipt.state);
    // It opens no transaction: the next comparison brings it again.
    if (isKnown !== false) return;
    if (!isReceiptValid(this.#options.membership, receipt)) return this.#countInvalid(from);
    this.#acceptReceipt(receipt);
  }

  #receiveSuspicion(suspicion: Suspicion, from: PartyId): void {
    const { txId, subject, observer } = suspicion;
    const known = this.#transactions.get(txId)?.suspicions;
    const isKnown = known?.some((one) => one.subject === subject && one.observer === observer);
    if (isKnown !== false) return;
    if (!isSuspicionValid(this.#options.membership, suspicion)) return this.#countInvalid(from);
    this.#acceptSuspicion(suspicion);
  }

  /** Stores a receipt that is new, and sends the own one. Those of others are theirs to send, and are compared. */
  #acceptReceipt(receipt: Receipt): void {
    const { membership: { epoch }, self, store } = this.#options;
    const transaction = this.#transactions.get(receipt.txId);
    if (transaction === undefined) return;
    this.#observed(transaction, receipt.member, () => {
      store.commit([{ kind: "receipt", epoch, receipt }]);
      transaction.receipts.push(receipt);
    });
    if (receipt.member === self) this.#sendAll([{ kind: "receipt", receipt }]);
    this.#watch.add(transaction);
  }

  /** The same for a suspicion. */
  #acceptSuspicion(suspicion: Suspicion): void {
    const { membership: { epoch }, self, store } = this.#options;
    const transaction = this.#transactions.get(suspicion.txId);
    if (transaction === undefined) return;
    this.#observed(transaction, suspicion.subject, () => {
      store.commit([{ kind: "suspicion", epoch, suspicion }]);
      transaction.suspicions.push(suspicion);
    });
    if (suspicion.observer === self) this.#sendAll([{ kind: "suspicion", suspicion }]);
  }

  /** Does something, and tells whether a member is silent by it, or late. */
  #observed(transaction: Transaction, subject: PartyId, work: () => void): void {
    const { membership } = this.#options;
    const before = presenceOf(membership, transaction, subject);
    work();
    const after = presenceOf(membership, transaction, subject);
    if (after === before || (after !== "silent" && after !== "late")) return;
    this.#told.push({ kind: "silence", txId: transaction.txId, subject, isLate: after === "late" });
  }

  /** Stores a valid vote that is new, tells everybody, and sees what follows. */
  #accept(vote: Vote, now: number): void {
    const { self } = this.#options;
    const { txId, voter } = vote;
    const known = this.#transactions.get(txId)?.votes.get(voter) ?? [];
    if (known.length > 1 || known.some((one) => equal(ballotOf(one), ballotOf(vote)))) return;
    if (!this.#admits(txId, voter, now)) return;
    const payer = this.#transactions.get(txId)?.payer ?? voter;
    this.#commit(txId, { kind: "vote", vote, payer }, now);
    this.#counts.stored++;
    const transaction = this.#transactions.open(txId, payer);
    this.#observed(transaction, voter, () => this.#keepVote(vote, payer));
    this.#begun(transaction, now);
    this.#sendAll([{ kind: "vote", vote }]);
    this.#told.push({ kind: "vote", vote });
    const [first] = known;
    const proof = first === undefined ? undefined : doubleVote(first, vote);
    if (proof !== undefined) this.#prove(proof, now);
    const lock = this.#locks.get(txId);
    if (voter === self && (lock === undefined || !equal(lock.ballot, ballotOf(vote)))) {
      this.#stop("SELF_EQUIVOCATION", `a vote of our own key in ${txId} that this node has not made`);
    }
    this.#decide(transaction);
  }

  /** Stores a valid proposal that is new, tells everybody, and votes for it where this node does that by itself. */
  #acceptProposal(proposal: Proposal, now: number): void {
    const { txId, proposer } = proposal;
    if (!this.#admits(txId, proposer, now)) return;
    const payer = this.#transactions.get(txId)?.payer ?? proposer;
    this.#commit(txId, { kind: "proposal", proposal, payer }, now);
    this.#keepProposal(proposal, payer);
    this.#begun(this.#transactions.open(txId, payer), now);
    this.#sendAll([{ kind: "proposal", proposal }]);
    this.#told.push({ kind: "proposal", proposal });
    this.#approve(proposal, now);
  }

  /** Votes for a proposal without being asked, where this node does that. What hinders it is no fault of anybody. */
  #approve(proposal: Proposal, now: number): void {
    const { approves } = this.#options;
    const isOpen = this.certificate(proposal.txId) === undefined && !this.#locks.has(proposal.txId);
    if (approves === undefined || !isOpen || this.#refusal(proposal, now) !== undefined) return;
    if (!approves(proposal)) return;
    try {
      this.#cast(questionOf(this.#options.membership, proposal.txId, proposal.value), now);
    } catch (error) {
      if (!(error instanceof UsageError) || error.code !== "OUTBOX_FULL") throw error;
    }
  }

  /** Whether a member may open a transaction: it pays with one of its places, until there is a decision. */
  #admits(txId: string, payer: PartyId, now: number): boolean {
    if (this.#transactions.get(txId) !== undefined || payer === this.#options.self) return true;
    if (this.#transactions.hasPlace(payer, now)) return true;
    this.#counts.overQuota++;
    return false;
  }

  /** Something was stored of a transaction. */
  #begun(transaction: Transaction, now: number): void {
    if (transaction.openedAt !== undefined) return;
    transaction.openedAt = now;
    this.#watch.add(transaction);
  }

  #receiveCertificate(certificate: QuorumCertificate, now: number, from?: PartyId): void {
    const { membership } = this.#options;
    const ballot = ballotOf(certificate);
    const held = this.#transactions.get(certificate.txId)?.certificates ?? [];
    if (held.length > 1 || held.some((one) => equal(ballotOf(one), ballot))) return;
    if (certificateFault(membership, certificate) !== undefined) {
      if (from === undefined) this.#counts.invalid++;
      else this.#countInvalid(from);
      return;
    }
    this.#certified(certificate, now);
    // Its votes are votes: they may show a double vote, and count for whoever asks.
    for (const { voter, signature } of certificate.votes) {
      const { cluster, epoch, membershipHash, txId, value } = certificate;
      this.#accept({ cluster, epoch, membershipHash, txId, value, voter, signature }, now);
    }
  }

  /** What the stored votes decide. */
  #decide(transaction: Transaction): void {
    const byBallot = new Map<string, Vote[]>();
    for (const vote of [...transaction.votes.values()].flat()) {
      const name = hex(ballotOf(vote));
      byBallot.set(name, [...byBallot.get(name) ?? [], vote]);
    }
    for (const [ballot, votes] of byBallot) {
      if (transaction.certificates.some((one) => hex(ballotOf(one)) === ballot)) continue;
      const certificate = certificateOf(this.#options.membership, votes);
      if (certificate !== undefined) this.#certified(certificate, this.#now);
    }
  }

  /** A first certificate is a decision; a second one is what must not be. */
  #certified(certificate: QuorumCertificate, now: number): void {
    const { txId } = certificate;
    if ((this.#transactions.get(txId)?.certificates ?? []).length > 1) return;
    this.#commit(txId, { kind: "decision", certificate }, now);
    const count = this.#keepCertificate(certificate);
    this.#begun(this.#transactions.open(txId, this.#options.self), now);
    this.#sendAll([{ kind: "certificate", certificate }]);
    if (count === 1) this.#told.push({ kind: "decided", certificate });
    else this.#stop("SAFETY_VIOLATION", `two certificates for ${txId}`);
  }

  /** Stores an offence that is new, and tells everybody. */
  #prove(proof: OffenceProof, now: number): void {
    if (proof.kind === "invalid-signature" && this.#hasEnough(proof.envelope.from)) return;
    const proven = verifyOffence(this.#options.membership, proof);
    if (proven === undefined || this.#offences.has(hex(proven.id))) return;
    const offence: StoredOffence = { ...proven, proof, time: now };
    this.#options.store.commit([{ kind: "offence", offence }]);
    this.#offences.set(hex(proven.id), offence);
    this.#sendAll([{ kind: "offence", proof }]);
    this.#told.push({ kind: "offence", offence });
  }

  /** Whoever wants to be guilty can be so without end: a few proofs are enough. */
  #hasEnough(member: PartyId): boolean {
    const kept = this.offences.filter(({ kind, subject }) =>
      kind === "invalid-signature" && subject === member
    );
    return kept.length >= INVALID_KEPT_MAX;
  }

  /** What a peer lacks of what is here. */
  #answerDigest(peer: PartyId, digest: Digest): void {
    const has = new Map(digest.transactions.map((transaction) => [transaction.txId, transaction]));
    for (const transaction of this.#transactions.all) {
      const { txId } = transaction;
      const isInPage = txId > digest.after && (digest.upTo === "" || txId <= digest.upTo);
      if (!isInPage || !this.#transactions.isRecent(transaction, this.#now)) continue;
      this.#outgoing.add([peer], lackedOf(transaction, has.get(txId)));
    }
    for (const { id, proof } of digest.after === "" ? this.#offences.values() : []) {
      if (!digest.offences.some((known) => equal(known, id.slice(0, PREFIX_BYTES)))) {
        this.#outgoing.add([peer], [{ kind: "offence", proof }]);
      }
    }
  }

  #stop(alarm: Alarm, text: string): void {
    this.#alarm ??= alarm;
    this.#told.push({ kind: "alarm", alarm, text });
  }

  #statusOf(transaction: Transaction, now: number): TxStatus {
    const { txId, certificates, votes, proposals } = transaction;
    const { membership } = this.#options;
    const { voters } = membership;
    const missing = voters.filter(({ index }) => !votes.has(index));
    const tally = new Map<string, { value: Bytes; voters: string[] }>();
    for (const { index, name } of voters) {
      for (const { value } of votes.get(index) ?? []) {
        const row = tally.get(hex(value)) ?? { value, voters: [] };
        row.voters.push(name);
        tally.set(hex(value), row);
      }
    }
    const decided = certificates[0];
    const own = this.#locks.get(txId)?.value;
    const until = this.#transactions.limitOf(transaction);
    return {
      txId,
      state: certificates.length > 1
        ? "violated"
        : decided !== undefined
        ? "decided"
        : now > until
        ? "expired"
        : "undecided",
      ...(decided === undefined ? {} : { value: decided.value }),
      tally: [...tally.values()],
      missing: missing.map(({ name }) => name),
      presence: Object.fromEntries(
        missing.map(({ index, name }) => [name, presenceOf(membership, transaction, index)]),
      ),
      proposals,
      ...(own === undefined ? {} : { own }),
      until,
    };
  }
}

/** Throws unless a request for a transaction that is known asks for what somebody asked for before. */
function requireSame({ txId, ballots }: Transaction, question: Question, approval: Approval): void {
  const { cluster } = question;
  const core = hex(approvalCore(approval));
  const cores = [...ballots].map(([ballot, { value }]) => {
    const known = approvalOf({ cluster, txId, value });
    return known === undefined ? ballot : hex(approvalCore(known));
  });
  if (cores.includes(core)) return;
  throw new UsageError(
    "TX_CONFLICT",
    `${txId} is the name of another request: it is ${cores[0]}, and this one is ${core}`,
  );
}

function notAfterOf(question: Question): number | undefined {
  const approval = approvalOf(question);
  return approval === undefined ? undefined : Number(approval.notAfter);
}

function shown(value: Bytes): string {
  return formatValue(decodeValue(value));
}
