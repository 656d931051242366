/**
 * The session in which a party signs what was approved (VOTING 8.1). Whether it may is checked before, and again where the last
 * message leaves.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { invariant, UsageError } from "../base/errors.ts";
import type { BoundSigning } from "../protocols/bound.ts";
import { formatPath } from "../protocols/ecdsa/derive.ts";
import { sign } from "../protocols/ecdsa/sign.ts";
import { type SignInput, signProposal } from "../protocols/ecdsa/sign_opening.ts";
import { frostSign, frostSignProposal } from "../protocols/frost/sign.ts";
import { type KeyShare, type Quorum, quorumOf } from "../protocols/key_share.ts";
import { type Definition, payloadHash } from "../protocols/protocol.ts";
import type { RunningSession, StartOptions } from "../session/host.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import { activeEntry, approvedDigest, type ApprovedInput, approvedMessage } from "./approval_key.ts";
import { childKey } from "./derivation.ts";
import { isFrostKey } from "./frost_keys.ts";
import type { LocalParty } from "./local_party.ts";
import { noteFailedSigning } from "./signers.ts";

/** What {@linkcode signApproved} needs. */
export interface ApprovedRequest {
  /** Id of the key. */
  readonly keyId: Bytes;
  /** What is signed. */
  readonly approved: ApprovedInput;
  /** Who signs: indices, ascending. */
  readonly signers: readonly PartyId[];
  /** What approved it. */
  readonly bound: BoundSigning;
  /** 32 bytes: the same at all signers, and another one for another attempt. */
  readonly request: Bytes;
}

/** What a party lends to its session. */
export interface ApprovedSession {
  /** Starts it. */
  readonly start: <I, O>(
    definition: Definition<I, O>,
    input: I,
    options: StartOptions,
  ) => Promise<RunningSession<O>>;
  /** The input of ECDSA, with the pairs of this party. */
  readonly ecdsaInput: (share: KeyShare, quorum: Quorum, digest: Bytes) => SignInput;
  /** Sets a pair up anew. */
  readonly setUpPair: (share: KeyShare, peer: PartyId) => Promise<void>;
}

/**
 * Signs together with the other signers, each of whom has checked the same.
 *
 * @returns 64 bytes: r ‖ s for ECDSA.
 */
export async function signApproved(
  local: LocalParty,
  session: ApprovedSession,
  request: ApprovedRequest,
): Promise<Bytes> {
  const entry = activeEntry(local, request.keyId);
  if (entry === undefined) {
    throw new UsageError("KEY_UNKNOWN", "no share of the key of the approval is active here");
  }
  const { approved, signers } = request;
  const asked = { ...entry, digest: approvedDigest(approved), path: formatPath(approved.path) };
  const place = { keyId: entry.keyId, epoch: entry.epoch, signers };
  local.store.admitSigners(place);
  local.audit.noteSigning(asked);
  const signing = isFrostKey(entry)
    ? withFrost(local, session, entry, request)
    : withEcdsa(local, session, entry, request);
  const { signature, payload } = await signing.catch((error) => {
    noteFailedSigning(local.store, place, error);
    throw error;
  });
  local.store.resolvePayload(entry.keyId, payload);
  local.audit.noteSigned(asked, signers.map((index) => local.config.roster.nameOf(index)));
  return signature;
}

interface Signed {
  readonly signature: Bytes;
  /** What was compared in round 0: the release is resolved by it. */
  readonly payload: Bytes;
}

async function withFrost(
  local: LocalParty,
  { start }: ApprovedSession,
  entry: KeyEntry,
  { approved, signers, bound, request }: ApprovedRequest,
): Promise<Signed> {
  const { share } = local.openFrostKey(entry);
  using _share = share.share;
  const input = { share, signers, message: approvedMessage(approved), bound };
  const payload = payloadHash(frostSignProposal(input).payload);
  const session = await start(frostSign, input, { request });
  return { signature: received(await session.result), payload };
}

async function withEcdsa(
  local: LocalParty,
  { start, ecdsaInput, setUpPair }: ApprovedSession,
  entry: KeyEntry,
  { approved, signers, bound, request }: ApprovedRequest,
): Promise<Signed> {
  const { config } = local;
  const { share } = local.openKey(entry);
  using _share = share.share;
  const quorum = quorumOf(share.record, signers);
  if (quorum === undefined) {
    const names = signers.map((index) => config.roster.nameOf(index)).join(", ");
    throw new UsageError("NOT_QUALIFIED", `${names} may not sign with ${entry.name}`);
  }
  const path = formatPath(approved.path);
  const input: SignInput = {
    ...ecdsaInput(share, quorum, approvedMessage(approved)),
    tweak: childKey({ record: share.record }, path).tweak,
    path,
    lowS: approved.lowS,
    bound,
  };
  const payload = payloadHash(signProposal(input).payload);
  const session = await start(sign, input, {
    request,
    mend: (peer, done) => {
      setUpPair(share, peer).then(() => done(), done);
    },
  });
  return { signature: received(await session.result).compact, payload };
}

/** All signers receive the signature. */
function received<T>(signature: T | undefined): T {
  invariant(signature !== undefined, "every signer receives the signature");
  return signature;
}
