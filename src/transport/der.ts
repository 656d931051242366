/**
 * As much DER (X.690) as certificates and revocation lists need. The runtime's certificate object shows neither extended key
 * usage nor names in an unambiguous form, so that they are read here; a general ASN.1 library would add 60 ms to every start and
 * much code in front of authentication.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { concat } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";

/** One element: its tag, its content and its whole encoding, as views. */
export interface DerElement {
  /** The tag's one byte. */
  readonly tag: number;
  /** What is inside. */
  readonly content: Uint8Array;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
}

/** Tags that occur in certificates. */
export const DerTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Walks over the elements of some bytes. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** Begins at the first element. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** True where nothing is left. */
  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The next element, of this tag. @throws DecodeError */
  read(tag: number): DerElement {
    const element = this.any();
    if (element.tag !== tag) throw new DecodeError(`tag ${element.tag} where ${tag} is expected`);
    return element;
  }

  /** The next element if it has this tag. */
  readIf(tag: number): DerElement | undefined {
    return this.#bytes[this.#at] === tag ? this.any() : undefined;
  }

  /** The next element, whatever it is. @throws DecodeError */
  any(): DerElement {
    const start = this.#at;
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw new DecodeError("a tag of several bytes");
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) {
      throw new DecodeError("an element is longer than what holds it");
    }
    this.#at += length;
    return {
      tag,
      content: this.#bytes.subarray(this.#at - length, this.#at),
      whole: this.#bytes.subarray(start, this.#at),
    };
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const width = first & 0x7f;
    let length = 0;
    for (let i = 0; i < width; i++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (width - 1)) {
      throw new DecodeError("a length that is indefinite or not minimal");
    }
    return length;
  }

  #byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new DecodeError("an element is cut off");
    this.#at++;
    return value;
  }
}

/** Reads all elements inside a SEQUENCE that fills the bytes. @throws DecodeError */
export function derSequence(bytes: Uint8Array): DerReader {
  const outer = new DerReader(bytes);
  const sequence = outer.read(DerTag.sequence);
  if (!outer.done) throw new DecodeError("trailing bytes");
  return new DerReader(sequence.content);
}

/** Milliseconds since 1970 of a UTCTime or GeneralizedTime in the only form that RFC 5280 allows. @throws DecodeError */
export function derTime(element: DerElement): number {
  const text = String.fromCharCode(...element.content);
  const match = element.tag === DerTag.utcTime
    ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
    : element.tag === DerTag.generalizedTime
    ? /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
    : null;
  if (match === null) throw new DecodeError("a time that is not in the form of RFC 5280");
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fullYear = element.tag === DerTag.utcTime ? year + (year < 50 ? 2000 : 1900) : year;
  return Date.UTC(fullYear, month - 1, day, hour, minute, second);
}

/** Writes one element around its parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concat(...parts);
  const length = content.length < 0x80
    ? [content.length]
    : content.length < 0x100
    ? [0x81, content.length]
    : [0x82, content.length >> 8, content.length & 0xff];
  return concat(Uint8Array.of(tag, ...length), content);
}
