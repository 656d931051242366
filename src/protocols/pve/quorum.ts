/**
 * Opening a backup that needs a quorum of custodians (SPEC 4.2).
 *
 * A custodian answers with the shared secrets of its ciphertexts, one per row, rather than with what they hold: for a
 * ciphertext that was made before, nobody finds a second shared secret under which AES-256-GCM accepts it, so that whoever puts
 * the shares together sees which answers are true. No combination of custodians has to be guessed.
 *
 * @module
 */

import { type Bytes, equal, erase } from "../../base/bytes.ts";
import {
  decode,
  DecodeError,
  encode,
  fixed,
  map,
  optional,
  struct,
  text,
  U8,
  vector,
} from "../../base/codec.ts";
import { UsageError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { ACCESS_LIMITS, formatPolicy, qualified } from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import {
  checkProof,
  type ExpectedBackup,
  openRows,
  readBackup,
  readExpected,
  type RecoveredShares,
  type RecoverOptions,
} from "./backup.ts";
import type { CustodianGroup, Decapsulator } from "./custodian.ts";
import { ROWS } from "./cut_and_choose.ts";
import { quorumSchemeOf } from "./format.ts";
import { type CustodianPublicKey, encapsulationOf, isSameCustodian, openWith } from "./pke.ts";

/** How one custodian answered. */
export interface CustodianReport {
  /** Its leaf. */
  readonly name: string;
  /** In how many of the 128 rows its answer does not open its ciphertext. */
  readonly badRows: number;
  /**
   * Whether the answers are false. A maker of backups whose own ciphertexts do not open passes verification with probability
   * 2^-badRows, so that above 80 it was the custodian.
   */
  readonly lied: boolean;
}

/** Shares that came back, and how the custodians answered. */
export interface QuorumRecovery extends RecoveredShares {
  /** One per answer, in the order in which they were given. */
  readonly custodians: readonly CustodianReport[];
}

/** Rows above which a custodian is to blame. */
export const BLAME_ROWS = 80;

/**
 * A custodian's answer. Secret: with those of a quorum it is the share. It goes to the party that recovers, and to nobody else.
 *
 * @throws UsageError BACKUP_INVALID where the backup does not verify or is for one custodian; NOT_A_MEMBER
 */
export function answerBackup(bytes: Uint8Array, key: Decapsulator): Secret {
  const backup = readBackup(bytes);
  if (backup.to.kind === "one") {
    throw new UsageError("BACKUP_INVALID", "the backup is for one custodian, who recovers it alone");
  }
  const { custodians } = backup.to;
  const leaf = [...custodians.keys].find(([, publicKey]) => isSameCustodian(publicKey, key.publicKey));
  if (leaf === undefined) {
    throw new UsageError("NOT_A_MEMBER", "the backup is not for the custodian whose key was given");
  }
  const [name, publicKey] = leaf;
  const scheme = quorumSchemeOf(backup, custodians);
  checkProof(scheme, backup);
  const sharedSecrets = backup.proof.rows.map(({ sealed }) => {
    const part = scheme.leafPart(name, sealed);
    const sharedSecret = key.decapsulate(encapsulationOf(publicKey, part));
    // A row may hold the encapsulation of another backup, put there to learn its secret: that one does not open here.
    const share = sharedSecret && openWith(publicKey, { aad: scheme.aad, sealed: part, sharedSecret });
    if (share === undefined) erase(sharedSecret);
    erase(share);
    return share && sharedSecret;
  });
  const answer = encode(answerCodec, { version: VERSION, file: fileHash(bytes), name, sharedSecrets });
  erase(...sharedSecrets);
  return new Secret(answer);
}

/**
 * Opens a backup with the answers of a quorum. Answers beyond a quorum make up for false ones.
 *
 * @param input `answers` as {@linkcode answerBackup} made them.
 * @throws UsageError BACKUP_INVALID, BACKUP_STALE, NOT_QUALIFIED or BACKUP_UNOPENED
 */
export function recoverQuorumBackup(
  bytes: Uint8Array,
  input:
    & {
      readonly custodians: CustodianGroup;
      readonly answers: readonly Uint8Array[];
    }
    & Pick<ExpectedBackup, "shares" | "purpose">
    & RecoverOptions,
): QuorumRecovery {
  const { custodians } = input;
  const expected = readExpected(bytes, { ...input, to: custodians });
  const scheme = quorumSchemeOf(expected.head, custodians);
  if (input.verify !== false) checkProof(scheme, expected.backup);
  const answers = readAnswers(fileHash(bytes), custodians, input.answers);
  const opened = new Map([...answers].map(([name, sharedSecrets]) => {
    const publicKey = custodians.keys.get(name) as CustodianPublicKey;
    const shares = expected.backup.proof.rows.map(({ sealed }, row) => {
      const sharedSecret = sharedSecrets[row];
      const part = scheme.leafPart(name, sealed);
      return sharedSecret && openWith(publicKey, { aad: scheme.aad, sealed: part, sharedSecret });
    });
    erase(...sharedSecrets);
    return [name, shares] as const;
  }));
  const reports = [...opened].map(([name, shares]): CustodianReport => {
    const badRows = shares.filter((share) => share === undefined).length;
    return { name, badRows, lied: badRows > BLAME_ROWS };
  });
  try {
    const recovered = openRows(expected, scheme, (row, half, sealed) => {
      const shares = [...opened].flatMap(([name, list]) => {
        const share = list[row];
        return share === undefined ? [] : [[name, share] as const];
      });
      return scheme.openBody(row, half, sealed, new Map(shares));
    }, input);
    return { ...recovered, custodians: reports };
  } catch (error) {
    const liars = reports.filter(({ lied }) => lied).map(({ name }) => name);
    if (liars.length === 0 || !(error instanceof UsageError)) throw error;
    throw new UsageError(
      "BACKUP_UNOPENED",
      `too few custodians answered truly: the answer of ${liars.join(" and ")} is false; ask others`,
      { cause: error },
    );
  } finally {
    for (const shares of opened.values()) erase(...shares);
  }
}

/** The shared secrets of every custodian that answered. @throws UsageError BACKUP_INVALID or NOT_QUALIFIED */
function readAnswers(
  file: Bytes,
  { policy, keys }: CustodianGroup,
  encoded: readonly Uint8Array[],
): Map<string, readonly (Bytes | undefined)[]> {
  const answers = new Map<string, readonly (Bytes | undefined)[]>();
  for (const bytes of encoded) {
    const answer = readAnswer(bytes);
    if (!equal(answer.file, file)) {
      throw new UsageError("BACKUP_INVALID", `the answer of ${answer.name} is to another backup`);
    }
    if (!keys.has(answer.name) || answers.has(answer.name)) {
      throw new UsageError(
        "BACKUP_INVALID",
        `an answer of ${answer.name} was not expected, or is there twice`,
      );
    }
    answers.set(answer.name, answer.sharedSecrets);
  }
  if (!qualified(policy, new Set(answers.keys()))) {
    throw new UsageError(
      "NOT_QUALIFIED",
      `the custodians who answered are no quorum of ${formatPolicy(policy)}: ask more of them`,
    );
  }
  return answers;
}

function readAnswer(bytes: Uint8Array) {
  try {
    return decode(answerCodec, bytes);
  } catch (error) {
    if (error instanceof DecodeError) {
      throw new UsageError("BACKUP_INVALID", `a custodian's answer cannot be read: ${error.message}`);
    }
    throw error;
  }
}

function fileHash(bytes: Uint8Array): Bytes {
  return hash(Tag.pveFile, bytes);
}

const VERSION = 1;

const answerCodec = struct({
  version: map(U8, (v: number) => v, (v) => {
    if (v !== VERSION) throw new DecodeError("an answer of an unknown version");
    return v;
  }),
  file: fixed(32),
  name: text(ACCESS_LIMITS.nameBytesMax),
  sharedSecrets: vector(optional(fixed(32)), ROWS),
});
