/**
 * Voting as a part of a node: what operators ask of it, where its records and decisions go, what it counts.
 *
 * @module
 */

import { z } from "zod";
import { type Bytes, hex, utf8 } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { QuorateError, UsageError } from "../base/errors.ts";
import { systemRng } from "../base/rng.ts";
import { Outbox, sendOutbox } from "../storage/outbox.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Unreadiness } from "../telemetry/server.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import { certificateCodec } from "../voting/certificate.ts";
import { describeFaults, voterAt } from "../voting/membership.ts";
import type { TxStatus } from "../voting/node.ts";
import { offenceCodec } from "../voting/offence.ts";
import { reputationOf } from "../voting/reputation.ts";
import type { StoredOffence } from "../voting/store.ts";
import { decodeValue, formatValue, type Value } from "../voting/value.ts";
import { ballotOf, questionOf } from "../voting/vote.ts";
import type { NodeModule } from "./daemon.ts";
import { HandOff, type HandOffEvent } from "./hand_off.ts";
import type { OperatorCall, OperatorRoute, OperatorRoutes } from "./operator_server.ts";
import type { Party } from "./party.ts";
import { openStores, type Stores } from "./stores.ts";
import { LedgerVoteStore } from "./vote_store.ts";
import { type VotingEvent, VotingService } from "./voting.ts";
import type { VotingConfig } from "./voting_config.ts";
import { collectVoting } from "./voting_metrics.ts";

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
  /** Names of those of whom no vote is stored. */
  readonly missing: readonly string[];
  /** How many equal votes decide. */
  readonly quorum: number;
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
}

/** Voting in a node. */
export class VotingModule implements NodeModule {
  readonly #options: VotingModuleOptions;
  readonly #stores: Stores;
  readonly #outbox: Outbox;
  readonly #handOff: HandOff;
  readonly #service: VotingService;
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
    this.#handOff = new HandOff({
      coordination: stores.coordination,
      ledger,
      membership: voting.membership,
      on: (event) => this.#handedOff(event),
    });
    if (network === undefined) throw new UsageError("USAGE", "voting begins when links are there");
    const identity = local.identity();
    const store = new LedgerVoteStore({
      ledger,
      outbox: this.#outbox,
      membership: voting.membership,
      now: Date.now,
    });
    for (const record of store.load()) {
      if (record.kind === "decision") this.#handOff.add(record.certificate);
    }
    this.#service = new VotingService({
      config: voting,
      self: local.party.index,
      sign: (message) => identity.sign(message),
      store,
      links: network.board.channel(NodeMessageType.VOTE),
      rng: systemRng,
      now: Date.now,
      on: (event) => this.#happened(event),
    });
    const { signal } = this.#abort;
    this.#running.push(this.#handOff.run(signal), this.#send(signal));
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
    return new Map<string, OperatorRoute>([
      ["POST /v1/voting/cast", { streams: true, serve: (call) => this.#cast(call) }],
      ["POST /v1/voting/status", { streams: true, serve: (call) => this.#status(call) }],
      ["POST /v1/voting/certificate", { serve: ({ input }) => this.#certificate(input) }],
      ["GET /v1/voting/evidence", { serve: () => ({ view: this.#name, offences: this.#offences() }) }],
      ["POST /v1/voting/proof", { serve: ({ input }) => this.#proof(input) }],
      ["GET /v1/voting/reputation", { serve: () => this.#reputation() }],
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
    this.#service[Symbol.dispose]();
    await Promise.allSettled(this.#running);
    await this.#stores[Symbol.asyncDispose]();
  }

  get #name(): string {
    return this.#options.party.local.party.name;
  }

  async #cast({ input, signal, operator }: OperatorCall): Promise<TxReport> {
    const { txId, value, waitMs } = parsed(CAST, input);
    this.#options.log.write("info", `operator ${operator} votes in ${txId}`, { code: "VOTE_ASKED" });
    this.#service.cast(txId, valueOf(value));
    if (waitMs > 0) await this.#service.decision(txId, waitMs, signal);
    return this.report(txId);
  }

  async #status({ input, signal }: OperatorCall): Promise<TxReport> {
    const { txId, waitMs } = parsed(STATUS, input);
    if (waitMs > 0) await this.#service.decision(txId, waitMs, signal);
    return this.report(txId);
  }

  /** A transaction as it stands. */
  report(txId: string): TxReport {
    const { membership } = this.#options.voting;
    const status = this.#service.status(txId);
    const { quorum, voters } = membership;
    if (status === undefined) {
      const missing = voters.map(({ name }) => name);
      return { txId, state: "unknown", value: null, tally: [], missing, quorum };
    }
    const ballot = (value: Bytes) => hex(ballotOf(questionOf(membership, txId, value)));
    return {
      txId,
      state: status.state,
      value: status.value === undefined ? null : formatValue(decodeValue(status.value)),
      tally: status.tally.map((row) => ({
        value: formatValue(decodeValue(row.value)),
        ballot: ballot(row.value),
        voters: row.voters,
      })),
      missing: status.missing,
      quorum,
    };
  }

  #certificate(input: unknown): { readonly txId: string; readonly certificate: Bytes } {
    const { txId } = parsed(NAMED, input);
    const certificate = this.#service.certificate(txId);
    if (certificate !== undefined) return { txId, certificate: encode(certificateCodec, certificate) };
    throw new UsageError(
      "TX_UNDECIDED",
      `${txId} is not decided at ${this.#name}: there is no certificate yet`,
    );
  }

  #offences(): readonly OffenceReport[] {
    return this.#service.offences.map(({ id, kind, subject, txId, time }) => ({
      id: hex(id),
      kind,
      subject: this.#voter(subject),
      txId,
      time: new Date(time).toISOString(),
    }));
  }

  #proof(input: unknown): { readonly offence: OffenceReport; readonly proof: Bytes } {
    const { id } = parsed(OFFENCE, input);
    const found = this.#service.offences.filter((offence) => hex(offence.id).startsWith(id));
    const report = this.#offences().find((offence) => offence.id.startsWith(id));
    const [offence] = found;
    if (offence === undefined || report === undefined || found.length > 1) {
      throw new UsageError(
        "USAGE",
        found.length > 1
          ? `${found.length} offences begin with ${id}: write more of it`
          : `no offence begins with ${id}`,
      );
    }
    return { offence: report, proof: encode(offenceCodec, offence.proof) };
  }

  #reputation() {
    const { membership } = this.#options.voting;
    const now = Date.now();
    const { offences } = this.#service;
    return {
      view: this.#name,
      members: membership.voters.map(({ index, name }) => ({
        name,
        score: reputationOf(offences, index, now),
        offences: offences.filter(({ subject }) => subject === index).length,
      })),
    };
  }

  #voter(index: StoredOffence["subject"]): string {
    return voterAt(this.#options.voting.membership, index)?.name ?? `voter ${index}`;
  }

  #happened(event: VotingEvent): void {
    const { log, metrics, party: { local: { audit } } } = this.#options;
    switch (event.kind) {
      case "cast":
        this.#votes.cast++;
        audit.note({
          type: "vote_cast",
          outcome: "ok",
          details: { transaction: event.txId, value: formatValue(event.value) },
        });
        return;
      case "decided": {
        const { certificate, seconds } = event;
        this.#votes.decided++;
        if (seconds > 0) metrics.observe("vote_decision_seconds", {}, seconds);
        const value = formatValue(decodeValue(certificate.value));
        audit.note({
          type: "decision_made",
          outcome: "ok",
          details: { transaction: certificate.txId, value },
        });
        log.write("info", `${certificate.txId} is decided: ${value}`, { code: "TX_DECIDED" });
        this.#handOff.add(certificate);
        return;
      }
      case "offence": {
        const { kind, subject, txId } = event.offence;
        const who = this.#voter(subject);
        metrics.add("byzantine_evidence_total", { peer: who, kind });
        const text = `${who}: ${kind}${txId === "" ? "" : ` in ${txId}`}, with proof`;
        audit.note({ type: "evidence_recorded", outcome: "ok", remote: who, details: { kind, what: text } });
        return log.write("warn", text, { code: "OFFENCE", peer: who });
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
          peer: this.#voter(event.peer),
        });
      case "store":
        return log.write("error", event.reason, { code: "STORE_UNWRITABLE" });
    }
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
      this.#recordsFault = error instanceof QuorateError ? error.message : "a bug";
      log.write("error", `records are not sent any more: ${this.#recordsFault}`, { code: "RECORD_CONFLICT" });
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

const TX_ID = z.string().min(1).max(128);
const WAIT = z.number().min(0).max(3_600_000).default(0);
const VALUE = z.union([
  z.strictObject({ integer: z.string().regex(/^-?\d{1,20}$/) }),
  z.strictObject({ text: z.string() }),
  z.strictObject({ bytes: z.instanceof(Uint8Array) as z.ZodType<Bytes> }),
]).transform((value): { integer?: string; text?: string; bytes?: Bytes } => value);
const CAST = z.strictObject({ txId: TX_ID, value: VALUE, waitMs: WAIT });
const STATUS = z.strictObject({ txId: TX_ID, waitMs: WAIT });
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

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
