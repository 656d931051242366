/**
 * One party at work: its own side (lock, store, keys), its links, and the sessions over them. The only place where all of it
 * is wired together.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { CheaterError, TransportError, UsageError } from "../base/errors.ts";
import type { Curve } from "../math/curve.ts";
import { type AccessTree, leavesOf } from "../primitives/access.ts";
import { agreeRandom } from "../protocols/agree_random.ts";
import { dkg, type DkgInput, type DkgResult } from "../protocols/dkg/dkg.ts";
import { type DerivedKey, formatPath } from "../protocols/ecdsa/derive.ts";
import { pairSetUp } from "../protocols/ecdsa/pair.ts";
import { sign } from "../protocols/ecdsa/sign.ts";
import { type SignInput, signProposal } from "../protocols/ecdsa/sign_opening.ts";
import type { EcdsaSignature } from "../protocols/ecdsa/signature.ts";
import type { KeyPurpose } from "../protocols/key_purpose.ts";
import {
  type KeyShare,
  type Member,
  type PublicKeyRecord,
  type Quorum,
  quorumOf,
} from "../protocols/key_share.ts";
import { type Definition, payloadHash } from "../protocols/protocol.ts";
import type { FrostScheme } from "../protocols/frost/suite.ts";
import type { EpochResult } from "../protocols/reshare/certify.ts";
import { activeShare } from "../protocols/reshare/held.ts";
import { refresh, type RefreshInput } from "../protocols/reshare/refresh.ts";
import { repair } from "../protocols/reshare/repair.ts";
import { reshare } from "../protocols/reshare/reshare.ts";
import { sync, type SyncResult } from "../protocols/reshare/sync.ts";
import type { SessionEvent } from "../session/context.ts";
import type { RunningSession, StartOptions } from "../session/host.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import { printable } from "../session/messages.ts";
import type { Turn } from "../session/turn.ts";
import type { MeshMaterial, PeerStatus } from "../transport/mesh.ts";
import { type ApprovedRequest, signApproved } from "./approved_signing.ts";
import { messageDigest, type PartyAudit } from "./audit.ts";
import { systemClock } from "./clock.ts";
import { type Config, formatAddress } from "./config.ts";
import { childKey } from "./derivation.ts";
import { explained } from "./explain.ts";
import {
  type FrostGenerateRequest,
  type FrostKeyInfo,
  frostKeyInfo,
  type FrostSignRequest,
  type FrostSignResult,
  generateFrostKey,
  isFrostKey,
  refreshFrostKey,
  repairFrostKey,
  signWithFrost,
  type StartSession,
} from "./frost_keys.ts";
import {
  absentMembers,
  membersNamed,
  openHeld,
  repairInput,
  type RepairRequest,
  reshareInput,
  type ReshareRequest,
  syncInput,
} from "./key_epochs.ts";
import { type ImportRequest, openImported } from "./key_import.ts";
import { type LocalParty, openLocal } from "./local_party.ts";
import { type Network, type NetworkOptions, PartyNetwork } from "./network.ts";
import type { PairStates } from "./pair_states.ts";
import { requireBindable, requirePlain } from "./key_binding.ts";
import { noteFailedSigning, quorumAmong } from "./signers.ts";

/** What one request to a party says of itself. */
export interface RequestOptions {
  /** What was asked for: shown to peers that want something else, and recorded. */
  readonly command: string;
  /** Replaces the party's timeout. */
  readonly timeoutMs?: number;
  /** Its place among others about the same key. */
  readonly turn?: Turn;
  /** Called at every transition of a session. @param session which one of this process, from 1. */
  readonly progress?: (event: SessionEvent, session: number) => void;
  /** Called with a sentence about what failed and need not have worked. */
  readonly warn?: (sentence: string) => void;
}

/** How a party is opened. */
export interface PartyOptions extends NetworkOptions, RequestOptions {
  /** Replaces the configured timeout. */
  readonly timeoutMs?: number;
}

/** A key as everybody may know it. */
export interface PublicKeyInfo {
  /** What people call it. */
  readonly name: string;
  /** The public record. */
  readonly record: PublicKeyRecord;
  /** The certificate of all parties. */
  readonly certificate: Bytes;
}

/** Any key as everybody may know it. */
export type KeyInfo = PublicKeyInfo | FrostKeyInfo;

/** What {@linkcode Party.generateKey} needs. */
export interface GenerateRequest {
  /** Name of the new key. */
  readonly name: string;
  /** Its curve. */
  readonly curve: Curve;
  /** Who may sign. All parties in it take part. */
  readonly policy: AccessTree;
  /** What the key is for, for ever. Default: `plain`. */
  readonly purpose?: KeyPurpose;
}

/** What {@linkcode Party.sign} needs. */
export interface SignRequest {
  /** Name of the key. */
  readonly name: string;
  /** 32 bytes. */
  readonly digest: Bytes;
  /** Names of those who are at hand. Default: all members. The policy's smallest solution among them signs. */
  readonly signers?: readonly string[];
  /** Signs with a child of the key, as `m/0/5`. Default: with the key itself. */
  readonly path?: string;
}

/** What {@linkcode Party.refreshKey} needs. */
export interface RefreshRequest {
  /** Name of the key. */
  readonly name: string;
  /** What becomes of the pair states. Default: `"renew"`, which also lifts bans. */
  readonly pairs?: RefreshInput["pairs"];
}

/** A key in a new epoch. */
export type EpochInfo = KeyInfo & EpochOutcome;

/** What became of a key in a new epoch. */
export interface EpochOutcome {
  /**
   * Whether this run dealt the shares, completed an epoch that an earlier one left, restored a share, helped to, or found that
   * there was nothing to do.
   */
  readonly outcome: EpochResult["outcome"] | "restored" | "helped" | "synchronised" | "unchanged";
  /** False where this party has no share of the key any more. */
  readonly member: boolean;
}

/** A signature and what it belongs to. */
export interface SignResult extends PublicKeyInfo {
  /** The signature; undefined where the others were enough and this party was not needed. */
  readonly signature: EcdsaSignature | undefined;
  /** The key, or the child of it, that the signature is of. */
  readonly signingKey: DerivedKey;
  /** Names of those who signed. */
  readonly signers: readonly string[];
}

/** An open party. Links are made when the first session needs them. */
export class Party {
  readonly #local: LocalParty;
  readonly #audit: PartyAudit;
  readonly #options: RequestOptions;
  readonly #shared: PartyNetwork;
  readonly #running = new Set<RunningSession<unknown>>();
  #cancelled = false;

  /** @ignore use {@linkcode openParty} */
  constructor(local: LocalParty, options: RequestOptions, shared: PartyNetwork) {
    this.#local = local;
    this.#shared = shared;
    // A log that was tampered with is found before anything is done, not when something is to be recorded.
    this.#audit = local.audit;
    this.#options = options;
  }

  /** @ignore its own side, for commands */
  get local(): LocalParty {
    return this.#local;
  }

  /** The links and sessions, once they are made. */
  get network(): Network | undefined {
    return this.#shared.current;
  }

  /** The same party for one request, which is cancelled by itself; it is never closed. */
  forRequest(options: RequestOptions): Party {
    return new Party(this.#local, options, this.#shared);
  }

  /** Makes links to all peers, and keeps them. @throws TransportError ADDRESS_IN_USE; UsageError SELF_TEST_FAILED */
  async connect(): Promise<void> {
    await this.#shared.connect();
  }

  /** Agrees with all parties of the cluster on a random value. @param bits 128 to 65536, a multiple of 8. */
  async agreeRandom(bits: number): Promise<Bytes> {
    const participants = this.#local.config.roster.parties.map((party) => party.index);
    const input = { bits, participants };
    agreeRandom.proposal(input);
    const value = await (await this.#start(agreeRandom, input)).result;
    this.#audit.note({ type: "random_agreed", outcome: "ok", details: { bits } });
    return value;
  }

  /**
   * Makes a key with all parties of its policy, and sets up its pairs. A generation that crashed, here or elsewhere, is
   * completed by running it again at all parties.
   *
   * @throws UsageError KEY_EXISTS where all parties are known to have a key of that name; NODE_POLICY_WEAK where approval would bind
   * nobody.
   */
  async generateKey(request: GenerateRequest): Promise<PublicKeyInfo & Pick<DkgResult, "outcome">> {
    const { store, party } = this.#local;
    requireBindable(this.#local.config, request);
    const former = this.#former(request.name, "ecdsa");
    const stored = former === undefined ? undefined : this.#local.openKey(former);
    using _stored = stored?.share.share;
    const input: DkgInput = {
      keyName: request.name,
      curve: request.curve,
      policy: request.policy,
      members: this.#members(request.policy),
      purpose: request.purpose ?? "plain",
      self: party.index,
      ...(stored === undefined || former === undefined
        ? {}
        : { stored: { state: former.state === "active" ? "active" : "pending", key: stored } }),
    };
    dkg.proposal(input);
    const session = await this.#start(dkg, input);
    const { share, certificate, outcome } = await session.result;
    using _share = share.share;
    const made = { name: request.name, record: share.record, certificate, outcome };
    this.#audit.noteKey("key_generated", made);
    await this.#setUpPairs(share);
    if ((await session.settled).all) store.settle(share.record);
    return made;
  }

  /**
   * Makes a key for Ed25519 or BIP340 with all parties of its policy, which is a threshold. A generation that crashed is completed
   * by running it again at all parties.
   *
   * @throws UsageError POLICY_INVALID or KEY_EXISTS before any connection is made.
   */
  async generateFrostKey(
    request: FrostGenerateRequest,
  ): Promise<FrostKeyInfo & { readonly outcome: DkgResult["outcome"] }> {
    requireBindable(this.#local.config, request);
    const former = this.#former(request.name, "frost");
    const made = await generateFrostKey(this.#local, this.#starter, request, former);
    return this.#audit.noteKey("key_generated", made);
  }

  /**
   * Signs with a key for Ed25519 or BIP340 together with others.
   *
   * @throws UsageError NOT_QUALIFIED before any connection is made where the signers do not satisfy the policy.
   */
  async signMessage(request: FrostSignRequest): Promise<FrostSignResult> {
    const entry = this.#local.store.active(request.name);
    const asked = { ...entry, digest: messageDigest(entry, request.message) };
    const start: StartSession = (definition, input) => {
      this.#audit.noteSigning(asked);
      return this.#start(definition, input);
    };
    const signed = await signWithFrost(this.#local, start, request);
    if (signed.signature !== undefined) this.#audit.noteSigned(asked, signed.signers);
    return signed;
  }

  /**
   * Signs a digest together with others.
   *
   * @throws UsageError NOT_QUALIFIED before any connection is made where the signers do not satisfy the policy.
   */
  async sign(request: SignRequest): Promise<SignResult> {
    const { store, config } = this.#local;
    const entry = store.active(request.name);
    const { share } = this.#local.openKey(entry);
    using _share = share.share;
    requirePlain(share.record, request.name);
    store.requireSigning();
    const quorum = quorumAmong(share.record, request, this.#local.party.name, quorumOf);
    const signers = quorum.active.map((index) => config.roster.nameOf(index));
    const signingKey = childKey(share, request.path ?? "m");
    const { record } = share;
    const key = { name: request.name, record, certificate: entry.certificate, signers, signingKey };
    if (!quorum.active.includes(share.self)) return { ...key, signature: undefined };
    const { tweak, path } = signingKey;
    const input = { ...this.#signInput(share, quorum, request.digest), tweak, path: formatPath(path) };
    const payload = payloadHash(signProposal(input).payload);
    const place = { keyId: record.keyId, epoch: record.epoch, signers: quorum.active };
    store.admitSigners(place);
    const asked = { ...entry, digest: request.digest, path: formatPath(path) };
    this.#audit.noteSigning(asked);
    const session = await this.#start(sign, input, {
      mend: (peer, done) => {
        this.#setUpPair(share, peer).then(() => done(), done);
      },
    });
    const signature = await session.result.catch((error) => {
      noteFailedSigning(store, place, error);
      throw error;
    });
    if (signature === undefined) {
      throw new UsageError("USAGE", `${this.#local.party.name} is no receiver of the signature`);
    }
    store.resolvePayload(share.record.keyId, payload);
    this.#audit.noteSigned(asked, signers);
    return { ...key, signature };
  }

  /**
   * Signs what was approved, together with the other signers, each of whom has checked it: see `Approvals`. The key is one that signs
   * nothing else.
   *
   * @returns 64 bytes: r ‖ s for ECDSA.
   */
  async signApproved(request: ApprovedRequest): Promise<Bytes> {
    return await signApproved(this.#local, {
      start: (definition, input, options) => this.#start(definition, input, options),
      ecdsaInput: (share, quorum, digest) => this.#signInput(share, quorum, digest),
      setUpPair: (share, peer) => this.#setUpPair(share, peer),
    }, request);
  }

  /**
   * Gives all members of a key new shares. The old ones are erased when everybody's signature on the new ones is here; a refresh
   * that ended before that, here or elsewhere, is completed by running it again at all members.
   *
   * @throws UsageError EPOCH_MISMATCH where the members have the key in epochs from which no new one can be dealt.
   */
  async refreshKey(request: RefreshRequest): Promise<EpochInfo> {
    const { store, party } = this.#local;
    if (isFrostKey(store.active(request.name))) {
      const refreshed = await refreshFrostKey(this.#local, this.#starter, request.name);
      const outcome = refreshed.outcome === "refreshed" ? "dealt" : refreshed.outcome;
      return this.#audit.noteKey("key_refreshed", { ...refreshed, outcome, member: true });
    }
    using held = openHeld(this.#local, request.name);
    const place = activeShare(held.epochs)?.share.record;
    const input: RefreshInput = {
      keyName: request.name,
      self: party.index,
      held: held.epochs,
      pairs: request.pairs ?? "renew",
      pairState: (peer) => place && this.#pairs.get({ ...place, peer }),
      burned: (peer) => place !== undefined && this.#pairs.isBurned({ ...place, peer }),
    };
    const made = await this.#newEpoch(request.name, refresh, input, input.pairs === "renew");
    return this.#audit.noteKey("key_refreshed", made);
  }

  /**
   * Gives a key to other members, or another policy: run at all new members, and at the old ones that are named as dealers. An
   * old member that is neither waits until it is told that the key went on without it, and then erases its share.
   */
  async reshareKey(request: ReshareRequest): Promise<EpochInfo> {
    const { name } = request;
    this.#requireEcdsa(name, "another policy is for a new key");
    using held = openHeld(this.#local, name);
    const input = reshareInput(this.#local, held, request);
    const purpose = activeShare(held.epochs)?.share.record.purpose;
    if (purpose !== undefined) requireBindable(this.#local.config, { policy: request.policy, purpose });
    const parties = [...input.members, ...input.witnesses].map(({ index }) => index);
    if (!parties.includes(input.self) && activeShare(held.epochs) !== undefined) {
      return this.#audit.noteKey("key_reshared", await this.#awaitDeparture(name, parties));
    }
    const made = this.#audit.noteKey("key_reshared", await this.#newEpoch(name, reshare, input, true));
    await this.#tellOf(name, absentMembers(held, input).map(({ index }) => index));
    return made;
  }

  /**
   * Splits a private key that exists whole among the parties of a policy: run at all of them, and at the party that has it. A run
   * that was interrupted is completed by running it again.
   */
  async importKey(request: ImportRequest): Promise<PublicKeyInfo & EpochOutcome> {
    const { name } = request;
    requireName(name);
    this.#requireEcdsa(name, "choose another name");
    using held = openImported(this.#local, request);
    const input = {
      ...reshareInput(this.#local, held, { ...request, dealers: [request.from] }),
      owner: request.from,
    };
    return this.#audit.noteKey("key_imported", await this.#newEpoch(name, reshare, input, true));
  }

  /** Restores the share of a party that lost it, with the help of others: run at all of them. */
  async repairKey(request: RepairRequest): Promise<EpochInfo> {
    const { name } = request;
    const here = this.#local.store.named(name).findLast(({ state }) => state === "active");
    const scheme = here !== undefined && isFrostKey(here) ? here.curve as FrostScheme : request.scheme;
    if (scheme !== undefined) {
      const outcome = request.lost === this.#local.party.name ? "restored" : "helped";
      const repaired = await repairFrostKey(this.#local, this.#starter, request, scheme);
      return this.#audit.noteKey("key_repaired", { ...repaired, outcome, member: true });
    }
    using held = openHeld(this.#local, name);
    const input = repairInput(this.#local, held, request);
    repair.proposal(input);
    const session = await this.#start(repair, input);
    const { record, share, certificate } = await session.result;
    using _share = share.share;
    const isLost = share.self === input.lost.index;
    const present = isLost ? input.helpers : [input.lost];
    await this.#setUpPairs(share, present.map(({ index }) => index));
    const outcome = isLost ? "restored" : "helped";
    return this.#audit.noteKey("key_repaired", { name, record, certificate, outcome, member: true });
  }

  /**
   * Brings this party and others to the newest epoch that one of them has the certificate of: for a refresh or reshare that
   * cannot be run again because somebody who took part in it is gone.
   */
  async syncKey(request: { readonly name: string; readonly parties: readonly string[] }): Promise<EpochInfo> {
    this.#requireEcdsa(request.name, "run key refresh again at all its members, or key repair");
    const parties = membersNamed(this.#local.config.roster, request.parties).map(({ index }) => index);
    return this.#audit.noteKey("key_synchronised", await this.#sync(request.name, parties));
  }

  /** Makes links to all peers, and tells how each stands; one that was up and has left since counts as it was. */
  async reachPeers(): Promise<readonly PeerStatus[]> {
    const { mesh } = await this.#shared.connect();
    const end = performance.now() + this.#local.timeoutMs;
    const reached = new Map<PartyId, PeerStatus>();
    for (;;) {
      const status = mesh.status();
      for (const peer of status) if (peer.state === "up") reached.set(peer.peer, peer);
      const all = status.map((peer) => reached.get(peer.peer) ?? peer);
      // A round trip is measured on links that are still there.
      const isDone = status.every(({ peer, state, rttMs }) =>
        reached.has(peer) && (state === "down" || rttMs !== undefined)
      );
      if (this.#cancelled || performance.now() > end) return all;
      if (isDone) {
        await new Promise((resolve) => systemClock.timer(REACH_LINGER_MS, () => resolve(null)));
        return all;
      }
      await new Promise((resolve) => systemClock.timer(REACH_POLL_MS, () => resolve(null)));
    }
  }

  /** Why the last connection of nobody in particular was refused here. */
  get turnedAway(): string | undefined {
    return this.#network?.turnedAway();
  }

  /**
   * Uses other certificates, authorities, revocation lists and pins for links to come; links that are up stay, but for those whose
   * peer has no right to them any more.
   *
   * @param material of `loadCertificates`.
   * @throws UsageError IDENTITY_INVALID with nothing changed.
   */
  async reloadCertificates(material: MeshMaterial): Promise<void> {
    await this.#shared.reload(material);
  }

  /** Ends what runs, here and at the peers, which learn of it at once. */
  cancel(): void {
    this.#cancelled = true;
    for (const session of [...this.#running].reverse()) session.cancel();
  }

  /** Stays for peers that still need something, then ends all links and closes the store. */
  async close(): Promise<void> {
    if (!this.#cancelled) await this.#shared.settled();
    this.#cancelled = true;
    this.#shared.stop();
    await this.#shared.close();
    const unwritten = this.#local.closeAudit();
    if (unwritten !== undefined) this.#options.warn?.(unwritten);
    this.#local[Symbol.dispose]();
  }

  /** {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #start<I, O>(
    definition: Definition<I, O>,
    input: I,
    options: StartOptions = {},
  ): Promise<RunningSession<O>> {
    const { command, timeoutMs, turn, progress } = this.#options;
    // What cannot be recorded is not begun: no nonce is drawn and no peer asked.
    this.#audit.requireStart(definition.name, command);
    const network = await this.#shared.connect();
    if (this.#cancelled) throw new TransportError("CANCELLED", `${definition.name} was cancelled here`);
    const session = this.#shared.start(network, definition, input, (number) => ({
      ...options,
      command,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      // What serves another session does not wait for it.
      ...(turn === undefined || definition.auxiliary === true ? {} : { turn }),
      onEvent: (event) => progress?.(event, number),
    }));
    this.#running.add(session);
    session.settled.then(() => this.#running.delete(session));
    return { ...session, result: session.result.catch((error) => Promise.reject(this.#explained(error))) };
  }

  /** The links, once they are made. */
  get #network(): Network | undefined {
    return this.#shared.current;
  }

  get #pairs(): PairStates {
    return this.#shared.pairs;
  }

  readonly #starter: StartSession = (definition, input) => this.#start(definition, input);

  /** What an earlier run left under the name of a new key. @throws UsageError USAGE or KEY_EXISTS */
  #former(name: string, kind: "ecdsa" | "frost"): KeyEntry | undefined {
    requireName(name);
    const former = formerOf(this.#local.store.named(name));
    const isOther = former !== undefined && isFrostKey(former) !== (kind === "frost");
    if (isOther || (former?.state === "active" && (former.settled || former.epoch > 0))) {
      throw new UsageError("KEY_EXISTS", `a key ${name} exists already: choose another name`);
    }
    return former;
  }

  #requireEcdsa(name: string, instead: string): void {
    const frost = this.#local.store.named(name).find((entry) => isFrostKey(entry));
    if (frost === undefined) return;
    throw new UsageError(
      "KEY_SCHEME",
      `${name} is a key for ${frost.curve}, whose members are fixed: ${instead}`,
    );
  }

  #explained(error: unknown): unknown {
    return explained(error, {
      links: this.#network?.mesh.status() ?? [],
      listen: formatAddress(this.#local.party.listen),
      turnedAway: this.#network?.turnedAway(),
      stopped: this.#cancelled,
    });
  }

  /** Runs what makes a new epoch, then sets up its pairs. */
  async #newEpoch<I>(
    name: string,
    definition: Definition<I, EpochResult>,
    input: I,
    setUpPairs: boolean,
  ): Promise<PublicKeyInfo & EpochOutcome> {
    definition.proposal(input);
    const session = await this.#start(definition, input);
    const { record, share, certificate, outcome } = await session.result;
    using _share = share?.share;
    if (share !== undefined && setUpPairs) await this.#setUpPairs(share);
    if ((await session.settled).all) this.#local.store.settle(record);
    return { name, record, certificate, outcome, member: share !== undefined };
  }

  async #sync(name: string, parties: readonly PartyId[]): Promise<EpochInfo> {
    return await (await this.#startSync(name, parties)).result;
  }

  async #startSync(name: string, parties: readonly PartyId[]): Promise<RunningSession<EpochInfo>> {
    using held = openHeld(this.#local, name);
    const input = syncInput(this.#local, held, name, parties);
    sync.proposal(input);
    const session = await this.#start(sync, input);
    const result = session.result.then(({ record, certificate, state, changed }: SyncResult): EpochInfo => {
      const outcome = changed ? "synchronised" : "unchanged";
      return { name, record, certificate, outcome, member: state === "active" };
    });
    return { ...session, result };
  }

  /** The first new member that has the certificate gives it to this party; the others are heard out, for a moment. */
  async #awaitDeparture(name: string, parties: readonly PartyId[]): Promise<EpochInfo> {
    const sessions = await Promise.all(parties.map((party) => this.#startSync(name, [party])));
    const results = sessions.map(({ result }) => result);
    const all = Promise.allSettled(results);
    try {
      const told = await Promise.any(results);
      await Promise.race([
        all,
        new Promise((resolve) => systemClock.timer(DEPARTURE_LINGER_MS, () => resolve(null))),
      ]);
      return told;
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      for (const session of sessions) session.cancel();
    }
  }

  /** Gives the certificate to old members that are connected, which wait for it; the others learn of it with `key sync`. */
  async #tellOf(name: string, parties: readonly PartyId[]): Promise<void> {
    const connected = new Set(
      (this.#network?.mesh.status() ?? []).filter(({ state }) => state === "up").map(({ peer }) => peer),
    );
    await Promise.all(
      parties.filter((party) => connected.has(party)).map((party) =>
        this.#sync(name, [party]).catch((error) => {
          const why = error instanceof Error ? error.message : String(error);
          const left = this.#local.config.roster.nameOf(party);
          this.#options.warn?.(
            `${left} was not told that the key went on without it (${why}): run key sync at both`,
          );
        })
      ),
    );
  }

  #members(policy: AccessTree): Member[] {
    return membersNamed(this.#local.config.roster, leavesOf(policy));
  }

  /** A pair that fails now is set up before the first signature that needs it. */
  async #setUpPairs(share: KeyShare, among?: readonly PartyId[]): Promise<void> {
    const all = share.record.members.map((member) => member.index);
    const peers = (among ?? all).filter((index) => index !== share.self);
    await Promise.all(peers.map((peer) =>
      this.#setUpPair(share, peer).catch((error) => {
        const name = this.#local.config.roster.nameOf(peer);
        const why = error instanceof Error ? error.message : String(error);
        this.#options.warn?.(
          `the pair with ${name} is not set up yet (${why}): the next signature with it does that`,
        );
      })
    ));
  }

  async #setUpPair(share: KeyShare, peer: PartyId): Promise<void> {
    const { store } = this.#local;
    const { keyId, epoch } = share.record;
    const place = { keyId, epoch, peer };
    try {
      const session = await this.#start(pairSetUp, { share, peer, admit: () => store.admitPairSetUp(place) });
      (await session.result)[Symbol.dispose]();
    } catch (error) {
      if (error instanceof CheaterError) store.pairSetUpFailed(place);
      throw error;
    }
  }

  #signInput(share: KeyShare, quorum: Quorum, digest: Bytes): SignInput {
    const { keyId, epoch } = share.record;
    return {
      share,
      signers: quorum.active,
      coefficients: quorum.coefficients,
      digest,
      pairs: (peer) => this.#pairs.get({ keyId, epoch, peer }),
      burned: (peer) => this.#pairs.isBurned({ keyId, epoch, peer }),
    };
  }
}

/** How often links are looked at that are to come up. */
const REACH_POLL_MS = 50;
/** Who has measured all round trips stays for those who have not. */
const REACH_LINGER_MS = 250;
/** How long a party that left a key stays for new members that want to tell it so. */
const DEPARTURE_LINGER_MS = 2_000;

/**
 * Opens a party: takes its lock, opens its store and its audit log. Links are made later.
 *
 * @throws UsageError see {@linkcode openLocal} and {@linkcode LocalParty.audit}
 */
export async function openParty(config: Config, name: string, options: PartyOptions): Promise<Party> {
  const local = await openLocal(config, name, options);
  try {
    return partyOn(local, options);
  } catch (error) {
    local[Symbol.dispose]();
    throw error;
  }
}

/** A party over its own side, which is open. @throws UsageError see {@linkcode LocalParty.audit} */
export function partyOn(local: LocalParty, options: PartyOptions): Party {
  return new Party(local, options, new PartyNetwork(local, options));
}

/** What everybody may know of an active key. @throws UsageError KEY_UNKNOWN or KEY_PENDING */
export function keyInfo(local: LocalParty, name: string): KeyInfo {
  return isFrostKey(local.store.active(name)) ? frostKeyInfo(local, name) : publicKeyInfo(local, name);
}

/** What everybody may know of an active ECDSA key. @throws UsageError KEY_UNKNOWN, KEY_PENDING or KEY_SCHEME */
export function publicKeyInfo(local: LocalParty, name: string): PublicKeyInfo {
  const entry = local.store.active(name);
  const { share } = local.openKey(entry);
  share.share[Symbol.dispose]();
  return { name, record: share.record, certificate: entry.certificate };
}

/** A name stands in lists, logs and questions to operators. @throws UsageError USAGE */
function requireName(name: string): void {
  const clean = printable(name, Infinity);
  if (clean === name && name.trim() === name) return;
  throw new UsageError(
    "USAGE",
    `a key's name has no control characters and no spaces around it: found ${JSON.stringify(clean)}`,
  );
}

/** What an earlier run left under a name: the active key, or else the newest attempt. */
function formerOf(entries: readonly KeyEntry[]): KeyEntry | undefined {
  return entries.findLast((entry) => entry.state === "active") ??
    entries.findLast((entry) => entry.epoch === 0);
}
