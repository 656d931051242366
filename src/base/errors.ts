/**
 * The four kinds of error, and the table of stable codes.
 *
 * @module
 */

/**
 * What a code means and how a process ends with it. Exit codes: 0 done; 1 error; 2 no quorum; 3 aborted or refused by a
 * peer; 4 timeout; 64 usage; 65 corrupt data; 69 a dependency is down; 73 cannot write; 77 identity or permission;
 * 78 configuration.
 */
export interface CodeMeaning {
  /** Exit code of a command that ends with it. */
  readonly exit: 1 | 2 | 3 | 4 | 64 | 65 | 69 | 73 | 77 | 78;
  /** What it means, in words. */
  readonly meaning: string;
}

/** Every stable error code. A code is never reused for something else. */
export const CODES = {
  // The caller: command line, configuration, arguments.
  USAGE: { exit: 64, meaning: "an argument or option is missing, unknown or malformed" },
  CONFIG_INVALID: { exit: 78, meaning: "the configuration file has an unknown key or a wrong value" },
  CONFIG_UNREADABLE: { exit: 78, meaning: "the configuration file cannot be read" },
  POLICY_INVALID: { exit: 64, meaning: "the policy text is not a valid access structure" },
  NOT_QUALIFIED: { exit: 2, meaning: "the named signers do not satisfy the key's policy" },
  NOT_A_MEMBER: { exit: 64, meaning: "the party is not a member of the key or not in the cluster" },
  FILE_EXISTS: { exit: 73, meaning: "a file would be overwritten" },
  FILE_UNREADABLE: { exit: 64, meaning: "an input file cannot be read" },
  FILE_UNWRITABLE: { exit: 73, meaning: "an output file cannot be written" },
  // Keys and storage.
  KEY_UNKNOWN: { exit: 64, meaning: "no key of that name is stored here" },
  KEY_EXISTS: { exit: 1, meaning: "a key of that name exists already" },
  KEY_CHANGED: { exit: 1, meaning: "another request changed the key before this one began" },
  FAILURE_BUDGET: {
    exit: 1,
    meaning: "too many signatures of these signers failed with nobody to name: one of them lies",
  },
  SIGNER_BANNED: {
    exit: 3,
    meaning: "a signer failed a check with this key before, and no operator has lifted the ban",
  },
  KEY_SCHEME: { exit: 64, meaning: "the key makes another kind of signature than the command is for" },
  KEY_PENDING: { exit: 1, meaning: "the key has no certificate of all parties yet" },
  EPOCH_MISMATCH: { exit: 1, meaning: "the parties have a key in different epochs" },
  SIGNATURE_INVALID: { exit: 1, meaning: "the signature does not verify under the key" },
  STORE_CORRUPT: { exit: 65, meaning: "stored data does not authenticate or does not decode" },
  STORE_UNWRITABLE: { exit: 73, meaning: "the store cannot be written" },
  SHARE_ROLLBACK: { exit: 65, meaning: "the store is older than the high-water mark beside it" },
  LOOSE_PERMISSIONS: { exit: 77, meaning: "a secret file can be read by others" },
  PARTY_BUSY: { exit: 69, meaning: "another process of this party is running" },
  NODE_UNREACHABLE: { exit: 69, meaning: "no node of the party runs, or it cannot be reached" },
  STORE_UNAVAILABLE: { exit: 69, meaning: "a shared store cannot be reached, and nothing was written" },
  STORE_UNSAFE: { exit: 78, meaning: "a shared store is set up in a way that loses acknowledged writes" },
  OUTBOX_FULL: { exit: 69, meaning: "too many records wait for the store of records" },
  RECORD_GAP: { exit: 1, meaning: "rows do not continue their stream" },
  RECORD_CONFLICT: {
    exit: 65,
    meaning: "a row of a stream differs from the one that is stored in its place",
  },
  // Voting.
  ALREADY_VOTED: { exit: 1, meaning: "this node has voted for another value, and votes once" },
  ALREADY_DECIDED: { exit: 1, meaning: "the transaction is decided for another value" },
  TX_UNDECIDED: { exit: 2, meaning: "not enough equal votes for a decision are known here" },
  TX_CONFLICT: { exit: 1, meaning: "the transaction's name is taken by another request" },
  TX_EXPIRED: { exit: 1, meaning: "the time for votes is over at this node, and it has not voted" },
  TX_CLOSED: { exit: 1, meaning: "the transaction was voted on under an earlier membership" },
  LISTS_MISSING: { exit: 1, meaning: "a new member does not know yet what was voted on before it came" },
  BALLOT_UNKNOWN: { exit: 64, meaning: "no proposal, or more than one, has a ballot that begins like this" },
  EVIDENCE_INVALID: { exit: 1, meaning: "a file that is to prove an offence or a decision does not" },
  VOTING_STOPPED: { exit: 1, meaning: "this node has stopped voting until an operator has looked" },
  LOCKS_FULL: { exit: 1, meaning: "no more votes can be locked" },
  // Signing on approval.
  APPROVAL_REQUIRED: { exit: 64, meaning: "the key signs only what a quorum has approved" },
  KEY_PURPOSE: { exit: 64, meaning: "the key was made for another purpose" },
  APPROVAL_REFUSED: { exit: 3, meaning: "what was approved is not signed: too few signers agree to it" },
  SIGNING_PAUSED: { exit: 3, meaning: "an operator has paused signing at this party" },
  VOTING_PAUSED: { exit: 3, meaning: "an operator has paused voting at this party" },
  CERTIFICATE_INVALID: { exit: 3, meaning: "a certificate of votes decides nothing here" },
  APPROVAL_INVALID: { exit: 3, meaning: "what was decided is no approval for this cluster" },
  APPROVAL_KEY: { exit: 3, meaning: "an approval is for another key than the one that is here" },
  APPROVAL_DIGEST: { exit: 3, meaning: "what is to be signed is not what was approved" },
  APPROVAL_EXPIRED: { exit: 3, meaning: "an approval is not in force yet, or not any more" },
  APPROVAL_SIGNERS: { exit: 3, meaning: "those who are to sign may not, or cannot" },
  APPROVAL_POLICY: {
    exit: 3,
    meaning: "the policy of this party does not allow it to sign what was approved",
  },
  APPROVAL_SUPERSEDED: {
    exit: 3,
    meaning: "an approval takes the place of another one that may still be signed",
  },
  REQUEST_CONFLICT: { exit: 1, meaning: "another payload has the same name, and may have been signed" },
  CLOCK_OFFSET: { exit: 3, meaning: "a party's clock is too far from those of the others" },
  NODE_POLICY_WEAK: {
    exit: 78,
    meaning: "as many members as may cheat in a vote could sign with the key alone",
  },
  // Backups.
  BACKUP_INVALID: { exit: 65, meaning: "a backup fails a check, or is of something else than was asked for" },
  BACKUP_STALE: { exit: 1, meaning: "a backup is of an earlier epoch: its share no longer fits the key" },
  BACKUP_UNOPENED: {
    exit: 65,
    meaning: "no row of a backup opens to the share with the custodian keys given",
  },
  DRILL_FAILED: { exit: 1, meaning: "a custodian's answer to a drill is not the secret of the drill" },
  RECORD_INVALID: { exit: 65, meaning: "a public record does not decode, or its certificate is not valid" },
  // The audit log.
  AUDIT_CORRUPT: {
    exit: 65,
    meaning: "the audit log was changed or cut, or does not fit a checkpoint that was signed of it",
  },
  AUDIT_UNREADABLE: { exit: 65, meaning: "the audit log, or a file about it, cannot be read" },
  AUDIT_UNWRITABLE: { exit: 73, meaning: "the audit log cannot be written: nothing is signed until it can" },
  AUDIT_PROOF_INVALID: { exit: 65, meaning: "a proof or checkpoint of an audit log does not verify" },
  // Identity and links.
  IDENTITY_INVALID: {
    exit: 77,
    meaning: "a key, certificate or pin is missing, malformed or does not match",
  },
  CERT_DUE: { exit: 1, meaning: "a certificate ends soon, or is good for nothing" },
  NOT_PERMITTED: {
    exit: 77,
    meaning: "Deno does not let this process read, write or reach what it needs",
  },
  SELF_TEST_FAILED: { exit: 77, meaning: "the own listener lets strangers in, or does not answer" },
  ADDRESS_IN_USE: { exit: 69, meaning: "the listening address is taken or cannot be bound" },
  NOT_CONNECTED: { exit: 2, meaning: "no link to the party is up" },
  MESSAGE_TOO_LARGE: { exit: 64, meaning: "a message is above the largest size of its type" },
  SEND_BUFFER_FULL: { exit: 1, meaning: "too many calls wait to send to the party" },
  TRANSPORT_STOPPED: { exit: 1, meaning: "the transport was stopped" },
  CHANNEL_REPLAY: { exit: 65, meaning: "a sealed message came again, or after one that was sealed later" },
  CHANNEL_INVALID: { exit: 65, meaning: "a sealed message is malformed or does not authenticate" },
  CHANNEL_CLOSED: { exit: 1, meaning: "the sealed channel was closed and its keys are erased" },
  DEGRADED: { exit: 2, meaning: "a peer, a link or a certificate is not as it should be" },
  // Sessions.
  TIMEOUT: { exit: 4, meaning: "a party did not answer before the deadline" },
  PEER_REFUSED: { exit: 3, meaning: "a peer wants to do something else, or has another configuration" },
  PEER_ABORTED: { exit: 3, meaning: "a peer ended the session" },
  PEER_RESTARTED: { exit: 3, meaning: "a peer's process restarted in the middle of the session" },
  LINK_FLAP: { exit: 3, meaning: "a link dropped too often within one session" },
  ROUND0_SPLIT: { exit: 3, meaning: "parties were given different opening messages; nobody is blamed" },
  ECHO_MISMATCH: { exit: 3, meaning: "a broadcast differed between parties and cannot be attributed" },
  CANCELLED: { exit: 3, meaning: "the session was cancelled here" },
  // Cheating, with evidence.
  EQUIVOCATION: { exit: 3, meaning: "a party signed two different messages for one place" },
  INVALID_MESSAGE: { exit: 3, meaning: "a party's signed message does not decode" },
  CHEATED: { exit: 3, meaning: "a party's message failed a check of the protocol" },
  UNATTRIBUTABLE: { exit: 3, meaning: "a joint check failed and no single party can be named" },
  // Pairs and signing.
  PAIR_BURNED: {
    exit: 3,
    meaning: "the pair is banned after a failed oblivious-transfer check; refresh is needed",
  },
  PAIR_MISSING: { exit: 3, meaning: "the pair has no oblivious-transfer state" },
  PAIR_LIMIT: { exit: 3, meaning: "pair set-up failed too often in this epoch" },
  OUTCOME_UNKNOWN: {
    exit: 4,
    meaning: "the last round was sent: a valid signature may exist; only the same payload may be retried",
  },
  // Us.
  INVARIANT: { exit: 1, meaning: "a bug in this program" },
} as const satisfies Record<string, CodeMeaning>;

/** One of the stable codes in {@linkcode CODES}. */
export type Code = keyof typeof CODES;

/** What every error here can say beside its message. */
export interface ErrorDetails {
  /** The party concerned, by name where it is known. */
  readonly party?: string;
  /** The error behind this one. */
  readonly cause?: unknown;
}

/** Base of all errors: a stable code, and one sentence that says what to do. Never carries a secret. */
export abstract class QuorateError extends Error {
  /** Stable code. */
  readonly code: Code;
  /** The party concerned, by name where it is known. */
  readonly party: string | undefined;

  /** Makes an error from its code and one sentence. */
  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.party = details.party;
  }

  /** How a command ends with this error. */
  get exitCode(): number {
    return CODES[this.code].exit;
  }
}

/** The caller asked for something that cannot be done: arguments, configuration, files, state of the store. */
export class UsageError extends QuorateError {
  /** For messages. */
  override name = "UsageError";
}

/** The network, a peer's absence, or a peer's wish: nobody cheated. */
export class TransportError extends QuorateError {
  /** For messages. */
  override name = "TransportError";
  /** Party indices that are missing, refused or restarted; empty where none is. */
  readonly parties: readonly number[];

  /** Makes an error from its code, one sentence and the parties concerned. */
  constructor(
    code: Code,
    message: string,
    details: ErrorDetails & { readonly parties?: readonly number[] } = {},
  ) {
    super(code, message, details);
    this.parties = details.parties ?? [];
  }
}

/** A check of the protocol failed. `culprits` is empty where nobody can be named. */
export class CheaterError extends QuorateError {
  /** For messages. */
  override name = "CheaterError";
  /** In which round it was noticed. */
  readonly round: number;
  /** Indices of those whose own signed messages fail the check. */
  readonly culprits: readonly number[];
  /** The check that failed, in public words. */
  readonly what: string;

  /** Makes an error from the check that failed and those who failed it. */
  constructor(
    input: {
      readonly code: Code;
      readonly round: number;
      readonly culprits: readonly number[];
      readonly what: string;
      /** Names of the culprits, where they are known. */
      readonly names?: string;
      readonly cause?: unknown;
    },
  ) {
    const names = input.names ?? `party ${input.culprits.join(", ")}`;
    super(
      input.code,
      input.culprits.length === 0
        ? `round ${input.round}: ${input.what}; nobody can be named`
        : `round ${input.round}: ${names}: ${input.what}`,
      { cause: input.cause, ...(input.names === undefined ? {} : { party: input.names }) },
    );
    this.round = input.round;
    this.culprits = input.culprits;
    this.what = input.what;
  }
}

/** A bug in this program. */
export class InvariantError extends QuorateError {
  /** For messages. */
  override name = "InvariantError";
  /** Makes an error that says which assumption is broken. */
  constructor(message: string) {
    super("INVARIANT", message);
  }
}

/** Asserts our own state. Data of peers and disks is checked with errors of its own, never with this. */
export function invariant(condition: boolean, why: string): asserts condition {
  if (!condition) throw new InvariantError(why);
}
