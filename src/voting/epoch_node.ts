/**
 * A voting node within one epoch of the membership (VOTING 2 to 5). It stores, relays and counts for as long as anybody asks; it votes
 * until the epoch is closed.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import { type Approval, encodeApproval } from "./approval.ts";
import { type Availability, availabilityOf } from "./availability.ts";
import { certificateFault, certificateOf, type QuorumCertificate } from "./certificate.ts";
import type { StoredDissent } from "./dissent.ts";
import { type Alarm, type Effect, statusOf, type TxStatus } from "./effects.ts";
import { type Compared, digestPages, lackedItems } from "./comparison.ts";
import { Evidence } from "./evidence.ts";
import type { GossipEnvelope } from "./gossip.ts";
import { decodeItem, type Digest, type Item } from "./items.ts";
import type { LockedPage, PageRequest } from "./locked.ts";
import type { Membership } from "./membership.ts";
import { doubleVote, type OffenceProof, verifyOffence, VOTE_ITEM } from "./offence.ts";
import { Outgoing } from "./outgoing.ts";
import { type Proposal, proposalFault, signProposal } from "./proposal.ts";
import { approvalAt, expired, notAfterOf, requireProposable, requireSame } from "./requests.ts";
import { closedReason, lockUnder, refusalOf } from "./refusal.ts";
import { Roll } from "./roll.ts";
import { nextMembership, rosterTxId } from "./roster.ts";
import { Senders } from "./senders.ts";
import type { Shared } from "./shared.ts";
import type { StoredOffence, VoteLock, VoteRecord } from "./store.ts";
import { PROPOSALS_MAX, type Transaction, Transactions } from "./transactions.ts";
import { encodeValue } from "./value.ts";
import { ballotOf, isUnder, type Question, questionOf, signVote, type Vote, voteFault } from "./vote.ts";
import type { Tick } from "./watch.ts";

/** An item, and where it came from. */
interface Received {
  readonly envelope: GossipEnvelope;
  readonly item: number;
  readonly content: Bytes;
  readonly now: number;
}

/** One node in one epoch. */
export class EpochNode {
  /** Who votes. */
  readonly membership: Membership;
  /** This node's place; undefined where it has none, and only looks on. */
  readonly self: PartyId | undefined;
  readonly #shared: Shared;
  readonly #peers: readonly PartyId[];
  readonly #transactions: Transactions;
  readonly #evidence: Evidence;
  readonly #roll: Roll;
  readonly #senders = new Senders();
  #successor: Membership | undefined;
  #outgoing = new Outgoing();
  /** What others have said: they have told everybody themselves, if they are honest. */
  #relayed = new Outgoing();
  #told: Effect[] = [];

  /** A node that knows of nothing yet. */
  constructor(shared: Shared, membership: Membership, self: PartyId | undefined) {
    this.membership = membership;
    this.self = self;
    this.#shared = shared;
    this.#peers = membership.voters.map(({ index }) => index).filter((index) => index !== self);
    this.#transactions = new Transactions(shared.limits);
    this.#evidence = new Evidence(membership, shared.store);
    const { sign, store, limits: { silenceMs } } = shared;
    this.#roll = new Roll({
      membership,
      self,
      transactions: this.#transactions,
      store,
      sign,
      silenceMs,
      on: (txId, subject, isLate) => this.#told.push({ kind: "silence", txId, subject, isLate }),
    });
  }

  /** The membership that the members have decided to be next; the epoch is closed then. */
  get successor(): Membership | undefined {
    return this.#successor;
  }

  /** How many transactions are not decided. */
  get open(): number {
    let open = 0;
    for (const { certificates } of this.#transactions.all) if (certificates.length === 0) open++;
    return open;
  }

  /** Offences with their proofs. */
  get offences(): readonly StoredOffence[] {
    return this.#evidence.offences;
  }

  /** Votes for something else than what was decided, but for those of members who voted twice. */
  get dissents(): readonly StoredDissent[] {
    return this.#evidence.dissents;
  }

  /** The votes that are stored in a transaction. */
  votes(txId: string): readonly Vote[] {
    return [...this.#transactions.get(txId)?.votes.values() ?? []].flat();
  }

  /** The certificate of a decision. */
  certificate(txId: string): QuorumCertificate | undefined {
    return this.#transactions.get(txId)?.certificates[0];
  }

  /** The certificates of all decisions. */
  *certificates(): Iterable<QuorumCertificate> {
    for (const { certificates: [first] } of this.#transactions.all) if (first !== undefined) yield first;
  }

  /** How a transaction stands; undefined where nothing is known of it. */
  status(txId: string, now: number): TxStatus | undefined {
    const transaction = this.#transactions.get(txId);
    return transaction === undefined ? undefined : this.#statusOf(transaction, now);
  }

  /** How all transactions stand, in the order in which they came here. */
  transactions(now: number): readonly TxStatus[] {
    return [...this.#transactions.all].map((transaction) => this.#statusOf(transaction, now));
  }

  /** What each member did in the transactions that are decided here. */
  availability(): readonly Availability[] {
    return availabilityOf(this.membership, this.#transactions.all);
  }

  /** Tells the time and the links, every second or so: what this node has to say of what it has seen, and of who is silent. */
  tick(tick: Tick): Effect[] {
    return this.#turn(tick.now, () => {
      const items = this.#roll.tick(
        tick,
        (transaction) =>
          transaction.certificates.length > 0 || this.#successor !== undefined ||
          tick.now > this.#transactions.limitOf(transaction),
        (transaction) => this.#hasOrWillVote(transaction),
      );
      this.#sendAll(items);
    });
  }

  /** After what was stored has been restored: whether a vote of the own key is there that this node has not made. */
  look(): void {
    for (const transaction of this.#transactions.all) {
      this.#roll.watch(transaction);
      const isOwn = (vote: Vote) => this.#isLocked(vote);
      if (this.self !== undefined && !(transaction.votes.get(this.self) ?? []).every(isOwn)) {
        this.#shared.alarm ??= "SELF_EQUIVOCATION";
      }
    }
  }

  /** After a restart: what the stored votes decide, and the own votes again. */
  resume(now: number): Effect[] {
    return this.#turn(now, () => {
      for (const transaction of this.#transactions.all) this.#decide(transaction);
      const { alarm, isPaused, locks } = this.#shared;
      const mayCast = alarm === undefined && this.#successor === undefined && !isPaused();
      for (const lock of mayCast ? locks.values() : []) {
        const isOpen = this.#lockOf(lock.txId) !== undefined && this.certificate(lock.txId) === undefined;
        if (isOpen && !this.#isCast(lock)) this.#castLocked(lock, now);
      }
      for (const { proposals } of this.#transactions.all) {
        for (const proposal of proposals) this.#approve(proposal, now);
      }
    });
  }

  /** Votes for a value, see `VotingNode.cast`. */
  cast(txId: string, value: Bytes, now: number): Effect[] {
    return this.#turn(now, () => this.#cast(questionOf(this.membership, txId, value), now));
  }

  /** The approval of a ballot that was proposed or voted for. @throws UsageError BALLOT_UNKNOWN */
  approvalOf(txId: string, prefix: string): Approval {
    const { cluster } = this.membership;
    return approvalAt(this.#transactions.get(txId)?.ballots ?? new Map(), { cluster, txId, prefix });
  }

  /** Proposes an approval, see `VotingNode.propose`. */
  propose(approval: Approval, now: number): Effect[] {
    const { txId } = approval;
    const { cluster } = this.membership;
    requireProposable(approval, { cluster, lifetimeMs: this.#shared.limits.approvalLifetimeMs });
    const value = encodeValue({ schema: "approval", bytes: encodeApproval(approval) });
    const question = questionOf(this.membership, txId, value);
    const known = this.#transactions.get(txId);
    if (known !== undefined) {
      requireSame(known, question, approval);
      return [];
    }
    const closed = this.#closed(txId);
    if (closed !== undefined) throw closed;
    if (now > Number(approval.notAfter)) throw expired(txId, Number(approval.notAfter));
    return this.#turn(now, () => {
      this.#acceptProposal(signProposal(question, this.#place, this.#shared.sign), now);
    });
  }

  /** Whether an envelope says nothing that is not known here, so that nothing follows from it, whoever has signed it. */
  isKnown({ items }: GossipEnvelope): boolean {
    try {
      return items.every((content) => this.#isKnownItem(decodeItem(content)));
    } catch (error) {
      if (error instanceof DecodeError) return false;
      throw error;
    }
  }

  #isKnownItem(item: Item): boolean {
    switch (item.kind) {
      case "vote": {
        const known = this.#transactions.get(item.vote.txId)?.votes.get(item.vote.voter) ?? [];
        return known.some((one) => equal(ballotOf(one), ballotOf(item.vote)));
      }
      case "certificate": {
        const held = this.#transactions.get(item.certificate.txId)?.certificates ?? [];
        return held.some((one) => equal(ballotOf(one), ballotOf(item.certificate)));
      }
      default:
        return false;
    }
  }

  /** What came in an envelope that is signed by its sender, for us, under this membership. */
  receive(envelope: GossipEnvelope, now: number): Effect[] {
    return this.#turn(now, () => {
      envelope.items.forEach((content, item) => this.#receiveItem({ envelope, item, content, now }));
    });
  }

  /** Takes a certificate that came from elsewhere than gossip. It is checked like any other. */
  learn(certificate: QuorumCertificate, now: number): Effect[] {
    return this.#turn(now, () => this.#receiveCertificate(certificate, now));
  }

  /** What this node has, for a peer that may lack some of it, and what else it has to say. */
  digestFor(peer: PartyId, others: readonly Item[] = []): Effect[] {
    const { now } = this.#shared;
    return this.#turn(now, () => {
      this.#outgoing.add([peer], [...others, ...digestPages(this.#compared, now)]);
    });
  }

  /** When the epoch was closed here: milliseconds since 1970. */
  get closedAt(): number | undefined {
    return this.#successor === undefined
      ? undefined
      : this.#transactions.get(rosterTxId(this.membership))?.openedAt;
  }

  /** Takes what was stored of this epoch. Of another membership with the same number nothing is taken. */
  restore(record: VoteRecord): void {
    switch (record.kind) {
      case "lock":
      case "locked":
        return;
      case "vote":
        if (isUnder(this.membership, record.vote)) this.#keepVote(record.vote, record.payer);
        return;
      case "proposal":
        if (isUnder(this.membership, record.proposal)) this.#keepProposal(record.proposal, record.payer);
        return;
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
        if (!isUnder(this.membership, certificate)) return;
        const known = this.#transactions.get(certificate.txId)?.certificates ?? [];
        if (known.some((one) => equal(ballotOf(one), ballotOf(certificate)))) return;
        if (this.#keepCertificate(certificate) > 1) this.#shared.alarm = "SAFETY_VIOLATION";
        return;
      }
      case "dissent":
        return this.#evidence.keepDissent(record.dissent);
      case "offence": {
        const { offence } = record;
        this.#evidence.keep(offence);
        if (offence.kind === "invalid-signature") this.#senders.countInvalid(offence.subject, offence.time);
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
    const transaction = this.#transactions.open(certificate.txId, this.#payer(certificate));
    this.#transactions.know(transaction, certificate);
    const count = transaction.certificates.push(certificate);
    if (count === 1 && certificate.txId === rosterTxId(this.membership)) this.#close(certificate);
    return count;
  }

  /** Whose place a certificate takes; it is given back at once. */
  #payer({ votes }: QuorumCertificate): PartyId {
    const [first] = votes;
    invariant(first !== undefined, "a certificate has votes");
    return this.self ?? first.voter;
  }

  /** From here on nothing is cast in this epoch. */
  #close(certificate: QuorumCertificate): void {
    try {
      this.#successor = nextMembership(this.membership, certificate);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#stop("SAFETY_VIOLATION", `the members have decided what can be no membership: ${error.message}`);
    }
  }

  /** Whether there is something to pass on. */
  get hasRelays(): boolean {
    return !this.#relayed.isEmpty;
  }

  /** What others have said, for those who may lack it. */
  relay(): Effect[] {
    const relayed = this.#relayed;
    this.#relayed = new Outgoing();
    return this.#sealed(relayed);
  }

  /** Does something, and gathers what it leads to: what is to be sent comes first. */
  #turn(now: number, work: () => void): Effect[] {
    const outgoing = this.#outgoing = new Outgoing();
    const told: Effect[] = this.#told = [];
    this.#shared.now = now;
    work();
    const relays = this.#shared.relaysLater ? [] : this.relay();
    return [...this.#sealed(outgoing), ...relays, ...told];
  }

  #sealed(outgoing: Outgoing): Effect[] {
    const { sign } = this.#shared;
    const { membership, self } = this;
    return self === undefined ? [] : outgoing.seal({ membership, self, sign });
  }

  get #place(): PartyId {
    invariant(this.self !== undefined, "only members sign");
    return this.self;
  }

  /** Stores records, with the time where they open a transaction. */
  #commit(txId: string, record: VoteRecord, now: number): void {
    const { membership: { epoch } } = this;
    const { store } = this.#shared;
    const isOpen = this.#transactions.get(txId)?.openedAt !== undefined;
    store.commit(isOpen ? [record] : [record, { kind: "opened", epoch, txId, time: now }]);
  }

  #sendAll(items: readonly Item[]): void {
    this.#outgoing.add(this.#peers, items);
  }

  /** Tells the others what one member has signed; that one knows it. */
  #spread(item: Item, signer: PartyId | undefined): void {
    if (this.self === undefined) return;
    const others = [...this.#peers].filter((peer) => peer !== signer);
    (signer === this.self ? this.#outgoing : this.#relayed).add(others, [item]);
  }

  /** What this node has locked, where that is of this very membership. */
  #lockOf(txId: string): VoteLock | undefined {
    return lockUnder(this.membership, this.#shared.locks.get(txId));
  }

  #isLocked(vote: Vote): boolean {
    const lock = this.#shared.locks.get(vote.txId);
    return lock !== undefined && equal(lock.ballot, ballotOf(vote));
  }

  /** A lock of another epoch is no vote in this one, and none is made of a lock whose epoch was closed before. */
  #hasOrWillVote({ txId, votes }: Transaction): boolean {
    if (this.self !== undefined && votes.has(this.self)) return true;
    return this.#successor === undefined && this.#lockOf(txId) !== undefined;
  }

  /** Why a transaction takes no votes of this node in this epoch, whatever their value. */
  #closed(txId: string): UsageError | undefined {
    const { membership } = this;
    return closedReason(txId, { membership, shared: this.#shared, isClosed: this.#successor !== undefined });
  }

  /** Why nothing can be cast for a question now; undefined where it can, or is done already. */
  #refusal(question: Question, now: number): UsageError | undefined {
    const { txId } = question;
    return refusalOf(question, now, {
      shared: this.#shared,
      decided: this.certificate(txId),
      closed: this.#closed(txId),
      limit: this.#transactions.limit(txId, notAfterOf(question)),
    });
  }

  #cast(question: Question, now: number): void {
    const refusal = this.#refusal(question, now);
    if (refusal !== undefined) throw refusal;
    const { locks, store } = this.#shared;
    const { txId, epoch, value } = question;
    if (this.certificate(txId) !== undefined) return;
    const locked = locks.get(txId);
    if (locked !== undefined) return this.#castLocked(locked, now);
    const lock = { txId, epoch, ballot: ballotOf(question), value };
    // The lock is on disk before anything is signed: a second vote cannot be made, whatever happens now.
    store.commit([{ kind: "lock", lock }]);
    locks.set(txId, lock);
    this.#castLocked(lock, now);
  }

  /** Signs what is locked, and stores and sends it like any vote. */
  #castLocked(lock: VoteLock, now: number): void {
    const vote = signVote(
      questionOf(this.membership, lock.txId, lock.value),
      this.#place,
      this.#shared.sign,
    );
    if (this.#isCast(lock)) return this.#sendAll([{ kind: "vote", vote }]);
    this.#accept(vote, now);
  }

  #isCast({ txId, ballot }: VoteLock): boolean {
    const own = this.#transactions.get(txId)?.votes.get(this.#place) ?? [];
    return own.some((vote) => equal(ballotOf(vote), ballot));
  }

  #receiveItem(at: Received): void {
    const { envelope, content, now } = at;
    let item: Item;
    if (this.#senders.isLimited(envelope.from, now)) {
      this.#shared.counts.limited++;
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
        return this.#requireValid(this.#roll.receiveReceipt(item.receipt), envelope.from);
      case "suspicion":
        return this.#requireValid(this.#roll.receiveSuspicion(item.suspicion), envelope.from);
      case "offence":
        return this.#receiveProof(item.proof, now, envelope.from);
      case "digest":
        return this.#answerDigest(envelope.from, item.digest);
      case "locked":
        return this.#answerLists(envelope.from, item.page);
      case "locked-request":
        return this.#answerLists(envelope.from, item.request);
    }
  }

  #receiveVote(vote: Vote, at: Received): void {
    const known = this.#transactions.get(vote.txId)?.votes.get(vote.voter) ?? [];
    // The same ballot again is dropped before any cryptography, whatever its signature; a third one is not looked at.
    if (known.length > 1 || known.some((one) => equal(ballotOf(one), ballotOf(vote)))) return;
    const fault = voteFault(this.membership, vote);
    if (fault === "MEMBERSHIP_MISMATCH") {
      this.#shared.counts.mismatch++;
      return;
    }
    if (fault === "SIGNATURE") return this.#invalidItem(at);
    this.#accept(vote, at.now);
  }

  #receiveProposal(proposal: Proposal, { envelope, now }: Received): void {
    const known = this.#transactions.get(proposal.txId)?.proposals ?? [];
    const ballot = ballotOf(proposal);
    if (known.length >= PROPOSALS_MAX || known.some((one) => equal(ballotOf(one), ballot))) return;
    const fault = proposalFault(this.membership, proposal);
    if (fault === "MEMBERSHIP_MISMATCH") this.#shared.counts.mismatch++;
    if (fault === "INVALID") this.#countInvalid(envelope.from);
    if (fault === undefined) this.#acceptProposal(proposal, now);
  }

  #receiveProof(proof: OffenceProof, now: number, from: PartyId): void {
    // What is known is not verified again, and whoever sends what proves nothing is heard less: both cost signatures to check.
    if (
      proof.kind === "double-vote" && this.#evidence.hasVotedTwice(proof.votes[0].txId, proof.votes[0].voter)
    ) {
      return;
    }
    if (verifyOffence(this.membership, proof) === undefined) return this.#countInvalid(from);
    this.#prove(proof, now);
  }

  /** Of an item that is no valid vote its sender is guilty, which its own envelope proves. */
  #invalidItem({ envelope, item, content, now }: Received): void {
    this.#countInvalid(envelope.from);
    if (content[0] === VOTE_ITEM) this.#prove({ kind: "invalid-signature", envelope, item }, now);
  }

  #requireValid(isValid: boolean, sender: PartyId): void {
    if (!isValid) this.#countInvalid(sender);
  }

  #countInvalid(sender: PartyId): void {
    this.#shared.counts.invalid++;
    this.#senders.countInvalid(sender, this.#shared.now);
  }

  /** Stores a valid vote that is new, tells everybody, and sees what follows. */
  #accept(vote: Vote, now: number): void {
    const { txId, voter } = vote;
    const known = this.#transactions.get(txId)?.votes.get(voter) ?? [];
    if (known.length > 1 || known.some((one) => equal(ballotOf(one), ballotOf(vote)))) return;
    if (!this.#admits(txId, voter, now)) return;
    const payer = this.#transactions.get(txId)?.payer ?? voter;
    this.#commit(txId, { kind: "vote", vote, payer }, now);
    this.#shared.counts.stored++;
    const transaction = this.#transactions.open(txId, payer);
    this.#roll.observed(transaction, voter, () => this.#keepVote(vote, payer));
    this.#begun(transaction, now);
    this.#spread({ kind: "vote", vote }, voter);
    this.#told.push({ kind: "vote", vote });
    const [first] = known;
    const proof = first === undefined ? undefined : doubleVote(first, vote);
    if (proof !== undefined) this.#prove(proof, now);
    if (voter === this.self && !this.#isLocked(vote)) {
      this.#stop("SELF_EQUIVOCATION", `a vote of our own key in ${txId} that this node has not made`);
    }
    this.#decide(transaction);
    this.#noteDissent(transaction, now);
  }

  /** Stores a valid proposal that is new, tells everybody, and votes for it where this node does that by itself. */
  #acceptProposal(proposal: Proposal, now: number): void {
    const { txId, proposer } = proposal;
    if (!this.#admits(txId, proposer, now)) return;
    const payer = this.#transactions.get(txId)?.payer ?? proposer;
    this.#commit(txId, { kind: "proposal", proposal, payer }, now);
    this.#keepProposal(proposal, payer);
    this.#begun(this.#transactions.open(txId, payer), now);
    this.#spread({ kind: "proposal", proposal }, proposer);
    this.#told.push({ kind: "proposal", proposal });
    this.#approve(proposal, now);
  }

  /** Votes for a proposal without being asked, where this node does that. What hinders it is no fault of anybody. */
  #approve(proposal: Proposal, now: number): void {
    const { approves, locks } = this.#shared;
    const isOpen = this.certificate(proposal.txId) === undefined && !locks.has(proposal.txId);
    if (
      approves === undefined || this.self === undefined || !isOpen ||
      this.#refusal(proposal, now) !== undefined
    ) return;
    if (!approves(proposal)) return;
    try {
      this.#cast(questionOf(this.membership, proposal.txId, proposal.value), now);
    } catch (error) {
      if (!(error instanceof UsageError) || error.code !== "OUTBOX_FULL") throw error;
    }
  }

  /** Whether a member may open a transaction: it pays with one of its places, until there is a decision. */
  #admits(txId: string, payer: PartyId, now: number): boolean {
    if (this.#transactions.get(txId) !== undefined || payer === this.self) return true;
    if (this.#transactions.hasPlace(payer, now)) return true;
    this.#shared.counts.overQuota++;
    return false;
  }

  /** Something was stored of a transaction. */
  #begun(transaction: Transaction, now: number): void {
    if (transaction.openedAt !== undefined) return;
    transaction.openedAt = now;
    this.#roll.watch(transaction);
  }

  #receiveCertificate(certificate: QuorumCertificate, now: number, from?: PartyId): void {
    const { membership } = this;
    const ballot = ballotOf(certificate);
    const held = this.#transactions.get(certificate.txId)?.certificates ?? [];
    if (held.length > 1 || held.some((one) => equal(ballotOf(one), ballot))) return;
    if (certificateFault(membership, certificate) !== undefined) {
      if (from === undefined) this.#shared.counts.invalid++;
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
      const certificate = certificateOf(this.membership, votes);
      if (certificate !== undefined) this.#certified(certificate, this.#shared.now);
    }
  }

  /** A first certificate is a decision; a second one is what must not be. */
  #certified(certificate: QuorumCertificate, now: number): void {
    const { txId } = certificate;
    if ((this.#transactions.get(txId)?.certificates ?? []).length > 1) return;
    this.#commit(txId, { kind: "decision", certificate }, now);
    const count = this.#keepCertificate(certificate);
    this.#begun(this.#transactions.open(txId, this.#payer(certificate)), now);
    this.#spread({ kind: "certificate", certificate }, undefined);
    if (count === 1) this.#told.push({ kind: "decided", certificate });
    if (count === 1) this.#noteDissent(this.#transactions.open(txId, this.#payer(certificate)), now);
    else this.#stop("SAFETY_VIOLATION", `two certificates for ${txId}`);
  }

  /** Tells who voted for something else than what was decided. */
  #noteDissent(transaction: Transaction, now: number): void {
    for (const dissent of this.#evidence.noteDissent(transaction, now)) {
      this.#told.push({ kind: "dissent", dissent });
    }
  }

  /** Stores an offence that is new, and tells everybody. */
  #prove(proof: OffenceProof, now: number): void {
    const offence = this.#evidence.prove(proof, now);
    if (offence === undefined) return;
    this.#sendAll([{ kind: "offence", proof }]);
    this.#told.push({ kind: "offence", offence });
  }

  /** What a peer lacks of what is here. */
  #answerDigest(peer: PartyId, digest: Digest): void {
    if (!this.#mayAsk(peer)) return;
    for (const items of lackedItems(this.#compared, digest, this.#shared.now)) {
      if (!this.#answer(peer, items)) return;
    }
  }

  /** A question is short and its answer may be long: of a member that asks without end most are not answered. */
  #mayAsk(peer: PartyId): boolean {
    const { now } = this.#shared;
    if (this.#senders.isAnswered(peer, now)) return false;
    this.#senders.countAnswer(peer, QUESTION_BYTES, now);
    return true;
  }

  /** @returns whether there may be more. */
  #answer(peer: PartyId, items: readonly Item[]): boolean {
    const { now } = this.#shared;
    this.#senders.countAnswer(peer, COMPARED_BYTES + this.#outgoing.add([peer], items), now);
    return !this.#senders.isAnswered(peer, now);
  }

  get #compared(): Compared {
    return {
      members: this.membership.voters.length,
      transactions: this.#transactions,
      evidence: this.#evidence,
    };
  }

  #answerLists(from: PartyId, item: LockedPage | PageRequest): void {
    if (this.#mayAsk(from)) this.#answer(from, this.#shared.lists(from, this.membership.epoch, item));
  }

  #stop(alarm: Alarm, text: string): void {
    this.#shared.alarm ??= alarm;
    this.#told.push({ kind: "alarm", alarm, text });
  }

  #statusOf(transaction: Transaction, now: number): TxStatus {
    const own = this.#lockOf(transaction.txId)?.value;
    const until = Math.min(
      this.#transactions.limitOf(transaction),
      this.closedAt ?? Number.POSITIVE_INFINITY,
    );
    // Whatever the clock says, nothing is cast in an epoch that is closed.
    const seenAt = this.#successor === undefined ? now : Number.POSITIVE_INFINITY;
    return statusOf(this.membership, transaction, { own, until, now: seenAt });
  }
}

/** What a question costs, and a transaction that is compared: looking takes time too. */
const QUESTION_BYTES = 8 * 1024;
const COMPARED_BYTES = 64;
