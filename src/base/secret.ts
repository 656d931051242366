/**
 * Values that must never be printed.
 *
 * @module
 */

import { type Bytes, copy, erase } from "./bytes.ts";
import { InvariantError } from "./errors.ts";

const REDACTED = "<redacted>";

/**
 * A secret byte string. Its value never appears in `String()`, JSON, `inspect` or an error; `using` erases it. A bigint
 * made from it cannot be erased: JavaScript has no way.
 *
 * @example
 * ```ts
 * import { Secret } from "./secret.ts";
 * using key = new Secret(new Uint8Array([1, 2, 3]));
 * if (`${key}` !== "<redacted>") throw new Error("printed");
 * ```
 */
export class Secret implements Disposable {
  #bytes: Bytes | undefined;

  /** Takes ownership of `bytes`: they are erased when the secret is disposed. */
  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** A secret with a copy of the bytes of another owner. */
  static copyOf(bytes: Uint8Array): Secret {
    return new Secret(copy(bytes));
  }

  /** The bytes themselves, not a copy. @throws InvariantError after disposal. */
  expose(): Bytes {
    if (this.#bytes === undefined) throw new InvariantError("a secret was used after it was erased");
    return this.#bytes;
  }

  /** A secret of its own with the same bytes. */
  clone(): Secret {
    return Secret.copyOf(this.expose());
  }

  /** Erases the bytes. A second call does nothing. */
  [Symbol.dispose](): void {
    erase(this.#bytes);
    this.#bytes = undefined;
  }

  /** Gives a fixed word. */
  toString(): string {
    return REDACTED;
  }

  /** Gives a fixed word. */
  toJSON(): string {
    return REDACTED;
  }

  /** What `Deno.inspect` and `console.log` show. */
  [Symbol.for("Deno.customInspect")](): string {
    return REDACTED;
  }

  /** What `node:util` `inspect` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return REDACTED;
  }
}
