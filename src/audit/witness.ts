/**
 * A witness: keeps the newest checkpoint of every peer's log, and cosigns a newer one only where the log did nothing but grow.
 *
 * @source C2SP tlog-witness, with the rule that what is cosigned was written first.
 * @module
 */

import { type Bytes, equal, fromUtf8, hex, utf8 } from "../base/bytes.ts";
import { decode, DecodeError, encode } from "../base/codec.ts";
import { type Ed25519Signer, ed25519Verifier, sha256 } from "../base/crypto.ts";
import { invariant, UsageError } from "../base/errors.ts";
import { DIRECTORY_MODE, isThere, reasonOf, requirePrivateDirectory, writeNew } from "../storage/files.ts";
import { canonicalJson, parseCanonicalJson } from "./canonical.ts";
import {
  type Checkpoint,
  cosign,
  type NamedKey,
  parseCheckpoint,
  verifyCheckpoint,
  verifyCosignatureLine,
  withSignature,
} from "./checkpoint.ts";
import { emptyRoot, verifyConsistency } from "./merkle.ts";
import { formatNote, formatSignature, noteKeyId, signaturesBy, SignatureType } from "./note.ts";
import { readCheckpoint, type StoredCheckpoint, writeCheckpoint } from "./stored_checkpoints.ts";
import {
  CHECKPOINT_ANSWER,
  CHECKPOINT_REQUEST,
  type CheckpointAnswer,
  type CheckpointRequest,
  type Refusal,
} from "./witness_messages.ts";

/** How a witness is set up. */
export interface WitnessOptions {
  /** Where it keeps checkpoints: `witness` beside the party's own log. */
  readonly directory: string;
  /** Name of its key: the origin of its own log. */
  readonly name: string;
  /** Cosigns. */
  readonly signer: Ed25519Signer;
  /** The key of a party's log; undefined for a stranger. */
  readonly logOf: (party: string) => NamedKey | undefined;
  /** Milliseconds of POSIX time. Default: the system's. */
  readonly now?: () => number;
  /** Called when a log did something else than grow. The evidence is on disk then. */
  readonly onAlarm?: (alarm: WitnessAlarm) => void;
  /** Called when the witness cannot keep or read its own files. */
  readonly onFailure?: (error: UsageError) => void;
}

/** A log did something else than grow, or does not show that it only grew. */
export interface WitnessAlarm {
  /** Whose log. */
  readonly party: string;
  /** What it did. */
  readonly reason: "rollback" | "fork" | "inconsistent";
  /** The checkpoint that was kept. */
  readonly kept: string;
  /** The one that was offered. */
  readonly offered: string;
  /** The proof that was offered with it, as hexadecimal digits. */
  readonly proof: readonly string[];
}

/** A party's witness of its peers' logs. */
export class Witness {
  readonly #options: WitnessOptions;

  /** Makes a witness. @throws UsageError AUDIT_UNWRITABLE or LOOSE_PERMISSIONS */
  constructor(options: WitnessOptions) {
    this.#options = options;
    try {
      Deno.mkdirSync(options.directory, { recursive: true, mode: DIRECTORY_MODE });
    } catch (cause) {
      throw new UsageError(
        "AUDIT_UNWRITABLE",
        `the witness's directory ${options.directory} cannot be made: ${reasonOf(cause)}`,
        { cause },
      );
    }
    requirePrivateDirectory(options.directory);
  }

  /**
   * Answers a peer's request. Runs to its end without waiting for anything, so that two requests never see one state.
   *
   * @param party who asks, as the link authenticated it.
   */
  handle(party: string, request: Uint8Array): Bytes {
    let answer: CheckpointAnswer;
    try {
      answer = this.#judge(party, decode(CHECKPOINT_REQUEST, request));
    } catch (error) {
      if (error instanceof DecodeError) answer = refused("malformed", undefined);
      else if (error instanceof UsageError) {
        this.#options.onFailure?.(error);
        answer = refused("unavailable", undefined);
      } else throw error;
    }
    return encode(CHECKPOINT_ANSWER, answer);
  }

  /** The newest checkpoint of a party's log that was cosigned here. @throws UsageError AUDIT_UNREADABLE */
  kept(party: string): StoredCheckpoint | undefined {
    return readCheckpoint(witnessPath(this.#options.directory, party));
  }

  #judge(party: string, request: CheckpointRequest): CheckpointAnswer {
    const offered = parseCheckpoint(request.checkpoint);
    const log = this.#options.logOf(party);
    const kept = log === undefined ? undefined : this.#verified(party, log);
    if (log === undefined || offered.origin !== log.name) return refused("foreign", kept);
    if (!verifyCheckpoint(offered, log)) return refused("unsigned", kept);
    const size = kept?.size ?? 0;
    const alarmed = (reason: WitnessAlarm["reason"]): CheckpointAnswer => {
      if (kept !== undefined) this.#alarm({ party, reason, kept: kept.text, request });
      return refused(reason, kept);
    };
    if (offered.size < size) return alarmed("rollback");
    if (offered.size === size && kept !== undefined) {
      return equal(offered.root, kept.root)
        ? this.#again(kept) ?? this.#cosign(party, offered, log)
        : alarmed("fork");
    }
    if (request.from !== size) return refused("size", kept);
    const isGrown = verifyConsistency({
      from: size,
      to: offered.size,
      proof: request.proof,
      fromRoot: kept?.root ?? emptyRoot(),
      toRoot: offered.root,
    });
    return isGrown ? this.#cosign(party, offered, log) : alarmed("inconsistent");
  }

  /** What was kept, if it is still what the log signed: a file that somebody changed is no measure. */
  #verified(party: string, log: NamedKey): StoredCheckpoint | undefined {
    const kept = this.kept(party);
    if (kept === undefined || verifyCheckpoint(kept, log)) return kept;
    const path = witnessPath(this.#options.directory, party);
    throw new UsageError("AUDIT_UNREADABLE", `the checkpoint in ${path} is not signed by ${party}`, {
      party,
    });
  }

  /** What was cosigned is not written again: a peer that asks all the time costs a signature check, and nothing on disk. */
  #again({ note }: StoredCheckpoint): CheckpointAnswer | undefined {
    const { name, signer } = this.#options;
    const verifier = ed25519Verifier(signer.publicKey);
    invariant(verifier !== undefined, "the own key is one that verifies");
    const keyId = noteKeyId(name, SignatureType.COSIGNATURE, signer.publicKey);
    const line = signaturesBy(note, name, keyId).map(formatSignature).find((line) =>
      verifyCosignatureLine({ note }, line, { name, verifier }) !== undefined
    );
    return line === undefined ? undefined : { kind: "cosigned", line };
  }

  #cosign(party: string, offered: Checkpoint, log: NamedKey): CheckpointAnswer {
    const { name, signer, directory, now = Date.now } = this.#options;
    const line = cosign(offered, { name, signer, seconds: Math.floor(now() / 1000) });
    // Lines of others than the log are not kept: they were not checked.
    const keyId = noteKeyId(log.name, SignatureType.ED25519, log.verifier.publicKey);
    const signatures = signaturesBy(offered.note, log.name, keyId);
    const note = withSignature(formatNote({ text: offered.note.text, signatures }), line);
    writeCheckpoint(witnessPath(directory, party), note);
    return { kind: "cosigned", line };
  }

  #alarm(
    { party, reason, kept, request }: Pick<WitnessAlarm, "party" | "reason" | "kept"> & {
      readonly request: CheckpointRequest;
    },
  ): void {
    const alarm = { party, reason, kept, offered: request.checkpoint, proof: request.proof.map(hex) };
    const path = `${this.#options.directory}/${evidenceName(alarm)}`;
    if (isThere(path)) return;
    try {
      if (this.#evidenceOf(party) < EVIDENCE_MAX) {
        writeNew(path, utf8(canonicalJson({ ...alarm })), { code: "AUDIT_UNWRITABLE" });
      }
    } catch (error) {
      // What cannot be kept is told all the same.
      if (!(error instanceof UsageError)) throw error;
      this.#options.onFailure?.(error);
    }
    this.#options.onAlarm?.(alarm);
  }

  /** How much evidence there is: a log that misbehaves all the time does not fill the disk of its witnesses. */
  #evidenceOf(party: string): number {
    const names = [...Deno.readDirSync(this.#options.directory)].map(({ name }) => name);
    // The name of one party may be the beginning of another's.
    return names.filter((name) => name.startsWith(`${party}.`) && EVIDENCE_END.test(name.slice(party.length)))
      .length;
  }
}

/** The file of the newest checkpoint of a party's log that is witnessed here. */
export function witnessPath(directory: string, party: string): string {
  return `${directory}/${party}.checkpoint`;
}

/**
 * Whether evidence convinces a third party: two checkpoints that the log's own key signed, of one size and with different roots.
 * An older checkpoint was signed rightly once, and a wrong proof is signed by nobody: such alarms are for operators.
 *
 * @param evidence content of an evidence file.
 */
export function provesFork(evidence: Uint8Array, log: NamedKey): boolean {
  try {
    const alarm = parseCanonicalJson(fromUtf8(evidence) ?? "") as Partial<WitnessAlarm> | null;
    const notes = [alarm?.kept, alarm?.offered].map((note) => parseCheckpoint(String(note)));
    const [a, b] = notes as [Checkpoint, Checkpoint];
    return notes.every((note) => verifyCheckpoint(note, log)) && a.size === b.size && !equal(a.root, b.root);
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

const EVIDENCE_MAX = 32;
const EVIDENCE_END = /^\.[0-9a-f]{16}\.evidence\.json$/;

function refused(reason: Refusal, kept: StoredCheckpoint | undefined): CheckpointAnswer {
  return { kind: "refused", reason, size: kept?.size ?? 0, checkpoint: kept?.text };
}

function evidenceName({ party, kept, offered }: WitnessAlarm): string {
  const content = sha256(utf8(canonicalJson([kept, offered])));
  return `${party}.${hex(content.subarray(0, 8))}.evidence.json`;
}
