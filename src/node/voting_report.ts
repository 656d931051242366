/**
 * How votes stand at a node, for people and programs.
 *
 * @module
 */

import { type Bytes, fromUtf8, hex } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import type { Approval } from "../voting/approval.ts";
import { certificateCodec } from "../voting/certificate.ts";
import { type Membership, voterAt } from "../voting/membership.ts";
import type { TxStatus } from "../voting/node.ts";
import { offenceCodec } from "../voting/offence.ts";
import { approvalOf } from "../voting/proposal.ts";
import { scoresOf } from "../voting/reputation.ts";
import type { StoredOffence } from "../voting/store.ts";
import { decodeValue, formatValue } from "../voting/value.ts";
import { ballotOf, questionOf } from "../voting/vote.ts";
import { formatPath } from "../protocols/ecdsa/derive.ts";
import type { SigningReport } from "./approval_routes.ts";
import type { VotingService } from "./voting.ts";

/** A transaction, as it is shown. */
export interface TxReport {
  /** Name of the transaction. */
  readonly txId: string;
  /** See {@linkcode TxStatus.state}. */
  readonly state: TxStatus["state"] | "unknown";
  /** The decided value, for people. */
  readonly value: string | null;
  /** Votes by value. */
  readonly tally: readonly {
    readonly value: string;
    readonly ballot: string;
    readonly voters: readonly string[];
  }[];
  /** What was asked for. */
  readonly proposals: readonly ProposalReport[];
  /** What this node has voted for, for people. */
  readonly own: string | null;
  /** Names of those of whom no vote is stored. */
  readonly missing: readonly string[];
  /** How many equal votes decide. */
  readonly quorum: number;
  /** Until when this node votes; null where there is no end. */
  readonly until: string | null;
  /** How the signature that it approves stands; null where it approves none, or is not decided. */
  readonly signing: SigningReport | null;
}

/** A proposal, as it is shown to those who are asked. */
export interface ProposalReport {
  /** Its ballot, in hexadecimal. */
  readonly ballot: string;
  /** Who asks. */
  readonly proposer: string;
  /** What is asked. */
  readonly approval: ApprovalReport;
}

/** An approval, as it is shown. */
export interface ApprovalReport {
  /** Id of the key that would sign. */
  readonly keyId: string;
  /** Which signature. */
  readonly scheme: Approval["scheme"];
  /** Which child of the key. */
  readonly path: string;
  /** Whether the input is a message or a digest. */
  readonly mode: Approval["mode"];
  /** The message as text where it is printable, else in hexadecimal after `0x`. */
  readonly input: string;
  /** What approvers are shown beside it. */
  readonly context: Approval["context"];
  /** The transaction that this one takes the place of; empty for none. */
  readonly supersedes: string;
  /** From when it may be signed. */
  readonly notBefore: string;
  /** Until when. */
  readonly notAfter: string;
}

/** An offence, as it is shown. */
export interface OffenceReport {
  /** Its id, in hexadecimal. */
  readonly id: string;
  /** Its kind. */
  readonly kind: StoredOffence["kind"];
  /** Name of who did it. */
  readonly subject: string;
  /** In which transaction; empty for invalid signatures. */
  readonly txId: string;
  /** When this node stored it. */
  readonly time: string;
}

/** What a node thinks of the members. */
export interface ReputationReport {
  /** Whose view it is: others may know other offences. */
  readonly view: string;
  /** All members. */
  readonly members: readonly MemberReport[];
  /** Scores in the order of the members, hour by hour, the newest last. */
  readonly history: readonly { readonly time: string; readonly scores: readonly number[] }[];
}

/** Who votes. */
export interface MembersReport {
  /** Number of the membership: 0 is the one of the configuration. */
  readonly epoch: number;
  /** How many equal votes decide. */
  readonly quorum: number;
  /** How many faulty members are reckoned with. */
  readonly faults: number;
  /** Names. */
  readonly members: readonly string[];
}

/** Scores from the bottom. */
export interface RecomputedReport {
  /** Whose view it is. */
  readonly view: string;
  /** Of all members. */
  readonly scores: readonly { readonly name: string; readonly score: number }[];
  /** Whether they are the ones that are shown. */
  readonly equal: boolean;
  /** Ids of what is stored and not proven, in hexadecimal. */
  readonly unproven: readonly string[];
}

/** A member, as a node sees it. */
export interface MemberReport {
  /** Its name. */
  readonly name: string;
  /** From 0 to 100: offences alone change it. */
  readonly score: number;
  /** Offences with proofs. */
  readonly offences: number;
  /** Votes for something else than what was decided: no offences. */
  readonly dissents: number;
  /** Of the decided transactions that it has seen, the part in which it voted, from 0 to 1; null where it has seen none. */
  readonly availability: number | null;
  /** Decided transactions in which it is silent. */
  readonly silent: number;
}

/** Reports of one node. */
export class VotingReports {
  readonly #service: VotingService;
  readonly #view: string;
  readonly #dissentWeight: number;

  /** Reads when it is asked. @param view name of the node. @param dissentWeight what a dissenting vote costs. */
  constructor(service: VotingService, view: string, dissentWeight: number) {
    this.#service = service;
    this.#dissentWeight = dissentWeight;
    this.#view = view;
  }

  get #membership(): Membership {
    return this.#service.membership;
  }

  /** How a transaction stands. */
  transaction(txId: string): TxReport {
    const status = this.#service.status(txId);
    if (status !== undefined) return this.#report(status);
    const { voters, quorum } = this.#membership;
    return {
      txId,
      state: "unknown",
      value: null,
      tally: [],
      proposals: [],
      own: null,
      missing: voters.map(({ name }) => name),
      quorum,
      until: null,
      signing: null,
    };
  }

  /** The newest transactions, in the order in which they came here. @param limit at most so many. */
  transactions(limit: number): readonly TxReport[] {
    return this.#service.transactions().slice(-limit).map((status) => this.#report(status));
  }

  /** The encoded certificate of a decision. @throws UsageError TX_UNDECIDED */
  certificate(txId: string): { readonly txId: string; readonly certificate: Bytes } {
    const certificate = this.#service.certificate(txId);
    if (certificate !== undefined) return { txId, certificate: encode(certificateCodec, certificate) };
    throw new UsageError(
      "TX_UNDECIDED",
      `${txId} is not decided at ${this.#view}: there is no certificate yet`,
    );
  }

  /** All offences that are proven here. */
  offences(): { readonly view: string; readonly offences: readonly OffenceReport[] } {
    return { view: this.#view, offences: this.#service.offences.map((offence) => this.#offence(offence)) };
  }

  /** Who votes now. */
  members(): MembersReport {
    const { epoch, voters, quorum, faults } = this.#membership;
    return { epoch, quorum, faults, members: voters.map(({ name }) => name) };
  }

  /** An offence with its proof. @param id its beginning. @throws UsageError USAGE where it is not one offence's */
  proof(id: string): { readonly offence: OffenceReport; readonly proof: Bytes } {
    const [offence, ...more] = this.#service.offences.filter((one) => hex(one.id).startsWith(id));
    if (offence !== undefined && more.length === 0) {
      return { offence: this.#offence(offence), proof: encode(offenceCodec, offence.proof) };
    }
    throw new UsageError(
      "USAGE",
      offence === undefined
        ? `no offence begins with ${id}`
        : `${more.length + 1} offences begin with ${id}: write more of it`,
    );
  }

  /** Scores of all members. @param now milliseconds since 1970. */
  reputation(now: number): ReputationReport {
    const service = this.#service;
    const weights = { dissent: this.#dissentWeight };
    const presence = new Map(service.availability().map((one) => [one.member, one]));
    const { memberships, offences, dissents } = service;
    const at = (time: number) => {
      const isThere = (one: { readonly time: number }) => one.time <= time;
      return scoresOf(
        {
          memberships,
          offences: offences.filter(isThere),
          dissents: dissents.filter(isThere),
        },
        time,
        weights,
      );
    };
    return {
      view: this.#view,
      members: at(now).map((one) => ({
        name: this.nameOf(one.member),
        score: one.score,
        offences: one.offences,
        dissents: one.dissents,
        availability: presence.get(one.member)?.share ?? null,
        silent: presence.get(one.member)?.counts.silent ?? 0,
      })),
      history: Array.from({ length: HISTORY_HOURS + 1 }, (_, i) => now - (HISTORY_HOURS - i) * HOUR_MS)
        .map((time) => ({ time: new Date(time).toISOString(), scores: at(time).map(({ score }) => score) })),
    };
  }

  /**
   * Scores after every proof was checked again.
   *
   * @returns also whether they are the ones that are shown, and the ids of what is stored and not proven.
   */
  recomputed(now: number): RecomputedReport {
    const weights = { dissent: this.#dissentWeight };
    const { scores, unproven } = this.#service.recompute(now, weights);
    const shown = this.#service.reputation(now, weights);
    return {
      view: this.#view,
      scores: scores.map(({ member, score }) => ({ name: this.nameOf(member), score })),
      equal: scores.length === shown.length && scores.every(({ score }, i) => score === shown[i]?.score),
      unproven: unproven.map(hex),
    };
  }

  /** Name of a member. */
  nameOf(index: StoredOffence["subject"]): string {
    return voterAt(this.#membership, index)?.name ?? `voter ${index}`;
  }

  #report({ txId, epoch, state, value, tally, proposals, own, missing, until }: TxStatus): TxReport {
    const membership = this.#service.memberships.find((one) => one.epoch === epoch) ?? this.#membership;
    const { cluster } = membership;
    return {
      txId,
      state,
      value: value === undefined ? null : describeValue(txId, cluster, value),
      tally: tally.map((row) => ({
        value: describeValue(txId, cluster, row.value),
        ballot: hex(ballotOf(questionOf(membership, txId, row.value))),
        voters: row.voters,
      })),
      proposals: proposals.flatMap((proposal) => {
        const approval = approvalOf(proposal);
        if (approval === undefined) return [];
        return [{
          ballot: hex(ballotOf(proposal)),
          proposer: this.nameOf(proposal.proposer),
          approval: approvalReport(approval),
        }];
      }),
      own: own === undefined ? null : describeValue(txId, cluster, own),
      missing,
      quorum: membership.quorum,
      until: Number.isFinite(until) ? timeOf(until) : null,
      signing: null,
    };
  }

  #offence({ id, kind, subject, txId, time }: StoredOffence): OffenceReport {
    return { id: hex(id), kind, subject: this.nameOf(subject), txId, time: new Date(time).toISOString() };
  }
}

/** A value for people: `approve`, `reject`, or the value itself. */
export function describeValue(txId: string, cluster: string, value: Bytes): string {
  return approvalOf({ cluster, txId, value })?.kind ?? formatValue(decodeValue(value));
}

/** An approval for people. */
export function approvalReport(approval: Approval): ApprovalReport {
  const { keyId, scheme, path, mode, input, context, supersedes, notBefore, notAfter } = approval;
  const text = mode === "message" ? fromUtf8(input) : undefined;
  return {
    keyId: hex(keyId),
    scheme,
    path: formatPath(path),
    mode,
    // What a terminal would obey is not shown as text.
    input: text !== undefined && !/\p{C}/u.test(text) ? text : `0x${hex(input)}`,
    context,
    supersedes,
    notBefore: timeOf(notBefore),
    notAfter: timeOf(notAfter),
  };
}

/** A time that no date has is shown as it is: members may vote for any. */
function timeOf(ms: bigint | number): string {
  const date = new Date(Number(ms));
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

const HISTORY_HOURS = 24;
const HOUR_MS = 3_600_000;
