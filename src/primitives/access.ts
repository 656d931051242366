/**
 * Access structures: which sets of parties may act together (SPEC 3).
 *
 * @module
 */

/** A leaf: one party, by name. */
export interface Leaf {
  readonly kind: "leaf";
  readonly name: string;
}

/** An inner node: `minSigners` of its children. `and` needs all, `or` one; both are kept as written. */
export interface Gate {
  readonly kind: "threshold" | "and" | "or";
  /** How many children must be satisfied. */
  readonly minSigners: number;
  /** Ascending by index; an index (1 to 255) is fixed at creation and is the child's evaluation point. */
  readonly children: readonly Child[];
}

/** A child and its evaluation point. */
export interface Child {
  readonly index: number;
  readonly node: AccessTree;
}

/** A monotone formula over parties. */
export type AccessTree = Leaf | Gate;
