/**
 * How far a key is from not being able to sign.
 *
 * @module
 */

import type { AccessTree } from "../primitives/access.ts";

/** The fewest parties that satisfy a policy, if all can be reached. */
export function fewestSigners(policy: AccessTree): number {
  return missing(policy, new Set());
}

/**
 * How many parties that are reachable may fail before the others do not satisfy a policy any more: 0 where none may. Where they do
 * not satisfy it now, less than 0: how many have to come back at least.
 */
export function quorumMargin(policy: AccessTree, reachable: ReadonlySet<string>): number {
  const toBreak = losses(policy, reachable);
  return toBreak === 0 ? -missing(policy, reachable) : toBreak - 1;
}

/** The fewest parties that have to be reached beside those that are. */
function missing(node: AccessTree, reachable: ReadonlySet<string>): number {
  if (node.kind === "leaf") return reachable.has(node.name) ? 0 : 1;
  return sumOfLeast(node.children.map((child) => missing(child.node, reachable)), node.minSigners);
}

/** The fewest parties whose loss leaves a node unsatisfied; 0 where it is now. A party stands in a policy once. */
function losses(node: AccessTree, reachable: ReadonlySet<string>): number {
  if (node.kind === "leaf") return reachable.has(node.name) ? 1 : 0;
  const { children, minSigners } = node;
  return sumOfLeast(children.map((child) => losses(child.node, reachable)), children.length - minSigners + 1);
}

function sumOfLeast(costs: readonly number[], count: number): number {
  return costs.toSorted((a, b) => a - b).slice(0, count).reduce((sum, cost) => sum + cost, 0);
}
