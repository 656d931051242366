/**
 * What one node has of the transactions of an epoch: votes, proposals and certificates, who pays for the place, until when one may vote
 * (VOTING 3, 4), and which of it a peer lacks.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import type { Receipt, Suspicion } from "./availability.ts";
import type { QuorumCertificate } from "./certificate.ts";
import { type Item, PREFIX_BYTES, type TxDigest } from "./items.ts";
import { approvalOf, type Proposal } from "./proposal.ts";
import { ballotOf, type Question, type Vote } from "./vote.ts";

/** Undecided transactions that one member may open here. */
export const OPEN_PER_MEMBER_MAX = 64;
/** Ballots of which a proposal is stored, in one transaction. */
export const PROPOSALS_MAX = 2;

/** Something that one may vote for. */
export interface KnownBallot {
  /** What is voted for, hashed. */
  readonly ballot: Bytes;
  /** What is voted for. */
  readonly value: Bytes;
  /** When an approval ends: milliseconds since 1970; undefined for all other values. */
  readonly notAfter: number | undefined;
}

/** One transaction. */
export interface Transaction {
  /** Its name. */
  readonly txId: string;
  /** The first two ballots of each voter. */
  readonly votes: Map<PartyId, Vote[]>;
  /** At most two, the first is the decision. */
  readonly certificates: QuorumCertificate[];
  /** At most {@linkcode PROPOSALS_MAX}, each of another ballot. */
  readonly proposals: Proposal[];
  /** What was proposed, voted for or decided, by ballot in hexadecimal. */
  readonly ballots: Map<string, KnownBallot>;
  /** At most two of each member. */
  readonly receipts: Receipt[];
  /** At most one of each member of each other one. */
  readonly suspicions: Suspicion[];
  /** Whose place it takes until it is decided. */
  readonly payer: PartyId;
  /** When this node learned of it: milliseconds since 1970. */
  openedAt: number | undefined;
}

/** Limits of time. */
export interface Times {
  /** How long after this node has learned of a transaction it votes in it, where the value does not say. */
  readonly ttlMs: number;
  /** How long what is decided or has expired is compared with peers, and an expired one takes its place. */
  readonly retentionMs: number;
}

/** The transactions of an epoch. */
export class Transactions {
  readonly #times: Times;
  readonly #all = new Map<string, Transaction>();
  /** The same by name, from when somebody asks for that on. */
  #sorted: Transaction[] | undefined;
  /** Transactions that take a place, by who pays. */
  readonly #places = new Map<PartyId, Set<Transaction>>();

  /** None yet. */
  constructor(times: Times) {
    this.#times = times;
  }

  /** All, in the order in which they were opened. */
  get all(): IterableIterator<Transaction> {
    return this.#all.values();
  }

  /** Those with names after one, up to another, in that order; up to the last where that is empty. Costs what it gives. */
  *between(after: string, upTo: string): Iterable<Transaction> {
    const sorted = this.#sorted ??= [...this.#all.values()].sort((a, b) => a.txId < b.txId ? -1 : 1);
    for (let at = placeAfter(sorted, after); at < sorted.length; at++) {
      const transaction = sorted[at] as Transaction;
      if (upTo !== "" && transaction.txId > upTo) return;
      yield transaction;
    }
  }

  /** One of them. */
  get(txId: string): Transaction | undefined {
    return this.#all.get(txId);
  }

  /** One of them, which begins now where it is not there. */
  open(txId: string, payer: PartyId): Transaction {
    const known = this.#all.get(txId);
    if (known !== undefined) return known;
    const opened: Transaction = {
      txId,
      votes: new Map(),
      certificates: [],
      proposals: [],
      ballots: new Map(),
      receipts: [],
      suspicions: [],
      payer,
      openedAt: undefined,
    };
    this.#all.set(txId, opened);
    this.#sorted?.splice(placeAfter(this.#sorted, txId), 0, opened);
    const places = this.#places.get(payer) ?? new Set();
    this.#places.set(payer, places.add(opened));
    return opened;
  }

  /** Whether a member has a place for one more. Decisions give places back, and so does time. */
  hasPlace(payer: PartyId, now: number): boolean {
    const places = this.#places.get(payer);
    if (places === undefined || places.size < OPEN_PER_MEMBER_MAX) return true;
    for (const transaction of places) {
      // What others have added to it is not what its payer has asked for.
      const isOver = this.#isOver(transaction, ballotsOf(transaction, payer), now);
      if (transaction.certificates.length > 0 || isOver) places.delete(transaction);
    }
    return places.size < OPEN_PER_MEMBER_MAX;
  }

  /** Remembers what somebody proposed or voted for. */
  know(transaction: Transaction, question: Question): void {
    const ballot = ballotOf(question);
    if (transaction.ballots.has(hex(ballot))) return;
    const approval = approvalOf(question);
    const notAfter = approval === undefined ? undefined : Number(approval.notAfter);
    transaction.ballots.set(hex(ballot), { ballot, value: question.value, notAfter });
  }

  /** Until when this node votes for a value: an approval says so itself. Milliseconds since 1970. */
  limit(txId: string, notAfter: number | undefined): number {
    return notAfter ?? (this.#all.get(txId)?.openedAt ?? Number.POSITIVE_INFINITY) + this.#times.ttlMs;
  }

  /** Until when this node votes for any value that it knows of. */
  limitOf({ txId, ballots }: Transaction): number {
    return Math.max(...[...ballots.values()].map(({ notAfter }) => this.limit(txId, notAfter)));
  }

  /** Whether it is not too old to be compared with peers. */
  isRecent(transaction: Transaction, now: number): boolean {
    const { certificates: [decided], ballots } = transaction;
    const asked = decided === undefined ? [...ballots.values()] : known(transaction, [decided]);
    return !this.#isOver(transaction, asked, now);
  }

  #isOver({ openedAt }: Transaction, asked: readonly KnownBallot[], now: number): boolean {
    // From when it was learned of at the earliest: what was over before would else take no place at all.
    const begin = openedAt ?? now;
    const ends = asked.map(({ notAfter }) =>
      notAfter === undefined ? begin + this.#times.ttlMs : Math.min(notAfter, begin + ASKED_MAX_MS)
    );
    return now > Math.max(begin, ...ends) + this.#times.retentionMs;
  }
}

/** How many of those that are sorted by name are up to a name. */
function placeAfter(sorted: readonly Transaction[], name: string): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((sorted[middle] as Transaction).txId <= name) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Whatever an approval says of its end, it is kept in mind for no longer: the longest that a policy allows. */
const ASKED_MAX_MS = 366 * 24 * 3_600_000;

/** What one member has asked for in a transaction. */
function ballotsOf(transaction: Transaction, member: PartyId): KnownBallot[] {
  const { votes, proposals } = transaction;
  const own = proposals.filter(({ proposer }) => proposer === member);
  return known(transaction, [...votes.get(member) ?? [], ...own]);
}

function known({ ballots }: Transaction, questions: readonly Question[]): KnownBallot[] {
  return questions.flatMap((question) => ballots.get(hex(ballotOf(question))) ?? []);
}

/** What there is of a transaction, in short. */
export function digestOf(
  { txId, votes, certificates, proposals, receipts, suspicions }: Transaction,
): TxDigest {
  const [decided] = certificates;
  return {
    txId,
    votes: [...votes].map(([voter, stored]) => ({ voter, ballots: stored.map(prefixOf) })),
    decided: decided === undefined ? undefined : prefixOf(decided),
    proposals: proposals.map(prefixOf),
    seen: members(receipts.filter(({ state }) => state === "seen").map(({ member }) => member)),
    abstained: members(receipts.filter(({ state }) => state === "abstained").map(({ member }) => member)),
    suspicions: [...Map.groupBy(suspicions, ({ subject }) => subject)].map(([subject, of]) => ({
      subject,
      observers: members(of.map(({ observer }) => observer)),
    })),
  };
}

/** What of a transaction a peer does not have, and would take. A certificate holds its votes. */
export function lackedOf(transaction: Transaction, has: TxDigest | undefined): Item[] {
  const { votes, certificates, proposals } = transaction;
  const items: Item[] = [];
  for (const certificate of certificates) {
    if (has?.decided === undefined || !equal(has.decided, prefixOf(certificate))) {
      items.push({ kind: "certificate", certificate });
    }
  }
  const proposed = has?.proposals ?? [];
  for (const proposal of proposed.length < PROPOSALS_MAX ? proposals : []) {
    if (!includes(proposed, proposal)) items.push({ kind: "proposal", proposal });
  }
  for (const [voter, stored] of votes) {
    const known = has?.votes.find((one) => one.voter === voter)?.ballots ?? [];
    for (const vote of known.length < 2 ? stored : []) {
      if (!includes(known, vote)) items.push({ kind: "vote", vote });
    }
  }
  // After what opens the transaction there: they open none.
  return [...items, ...remarksLacked(transaction, has)];
}

function remarksLacked({ receipts, suspicions }: Transaction, has: TxDigest | undefined): Item[] {
  const observersOf = (member: PartyId) =>
    has?.suspicions.find(({ subject }) => subject === member)?.observers ?? NOBODY;
  return [
    ...receipts.filter(({ state, member }) => !contains(has?.[state] ?? NOBODY, member))
      .map((receipt): Item => ({ kind: "receipt", receipt })),
    ...suspicions.filter(({ subject, observer }) => !contains(observersOf(subject), observer))
      .map((suspicion): Item => ({ kind: "suspicion", suspicion })),
  ];
}

const NOBODY = 0n;

/** A set of members, one bit each. */
function members(indices: readonly PartyId[]): bigint {
  return indices.reduce((set, index) => set | 1n << BigInt(index - 1), NOBODY);
}

function contains(set: bigint, member: PartyId): boolean {
  return (set >> BigInt(member - 1) & 1n) === 1n;
}

function includes(prefixes: readonly Bytes[], of: Question): boolean {
  return prefixes.some((prefix) => equal(prefix, prefixOf(of)));
}

function prefixOf(of: Question): Bytes {
  return ballotOf(of).slice(0, PREFIX_BYTES);
}
