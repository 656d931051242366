/**
 * Who signs, of those at hand.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { CheaterError, TransportError, UsageError } from "../base/errors.ts";
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

/**
 * Draws the conclusions of a signature that failed (SPEC 2.6). Who was named by a check that this party did itself, on what the
 * other one has signed, is banned; what a peer says of others names nobody. Where nobody can be named it is counted: the same
 * signers get few such attempts.
 */
export function noteFailedSigning(
  store: Pick<LocalStore, "signersFailed" | "banSigner">,
  place: SignersPlace,
  error: unknown,
): void {
  const failure = failureIn(error);
  if (failure?.code === "UNATTRIBUTABLE") store.signersFailed(place);
  // A ban of the pair is one already, and lifted by new pair states (SPEC 2.7).
  if (failure === undefined || failure.code === "PAIR_BURNED") return;
  const { code, what: reason } = failure;
  for (const party of failure.culprits) {
    if (place.signers.includes(party)) {
      store.banSigner({ keyId: place.keyId, epoch: place.epoch, party, code, reason });
    }
  }
}

/** What failed here. After the last round it is behind an outcome that is unknown. */
function failureIn(error: unknown): CheaterError | undefined {
  if (error instanceof CheaterError) return error;
  const cause = error instanceof TransportError && error.code === "OUTCOME_UNKNOWN" ? error.cause : undefined;
  return cause instanceof CheaterError ? cause : undefined;
}
