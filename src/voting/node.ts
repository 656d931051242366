/**
 * A voting node as a function of what it is told (VOTING 1 to 7): no clock, no network, no waiting. Each call returns what is to be
 * sent; what must survive a crash is in the store before anything is returned.
 *
 * A node votes when its operator says so, once per transaction, and never because others did. When the members change it goes on in
 * the next epoch; what it has locked in one is closed in all later ones.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { decode, DecodeError } from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import { type Approval, encodeApproval } from "./approval.ts";
import type { Availability } from "./availability.ts";
import type { QuorumCertificate } from "./certificate.ts";
import type { StoredDissent } from "./dissent.ts";
import type { Alarm, Effect, TxStatus } from "./effects.ts";
import { EpochNode } from "./epoch_node.ts";
import { ENVELOPE_RECEIVED_MAX, gossipCodec, type GossipEnvelope, isGossipValid } from "./gossip.ts";
import { isProof, type Item } from "./items.ts";
import {
  JoinLists,
  type LockedPage,
  lockedPrefix,
  type PageRequest,
  PAGES_AT_ONCE,
  pagesOf,
} from "./locked.ts";
import { type Membership, voterAt } from "./membership.ts";
import { epochOf } from "./offence.ts";
import { approvalOf, type Proposal } from "./proposal.ts";
import { type Score, scoresOf, verifiedLog, type Weights } from "./reputation.ts";
import { continuing, type NextRoster, rosterTxId, rosterValue } from "./roster.ts";
import type { Shared } from "./shared.ts";
import type { StoredOffence, VoteRecord, VoteStore } from "./store.ts";
import { decodeValue, encodeValue, formatValue, ROSTER_PREFIX, txIdFault, type Value } from "./value.ts";
import { questionOf } from "./vote.ts";
import type { Tick } from "./watch.ts";

export type { Alarm, Effect, TxStatus } from "./effects.ts";
export { LOCKS_MAX } from "./shared.ts";
export { ENVELOPE_BYTES_MAX } from "./outgoing.ts";
export { INVALID_KEPT_MAX, LIMITED_MS } from "./senders.ts";
export { OPEN_PER_MEMBER_MAX } from "./transactions.ts";

/** How long an approval may be open, from its first moment to its last. */
export const APPROVAL_LIFETIME_MS: number = 24 * 3_600_000;
/** How long what is over is compared with peers. */
export const RETENTION_MS: number = 7 * 24 * 3_600_000;
/** After how long a member that has seen a decided transaction and has not answered is silent. */
export const SILENCE_MS = 60_000;

/** What makes a node. */
export interface VotingOptions {
  /** Who votes in the first epoch. Later ones follow from what was decided. */
  readonly membership: Membership;
  /** This node among `peers`. */
  readonly self: PartyId;
  /** Vote keys, 32 bytes, of those to whom there may be links, and the own one, by their numbers there. Default: the first members. */
  readonly peers?: ReadonlyMap<PartyId, Bytes>;
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
  /** Whether what others have said is passed on only by {@linkcode VotingNode.relay}. Default: it is part of what a call leads to. */
  readonly relaysLater?: boolean;
  /** Whether an operator has paused voting: what was interrupted is not voted for then by {@linkcode VotingNode.resume}. */
  readonly isPaused?: () => boolean;
}

/** One node. */
export class VotingNode {
  readonly #options: VotingOptions;
  readonly #peers: ReadonlyMap<PartyId, Bytes>;
  readonly #key: Bytes;
  readonly #shared: Shared;
  /** Ascending; the last one is current. */
  readonly #epochs: EpochNode[] = [];
  /** Where this node is new in an epoch: what those that stayed had locked before. */
  readonly #lists = new Map<number, JoinLists>();
  /** What this node had locked before an epoch, for those who are new in it. */
  readonly #pages = new Map<number, readonly LockedPage[]>();

  /**
   * Restores a node from its store. What had enough votes when it crashed is decided in {@linkcode resume}.
   *
   * @throws UsageError STORE_CORRUPT where records are of an epoch to which no decision leads.
   */
  constructor(options: VotingOptions) {
    const { membership, self, peers, sign, store, approves } = options;
    this.#options = options;
    this.#peers = peers ?? new Map(membership.voters.map(({ index, key }) => [index, key.publicKey]));
    const key = this.#peers.get(self);
    invariant(key !== undefined, "a node is one of its peers");
    this.#key = key;
    this.#shared = {
      sign,
      store,
      approves,
      relaysLater: options.relaysLater ?? false,
      isPaused: options.isPaused ?? (() => false),
      limits: {
        ttlMs: options.ttlMs ?? Number.POSITIVE_INFINITY,
        retentionMs: options.retentionMs ?? RETENTION_MS,
        approvalLifetimeMs: options.approvalLifetimeMs ?? APPROVAL_LIFETIME_MS,
        silenceMs: options.silenceMs ?? SILENCE_MS,
      },
      locks: new Map(),
      counts: { stored: 0, mismatch: 0, invalid: 0, overQuota: 0, limited: 0 },
      alarm: undefined,
      now: 0,
      before: (txId, epoch) => this.#before(txId, epoch),
      lists: (from, epoch, item) => this.#answerLists(from, epoch, item),
    };
    this.#begin(membership);
    for (const record of store.load()) this.#restore(record);
    for (const epoch of this.#epochs) epoch.look();
    for (const epoch of this.#epochs) {
      for (const certificate of epoch.certificates()) {
        if (this.#contradicts(certificate)) this.#shared.alarm ??= "SAFETY_VIOLATION";
      }
    }
  }

  /** Who votes now. */
  get membership(): Membership {
    return this.#current.membership;
  }

  /** The certificates that lead from the first membership to the current one, in their order. */
  get chain(): readonly QuorumCertificate[] {
    return this.#epochs.slice(0, -1).map((epoch) => {
      const certificate = epoch.certificate(rosterTxId(epoch.membership));
      invariant(certificate !== undefined, "an epoch ends with a decision");
      return certificate;
    });
  }

  /** Why this node does not vote. */
  get alarm(): Alarm | undefined {
    return this.#shared.alarm;
  }

  /**
   * Votes that were stored; and what was refused: votes of other memberships, invalid items, votes over a member's quota, items of
   * those who sent too many invalid ones.
   */
  get counts(): Readonly<Shared["counts"]> {
    return this.#shared.counts;
  }

  /** How many transactions are not decided. */
  get open(): number {
    return this.#current.open;
  }

  /** Offences with their proofs. Their subjects are places in the membership under which they were done. */
  get offences(): readonly StoredOffence[] {
    return this.#epochs.flatMap((epoch) => epoch.offences);
  }

  /** Votes for something else than what was decided, but for those of members who voted twice. No offences. */
  get dissents(): readonly StoredDissent[] {
    return this.#epochs.flatMap((epoch) => epoch.dissents);
  }

  /** How the current members stand: a number for people. */
  reputation(now: number, weights: Weights = {}): readonly Score[] {
    return scoresOf(this, now, weights);
  }

  /** The same from the bottom: every proof is checked again. @returns also the ids of what is stored and not proven. */
  recompute(
    now: number,
    weights: Weights = {},
  ): { readonly scores: readonly Score[]; readonly unproven: readonly Bytes[] } {
    const { log, unproven } = verifiedLog(this, ({ epoch: number, txId }) => {
      const epoch = this.#epochs.find(({ membership }) => membership.epoch === number);
      const certificate = epoch?.certificate(txId);
      return epoch === undefined || certificate === undefined
        ? undefined
        : { votes: epoch.votes(txId), certificate };
    });
    return { scores: scoresOf(log, now, weights), unproven };
  }

  /** Memberships so far, in their order. */
  get memberships(): readonly Membership[] {
    return this.#epochs.map(({ membership }) => membership);
  }

  /** The certificate of a decision, in whatever epoch. */
  certificate(txId: string): QuorumCertificate | undefined {
    return this.#knowing(txId)?.certificate(txId);
  }

  /** How a transaction stands; undefined where nothing is known of it. @param now default: the time that was told last. */
  status(txId: string, now: number = this.#shared.now): TxStatus | undefined {
    return this.#knowing(txId)?.status(txId, now);
  }

  /** How all transactions stand, in the order in which they came here. @param now default: the time that was told last. */
  transactions(now: number = this.#shared.now): readonly TxStatus[] {
    return this.#epochs.flatMap((epoch) => epoch.transactions(now));
  }

  /** What each member did in the transactions that are decided here in this epoch. */
  availability(): readonly Availability[] {
    return this.#current.availability();
  }

  /** Tells the time and the links, every second or so: what this node has to say of what it has seen, and of who is silent. */
  tick(tick: Tick): Effect[] {
    // In an epoch that is closed there may still be something to say: whoever came late to its decisions abstains.
    return this.#epochs.filter((epoch) => !this.#isOver(epoch, tick.now))
      .flatMap((epoch) => this.#after(epoch, epoch.tick(tick)));
  }

  /** After a restart: what the stored votes decide, and the own votes again. */
  resume(now: number): Effect[] {
    // Deciding may add an epoch, which has nothing to resume.
    return [...this.#epochs].flatMap((epoch) => this.#after(epoch, epoch.resume(now)));
  }

  /**
   * Votes, once and for all. The same again sends the same vote again.
   *
   * @throws UsageError USAGE; ALREADY_VOTED where another value is locked; ALREADY_DECIDED where another one is decided; TX_EXPIRED;
   * TX_CLOSED where it was voted on in an earlier epoch; LISTS_MISSING; NOT_A_MEMBER; VOTING_STOPPED after an alarm; LOCKS_FULL.
   */
  cast(txId: string, value: Value, now: number): Effect[] {
    const fault = txIdFault(txId) ??
      (txId.startsWith(ROSTER_PREFIX)
        ? `names that begin with ${ROSTER_PREFIX} are reserved`
        : value.schema === "roster"
        ? `members are changed in transactions that begin with ${ROSTER_PREFIX}`
        : undefined);
    if (fault !== undefined) throw new UsageError("USAGE", fault);
    const encoded = encodeValue(value);
    if (
      value.schema === "approval" && approvalOf(questionOf(this.membership, txId, encoded)) === undefined
    ) {
      throw new UsageError("USAGE", `the value is no approval of ${txId} in this cluster`);
    }
    return this.#after(this.#voting, this.#voting.cast(txId, encoded, now));
  }

  /**
   * Votes for a ballot that is known here by its first digits, or for its rejection.
   *
   * @param ballot in hexadecimal; its beginning is enough where no other one begins so.
   * @throws UsageError BALLOT_UNKNOWN, or as {@linkcode cast}
   */
  answer(txId: string, ballot: string, kind: Approval["kind"], now: number): Effect[] {
    const approval = this.#current.approvalOf(txId, ballot);
    return this.cast(txId, { schema: "approval", bytes: encodeApproval({ ...approval, kind }) }, now);
  }

  /**
   * Proposes an approval. Where the transaction is known and asks for the same, that stands: nothing happens.
   *
   * @throws UsageError USAGE; TX_CONFLICT where its name is taken by something else; TX_EXPIRED; TX_CLOSED; NOT_A_MEMBER
   */
  propose(approval: Approval, now: number): Effect[] {
    return this.#after(this.#voting, this.#voting.propose(approval, now));
  }

  /**
   * Votes for others to be the members. The epoch ends when a quorum has voted for the same.
   *
   * @throws UsageError CONFIG_INVALID or IDENTITY_INVALID for what cannot follow this membership, or as {@linkcode cast}
   */
  changeRoster(next: NextRoster, now: number): Effect[] {
    const { membership } = this.#voting;
    const value = encodeValue(rosterValue(membership, next));
    return this.#after(this.#voting, this.#voting.cast(rosterTxId(membership), value, now));
  }

  /** What came from a peer. @param from the peer of the link, as TLS and HELLO know it. */
  receive(from: PartyId, bytes: Uint8Array, now: number): Effect[] {
    let envelope: GossipEnvelope;
    try {
      envelope = decode(gossipCodec, bytes);
    } catch (error) {
      if (error instanceof DecodeError) return [{ kind: "close", peer: from, why: error.message }];
      throw error;
    }
    const epoch = this.#epochOf(envelope);
    if (epoch === undefined) {
      // Of a membership that is not known here, or not yet: nobody's fault.
      this.#shared.counts.mismatch++;
      return [];
    }
    const isTooLarge = bytes.length > ENVELOPE_RECEIVED_MAX &&
      !(envelope.items.length === 1 && envelope.items.every(isProof));
    if (isTooLarge) {
      return [{ kind: "close", peer: from, why: "an envelope that is larger than members send" }];
    }
    const { membership, self } = epoch;
    const sender = this.#placeOf(from, membership);
    const isOurs = envelope.from === sender && envelope.to === self;
    // Most of what is passed on has come from its signer before: that costs no verification.
    if (isOurs && epoch.isKnown(envelope)) return [];
    if (!isOurs || !isGossipValid(membership, envelope)) {
      return [{
        kind: "close",
        peer: from,
        why: "an envelope that is not from this peer to us, under our membership",
      }];
    }
    return this.#after(epoch, epoch.receive(envelope, now));
  }

  /** Whether something waits to be passed on. */
  get hasRelays(): boolean {
    return this.#epochs.some((epoch) => epoch.hasRelays);
  }

  /** What others have said, for those who may lack it. */
  relay(): Effect[] {
    return this.#epochs.flatMap((epoch) => this.#after(epoch, epoch.relay()));
  }

  /** Takes a certificate that came from elsewhere than gossip: a store, a proposal. It is checked like any other. */
  learn(certificate: QuorumCertificate, now: number): Effect[] {
    const epoch = this.#epochOf(certificate);
    if (epoch !== undefined) return this.#after(epoch, epoch.learn(certificate, now));
    this.#shared.counts.invalid++;
    return [];
  }

  /** What this node has, for a peer that may lack some of it: sent when a link comes up, and now and then. */
  digestFor(peer: PartyId): Effect[] {
    return this.#epochs.toReversed().flatMap((epoch) => {
      const to = this.#placeOf(peer, epoch.membership);
      const isOver = this.#isOver(epoch, this.#shared.now);
      if (epoch.self === undefined || to === undefined || isOver) return [];
      return this.#after(epoch, epoch.digestFor(to, this.#requestsFor(epoch, to)));
    });
  }

  get #current(): EpochNode {
    const last = this.#epochs.at(-1);
    invariant(last !== undefined, "there is a first epoch");
    return last;
  }

  /** Whether an epoch was closed so long ago that nothing is said of it by itself. */
  #isOver({ closedAt }: EpochNode, now: number): boolean {
    return closedAt !== undefined && now > closedAt + this.#shared.limits.retentionMs;
  }

  /** The current epoch, where this node votes in it. */
  get #voting(): EpochNode {
    const current = this.#current;
    if (current.self !== undefined) return current;
    throw new UsageError("NOT_A_MEMBER", `this node is no member in epoch ${current.membership.epoch}`);
  }

  #begin(membership: Membership): void {
    const self = membership.voters.find(({ key }) => equal(key.publicKey, this.#key))?.index;
    const before = this.#epochs.at(-1);
    this.#epochs.push(new EpochNode(this.#shared, membership, self));
    if (before === undefined || self === undefined || before.self !== undefined) return;
    const from = continuing(membership, before.membership).map(({ index }) => index);
    const { epoch } = membership;
    this.#lists.set(epoch, new JoinLists({ epoch, from, needed: before.membership.quorum }));
  }

  #restore(record: VoteRecord): void {
    if (record.kind === "lock") {
      this.#shared.locks.set(record.lock.txId, record.lock);
      return;
    }
    const number = epochOfRecord(record);
    const epoch = this.#epochs.find(({ membership }) => membership.epoch === number);
    if (epoch === undefined) {
      throw new UsageError(
        "STORE_CORRUPT",
        `the store has votes of epoch ${number}, and no decision that leads there`,
      );
    }
    if (record.kind === "locked") this.#lists.get(number)?.add(record.page);
    else epoch.restore(record);
    if (epoch === this.#current && epoch.successor !== undefined) this.#begin(epoch.successor);
  }

  /** What an epoch wants done, for those who know the peers by their links; and the next epoch, where it has ended. */
  #after(epoch: EpochNode, effects: readonly Effect[]): Effect[] {
    const done = effects.flatMap((effect): Effect[] => {
      if (effect.kind !== "send") return [effect];
      const to = this.#numberOf(effect.to, epoch.membership);
      return to === undefined ? [] : [{ ...effect, to }];
    });
    for (const effect of effects) {
      if (effect.kind !== "decided" || !this.#contradicts(effect.certificate)) continue;
      this.#shared.alarm ??= "SAFETY_VIOLATION";
      const text = `${effect.certificate.txId} is decided for two values, in two epochs`;
      done.push({ kind: "alarm", alarm: "SAFETY_VIOLATION", text });
    }
    const { successor, membership } = epoch;
    if (epoch !== this.#current || successor === undefined) return done;
    const certificate = epoch.certificate(rosterTxId(membership));
    invariant(certificate !== undefined, "an epoch ends with a decision");
    this.#begin(successor);
    return [...done, { kind: "epoch", membership: successor, certificate }];
  }

  #epochOf(
    of: Pick<GossipEnvelope, "cluster" | "epoch" | "membershipHash">,
  ): EpochNode | undefined {
    return this.#epochs.find(({ membership }) =>
      membership.cluster === of.cluster && membership.epoch === of.epoch &&
      equal(membership.hash, of.membershipHash)
    );
  }

  /** Where a peer is in a membership. */
  #placeOf(peer: PartyId, { voters }: Membership): PartyId | undefined {
    const known = this.#peers.get(peer);
    return known === undefined ? undefined : voters.find(({ key }) => equal(key.publicKey, known))?.index;
  }

  /** Which peer has a place in a membership. */
  #numberOf(index: PartyId, membership: Membership): PartyId | undefined {
    const key = voterAt(membership, index)?.key.publicKey;
    return [...this.#peers].find(([, known]) => key !== undefined && equal(known, key))?.[0];
  }

  /** The first epoch in which a transaction was decided, or else the last one in which it is known. */
  #knowing(txId: string): EpochNode | undefined {
    return this.#epochs.find((epoch) => epoch.certificate(txId) !== undefined) ??
      this.#epochs.findLast((epoch) => epoch.status(txId, this.#shared.now) !== undefined);
  }

  /** Whether another epoch has decided something else under the same name: then members have voted who must not. */
  #contradicts({ txId, epoch: number, value }: QuorumCertificate): boolean {
    return this.#epochs.some((epoch) => {
      const other = epoch.membership.epoch === number ? undefined : epoch.certificate(txId);
      return other !== undefined && !equal(other.value, value);
    });
  }

  /** Why nothing may be cast in a transaction because of what was in epochs before this one. */
  #before(txId: string, epoch: number): UsageError | undefined {
    for (const one of this.#epochs) {
      if (one.membership.epoch >= epoch) break;
      const certificate = one.certificate(txId);
      if (certificate === undefined) continue;
      const value = formatValue(decodeValue(certificate.value));
      return new UsageError(
        "TX_CLOSED",
        `${txId} was decided for ${value} in epoch ${certificate.epoch}: ask under another name`,
      );
    }
    for (const lists of this.#lists.values()) {
      if (!lists.isComplete) {
        return new UsageError(
          "LISTS_MISSING",
          "this node is new, and has not yet heard from enough of the others what they voted on before",
        );
      }
      if (lists.closed.has(lockedPrefix(txId))) {
        return new UsageError(
          "TX_CLOSED",
          `${txId} was voted on before this node became a member: ask under another name`,
        );
      }
    }
    return undefined;
  }

  #answerLists(from: PartyId, epoch: number, item: LockedPage | PageRequest): readonly Item[] {
    return "prefixes" in item ? this.#takePage(from, epoch, item) : this.#pagesFrom(epoch, item);
  }

  #takePage(member: PartyId, epoch: number, page: LockedPage): readonly Item[] {
    const lists = this.#lists.get(epoch);
    const stored = { ...page, member };
    if (lists?.lacks(stored) !== true) return [];
    this.#options.store.commit([{ kind: "locked", page: stored }]);
    lists.add(stored);
    const request = page.page % PAGES_AT_ONCE === PAGES_AT_ONCE - 1 ? lists.request(member) : undefined;
    return request === undefined ? [] : [{ kind: "locked-request", request }];
  }

  /** What this node has voted on before an epoch: that does not change any more when the epoch has begun. */
  #pagesFrom(epoch: number, request: PageRequest): readonly Item[] {
    const lists = [...this.#lists.values()];
    if (request.epoch !== epoch || !lists.every(({ isComplete }) => isComplete)) return [];
    const pages = this.#pages.get(epoch) ?? pagesOf(epoch, this.#lockedBefore(epoch));
    this.#pages.set(epoch, pages);
    return pages.slice(request.page, request.page + PAGES_AT_ONCE).map((page) => ({ kind: "locked", page }));
  }

  *#lockedBefore(epoch: number): Iterable<string> {
    for (const lock of this.#shared.locks.values()) {
      if (lock.epoch < epoch) yield lockedPrefix(lock.txId);
    }
    for (const { closed } of this.#lists.values()) yield* closed;
  }

  #requestsFor({ membership: { epoch } }: EpochNode, to: PartyId): readonly Item[] {
    const request = this.#lists.get(epoch)?.request(to);
    return request === undefined ? [] : [{ kind: "locked-request", request }];
  }
}

function epochOfRecord(record: Exclude<VoteRecord, { readonly kind: "lock" }>): number {
  switch (record.kind) {
    case "vote":
      return record.vote.epoch;
    case "proposal":
      return record.proposal.epoch;
    case "decision":
      return record.certificate.epoch;
    case "locked":
      return record.page.epoch;
    case "dissent":
      return record.dissent.epoch;
    case "offence":
      return epochOf(record.offence.proof);
    default:
      return record.epoch;
  }
}
