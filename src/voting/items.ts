/**
 * What gossip carries: votes, proposals, certificates, receipts, suspicions, proofs of offences, lists for new members,
 * and digests of what a member has (VOTING 3, 5, 7).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import {
  bytes,
  type Codec,
  decode,
  DecodeError,
  encode,
  list,
  map,
  optional,
  struct,
  text,
  U64,
  U8,
} from "../base/codec.ts";
import { type Receipt, receiptCodec, type Suspicion, suspicionCodec } from "./availability.ts";
import { certificateCodec, type QuorumCertificate } from "./certificate.ts";
import { type LockedPage, lockedPageCodec, type PageRequest, pageRequestCodec } from "./locked.ts";
import { VOTERS_MAX } from "./membership.ts";
import { offenceCodec, type OffenceProof, VOTE_ITEM } from "./offence.ts";
import { type Proposal, proposalCodec } from "./proposal.ts";
import { TX_ID_BYTES_MAX } from "./value.ts";
import { type Vote, voteCodec, voterCodec } from "./vote.ts";

/** What one member has of a transaction. */
export interface TxDigest {
  /** Its name. */
  readonly txId: string;
  /** Prefixes of the ballots that are stored, by voter. */
  readonly votes: readonly { readonly voter: PartyId; readonly ballots: readonly Bytes[] }[];
  /** Prefix of the ballot that was decided. */
  readonly decided?: Bytes | undefined;
  /** Prefixes of the ballots of which a proposal is stored. */
  readonly proposals: readonly Bytes[];
  /** Members of whom a receipt is stored that says so: bit i − 1 is member i. */
  readonly seen: bigint;
  /** The same. */
  readonly abstained: bigint;
  /** Who suspects whom: sets as above. */
  readonly suspicions: readonly { readonly subject: PartyId; readonly observers: bigint }[];
}

/** What one member has: a page of transactions, and the offences of which it has proofs. */
export interface Digest {
  /** The page is on names after this one ... */
  readonly after: string;
  /** ... up to this one; empty for all others. */
  readonly upTo: string;
  /** At most {@linkcode DIGEST_PAGE}. */
  readonly transactions: readonly TxDigest[];
  /** On the first page: prefixes of ids of the newest {@linkcode OFFENCES_MAX} offences. */
  readonly offences: readonly Bytes[];
}

/** One item. */
export type Item =
  | { readonly kind: "vote"; readonly vote: Vote }
  | { readonly kind: "proposal"; readonly proposal: Proposal }
  | { readonly kind: "certificate"; readonly certificate: QuorumCertificate }
  | { readonly kind: "receipt"; readonly receipt: Receipt }
  | { readonly kind: "suspicion"; readonly suspicion: Suspicion }
  | { readonly kind: "locked"; readonly page: LockedPage }
  | { readonly kind: "locked-request"; readonly request: PageRequest }
  | { readonly kind: "offence"; readonly proof: OffenceProof }
  | { readonly kind: "digest"; readonly digest: Digest };

/** Bytes of a prefix. */
export const PREFIX_BYTES = 8;
/** Most transactions in a digest. */
export const DIGEST_PAGE = 256;

/** How many transactions of so many members are in a digest, so that it fits an envelope. */
export function digestPage(members: number): number {
  // A name, four prefixes and three sets; of each member a voter with two prefixes, and a suspect with a set.
  return Math.min(DIGEST_PAGE, Math.floor(120_000 / (220 + 40 * members)));
}
/** Most offences in a digest: the newest. Votes are compared too, and whoever has two of them finds a double vote itself. */
export const OFFENCES_MAX = 1024;

/** The encoding of an item: a kind, and what belongs to it. */
export function encodeItem(item: Item): Bytes {
  switch (item.kind) {
    case "vote":
      return encode(CODECS.vote, { kind: KINDS.vote, body: item.vote });
    case "proposal":
      return encode(CODECS.proposal, { kind: KINDS.proposal, body: item.proposal });
    case "certificate":
      return encode(CODECS.certificate, { kind: KINDS.certificate, body: item.certificate });
    case "offence":
      return encode(CODECS.offence, { kind: KINDS.offence, body: item.proof });
    case "receipt":
      return encode(CODECS.receipt, { kind: KINDS.receipt, body: item.receipt });
    case "suspicion":
      return encode(CODECS.suspicion, { kind: KINDS.suspicion, body: item.suspicion });
    case "locked":
      return encode(CODECS.locked, { kind: KINDS.locked, body: item.page });
    case "locked-request":
      return encode(CODECS.request, { kind: KINDS.request, body: item.request });
    case "digest":
      return encode(CODECS.digest, { kind: KINDS.digest, body: item.digest });
  }
}

/** Whether an item is a proof, which may hold an envelope. */
export function isProof(encoded: Bytes): boolean {
  return encoded[0] === KINDS.offence;
}

/** Reads an item. @throws DecodeError */
export function decodeItem(encoded: Bytes): Item {
  switch (encoded[0]) {
    case KINDS.vote:
      return { kind: "vote", vote: decode(CODECS.vote, encoded).body };
    case KINDS.proposal:
      return { kind: "proposal", proposal: decode(CODECS.proposal, encoded).body };
    case KINDS.certificate:
      return { kind: "certificate", certificate: decode(CODECS.certificate, encoded).body };
    case KINDS.offence:
      return { kind: "offence", proof: decode(CODECS.offence, encoded).body };
    case KINDS.receipt:
      return { kind: "receipt", receipt: decode(CODECS.receipt, encoded).body };
    case KINDS.suspicion:
      return { kind: "suspicion", suspicion: decode(CODECS.suspicion, encoded).body };
    case KINDS.locked:
      return { kind: "locked", page: decode(CODECS.locked, encoded).body };
    case KINDS.request:
      return { kind: "locked-request", request: decode(CODECS.request, encoded).body };
    case KINDS.digest:
      return { kind: "digest", digest: decode(CODECS.digest, encoded).body };
  }
  throw new DecodeError("an item of an unknown kind");
}

const KINDS = {
  vote: VOTE_ITEM,
  certificate: 2,
  offence: 3,
  digest: 4,
  proposal: 5,
  receipt: 6,
  suspicion: 7,
  locked: 8,
  request: 9,
} as const;

const prefix: Codec<Bytes> = map(bytes(PREFIX_BYTES), (value: Bytes) => value, (value) => {
  if (value.length !== PREFIX_BYTES) throw new DecodeError("a prefix of a wrong length");
  return value;
});

const digestCodec: Codec<Digest> = struct({
  after: text(TX_ID_BYTES_MAX),
  upTo: text(TX_ID_BYTES_MAX),
  transactions: list(
    struct({
      txId: text(TX_ID_BYTES_MAX),
      votes: list(struct({ voter: voterCodec, ballots: list(prefix, 2) }), VOTERS_MAX),
      decided: optional(prefix),
      proposals: list(prefix, 2),
      seen: U64,
      abstained: U64,
      suspicions: list(struct({ subject: voterCodec, observers: U64 }), VOTERS_MAX),
    }),
    DIGEST_PAGE,
  ),
  offences: list(prefix, OFFENCES_MAX),
});

function item<T>(body: Codec<T>): Codec<{ readonly kind: number; readonly body: T }> {
  return struct({ kind: U8, body });
}

const CODECS = {
  vote: item(voteCodec),
  proposal: item(proposalCodec),
  certificate: item(certificateCodec),
  receipt: item(receiptCodec),
  suspicion: item(suspicionCodec),
  locked: item(lockedPageCodec),
  request: item(pageRequestCodec),
  offence: item(offenceCodec),
  digest: item(digestCodec),
} as const;
