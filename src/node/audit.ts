/**
 * A party's audit log at work: what is about to happen is written first, and what happened is written soon.
 *
 * @module
 */

import { AuditLog } from "../audit/log.ts";
import { originOf, parseCheckpoint } from "../audit/checkpoint.ts";
import { Coalescer } from "../audit/coalesce.ts";
import {
  type AskWitness,
  collectCosignatures,
  type CosigningOutcome,
  type WitnessMemory,
  type WitnessPeer,
} from "../audit/cosigning.ts";
import type { AuditEvent } from "../audit/events.ts";
import { Witness, type WitnessAlarm } from "../audit/witness.ts";
import { type Bytes, hex } from "../base/bytes.ts";
import { type Ed25519Signer, sha256 } from "../base/crypto.ts";
import { QuorateError, type UsageError } from "../base/errors.ts";
import type { SessionEvent } from "../session/context.ts";
import type { Links, SessionFrame } from "../session/links.ts";
import type { Ban } from "../storage/local_store.ts";
import type { MeshEvent } from "../transport/mesh.ts";
import { NodeMessageType, typeName } from "../transport/message_types.ts";
import { linkEvent, linkEventType, sessionEvents } from "./audit_events.ts";
import type { Config, PartyConfig } from "./config.ts";

/** What became of a key, as everybody may know it. */
export interface AuditedKey {
  /** What people call it. */
  readonly name: string;
  /** Id and epoch. */
  readonly record: { readonly keyId: Bytes; readonly epoch: number };
  /** How it came about. */
  readonly outcome?: string;
  /** False where this party has no share of it any more. */
  readonly member?: boolean;
}

/** A signature that is asked for. */
export interface AuditedSigning {
  /** What people call the key. */
  readonly name: string;
  /** Its id. */
  readonly keyId: Bytes;
  /** Its epoch. */
  readonly epoch: number;
  /** Digest of what is signed. */
  readonly digest: Bytes;
  /** Path of the child that signs; `m` is the key itself. */
  readonly path?: string;
}

/** Events that are about a key as it is after them. */
export type KeyEventType =
  | "key_generated"
  | "key_refreshed"
  | "key_reshared"
  | "key_repaired"
  | "key_synchronised"
  | "key_imported";

/** What stands for a message of a key for Ed25519 or BIP340: its SHA-256, or itself where a digest is signed. */
export function messageDigest({ curve }: { readonly curve: string }, message: Bytes): Bytes {
  return curve === "bip340" ? message : sha256(message);
}

/** What is told of witnessing beside what is recorded. */
export interface WitnessListeners {
  /** A peer's log did something else than grow. */
  readonly onAlarm?: (alarm: WitnessAlarm) => void;
  /** What this party keeps as a witness cannot be read or written. */
  readonly onFailure?: (error: UsageError) => void;
}

/** The audit log of a party that is open. */
export class PartyAudit {
  /** The log. */
  readonly log: AuditLog;
  readonly #config: Config;
  readonly #party: PartyConfig;
  readonly #links: Coalescer<MeshEvent>;
  /** What a peer can make this party record as often as it likes. */
  readonly #repeating: Coalescer<(repeated: number) => AuditEvent>;
  /** Ids of sessions whose opening is recorded and whose end is not. */
  readonly #opened = new Set<string>();
  readonly #witnesses: WitnessMemory = new Map();

  private constructor(log: AuditLog, config: Config, party: PartyConfig) {
    this.log = log;
    this.#config = config;
    this.#party = party;
    this.#links = new Coalescer(REPEATS_MS, (event, repeated) => {
      const recorded = linkEvent(event, repeated);
      if (recorded !== undefined) this.log.append(recorded);
    });
    this.#repeating = new Coalescer(REPEATS_MS, (make, repeated) => this.log.append(make(repeated)));
  }

  /**
   * Opens a party's log, which is made where there is none.
   *
   * @param identity reads the party's identity key, which signs checkpoints.
   * @throws UsageError AUDIT_CORRUPT, AUDIT_UNREADABLE, AUDIT_UNWRITABLE or LOOSE_PERMISSIONS
   */
  static open(config: Config, party: PartyConfig, identity: () => Ed25519Signer): PartyAudit {
    const { directory, segmentBytes, witnesses } = party.audit;
    const key = {
      name: originOf(config.cluster, party.name),
      verifier: config.roster.named(party.name).identity,
    };
    const log = AuditLog.open({
      directory,
      party: party.name,
      key,
      signer: identity,
      segmentBytes,
      witnesses,
    });
    return new PartyAudit(log, config, party);
  }

  /**
   * The guard before a session opens: when it returns, it is on disk that the session was started.
   *
   * @throws UsageError AUDIT_UNWRITABLE, before any nonce is used.
   */
  requireStart(protocol: string, command: string): void {
    this.log.commit({ type: "session_started", outcome: "started", details: { protocol, command } });
  }

  /** Takes note of something that happened. */
  note(event: AuditEvent): void {
    this.log.append(event);
  }

  /** Takes note of what became of a key. */
  noteKey<const T extends AuditedKey>(type: KeyEventType, key: T): T {
    const { name, record: { keyId, epoch }, outcome, member } = key;
    const details = {
      key: name,
      keyId: hex(keyId),
      epoch,
      ...(outcome === undefined ? {} : { how: outcome }),
      ...(member === undefined ? {} : { member }),
    };
    this.log.append({ type, outcome: "ok", details });
    return key;
  }

  /** Takes note, durably, of what this party alone did with a key. @throws UsageError AUDIT_UNWRITABLE */
  noteKeyHere(
    type: "key_recovered" | "key_discarded" | "key_exported",
    { name, keyId, epoch }: { readonly name: string; readonly keyId: Bytes; readonly epoch: number },
  ): void {
    this.log.commit({ type, outcome: "ok", details: { key: name, keyId: hex(keyId), epoch } });
  }

  /** Takes note that a signature is asked for. It is on disk when the session opens. */
  noteSigning({ name, keyId, epoch, digest, path }: AuditedSigning): void {
    const details = { key: name, keyId: hex(keyId), epoch, digest: hex(digest), ...pathOf(path) };
    this.log.append({ type: "sign_requested", outcome: "started", details });
  }

  /** Takes note of a signature. */
  noteSigned({ name, keyId, epoch, digest, path }: AuditedSigning, signers: readonly string[]): void {
    const details = { key: name, keyId: hex(keyId), epoch, digest: hex(digest), signers, ...pathOf(path) };
    this.log.append({ type: "signature_made", outcome: "ok", details });
  }

  /** Takes note that nothing is signed with a party any more. @param name what people call the key */
  noteBan({ keyId, epoch, party, code, reason }: Ban, name: string = ""): void {
    const remote = this.#config.roster.nameOf(party);
    const details = { key: name, keyId: hex(keyId), epoch, code, reason };
    this.log.append({ type: "signer_banned", outcome: "ok", remote, details });
  }

  /** Takes note, durably, that an operator has lifted a ban. @throws UsageError AUDIT_UNWRITABLE */
  noteUnban({ keyId, epoch, name }: Pick<AuditedSigning, "keyId" | "epoch" | "name">, remote: string): void {
    const details = { key: name, keyId: hex(keyId), epoch };
    this.log.commit({ type: "signer_unbanned", outcome: "ok", remote, details });
  }

  /** Takes note of what happened to a link. What repeats within a minute is counted. */
  link(event: MeshEvent): void {
    // The address of a stranger has another port every time.
    const kind = [linkEventType(event.code), event.code, event.peer, event.direction].join(" ");
    this.#links.add(kind, event, performance.now(), event.code === "LINK_UP" ? LINK_UPS_EACH : 1);
  }

  /** The first round is told again with every message of it; a session opens once. */
  #isNews({ type, session = "" }: AuditEvent): boolean {
    if (type === "session_ended") this.#opened.delete(session);
    if (type !== "session_opened") return true;
    const isNew = !this.#opened.has(session);
    this.#opened.add(session);
    return isNew;
  }

  /** Takes note of what happened in a session. */
  session(event: SessionEvent): void {
    const { roster } = this.#config;
    for (const recorded of sessionEvents(event, (index) => roster.nameOf(index))) {
      if (!this.#isNews(recorded)) continue;
      if (recorded.type !== "message_invalid") this.log.append(recorded);
      else {
        const make = (repeated: number) => ({
          ...recorded,
          details: { ...recorded.details, ...countOf(repeated) },
        });
        this.#repeating.add(`message ${recorded.remote}`, make, performance.now());
      }
    }
  }

  /** The links, with every message recorded where the configuration asks for that. */
  recorded(links: Links): Links {
    if (!this.#party.audit.messages) return links;
    const note = (type: "message_sent" | "message_received", peer: number, frame: SessionFrame) => {
      // To cosign a log would make it longer, and so on without end.
      if (frame.type === NodeMessageType.WITNESS || frame.type === NodeMessageType.VIEW) return;
      this.log.append({
        type,
        outcome: "ok",
        remote: this.#config.roster.nameOf(peer),
        session: hex(frame.session),
        details: { message: typeName(frame.type), bytes: frame.payload.length },
      });
    };
    return {
      self: links.self,
      bootId: (peer) => links.bootId(peer),
      closeLink: (peer, code, why) => links.closeLink(peer, code, why),
      send: (peer, frame) => {
        const sent = links.send(peer, frame);
        if (sent) note("message_sent", peer, frame);
        return sent;
      },
      listen: (receiver) =>
        links.listen((event) => {
          if (event.kind === "frame") note("message_received", event.peer, event.frame);
          // Where it is a promise, the sender waits for it.
          return receiver(event);
        }),
    };
  }

  /**
   * The party as a witness of its peers' logs: answers what {@linkcode cosign} of a peer asks. What it refuses as a rollback or a
   * fork is recorded here too.
   *
   * @throws UsageError AUDIT_UNWRITABLE or LOOSE_PERMISSIONS
   */
  witness(signer: Ed25519Signer, { onAlarm, onFailure }: WitnessListeners = {}): Witness {
    return new Witness({
      directory: `${this.log.directory}/witness`,
      name: this.log.key.name,
      signer,
      logOf: (party) => this.peers.find(({ name }) => name === party)?.key,
      onAlarm: (alarm) => {
        const { party, reason, kept, offered } = alarm;
        const details = {
          reason,
          size: parseCheckpoint(kept).size,
          offered: parseCheckpoint(offered).size,
          conclusive: reason === "fork",
        };
        const make = (repeated: number): AuditEvent => ({
          type: "audit_witness_alarm",
          outcome: "refused",
          remote: party,
          details: { ...details, ...countOf(repeated) },
        });
        this.#repeating.add(`alarm ${party}`, make, performance.now(), ALARMS_EACH);
        onAlarm?.(alarm);
      },
      ...(onFailure === undefined ? {} : { onFailure }),
    });
  }

  /**
   * Signs a checkpoint and asks peers to cosign it.
   *
   * @param names whom to ask. Default: all.
   * @throws UsageError AUDIT_UNWRITABLE
   */
  async cosign(ask: AskWitness, names?: ReadonlySet<string>): Promise<CosigningOutcome[]> {
    const peers = this.peers.filter(({ name }) => names === undefined || names.has(name));
    return await collectCosignatures(this.log, peers, ask, this.#witnesses);
  }

  /** All other parties as witnesses of this party's log. */
  get peers(): readonly WitnessPeer[] {
    const { cluster, roster } = this.#config;
    return roster.parties.filter(({ index }) => index !== this.#party.index).map(({ name, identity }) => ({
      name,
      key: { name: originOf(cluster, name), verifier: identity },
    }));
  }

  /**
   * Writes what waits, and signs a last checkpoint.
   *
   * @returns a sentence where that failed: what is on disk is right, and what is not is lost.
   */
  close(): string | undefined {
    this.#links.flush();
    this.#repeating.flush();
    try {
      this.log.close();
      return undefined;
    } catch (error) {
      if (error instanceof QuorateError && error.code !== "INVARIANT") return error.message;
      throw error;
    }
  }
}

const REPEATS_MS = 60_000;
/** A link that comes up again and again is the business of an audit, until it is a flood. */
const LINK_UPS_EACH = 16;
/** Different alarms about one peer within the time in which others are counted only. */
const ALARMS_EACH = 4;

function countOf(repeated: number): { readonly repeated?: number } {
  return repeated === 0 ? {} : { repeated };
}

function pathOf(path: string | undefined): { readonly path?: string } {
  return path === undefined || path === "m" ? {} : { path };
}
