/**
 * Five nodes in one process that sign what was approved: real stores, links and sessions; the votes are handed to them.
 *
 * @module
 */

import type { Ed25519Signer } from "../../src/base/crypto.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { approvedKey } from "../../src/node/approval_request.ts";
import { type ApprovalEvent, Approvals, type ApprovalsOptions } from "../../src/node/approvals.ts";
import type { ApprovalVotes } from "../../src/node/approval_view.ts";
import { keyInfo, type Party } from "../../src/node/party.ts";
import type { PolicyConfig } from "../../src/node/policy_config.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import type { Membership } from "../../src/voting/membership.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote } from "../../src/voting/vote.ts";
import { Cluster, values } from "./fixture.ts";

export const NAMES = ["alice", "bob", "carol", "dave", "erin"] as const;
export type Name = typeof NAMES[number];

/** The votes that a node was told of. */
class Votes implements ApprovalVotes {
  readonly membership: Membership;
  readonly certificates = new Map<string, QuorumCertificate>();
  alarm: string | undefined;

  constructor(membership: Membership) {
    this.membership = membership;
  }

  certificate(txId: string): QuorumCertificate | undefined {
    return this.certificates.get(txId);
  }

  status(txId: string): ReturnType<ApprovalVotes["status"]> {
    const held = this.certificates.get(txId);
    if (held === undefined) return undefined;
    const voters = held.votes.map(({ voter }) => this.membership.voters[voter - 1]!.name);
    return { state: "decided", epoch: held.epoch, tally: [{ value: held.value, voters }], proposals: [] };
  }

  learn(certificate: QuorumCertificate): void {
    this.certificates.set(certificate.txId, certificate);
  }
}

/** One node. */
export interface Node {
  readonly name: Name;
  readonly party: Party;
  readonly votes: Votes;
  readonly approvals: Approvals;
  readonly events: ApprovalEvent[];
}

export class World implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #nodes = new Map<Name, Node>();
  readonly #votes = new Map<Name, Votes>();
  readonly #signers = new Map<Name, Ed25519Signer>();
  /** Added to every clock. */
  ahead = 0;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Makes the cluster and its keys; the nodes run. */
  static async make(
    keys: readonly ("ecdsa" | "ed25519" | "decision")[] = ["ecdsa", "ed25519"],
  ): Promise<World> {
    const cluster = await Cluster.make(NAMES);
    const world = new World(cluster);
    for (const name of NAMES) await world.start(name);
    const policy = parsePolicy(`3 of (${NAMES.join(", ")})`);
    const purpose = "approved-signing" as const;
    for (const scheme of keys) {
      values(
        await Promise.allSettled(
          world.nodes.map(({ party }) =>
            scheme === "ecdsa"
              ? party.generateKey({ name: "treasury", curve: secp256k1, policy, purpose })
              : scheme === "ed25519"
              ? party.generateFrostKey({ name: "seal", scheme, policy, purpose })
              : party.generateFrostKey({ name: "notary", scheme: "ed25519", policy, purpose: "decision" })
          ),
        ),
      );
    }
    return world;
  }

  get nodes(): Node[] {
    return NAMES.flatMap((name) => this.#nodes.get(name) ?? []);
  }

  node(name: Name): Node {
    return this.#nodes.get(name)!;
  }

  get membership(): Membership {
    return this.#cluster.config.voting!.membership;
  }

  /** Starts a node, with the votes that it had. */
  async start(
    name: Name,
    options: Partial<ApprovalsOptions> & { readonly stricter?: Partial<PolicyConfig> } = {},
  ): Promise<Node> {
    const { stricter, ...more } = options;
    const votes = this.#votes.get(name) ?? new Votes(this.membership);
    this.#votes.set(name, votes);
    const party = await this.#cluster.open(name, { mode: "daemon", timeoutMs: 5_000 });
    await party.connect();
    this.#signers.set(name, party.local.identity());
    const events: ApprovalEvent[] = [];
    const approvals = new Approvals({
      party,
      votes,
      on: (event) => events.push(event),
      now: () => Date.now() + this.ahead,
      retryMs: { first: 60_000, max: 60_000 },
      policy: { ...party.local.config.policy, sessionLimitMs: 20_000, ...stricter },
      ...more,
    });
    const node = { name, party, votes, approvals, events };
    this.#nodes.set(name, node);
    return node;
  }

  /** Ends a node; its disk stays. */
  async stop(name: Name): Promise<void> {
    const { party, approvals } = this.node(name);
    this.#nodes.delete(name);
    party.cancel();
    await approvals[Symbol.asyncDispose]();
    await party.close();
  }

  async restart(name: Name, options: Parameters<World["start"]>[1] = {}): Promise<Node> {
    await this.stop(name);
    const node = await this.start(name, options);
    await this.linked();
    return node;
  }

  /** Waits until all nodes see each other. */
  async linked(): Promise<void> {
    const isUp = ({ party }: Node) =>
      party.network!.mesh.status().filter(({ state }) => state === "up").length === this.nodes.length - 1;
    for (let waited = 0; !this.nodes.every(isUp); waited += 10) {
      if (waited > 10_000) throw new Error("the nodes do not see each other");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  approval(changes: Partial<Approval> & { readonly key?: string } = {}): Approval {
    const { key = "treasury", ...fields } = changes;
    const now = BigInt(Date.now() + this.ahead);
    return {
      kind: "approve",
      cluster: "demo",
      txId: `tx_${crypto.randomUUID()}`,
      ...approvedKey(keyInfo(this.nodes[0]!.party.local, key)),
      path: [],
      mode: "message",
      input: new TextEncoder().encode("pay 5 to dave"),
      context: [],
      supersedes: "",
      notBefore: now - 1000n,
      notAfter: now + 600_000n,
      lowS: true,
      ...fields,
    };
  }

  /** What so many members voted for, counted from 0. */
  certificate(
    approval: Approval,
    voters: readonly number[] = [0, 1, 2, 3],
    membership: Membership = this.membership,
  ): QuorumCertificate {
    const value = encodeValue({ schema: "approval", bytes: encodeApproval(approval) });
    return this.decision(approval.txId, value, voters, membership);
  }

  /** Any value that so many members voted for. */
  decision(
    txId: string,
    value: Bytes,
    voters: readonly number[] = [0, 1, 2, 3],
    membership: Membership = this.membership,
  ): QuorumCertificate {
    const question = questionOf(membership, txId, value);
    const votes = voters.map((i) => {
      const signer = this.#signers.get(NAMES[i]!)!;
      return signVote(question, this.membership.voters[i]!.index, (message) => signer.sign(message));
    });
    return certificateOf(membership, votes) ??
      { ...question, votes: votes.map(({ voter, signature }) => ({ voter, signature })) };
  }

  /** Tells nodes of a decision. */
  decide(certificate: QuorumCertificate, names: readonly Name[] = NAMES): void {
    const told = names.map((name) => this.node(name));
    for (const { votes } of told) votes.certificates.set(certificate.txId, certificate);
    for (const { approvals } of told) approvals.decided(certificate);
  }

  /** What the nodes say when nothing goes on any more. */
  async settled(txId: string, names: readonly Name[] = NAMES, waitMs = 15_000) {
    return await Promise.all(names.map((name) => this.node(name).approvals.settled(txId, waitMs)));
  }

  /** Whether any node has a signature under a name. */
  hasSignature(txId: string): boolean {
    return this.nodes.some(({ approvals }) => approvals.signature(txId) !== undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(NAMES.filter((name) => this.#nodes.has(name)).map((name) => this.stop(name)));
    this.#cluster[Symbol.dispose]();
  }
}
