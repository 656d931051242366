import { partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import { signReceipt, signSuspicion } from "../../src/voting/availability.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { encodeItem, type Item } from "../../src/voting/items.ts";
import type { Membership } from "../../src/voting/membership.ts";
import { signProposal } from "../../src/voting/proposal.ts";
import { type Question, questionOf, signVote } from "../../src/voting/vote.ts";

/** A member that keeps to no rule, but cannot sign for others. */
export class Equivocator {
  readonly #membership: Membership;
  readonly #place: number;
  readonly #sign: (message: Bytes) => Bytes;

  constructor(membership: Membership, place: number, sign: (message: Bytes) => Bytes) {
    this.#membership = membership;
    this.#place = place;
    this.#sign = sign;
  }

  /** A vote for anything, in its own name or in another's. */
  vote(txId: string, value: Bytes, claimed = this.#place): Item {
    const vote = signVote(this.#question(txId, value), partyId(this.#place), this.#sign);
    return { kind: "vote", vote: { ...vote, voter: partyId(claimed) } };
  }

  proposal(txId: string, value: Bytes): Item {
    return {
      kind: "proposal",
      proposal: signProposal(this.#question(txId, value), partyId(this.#place), this.#sign),
    };
  }

  receipt(txId: string, state: "seen" | "abstained"): Item {
    const content = { txId, state, member: partyId(this.#place) };
    return { kind: "receipt", receipt: signReceipt(this.#membership, content, this.#sign) };
  }

  /** That an honest member is silent. */
  suspicion(txId: string, subject: number): Item {
    const content = { txId, subject: partyId(subject), observer: partyId(this.#place) };
    return { kind: "suspicion", suspicion: signSuspicion(this.#membership, content, this.#sign) };
  }

  /** That it has never voted. */
  emptyList(): Item {
    const { epoch } = this.#membership;
    return { kind: "locked", page: { epoch, page: 0, pages: 1, prefixes: new Uint8Array() } };
  }

  /** What a member gets from it. */
  envelope(to: number, items: readonly Item[]): Bytes {
    const content = { from: partyId(this.#place), to: partyId(to), items: items.map(encodeItem) };
    return encode(gossipCodec, signGossip(this.#membership, content, this.#sign));
  }

  #question(txId: string, value: Bytes): Question {
    return questionOf(this.#membership, txId, value);
  }
}
