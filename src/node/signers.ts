/**
 * Who signs, of those at hand.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { CheaterError, UsageError } from "../base/errors.ts";
import { type AccessTree, formatPolicy } from "../primitives/access.ts";
import type { Member } from "../protocols/key_share.ts";
import type { LocalStore, SignersPlace } from "../storage/local_store.ts";

/** A key, as far as it says who may sign. */
export interface SignableRecord {
  /** Who has a share. */
  readonly members: readonly Member[];
  /** Who may sign together. */
  readonly policy: AccessTree;
}

/**
 * The quorum among those whom a request names; all members where it names nobody.
 *
 * @param self name of this party, which must be among them.
 * @param find the quorum of a set of parties; undefined where it is none.
 * @throws UsageError NOT_A_MEMBER, NOT_QUALIFIED or USAGE
 */
export function quorumAmong<R extends SignableRecord, Q>(
  record: R,
  request: { readonly name: string; readonly signers?: readonly string[] },
  self: string,
  find: (record: R, parties: readonly PartyId[]) => Q | undefined,
): Q {
  const members = new Map(record.members.map((member) => [member.name, member.index]));
  const named = request.signers ?? [...members.keys()];
  const parties = named.map((signer) => {
    const index = members.get(signer);
    if (index !== undefined) return index;
    throw new UsageError(
      "NOT_A_MEMBER",
      `${signer} has no share of the key ${request.name}: ${[...members.keys()].join(", ")} have`,
      { party: signer },
    );
  });
  const quorum = find(record, parties);
  if (quorum === undefined) {
    throw new UsageError(
      "NOT_QUALIFIED",
      `${named.join(", ")} may not sign with ${request.name}: its policy is ${formatPolicy(record.policy)}`,
    );
  }
  if (named.includes(self)) return quorum;
  throw new UsageError("USAGE", `${self} is not among the signers: ${named.join(", ")} are`, { party: self });
}

/** Counts a signature that failed with nobody to name (SPEC 2.6): the same signers get few such attempts. */
export function noteUnattributed(
  store: Pick<LocalStore, "signersFailed">,
  place: SignersPlace,
  error: unknown,
): void {
  if (error instanceof CheaterError && error.code === "UNATTRIBUTABLE") store.signersFailed(place);
}
