/**
 * Change of members (VOTING 7): the next membership is a value that the members of this one decide, and everybody can follow the
 * decisions from the first membership to the current one.
 *
 * @module
 */

import { type Bytes, equal } from "../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  struct,
  text,
  U16,
  U32,
  U8,
} from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { certificateFault, type QuorumCertificate } from "./certificate.ts";
import {
  makeMembership,
  type Membership,
  type MembershipInput,
  type Voter,
  VOTERS_MAX,
} from "./membership.ts";
import { decodeValue, ROSTER_PREFIX, type Value } from "./value.ts";

/** Who votes next, in full. Cluster and number follow from the membership before. */
export type NextRoster = Pick<MembershipInput, "voters" | "quorum"> & { readonly faults: number };

const VERSION = 1;

/** The reserved transaction that decides who votes after a membership. */
export function rosterTxId({ epoch }: Pick<Membership, "epoch">): string {
  return `${ROSTER_PREFIX}${epoch + 1}`;
}

/**
 * The value that makes others the members.
 *
 * @throws UsageError CONFIG_INVALID or IDENTITY_INVALID for what can be no membership, or does not follow this one.
 */
export function rosterValue(membership: Membership, next: NextRoster): Value {
  const { cluster, epoch } = membership;
  const bytes = encode(rosterCodec, { version: VERSION, cluster, epoch: epoch + 1, ...next });
  const value: Value = { schema: "roster", bytes };
  membershipOf(membership, value);
  return value;
}

/**
 * The membership that a decision makes.
 *
 * @throws UsageError EVIDENCE_INVALID where the certificate decides nothing of the kind under the membership before.
 */
export function nextMembership(membership: Membership, certificate: QuorumCertificate): Membership {
  const expected = rosterTxId(membership);
  const fault = certificateFault(membership, certificate) ??
    (certificate.txId === expected ? undefined : `it decides ${certificate.txId}, and not ${expected}`);
  if (fault !== undefined) throw invalid(fault);
  try {
    return membershipOf(membership, decodeValue(certificate.value));
  } catch (cause) {
    if (!(cause instanceof UsageError) && !(cause instanceof DecodeError)) throw cause;
    throw invalid(cause.message, cause);
  }
}

/**
 * The memberships from the first one to the current one.
 *
 * @param certificates of the changes, in their order.
 * @throws UsageError EVIDENCE_INVALID
 */
export function followRosters(
  first: Membership,
  certificates: Iterable<QuorumCertificate>,
): readonly Membership[] {
  const memberships = [first];
  for (const certificate of certificates) {
    memberships.push(nextMembership(memberships.at(-1) as Membership, certificate));
  }
  return memberships;
}

/** Members of a membership whose vote keys are also in another one. */
export function continuing(membership: Membership, other: Membership): Membership["voters"] {
  return membership.voters.filter(({ key }) =>
    other.voters.some((one) => equal(one.key.publicKey, key.publicKey))
  );
}

function membershipOf(before: Membership, value: Value): Membership {
  if (value.schema !== "roster") {
    throw new DecodeError(`the value is of the schema ${value.schema}, and no roster`);
  }
  const { version: _, ...input } = decode(rosterCodec, value.bytes);
  if (input.cluster !== before.cluster || input.epoch !== before.epoch + 1) {
    throw new UsageError(
      "CONFIG_INVALID",
      `epoch ${input.epoch} of ${input.cluster} does not follow epoch ${before.epoch} of ${before.cluster}`,
    );
  }
  const after = makeMembership(input);
  const kept = continuing(before, after).length;
  if (kept >= before.quorum) {
    return {
      ...after,
      voters: after.voters.map((voter) => knownKey(before, voter)),
    };
  }
  // Fewer could not tell the new ones of every transaction that may have been decided.
  throw new UsageError(
    "CONFIG_INVALID",
    `at least ${before.quorum} members stay in one change: found ${kept}; make it in several`,
  );
}

/** A voter with the verifier that is there already, where its key stays. */
function knownKey({ voters }: Membership, voter: Voter): Voter {
  const known = voters.find(({ key }) => equal(key.publicKey, voter.key.publicKey));
  return known === undefined ? voter : { ...voter, key: known.key };
}

function invalid(fault: string, cause?: Error): UsageError {
  return new UsageError(
    "EVIDENCE_INVALID",
    `the certificate changes no members: ${fault}`,
    cause === undefined ? {} : { cause },
  );
}

const rosterCodec: Codec<MembershipInput & { readonly version: number; readonly faults: number }> = struct({
  version: map(U8, (version: number) => version, (version) => {
    if (version !== VERSION) throw new DecodeError("a roster of an unknown version");
    return version;
  }),
  cluster: text(64),
  epoch: U32,
  voters: list(struct({ name: text(64), key: fixed(32) as Codec<Bytes> }), VOTERS_MAX),
  quorum: U16,
  faults: U16,
});
