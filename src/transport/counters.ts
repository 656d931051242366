/**
 * What went over the links of one peer, by direction and type. It outlives links.
 *
 * @module
 */

import { typeName } from "./message_types.ts";

/** Messages of one type in one direction. */
export interface Traffic {
  /** How many. */
  readonly messages: number;
  /** Their payloads together. */
  readonly bytes: number;
}

/** Messages of one direction by the name of their type. */
export type TrafficByType = Readonly<Record<string, Traffic>>;

/** Counts one direction. */
export class TrafficCounter {
  readonly #types = new Map<number, { messages: number; bytes: number }>();

  /** One more message. */
  add(type: number, bytes: number): void {
    const traffic = this.#types.get(type);
    if (traffic === undefined) this.#types.set(type, { messages: 1, bytes });
    else {
      traffic.messages++;
      traffic.bytes += bytes;
    }
  }

  /** Types of which there was at least one. */
  get byType(): TrafficByType {
    return Object.fromEntries([...this.#types].map(([type, traffic]) => [typeName(type), { ...traffic }]));
  }
}

/** Counts by name: reasons, codes. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** One more. */
  add(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** All that were counted. */
  get all(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** Their sum. */
  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }
}
