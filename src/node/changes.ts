/**
 * Says that something has changed at a node, to those who show it.
 *
 * @module
 */

/** What has changed. */
export type Topic = "links" | "sessions" | "votes";

/** Who listens to changes. */
export class Changes {
  readonly #listeners = new Set<(topic: Topic) => void>();

  /** Calls back at every change. @returns a function that ends that. */
  listen(listener: (topic: Topic) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells everybody. */
  say(topic: Topic): void {
    for (const listener of [...this.#listeners]) listener(topic);
  }
}
