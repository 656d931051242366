/**
 * Compact certificates at a node (VOTING 9): the holders of a key of the purpose `decision` sign what was decided, each only what it has
 * decided itself, and under one name never two ballots.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal, hex } from "../base/bytes.ts";
import { type Code, UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Clock } from "../session/links.ts";
import { printable } from "../session/messages.ts";
import type { ReleaseGate } from "../storage/local_store.ts";
import { type Rate, TokenBucket } from "../transport/rate.ts";
import type { QuorumCertificate } from "../voting/certificate.ts";
import { decisionHash, decisionStatement } from "../voting/statement.ts";
import { ballotOf } from "../voting/vote.ts";
import type { ApprovalKey, ApprovedInput } from "./approval_key.ts";
import type { ApprovalPost } from "./approval_post.ts";
import { errorOf } from "./approval_sessions.ts";
import type { ApprovalView, ApprovalVotes } from "./approval_view.ts";
import type { CertifyRequest } from "./approval_wire.ts";
import type { Party } from "./party.ts";
import type { LockedPayload, LockPlace, SignLocks } from "./sign_locks.ts";

/** One of them. */
export interface CompactCertificate {
  /** What is signed: {@linkcode decisionStatement}. */
  readonly statement: Bytes;
  /** 64 bytes, which Ed25519 verifies under the key. */
  readonly signature: Bytes;
}

/** What they are made with. */
export interface CompactOptions {
  /** The party. */
  readonly party: Party;
  /** The votes of this node. */
  readonly votes: ApprovalVotes;
  /** What is locked. */
  readonly locks: SignLocks;
  /** What this node knows. */
  readonly view: ApprovalView;
  /** To the others. */
  readonly post: () => ApprovalPost;
  /** Names attempts. */
  readonly rng: Rng;
  /** A clock that never goes back. */
  readonly clock: Clock;
}

/** A session that runs. */
interface Running {
  readonly certificate: QuorumCertificate;
  readonly key: ApprovalKey;
  readonly request: Bytes;
  readonly party: Party;
  /** Who asked for it. */
  readonly asker: PartyId;
  /** Resolves when it is over. */
  readonly ended: PromiseWithResolvers<void>;
  /** Why somebody else does not take part. */
  refusal: string | undefined;
  /** One that somebody else has. */
  signature: Bytes | undefined;
}

/** Makes compact certificates. */
export class CompactCertificates {
  readonly #options: CompactOptions;
  /** By key and transaction. */
  readonly #running = new Map<string, Running>();
  /** What is left to each of sessions that it asks for and that fail: they leave records behind. */
  readonly #failures = new Map<PartyId, TokenBucket>();

  /** Makes none yet. */
  constructor(options: CompactOptions) {
    this.#options = options;
  }

  /**
   * The compact certificate of a decision of this node; made together with other holders of the key where there is none yet.
   *
   * @param name of the key.
   * @throws UsageError TX_UNDECIDED, KEY_PURPOSE, NOT_QUALIFIED or SIGNING_PAUSED; and how the session ended.
   */
  async make(txId: string, name: string): Promise<CompactCertificate> {
    const { votes, view, post, rng, locks } = this.#options;
    const certificate = votes.certificate(txId);
    if (certificate === undefined) {
      throw new UsageError(
        "TX_UNDECIDED",
        `${txId} is not decided at ${view.name}: there is nothing to certify`,
      );
    }
    const key = requireDecisionKey(view.named(name));
    const known = locks.get({ keyId: key.keyId, txId });
    const statement = decisionStatement(certificate);
    if (known?.signature !== undefined && equal(known.core, ballotOf(certificate))) {
      return { statement, signature: known.signature };
    }
    const able = key.members.map(({ index }) => index).filter((index) =>
      index === view.self || post().reaches(index)
    );
    const signers = quorumWith(view.self, key, able);
    if (signers === undefined) {
      const names = able.map((party) => view.nameOf(party)).join(", ");
      throw new UsageError(
        "NOT_QUALIFIED",
        `${names} can be reached, and may not sign with ${name} without others`,
      );
    }
    const request = rng.bytes(32);
    const others = signers.filter((party) => party !== view.self);
    const asked = { keyId: key.keyId, txId, request, ballot: ballotOf(certificate), signers };
    try {
      const signature = await this.#session(certificate, key, { ...asked, asker: view.self }, () => {
        for (const peer of others) post().send(peer, { kind: "certify", ...asked });
      });
      return { statement, signature };
    } catch (error) {
      post().refuse(others, { txId, request, code: "CANCELLED", reason: "the one who asked has given up" });
      throw error;
    }
  }

  /** Somebody asks this node to take part. */
  async join(peer: PartyId, asked: CertifyRequest): Promise<void> {
    const { votes, view, post, locks, clock } = this.#options;
    const { txId, keyId, ballot, request, signers } = asked;
    const failures = this.#failures.get(peer) ?? new TokenBucket(FAILURES, clock.now());
    this.#failures.set(peer, failures);
    let hasBegun = false;
    try {
      if (failures.waitMs(clock.now()) > 0) {
        throw new UsageError("PARTY_BUSY", `${view.nameOf(peer)} asks again and again: ask later`);
      }
      const certificate = votes.certificate(txId);
      if (certificate === undefined) {
        throw new UsageError("TX_UNDECIDED", `${txId} is not decided at ${view.name}`);
      }
      if (!equal(ballotOf(certificate), ballot)) {
        throw new UsageError("CERTIFICATE_INVALID", `${txId} is decided otherwise at ${view.name}`);
      }
      const key = requireDecisionKey(view.keyOf(keyId));
      const quorum = key.quorum(signers);
      const isQuorum = quorum !== undefined && quorum.length === signers.length &&
        quorum.every((party, i) => party === signers[i]);
      if (!isQuorum || !signers.includes(view.self) || !signers.includes(peer)) {
        throw new UsageError("APPROVAL_SIGNERS", `those who are to sign with ${key.name} may not`);
      }
      const known = locks.get(asked);
      if (known?.signature !== undefined && equal(known.core, ballot)) {
        return post().tell([peer], asked, known);
      }
      await this.#finishFormer(placeOf(keyId, txId), peer);
      await this.#session(certificate, key, { request, signers, asker: peer }, () => hasBegun = true);
    } catch (error) {
      const { code, message: reason } = errorOf(error);
      // How a session ended, everybody in it has learnt from the session.
      if (hasBegun) failures.charge(clock.now());
      else post().refuse([peer], { txId, request, code, reason });
    }
  }

  /** Somebody does not take part. @returns false where it was about something else. */
  heardRefusal(peer: PartyId, request: Bytes, reason: string): boolean {
    const running = [...this.#running.values()].find((one) => equal(one.request, request));
    if (running === undefined) return false;
    running.refusal = `${this.#options.view.nameOf(peer)}: ${printable(reason, 1000)}`;
    running.party.cancel();
    return true;
  }

  /** Somebody has one already: no session is needed, if it verifies. @returns false where it is about something else. */
  heardSignature({ keyId, txId }: LockPlace, signature: Bytes): boolean {
    const running = this.#running.get(placeOf(keyId, txId));
    if (running === undefined) return false;
    const isNew = running.signature === undefined && signature.length === SIGNATURE_BYTES;
    if (isNew && running.key.verifies(statementOf(running.certificate), signature)) {
      running.signature = signature;
      running.party.cancel();
    }
    return true;
  }

  /** Whether a release is one of these. */
  owns({ keyId, txId }: Parameters<ReleaseGate>[1]): boolean {
    return this.#running.has(placeOf(keyId, txId));
  }

  /** Looks again, in the transaction that lets the last message out. */
  readonly gate: ReleaseGate = (transaction, { keyId, txId, core }) => {
    const { votes, locks, view } = this.#options;
    const held = votes.certificate(txId);
    const refuse = (code: Code, why: string) => {
      throw new UsageError(code, `before the last message at ${view.name}: ${why}`, { party: view.name });
    };
    if (votes.alarm !== undefined || votes.status(txId)?.state === "violated") {
      refuse("VOTING_STOPPED", `this node has stopped: ${votes.alarm ?? "SAFETY_VIOLATION"}`);
    }
    if (held === undefined || !equal(ballotOf(held), core)) {
      refuse("CERTIFICATE_INVALID", `${txId} is decided otherwise here`);
    }
    locks.release(transaction, { keyId, txId, core }, Number(view.time()));
  };

  /** Who asks again has given up what it asked before. */
  async #finishFormer(place: string, peer: PartyId): Promise<void> {
    const former = this.#running.get(place);
    if (former?.asker !== peer) return;
    former.party.cancel();
    await former.ended.promise;
  }

  /** Ends what runs. */
  stop(): void {
    for (const { party } of this.#running.values()) party.cancel();
  }

  async #session(
    certificate: QuorumCertificate,
    key: ApprovalKey,
    { request, signers, asker }: Pick<CertifyRequest, "request" | "signers"> & { readonly asker: PartyId },
    begun: () => void,
  ): Promise<Bytes> {
    const { party, locks, view } = this.#options;
    const { keyId } = key;
    const { txId } = certificate;
    const place = placeOf(keyId, txId);
    if (this.#running.has(place)) {
      throw new UsageError("PARTY_BUSY", `${view.name} is certifying ${txId} just now`);
    }
    const ballot = ballotOf(certificate);
    const payload: LockedPayload = {
      keyId,
      txId,
      core: ballot,
      ballot,
      approvalHash: EMPTY,
      notAfter: Number.MAX_SAFE_INTEGER,
    };
    const rates = { perHour: undefined, perDay: undefined };
    const lock = locks.prepare({ payload, clock: Number(view.time()), rates });
    if (lock.signature !== undefined) return lock.signature;
    const mine = party.forRequest({ command: printable(`decision ${txId}`, 256) });
    const running: Running = {
      certificate,
      key,
      request,
      party: mine,
      asker,
      ended: Promise.withResolvers(),
      refusal: undefined,
      signature: undefined,
    };
    this.#running.set(place, running);
    begun();
    try {
      const signature = await mine.signApproved({
        keyId,
        approved: statementOf(certificate),
        signers,
        request,
        bound: {
          purpose: "decision",
          txId,
          core: ballot,
          binding: decisionHash(certificate),
          clock: () => view.time(),
          // A decision has no end.
          admit: () => {},
        },
      });
      return locks.sign(payload, signature);
    } catch (error) {
      if (running.signature !== undefined) return locks.sign(payload, running.signature);
      const { message } = errorOf(error);
      locks.fail(payload, running.refusal ?? message);
      if (running.refusal === undefined) throw error;
      throw new UsageError("APPROVAL_SIGNERS", `${txId} is not certified: ${running.refusal}`);
    } finally {
      this.#running.delete(place);
      running.ended.resolve();
    }
  }
}

/** What is signed of a decision. */
function statementOf(certificate: QuorumCertificate): ApprovedInput {
  return { scheme: "ed25519", path: [], mode: "message", input: decisionStatement(certificate), lowS: false };
}

/** Who signs of those who can, a party among them; undefined where they may not. */
function quorumWith(
  party: PartyId,
  key: ApprovalKey,
  able: readonly PartyId[],
): readonly PartyId[] | undefined {
  const signers = key.quorum(able);
  if (signers === undefined || signers.includes(party)) return signers;
  return quorumWith(party, key, able.filter((one) => one !== signers[0]));
}

/** @throws UsageError KEY_UNKNOWN or KEY_PURPOSE */
function requireDecisionKey(key: ApprovalKey | undefined): ApprovalKey {
  if (key === undefined) throw new UsageError("KEY_UNKNOWN", "no share of the key is active here");
  if (key.purpose === "decision" && key.scheme === "ed25519") return key;
  throw new UsageError(
    "KEY_PURPOSE",
    `${key.name} is a key for ${key.purpose} and ${key.scheme}: decisions are signed by one for ed25519 that was made with --purpose decision`,
  );
}

const SIGNATURE_BYTES = 64;
/** Who asks for sessions that fail may do so a few times, and then every ten seconds. */
const FAILURES: Rate = { perSecond: 0.1, burst: 16 };

function placeOf(keyId: Bytes, txId: string): string {
  return `${hex(keyId)}/${txId}`;
}
