/**
 * Voting as a part of a node: what operators ask of it, where its records and decisions go, what it counts.
 *
 * @module
 */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { type Bytes, utf8 } from "../base/bytes.ts";
import { QuorateError, UsageError } from "../base/errors.ts";
import { systemRng } from "../base/rng.ts";
import { Outbox, sendOutbox } from "../storage/outbox.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Unreadiness } from "../telemetry/server.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import { describeFaults } from "../voting/membership.ts";
import { approvalOf } from "../voting/proposal.ts";
import { rosterTxId } from "../voting/roster.ts";
import { encodeValue, type Value } from "../voting/value.ts";
import { noteApproval } from "./approval_events.ts";
import { approvalRoutes, signingReport } from "./approval_routes.ts";
import { approvalFor, PROPOSAL } from "./approval_request.ts";
import { type ApprovalEvent, Approvals } from "./approvals.ts";
import type { NodeModule } from "./daemon.ts";
import { HandOff, type HandOffEvent } from "./hand_off.ts";
import type { Changes } from "./changes.ts";
import type { KeyTurns } from "./key_turns.ts";
import type { OperatorCall, OperatorRoute, OperatorRoutes } from "./operator_server.ts";
import type { Party } from "./party.ts";
import { RecordCopies } from "./record_copies.ts";
import { openStores, type Stores } from "./stores.ts";
import { registerLine, SignatureRegister } from "./signature_register.ts";
import { LedgerVoteStore } from "./vote_store.ts";
import { describeValue, type MembersReport, type TxReport, VotingReports } from "./voting_report.ts";
import { type VotingEvent, VotingService } from "./voting.ts";
import type { VotingConfig } from "./voting_config.ts";
import { collectVoting } from "./voting_metrics.ts";

/** What a module needs. */
export interface VotingModuleOptions {
  /** The party whose links are there. */
  readonly party: Party;
  /** As configured. */
  readonly voting: VotingConfig;
  /** Where lines go. */
  readonly log: Log;
  /** What is counted. */
  readonly metrics: Metrics;
  /** Requests about one key take turns. */
  readonly turns: KeyTurns;
  /** Where it is said that something has changed. */
  readonly changes: Changes;
}

/** Voting in a node. */
export class VotingModule implements NodeModule {
  readonly #options: VotingModuleOptions;
  readonly #stores: Stores;
  readonly #outbox: Outbox;
  readonly #handOff: HandOff;
  /** Only where nodes share a store. */
  readonly #register: SignatureRegister | undefined;
  readonly #service: VotingService;
  readonly #approvals: Approvals;
  readonly #reports: VotingReports;
  readonly #abort = new AbortController();
  readonly #running: Promise<unknown>[] = [];
  readonly #votes = { cast: 0, decided: 0 };
  #recordsFault: string | undefined;
  #handOffFault: string | undefined;

  private constructor(options: VotingModuleOptions, stores: Stores) {
    const { party: { local, network }, voting } = options;
    this.#options = options;
    this.#stores = stores;
    const { ledger } = local.store;
    const { outboxLimit, outboxKeepMs } = local.party.stores;
    this.#outbox = new Outbox(ledger, {
      cluster: local.config.cluster,
      stream: local.party.name,
      limit: outboxLimit,
      keepMs: outboxKeepMs,
    });
    const membershipAt = (epoch: number) =>
      this.#service.memberships.find((membership) => membership.epoch === epoch);
    this.#handOff = new HandOff({
      coordination: stores.coordination,
      ledger,
      membershipAt,
      on: (event) => this.#handedOff(event),
    });
    if (network === undefined) throw new UsageError("USAGE", "voting begins when links are there");
    const identity = local.identity();
    const store = new LedgerVoteStore({
      ledger,
      outbox: this.#outbox,
      membershipAt,
      now: Date.now,
    });
    this.#service = new VotingService({
      config: voting,
      self: local.party.index,
      sign: (message) => identity.sign(message),
      store,
      links: network.board.channel(NodeMessageType.VOTE),
      rosters: network.board.channel(NodeMessageType.ROSTER),
      rng: systemRng,
      now: Date.now,
      approves: (proposal) =>
        this.#approvals.locks.votingPausedSince === undefined && this.#approvals.approves(proposal),
      isPaused: () => this.#approvals.locks.votingPausedSince !== undefined,
      approvalLifetimeMs: local.config.policy.maxLifetimeMs,
      on: (event) => this.#happened(event),
    });
    this.#reports = new VotingReports(
      this.#service,
      local.party.name,
      local.config.policy.dissentWeight,
    );
    this.#register = local.party.stores.coordination.kind === "sqlite" ? undefined : new SignatureRegister({
      coordination: stores.coordination,
      cluster: local.config.cluster,
      on: (event) => {
        const { level, text, code } = registerLine(event);
        options.log.write(level, text, { code });
      },
    });
    this.#approvals = new Approvals({
      party: options.party,
      votes: this.#service,
      outbox: this.#outbox,
      turns: options.turns,
      ...(this.#register === undefined ? {} : { register: this.#register }),
      on: (event) => this.#signing(event),
    });
    this.#service.watch(() => options.changes.say("votes"));
    this.#takeUp();
    const { signal } = this.#abort;
    this.#running.push(this.#handOff.run(signal), this.#send(signal));
    if (this.#register !== undefined) this.#running.push(this.#register.run(signal));
    // On the party's own host the log itself is there.
    if (local.party.stores.records.kind !== "sqlite") this.#running.push(this.#copyRecords(signal));
    options.log.write(
      "info",
      `this node votes: ${voting.membership.quorum} of ${voting.membership.voters.length} decide, ${
        describeFaults(voting.membership)
      }`,
      {
        code: "VOTING_STARTED",
      },
    );
  }

  /** Opens the stores, and votes. */
  static async start(options: VotingModuleOptions): Promise<VotingModule> {
    return new VotingModule(options, await openStores(options.party.local.party));
  }

  /** The voting node. */
  get service(): VotingService {
    return this.#service;
  }

  /** See {@linkcode NodeModule.routes}. */
  get routes(): OperatorRoutes {
    const reports = this.#reports;
    return new Map<string, OperatorRoute>([
      ["POST /v1/voting/cast", { streams: true, serve: (call) => this.#cast(call) }],
      ["POST /v1/voting/answer", { streams: true, serve: (call) => this.#answer(call) }],
      ["POST /v1/voting/propose", { serve: (call) => this.#propose(call) }],
      ["POST /v1/voting/status", { streams: true, serve: (call) => this.#status(call) }],
      ["GET /v1/voting/transactions", { serve: () => ({ transactions: this.#newest(SHOWN_MAX) }) }],
      ["POST /v1/voting/certificate", {
        serve: ({ input }) => reports.certificate(parsed(NAMED, input).txId),
      }],
      ["GET /v1/voting/members", { serve: () => reports.members() }],
      ["POST /v1/voting/members", { streams: true, serve: (call) => this.#changeMembers(call) }],
      ["GET /v1/voting/evidence", { serve: () => reports.offences() }],
      ["POST /v1/voting/proof", { serve: ({ input }) => reports.proof(parsed(OFFENCE, input).id) }],
      ["GET /v1/voting/reputation", { serve: () => reports.reputation(Date.now()) }],
      ["GET /v1/voting/reputation/recomputed", { serve: () => reports.recomputed(Date.now()) }],
      ...approvalRoutes({
        approvals: this.#approvals,
        audit: this.#options.party.local.audit,
        log: this.#options.log,
      }),
    ]);
  }

  /** See {@linkcode NodeModule.unready}. */
  unready(): readonly Unreadiness[] {
    return [
      ...this.#service.unready(),
      ...(this.#outbox.hasRoom ? [] : [{
        reason: "outbox",
        text: `too many records wait for the store of records: ${this.#recordsFault ?? ""}`,
      }]),
    ];
  }

  /** See {@linkcode NodeModule.collect}. */
  collect(metrics: Metrics): void {
    const { voting: { membership }, party } = this.#options;
    const { counts, open, reachable, alarm, offences } = this.#service;
    const { stored, mismatch, invalid, overQuota } = counts;
    const { pausedSince, votingPausedSince } = this.#approvals.locks;
    metrics.replace("paused", [
      [{ what: "signing" }, pausedSince === undefined ? 0 : 1],
      [{ what: "voting" }, votingPausedSince === undefined ? 0 : 1],
    ]);
    collectVoting(metrics, {
      membership,
      votes: { cast: this.#votes.cast, stored, mismatch, invalid, over_quota: overQuota },
      decided: this.#votes.decided,
      open,
      reachable,
      alarm,
      offences,
      outbox: { waiting: this.#outbox.waiting, limit: party.local.party.stores.outboxLimit },
      handOffWaiting: this.#handOff.waiting,
      storeFaults: { coordination: this.#handOffFault, records: this.#recordsFault },
    }, Date.now());
  }

  /** Ends what runs, and closes the stores. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#approvals[Symbol.asyncDispose]();
    this.#service[Symbol.dispose]();
    await Promise.allSettled(this.#running);
    await this.#stores[Symbol.asyncDispose]();
  }

  async #cast({ input, signal, operator }: OperatorCall): Promise<TxReport> {
    const { txId, value, waitMs } = parsed(CAST, input);
    this.#options.log.write("info", `operator ${operator} votes in ${txId}`, { code: "VOTE_ASKED" });
    this.#approvals.locks.requireVoting();
    this.#service.cast(txId, valueOf(value));
    return await this.#after(txId, waitMs, signal);
  }

  async #answer({ input, signal, operator }: OperatorCall): Promise<TxReport> {
    const { txId, ballot, kind, waitMs } = parsed(ANSWER, input);
    this.#options.log.write("info", `operator ${operator} votes ${kind} in ${txId}`, { code: "VOTE_ASKED" });
    this.#approvals.locks.requireVoting();
    this.#service.answer(txId, ballot, kind);
    return await this.#after(txId, waitMs, signal);
  }

  #propose({ input, operator }: OperatorCall): TxReport {
    const approval = approvalFor(this.#options.party.local, parsed(PROPOSAL, input));
    const { txId } = approval;
    this.#options.log.write("info", `operator ${operator} proposes ${txId}`, { code: "PROPOSED" });
    this.#service.propose(approval);
    // The same request again: what is decided and not signed is tried anew, after all checks.
    const certificate = this.#service.certificate(txId);
    if (certificate !== undefined) this.#approvals.decided(certificate);
    return this.#report(txId);
  }

  async #changeMembers({ input, signal, operator }: OperatorCall): Promise<MembersReport> {
    const { members, quorum, faults, waitMs } = parsed(MEMBERS, input);
    const { party: { local: { config: { roster } } }, log } = this.#options;
    const voters = members.map((name) => ({ name, key: roster.named(name).identity.publicKey }));
    log.write("info", `operator ${operator} votes for other members: ${members.join(", ")}`, {
      code: "VOTE_ASKED",
    });
    this.#approvals.locks.requireVoting();
    const { epoch } = this.#service.membership;
    this.#service.changeMembers({ voters, quorum, faults });
    if (waitMs > 0) await this.#service.decision(rosterTxId({ epoch }), waitMs, signal);
    return this.#reports.members();
  }

  async #status({ input, signal }: OperatorCall): Promise<TxReport> {
    const { txId, waitMs } = parsed(STATUS, input);
    return await this.#after(txId, waitMs, signal);
  }

  async #after(txId: string, waitMs: number, signal: AbortSignal): Promise<TxReport> {
    if (waitMs > 0) await this.#service.decision(txId, waitMs, signal);
    return this.#report(txId);
  }

  #newest(limit: number): readonly TxReport[] {
    return this.#reports.transactions(limit).map((report) => ({
      ...report,
      signing: signingReport(this.#approvals, report.txId) ?? null,
    }));
  }

  #report(txId: string): TxReport {
    return { ...this.#reports.transaction(txId), signing: signingReport(this.#approvals, txId) ?? null };
  }

  /** What was decided before this process began, or may not have been told: it is handed off, and may still be signed. */
  #takeUp(): void {
    const now = Date.now();
    for (const { txId, state } of this.#service.transactions()) {
      const certificate = this.#service.certificate(txId);
      if (certificate === undefined) continue;
      this.#handOff.add(certificate);
      const approval = state === "decided" ? approvalOf(certificate) : undefined;
      if (approval !== undefined && now <= Number(approval.notAfter)) this.#approvals.decided(certificate);
    }
  }

  #signing(event: ApprovalEvent): void {
    const { changes, log, metrics, party: { local: { audit } } } = this.#options;
    changes.say("votes");
    noteApproval(event, { log, metrics, audit });
  }

  #happened(event: VotingEvent): void {
    const { log, metrics, party: { local: { audit } } } = this.#options;
    switch (event.kind) {
      case "cast":
        this.#votes.cast++;
        audit.note({
          type: "vote_cast",
          outcome: "ok",
          details: { transaction: event.txId, value: this.#valueText(event.txId, encodeValue(event.value)) },
        });
        return;
      case "decided": {
        const { certificate, seconds } = event;
        this.#votes.decided++;
        if (seconds > 0) metrics.observe("vote_decision_seconds", {}, seconds);
        const value = this.#valueText(certificate.txId, certificate.value);
        audit.note({
          type: "decision_made",
          outcome: "ok",
          details: { transaction: certificate.txId, value },
        });
        log.write("info", `${certificate.txId} is decided: ${value}`, { code: "TX_DECIDED" });
        this.#handOff.add(certificate);
        this.#approvals.decided(certificate);
        return;
      }
      case "proposal": {
        const { txId, proposer } = event.proposal;
        const who = this.#reports.nameOf(proposer);
        return log.write("info", `${who} proposes ${txId}`, { code: "PROPOSAL", peer: who });
      }
      case "vote":
        return;
      case "silence": {
        const who = this.#reports.nameOf(event.subject);
        const text = event.isLate
          ? `${who} has answered late in ${event.txId}`
          : `${who} has seen ${event.txId} and is silent: more members wait for it than may lie`;
        return log.write("warn", text, { code: event.isLate ? "MEMBER_LATE" : "MEMBER_SILENT", peer: who });
      }
      case "offence": {
        const { kind, subject, txId } = event.offence;
        const who = this.#reports.nameOf(subject);
        metrics.add("byzantine_evidence_total", { peer: who, kind });
        const text = `${who}: ${kind}${txId === "" ? "" : ` in ${txId}`}, with proof`;
        audit.note({ type: "evidence_recorded", outcome: "ok", remote: who, details: { kind, what: text } });
        return log.write("warn", text, { code: "OFFENCE", peer: who });
      }
      case "epoch": {
        const { epoch, voters, quorum } = event.membership;
        const text = `membership ${epoch} begins: ${quorum} of ${
          voters.map(({ name }) => name).join(", ")
        } decide`;
        audit.note({ type: "security_event", outcome: "ok", details: { what: text } });
        return log.write("warn", text, { code: "MEMBERSHIP_CHANGED" });
      }
      case "alarm":
        audit.note({
          type: "security_event",
          outcome: "failed",
          details: { what: `${event.alarm}: ${event.text}` },
        });
        return log.write("error", event.text, { code: event.alarm });
      case "closed":
        return log.write("warn", `a link was ended: ${event.why}`, {
          code: "MESSAGE_INVALID",
          peer: this.#reports.nameOf(event.peer),
        });
      case "store":
        return log.write("error", event.reason, { code: "STORE_UNWRITABLE" });
      case "failed": {
        const kind = event.error instanceof Error ? event.error.name : typeof event.error;
        return log.write("error", `a bug in this program: voting by the clock failed: ${kind}`, {
          code: "INVARIANT",
        });
      }
      case "mended":
        this.#takeUp();
        return log.write("info", "votes can be stored again", { code: "STORE_MENDED" });
    }
  }

  #valueText(txId: string, value: Bytes): string {
    return describeValue(txId, this.#options.voting.membership.cluster, value);
  }

  #handedOff(event: HandOffEvent): void {
    const { log } = this.#options;
    switch (event.kind) {
      case "done":
        this.#handOffFault = undefined;
        return;
      case "waiting":
        if (this.#handOffFault === event.reason) return;
        this.#handOffFault = event.reason;
        return log.write("warn", `decisions wait for the store of coordination: ${event.reason}`, {
          code: "HAND_OFF_WAITS",
        });
      case "invalid":
        return log.write(
          "warn",
          `what the store of coordination had of ${event.txId} was no certificate: replaced`,
          {
            code: "STORE_CONTENT_INVALID",
          },
        );
      case "gave-up":
        return log.write(
          "error",
          `somebody overwrites ${event.txId} in the store of coordination: look who may write there`,
          { code: "STORE_CONTENT_INVALID" },
        );
      case "conflict":
        this.#service.learn(event.certificate);
    }
  }

  /** Until a store of another's is found in place of ours, which nobody can mend but an operator. */
  async #send(signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.#stores.prepare();
        break;
      } catch (error) {
        this.#recordsWait(error instanceof QuorateError ? error.message : "a bug");
        await sleep(Math.min(10_000, 200 * 2 ** Math.min(failures, 10)), signal);
      }
    }
    try {
      await sendOutbox(this.#outbox, this.#stores.records, {
        signal,
        on: (event) => {
          if (event.kind === "waiting") this.#recordsWait(event.reason);
          else this.#recordsFault = undefined;
        },
      });
    } catch (error) {
      const isKnown = error instanceof QuorateError;
      this.#recordsFault = isKnown ? error.message : "a bug";
      log.write("error", `records are not sent any more: ${this.#recordsFault}`, {
        code: isKnown ? error.code : "INVARIANT",
      });
    }
  }

  async #copyRecords(signal: AbortSignal): Promise<void> {
    const { log, party: { local } } = this.#options;
    const weights = { dissent: local.config.policy.dissentWeight };
    let fault = "";
    const copies = new RecordCopies({
      log: local.audit.log,
      ledger: local.store.ledger,
      outbox: this.#outbox,
      outboxLimit: local.party.stores.outboxLimit,
      records: this.#stores.records,
      scores: () =>
        this.#service.reputation(Date.now(), weights).map(({ member, score }) => ({
          name: this.#reports.nameOf(member),
          score,
        })),
      now: Date.now,
      on: (reason) => {
        if (reason !== fault) {
          log.write("warn", `copies of the audit log wait: ${reason}`, { code: "COPIES_WAIT" });
        }
        fault = reason;
      },
    });
    while (!signal.aborted) {
      await copies.copy();
      await sleep(COPY_MS, signal);
    }
  }

  #recordsWait(reason: string): void {
    if (this.#recordsFault === reason) return;
    this.#recordsFault = reason;
    this.#options.log.write("warn", `records wait for their store: ${reason}`, { code: "STORE_UNAVAILABLE" });
  }
}

/** The value of JSON: exactly one of its fields. */
export function valueOf({ integer, text, bytes }: z.infer<typeof VALUE>): Value {
  if (integer !== undefined) return { schema: "integer", integer: BigInt(integer) };
  return { schema: "bytes", bytes: bytes ?? utf8(text as string) };
}

/** How often copies are made of what is new. */
const COPY_MS = 5_000;
const TX_ID = z.string().min(1).max(128);
const WAIT = z.number().min(0).max(3_600_000).default(0);
const VALUE = z.union([
  z.strictObject({ integer: z.string().regex(/^-?\d{1,20}$/) }),
  z.strictObject({ text: z.string() }),
  z.strictObject({ bytes: z.instanceof(Uint8Array) as z.ZodType<Bytes> }),
]).transform((value): { integer?: string; text?: string; bytes?: Bytes } => value);
/** Most transactions in a list. */
const SHOWN_MAX = 100;
const CAST = z.strictObject({ txId: TX_ID, value: VALUE, waitMs: WAIT });
const STATUS = z.strictObject({ txId: TX_ID, waitMs: WAIT });
const ANSWER = z.strictObject({
  txId: TX_ID,
  ballot: z.string().regex(/^[0-9a-f]{16,64}$/),
  kind: z.enum(["approve", "reject"]),
  waitMs: WAIT,
});
const MEMBERS = z.strictObject({
  members: z.array(z.string().max(64)).min(1).max(64),
  quorum: z.int().min(1).max(64),
  faults: z.int().min(0).max(31),
  waitMs: WAIT,
});
const NAMED = z.strictObject({ txId: TX_ID });
const OFFENCE = z.strictObject({ id: z.string().regex(/^[0-9a-f]{4,64}$/) });

function parsed<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new UsageError(
    "USAGE",
    `the request has no valid ${issue?.path.join(".") || "form"}: ${issue?.message}`,
  );
}

/** Also where the signal came before. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}
