/**
 * What a voting node stores, encoded for its own file, and as JSON for the store of records.
 *
 * @module
 */

import { type Bytes, hex, utf8 } from "../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  map,
  struct,
  text,
  U32,
  U64,
} from "../base/codec.ts";
import type { PartyId } from "../base/brands.ts";
import type { NewRecord } from "../storage/outbox.ts";
import { receiptCodec, suspicionCodec } from "../voting/availability.ts";
import { certificateCodec } from "../voting/certificate.ts";
import { storedPageCodec } from "../voting/locked.ts";
import { type Membership, voterAt } from "../voting/membership.ts";
import { epochOf, offenceCodec } from "../voting/offence.ts";
import { proposalCodec } from "../voting/proposal.ts";
import type { VoteRecord } from "../voting/store.ts";
import { decodeValue, formatValue, TX_ID_BYTES_MAX } from "../voting/value.ts";
import { ballotOf, voteCodec, voterCodec } from "../voting/vote.ts";

/** Records that are rows of their own: all but locks. */
export type StoredRecord = Exclude<VoteRecord, { readonly kind: "lock" }>;

type Codecs = {
  readonly [K in StoredRecord["kind"]]: Codec<Omit<Extract<StoredRecord, { readonly kind: K }>, "kind">>;
};

/** Encodes a record. */
export function encodeVoteRecord<T extends StoredRecord>(record: T): Bytes {
  return encode(CODECS[record.kind] as Codec<unknown>, record);
}

/** Reads a record. @throws DecodeError */
export function decodeVoteRecord(kind: string, body: Bytes): StoredRecord {
  if (!Object.hasOwn(CODECS, kind)) throw new DecodeError(`a voting record of an unknown kind ${kind}`);
  return { kind, ...decode(CODECS[kind as keyof Codecs] as Codec<object>, body) } as StoredRecord;
}

/** The record for people and programs outside; undefined for what stays here. */
export function outsideRecord(
  record: VoteRecord,
  membershipAt: (epoch: number) => Membership | undefined,
  now: number,
): NewRecord | undefined {
  const time = new Date(now).toISOString();
  const nameAt = (epoch: number) => (index: PartyId) => {
    const membership = membershipAt(epoch);
    return (membership === undefined ? undefined : voterAt(membership, index)?.name) ?? String(index);
  };
  switch (record.kind) {
    case "vote": {
      const { vote } = record;
      return row("vote", vote.txId, {
        txId: vote.txId,
        voter: nameAt(vote.epoch)(vote.voter),
        ballot: hex(ballotOf(vote)),
        value: valueText(vote.value),
        epoch: vote.epoch,
        signature: hex(vote.signature),
        time,
      });
    }
    case "decision": {
      const { certificate } = record;
      return row("decision", certificate.txId, {
        txId: certificate.txId,
        ballot: hex(ballotOf(certificate)),
        value: valueText(certificate.value),
        epoch: certificate.epoch,
        voters: certificate.votes.map(({ voter }) => nameAt(certificate.epoch)(voter)),
        certificate: hex(encode(certificateCodec, certificate)),
        time,
      });
    }
    case "offence": {
      const { id, kind, subject, txId, proof } = record.offence;
      return row("violation", txId, {
        offenceId: hex(id),
        kind,
        subject: nameAt(epochOf(proof))(subject),
        txId,
        proof: hex(encode(offenceCodec, proof)),
        time,
      });
    }
    default:
      return undefined;
  }
}

function row(kind: string, key: string, body: object): NewRecord {
  return { kind, key, body: utf8(JSON.stringify(body)) };
}

function valueText(encoded: Bytes): string {
  return formatValue(decodeValue(encoded));
}

/** One of some words. */
function oneOf<K extends string>(...words: readonly K[]): Codec<K> {
  return map(text(32), (word: K): string => word, (read) => {
    const known = words.find((word) => word === read);
    if (known === undefined) throw new DecodeError(`a row of an unknown kind ${read}`);
    return known;
  });
}

const MILLISECONDS: Codec<number> = map(U64, (time: number) => BigInt(time), (time) => {
  // Another one would be read as a neighbour of it.
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) throw new DecodeError("a time that is no date");
  return Number(time);
});

const CODECS: Codecs = {
  vote: struct({ vote: voteCodec, payer: voterCodec }),
  proposal: struct({ proposal: proposalCodec, payer: voterCodec }),
  opened: struct({ epoch: U32, txId: text(TX_ID_BYTES_MAX), time: MILLISECONDS }),
  receipt: struct({ epoch: U32, receipt: receiptCodec }),
  suspicion: struct({ epoch: U32, suspicion: suspicionCodec }),
  locked: struct({ page: storedPageCodec }),
  decision: struct({ certificate: certificateCodec }),
  dissent: struct({
    dissent: struct({
      id: fixed(32),
      kind: oneOf("minority"),
      subject: voterCodec,
      txId: text(TX_ID_BYTES_MAX),
      epoch: U32,
      time: MILLISECONDS,
    }),
  }),
  offence: struct({
    offence: struct({
      id: fixed(32),
      kind: oneOf("double-vote", "invalid-signature"),
      subject: voterCodec,
      txId: text(TX_ID_BYTES_MAX),
      proof: offenceCodec,
      time: MILLISECONDS,
    }),
  }),
};
