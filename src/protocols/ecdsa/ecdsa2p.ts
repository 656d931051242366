/**
 * ECDSA of two parties: the general protocol with the policy `and(P0, P1)`. Functionally what libraries call "ECDSA-2P",
 * without Paillier and not wire-compatible with them (SPEC 1).
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { UsageError } from "../../base/errors.ts";
import type { Curve } from "../../math/curve.ts";
import type { AccessTree } from "../../primitives/access.ts";
import { dkg, type DkgInput, type DkgResult } from "../dkg/dkg.ts";
import { type Member, quorumOf } from "../key_share.ts";
import type { Definition } from "../protocol.ts";
import { sign } from "./sign.ts";
import type { SignInput } from "./sign_opening.ts";
import type { EcdsaSignature } from "./signature.ts";

/** What a party must know to generate a key of two. Equal at both but for `self` and `stored`. */
export interface TwoPartyKeyInput extends Pick<DkgInput, "stored"> {
  /** Under which name the key will be stored. */
  readonly keyName: string;
  /** The curve of the key. */
  readonly curve: Curve;
  /** Ascending by index. */
  readonly members: readonly [Member, Member];
  /** Which of them this party is. */
  readonly self: PartyId;
}

/** What a party must know to sign with a key of two. Equal at both but for `share`, `pairs` and `burned`. */
export interface TwoPartySignInput extends Omit<SignInput, "signers" | "coefficients" | "receivers"> {
  /** The only one who gets the signature. Default: both. */
  readonly receiver?: PartyId;
}

/** Key generation for two: the first of the three steps, before the pair set-up and signing. */
export const ecdsa2pKeyGeneration: Definition<TwoPartyKeyInput, DkgResult> = adapt(dkg, (input) => {
  const { members, ...rest } = input;
  return { ...rest, members, policy: bothOf(members) };
});

/** Signing by both. */
export const ecdsa2pSign: Definition<TwoPartySignInput, EcdsaSignature | undefined> = adapt(
  sign,
  ({ receiver, ...input }) => {
    const { record } = input.share;
    const quorum = quorumOf(record, record.members.map(({ index }) => index));
    if (record.members.length !== 2 || quorum?.active.length !== 2) {
      throw new UsageError("USAGE", "this key is not one of exactly two parties that sign together");
    }
    return {
      ...input,
      signers: quorum.active,
      coefficients: quorum.coefficients,
      ...(receiver === undefined ? {} : { receivers: [receiver] }),
    };
  },
);

/** and(P0, P1). */
function bothOf(members: readonly [Member, Member]): AccessTree {
  return {
    kind: "and",
    minSigners: 2,
    children: members.map(({ name }, k) => ({ index: k + 1, node: { kind: "leaf", name } })),
  };
}

/** A definition whose input is made from another one. */
function adapt<I, J, O>(definition: Definition<J, O>, toInput: (input: I) => J): Definition<I, O> {
  return {
    name: definition.name,
    version: definition.version,
    proposal: (input) => definition.proposal(toInput(input)),
    offer: (input) => definition.offer?.(toInput(input)) ?? new Uint8Array(0),
    unsettled: (input, self, offers) =>
      definition.unsettled?.(toInput(input), self, offers) ?? { mine: [], others: [] },
    rounds: (input) => definition.rounds(toInput(input)),
    run: (session, input) => definition.run(session, toInput(input)),
  };
}
