/**
 * Damages valid inputs and looks at what comes of them. A case is its number: the same seed gives the same cases.
 */

import { concat, equal, utf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import type { Target } from "./targets.ts";

/** An input for which neither a refusal nor its own encoding came out. */
export interface Violation {
  readonly target: string;
  readonly input: Uint8Array;
  readonly what: string;
}

/** How often a target was fed, and how often it accepted. */
export interface Tally {
  cases: number;
  accepted: number;
}

const LENGTH_MAX = 1 << 17;
/** No input is that large: whoever needs so much has believed a length that a peer made up. */
const MEMORY_MAX = 1 << 30;
const CASES_PER_LOOK = 1_024;

/** What is wrong with how a target takes an input; undefined where nothing is. */
export function judge(target: Target, input: Uint8Array<ArrayBuffer>): Violation | "refused" | "accepted" {
  // The reader gets a copy: one that changed its input would hide behind it.
  const given = input.slice();
  try {
    const again = target.read(given);
    if (!equal(given, input)) return { target: target.name, input, what: "the input was changed" };
    if (again === undefined || equal(again, input)) return "accepted";
    return { target: target.name, input, what: `read, and written as ${again.toHex()}` };
  } catch (error) {
    if (target.refuses(error)) return "refused";
    const shown = error instanceof Error ? error.stack ?? error.message : String(error);
    return { target: target.name, input, what: `not a refusal of this layer: ${shown}` };
  }
}

/** Feeds the targets in turn until `proceed` says no, or an input violates what must hold. */
export function fuzz(
  targets: readonly Target[],
  seed: string,
  proceed: (cases: number) => boolean,
): { readonly tallies: ReadonlyMap<string, Tally>; readonly violation: Violation | undefined } {
  const tallies = new Map(targets.map(({ name }) => [name, { cases: 0, accepted: 0 }]));
  for (let number = 0; proceed(number); number++) {
    const target = targets[number % targets.length] as Target;
    const verdict = judge(target, damaged(target, new Dice(`${seed}/${number}`)));
    const tally = tallies.get(target.name) as Tally;
    tally.cases++;
    if (verdict === "accepted") tally.accepted++;
    else if (verdict !== "refused") return { tallies, violation: verdict };
    if (number % CASES_PER_LOOK === 0 && memoryUsed() > MEMORY_MAX) {
      const what = `more than ${MEMORY_MAX} bytes are in use: one of the last ${CASES_PER_LOOK} inputs`;
      return {
        tallies,
        violation: { target: target.name, input: damaged(target, new Dice(`${seed}/${number}`)), what },
      };
    }
  }
  return { tallies, violation: undefined };
}

function memoryUsed(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** One to four changes to one of the valid inputs. */
function damaged({ inputs, words }: Target, dice: Dice): Uint8Array<ArrayBuffer> {
  let bytes = concat(dice.of(inputs));
  const kinds = words === undefined
    ? CHANGES
    : [...CHANGES, (from: Uint8Array) => withWord(from, words, dice)];
  for (let i = dice.below(4); i >= 0; i--) bytes = dice.of(kinds)(bytes, dice, inputs).slice(0, LENGTH_MAX);
  return bytes;
}

type Change = (bytes: Uint8Array, dice: Dice, inputs: readonly Uint8Array[]) => Uint8Array<ArrayBuffer>;

const NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff];

/** Every change keeps most of the structure, so that what lies behind the first field is reached too. */
const CHANGES: readonly Change[] = [
  // One bit.
  (bytes, dice) =>
    edit(bytes, dice, 1, (view, at) => view.setUint8(at, view.getUint8(at) ^ (1 << dice.below(8)))),
  // One byte.
  (bytes, dice) => edit(bytes, dice, 1, (view, at) => view.setUint8(at, dice.of(NUMBERS) & 0xff)),
  // A length or count, one more or less, or at an edge.
  (bytes, dice) =>
    edit(bytes, dice, 1, (view, at) => view.setUint8(at, view.getUint8(at) + dice.of([-1, 1]))),
  (bytes, dice) =>
    edit(bytes, dice, 2, (view, at) => view.setUint16(at, view.getUint16(at) + dice.of([-1, 1]))),
  (bytes, dice) => edit(bytes, dice, 2, (view, at) => view.setUint16(at, dice.of(NUMBERS))),
  (bytes, dice) => edit(bytes, dice, 4, (view, at) => view.setUint32(at, dice.of(NUMBERS))),
  // Fields of 32 bytes: nothing, or the greatest number, as scalars and points have to be refused.
  (bytes, dice) => edit(bytes, dice, 32, (view, at) => fill(view, at, dice.of([0x00, 0xff]))),
  // Cut, longer, a part left out, a part twice.
  (bytes, dice) => bytes.slice(0, dice.below(bytes.length + 1)),
  (bytes, dice) => concat(bytes, dice.bytes(1 + dice.below(40))),
  (bytes, dice) => {
    const [from, to] = range(bytes, dice);
    return concat(bytes.subarray(0, from), bytes.subarray(to));
  },
  (bytes, dice) => {
    const [from, to] = range(bytes, dice);
    return concat(bytes.subarray(0, to), bytes.subarray(from));
  },
  // The front of this and the back of another, at one place: fields of both.
  (bytes, dice, inputs) => {
    const at = dice.below(bytes.length + 1);
    return concat(bytes.subarray(0, at), dice.of(inputs).subarray(at));
  },
];

function withWord(bytes: Uint8Array, words: readonly string[], dice: Dice): Uint8Array<ArrayBuffer> {
  const at = dice.below(bytes.length + 1);
  return concat(bytes.subarray(0, at), utf8(dice.of(words)), bytes.subarray(at));
}

function edit(
  bytes: Uint8Array,
  dice: Dice,
  width: number,
  change: (view: DataView, at: number) => void,
): Uint8Array<ArrayBuffer> {
  const out = concat(bytes);
  if (out.length >= width) change(new DataView(out.buffer), dice.below(out.length - width + 1));
  return out;
}

function fill(view: DataView, at: number, value: number): void {
  for (let i = 0; i < 32; i++) view.setUint8(at + i, value);
}

function range(bytes: Uint8Array, dice: Dice): [from: number, to: number] {
  const from = dice.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + 1 + dice.below(40))];
}

/** Reproducible choices: four words of a hash, and xorshift from there. */
class Dice {
  readonly #state: Uint32Array;

  constructor(seed: string) {
    this.#state = new Uint32Array(sha256(utf8(seed)).buffer.slice(0, 16));
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return n <= 1 ? 0 : this.#next() % n;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.#next());
  }

  #next(): number {
    const [x, y, z, w] = this.#state as unknown as [number, number, number, number];
    const t = x ^ (x << 11);
    this.#state.set([y, z, w, w ^ (w >>> 19) ^ t ^ (t >>> 8)]);
    return this.#state[3] as number;
  }
}
