/**
 * What a node knows when it is asked to sign what was approved: its keys, its clock, its votes.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import type { Outbox } from "../storage/outbox.ts";
import { type Approval, decodeApproval } from "../voting/approval.ts";
import type { QuorumCertificate } from "../voting/certificate.ts";
import { type Membership, voterAt } from "../voting/membership.ts";
import type { TxStatus } from "../voting/node.ts";
import { approvalOf, type Proposal } from "../voting/proposal.ts";
import { ballotOf } from "../voting/vote.ts";
import { type ApprovalCheck, approvesByItself } from "./approval_checks.ts";
import { activeEntry, type ApprovalKey, approvalKey, verifiesAlone } from "./approval_key.ts";
import type { Invitation } from "./approval_wire.ts";
import { keyInfo, type Party } from "./party.ts";
import type { PolicyConfig } from "./policy_config.ts";
import type { SignLocks } from "./sign_locks.ts";

/** What approvals ask of voting. */
export interface ApprovalVotes {
  /** Who votes now. */
  readonly membership: Membership;
  /** Why this node does not vote. */
  readonly alarm?: string | undefined;
  /** The decision of a transaction. */
  certificate(txId: string): QuorumCertificate | undefined;
  /** How a transaction stands: the votes on each value, and the proposals. */
  status(txId: string): Pick<TxStatus, "state" | "epoch" | "tally" | "proposals"> | undefined;
  /** Takes a certificate that came with a request. */
  learn?(certificate: QuorumCertificate): void;
}

/** What a view is made of. */
export interface ViewOptions {
  /** The party. */
  readonly party: Party;
  /** The votes of this node. */
  readonly votes: ApprovalVotes;
  /** What this party signs. */
  readonly policy: PolicyConfig;
  /** Where records for others go. */
  readonly outbox: Outbox | undefined;
  /** What is locked. */
  readonly locks: SignLocks;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What a node knows. */
export class ApprovalView {
  readonly #options: ViewOptions;
  /** Keys by their ids: to read one costs milliseconds, and is asked for again and again. */
  readonly #keys = new Map<string, { readonly entry: KeyEntry; readonly key: ApprovalKey }>();

  /** Reads what it is made of when it is asked. */
  constructor(options: ViewOptions) {
    this.#options = options;
  }

  /** This party. */
  get self(): PartyId {
    return this.#options.party.local.party.index;
  }

  /** Its name. */
  get name(): string {
    return this.#options.party.local.party.name;
  }

  /** The name of a party. */
  nameOf(party: PartyId): string {
    return this.#options.party.local.config.roster.nameOf(party);
  }

  /** Own times: the clock, and the latest that was ever seen. */
  clocks(): bigint[] {
    return [this.time(), BigInt(this.#options.locks.highWater)];
  }

  /** The clock: milliseconds since 1970. */
  time(): bigint {
    return BigInt(Math.floor(this.#options.now()));
  }

  /** The active key of an id. */
  keyOf(keyId: Bytes): ApprovalKey | undefined {
    const { local } = this.#options.party;
    const entry = activeEntry(local, keyId);
    if (entry === undefined) return undefined;
    const known = this.#keys.get(hex(keyId));
    const isSame = known?.entry.name === entry.name && known.entry.epoch === entry.epoch &&
      equal(known.entry.certificate, entry.certificate);
    if (isSame) return known.key;
    const key = approvalKey(keyInfo(local, entry.name));
    this.#keys.set(hex(keyId), { entry, key });
    return key;
  }

  /** The active key of a name. @throws UsageError KEY_UNKNOWN or KEY_PENDING */
  named(name: string): ApprovalKey {
    return approvalKey(keyInfo(this.#options.party.local, name));
  }

  /** Whether the pair with a party is banned in the key's epoch. */
  isBurned({ keyId, epoch }: Pick<ApprovalKey, "keyId" | "epoch">, peer: PartyId): boolean {
    const { status, state } = this.#options.party.local.store.pair({ keyId, epoch, peer });
    state?.[Symbol.dispose]();
    return status === "burned";
  }

  /** Why nothing is signed with these together, in words: one of them is banned, or their signatures have failed too often. */
  barred(
    { keyId, epoch }: Pick<ApprovalKey, "keyId" | "epoch">,
    signers: readonly PartyId[],
  ): string | undefined {
    try {
      this.#options.party.local.store.admitSigners({ keyId, epoch, signers });
      return undefined;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return error.message;
    }
  }

  /** Whether this party signs with another one. */
  signsWith(key: ApprovalKey, peer: PartyId): boolean {
    return !this.isBurned(key, peer) && this.barred(key, [peer]) === undefined;
  }

  /**
   * Who signs of those who can; undefined where too few can. Where the signatures of the first ones have failed too often, with nobody
   * to name, it is tried without each of them.
   */
  signersOf(key: ApprovalKey, able: readonly PartyId[]): readonly PartyId[] | undefined {
    const first = key.quorum(able);
    if (first === undefined || this.barred(key, first) === undefined) return first;
    // A session without the one that asks for it is the last resort.
    const others = first.filter((party) => party !== this.self);
    return [...others, this.self].map((left) => key.quorum(able.filter((party) => party !== left)))
      .find((signers) => signers !== undefined && this.barred(key, signers) === undefined);
  }

  /** What a transaction would sign: as decided, or else of what was proposed or voted for the one that ends last. */
  approvalOf(txId: string): Approval | undefined {
    const { votes } = this.#options;
    const decided = votes.certificate(txId);
    if (decided !== undefined) return approvalOf(decided);
    const status = votes.status(txId);
    const { cluster } = votes.membership;
    const voted = (status?.tally ?? []).map(({ value }) => approvalOf({ cluster, txId, value }));
    const known = [...(status?.proposals ?? []).map(approvalOf), ...voted].filter((one) => one !== undefined);
    return known.sort((a, b) => a.notAfter < b.notAfter ? 1 : -1)[0];
  }

  /** Whether a signature is one of what was approved. */
  verifies(approval: Approval, signature: Bytes): boolean {
    if (signature.length !== 64) return false;
    const key = this.keyOf(approval.keyId);
    return key === undefined ? verifiesAlone(approval, signature) : key.verifies(approval, signature);
  }

  /** Whether this node votes for a proposal by itself. */
  approves(proposal: Proposal): boolean {
    const { policy, votes } = this.#options;
    const approval = approvalOf(proposal);
    const proposer = voterAt(votes.membership, proposal.proposer)?.name;
    if (approval === undefined || proposer === undefined || this.#strangers.includes(proposer)) return false;
    const keyOf = (keyId: Bytes) => this.keyOf(keyId);
    return approvesByItself({ node: this.name, keyOf, clocks: [this.time()], policy, approval, proposer });
  }

  /** Everything for the checks. @param asked what came with the request; nothing where this node asks others. */
  check(
    certificate: QuorumCertificate,
    asked: Partial<Pick<Invitation, "signers" | "digest" | "superseded">> = {},
  ): ApprovalCheck {
    const { votes, policy, outbox, locks } = this.#options;
    const { txId } = certificate;
    const status = votes.status(txId);
    const ballot = ballotOf(certificate);
    // A vote for the same value in another epoch is one for another ballot.
    const tally = status?.epoch === certificate.epoch ? status.tally : [];
    const same = tally.find(({ value }) => equal(value, certificate.value));
    const proposal = status?.proposals.find((one) => equal(ballotOf(one), ballot));
    return {
      node: this.name,
      condition: {
        pausedSince: locks.pausedSince,
        unwritable: outbox?.hasRoom === false ? `${outbox.waiting} records wait for their store` : undefined,
        alarm: votes.alarm ?? (status?.state === "violated" ? "SAFETY_VIOLATION" : undefined),
        clockOffsetMs: this.#clockOffset(),
      },
      membership: votes.membership,
      certificate,
      held: votes.certificate(txId),
      keyOf: (keyId) => this.keyOf(keyId),
      digest: asked.digest,
      signers: asked.signers,
      burned: (key, peer) => this.isBurned(key, peer),
      barred: (key, signers) => this.barred(key, signers),
      clocks: this.clocks(),
      policy,
      voters: same?.voters ?? [],
      strangers: this.#strangers,
      proposer: proposal === undefined ? undefined : voterAt(votes.membership, proposal.proposer)?.name,
      superseded: (former) => this.#superseded(former, asked.superseded),
    };
  }

  /**
   * Until when a transaction could be signed whose place another one takes. What has been decided here says it. Of one that is not, the
   * one who asks may know more than this node, but not that it ends earlier; and a member knows of all that others have voted for, so
   * that it takes nobody's word for what it has never heard of.
   */
  #superseded(txId: string, shown: Bytes | undefined): Approval | undefined {
    const { votes } = this.#options;
    const own = this.approvalOf(txId);
    const isMember = votes.membership.voters.some(({ name }) => name === this.name);
    if (votes.certificate(txId) !== undefined || (own === undefined && isMember)) return own;
    const said = decodedApproval(shown, txId);
    return own === undefined || (said !== undefined && said.notAfter > own.notAfter) ? said : own;
  }

  /** Members whose vote key is not the one that this party knows them by: a policy that names them means somebody else. */
  get #strangers(): readonly string[] {
    const { parties } = this.#options.party.local.config.roster;
    return this.#options.votes.membership.voters.filter(({ name, key }) => {
      const known = parties.find((party) => party.name === name);
      return known === undefined || !equal(known.identity.publicKey, key.publicKey);
    }).map(({ name }) => name);
  }

  /** This node's clock less the median of those of its peers. */
  #clockOffset(): number | undefined {
    const offsets = (this.#options.party.network?.mesh.status() ?? [])
      .flatMap(({ state, clockOffsetMs }) =>
        state === "up" && clockOffsetMs !== undefined ? [clockOffsetMs] : []
      )
      .sort((a, b) => a - b);
    const median = offsets[Math.floor((offsets.length - 1) / 2)];
    return median === undefined ? undefined : 0 - median;
  }
}

function decodedApproval(encoded: Bytes | undefined, txId: string): Approval | undefined {
  if (encoded === undefined || encoded.length === 0) return undefined;
  try {
    const approval = decodeApproval(encoded);
    return approval.txId === txId ? approval : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
