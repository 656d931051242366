import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { type Ed25519Signer, ed25519Signer } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { partyId } from "../../src/base/brands.ts";
import { makeMembership, type Membership, type MembershipInput } from "../../src/voting/membership.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../../src/voting/vote.ts";

const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/** A membership, and the keys of its members. */
export interface Council {
  readonly membership: Membership;
  readonly signers: readonly Ed25519Signer[];
  /** The vote of a member, counted from 1. */
  vote(voter: number, value?: bigint, txId?: string): Vote;
}

export function council(n: number, quorum: number, change: Partial<MembershipInput> = {}): Council {
  const rng = seededRng(`council ${n}`);
  const signers = NAMES.slice(0, n).map(() => ed25519Signer(rng.bytes(32)));
  const voters = signers.map(({ publicKey }, i) => ({ name: NAMES[i] as string, key: publicKey }));
  const membership = makeMembership({ cluster: "demo", epoch: 1, voters, quorum, ...change });
  return {
    membership,
    signers,
    vote(voter, value = 42n, txId = "tx_001") {
      const question = questionOf(membership, txId, integer(value));
      return signVote(
        question,
        partyId(voter),
        (message) => (signers[voter - 1] as Ed25519Signer).sign(message),
      );
    },
  };
}

export function integer(value: bigint): Bytes {
  return encodeValue({ schema: "integer", integer: value });
}

export function text(value: string): Bytes {
  return encodeValue({ schema: "bytes", bytes: utf8(value) });
}

/** The bytes with one bit changed. */
export function flipped(value: Bytes, at = 0): Bytes {
  const copy = value.slice();
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}
