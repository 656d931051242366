/**
 * Access structures: which sets of parties may act together (SPEC 3).
 *
 * @module
 */

import { type Bytes, fromUtf8, u16, u8, utf8 } from "../base/bytes.ts";
import { type Codec, decode, DecodeError, encode, type Reader, type Writer } from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import type { Group, Scalar } from "../math/curve.ts";
import { hash } from "./hash.ts";
import { Tag } from "./tags.ts";

/** A leaf: one party, by name. */
export interface Leaf {
  /** Which kind of node. */
  readonly kind: "leaf";
  /** Name of the party. */
  readonly name: string;
}

/** An inner node: `minSigners` of its children. `and` needs all, `or` one; both are kept as written. */
export interface Gate {
  /** Which kind of node. */
  readonly kind: "threshold" | "and" | "or";
  /** How many children must be satisfied. */
  readonly minSigners: number;
  /** Ascending by index; an index (1 to 255) is fixed at creation and is the child's evaluation point. */
  readonly children: readonly Child[];
}

/** A child and its evaluation point. */
export interface Child {
  /** 1 to 255, unique among its siblings. */
  readonly index: number;
  /** What stands there. */
  readonly node: AccessTree;
}

/** A monotone formula over parties. */
export type AccessTree = Leaf | Gate;

/** Limits of SPEC 3.1. */
export const ACCESS_LIMITS = {
  leavesMax: 64,
  nodesMax: 256,
  /** Gates above a leaf. */
  depthMax: 8,
  indexMax: 255,
  nameBytesMax: 64,
} as const;

/** What a policy may be. */
export interface PolicyOptions {
  /** Accepts a policy that one party alone satisfies: that party then holds the key outright. Default: refused. */
  readonly allowSingle?: boolean;
}

/** Who acts, and with which coefficients their shares add up to the secret. */
export interface Solution {
  /** Names of the active leaves, in the order of the tree. */
  readonly active: readonly string[];
  /** c_l of every active leaf: `Σ c_l·x_l` is the secret. Never 0. */
  readonly coefficients: ReadonlyMap<string, Scalar>;
}

/** What a member of a policy is hashed as. */
export interface PolicyMember {
  /** Index of the party. */
  readonly index: number;
  /** Name of the party, and of its leaf. */
  readonly name: string;
  /** 32-byte Ed25519 identity key. */
  readonly identity: Bytes;
}

/** Values that can be handed down a tree: they can be added, and multiplied by an index. */
export interface SmallModule<T> {
  /** a + b. */
  add(a: T, b: T): T;
  /** `factor` is 1 to 255. */
  timesSmall(a: T, factor: number): T;
}

/**
 * Reads the text form: `alice`, `and(...)`, `or(...)`, `2 of (...)`. Children get the indices 1, 2, 3, ... in the order
 * written; `5: dave` gives a child another, higher one, as it is needed where members have left.
 *
 * @throws UsageError POLICY_INVALID that says at which character what is wrong.
 * @example
 * ```ts
 * import { formatPolicy, parsePolicy } from "./access.ts";
 * const tree = parsePolicy("and(alice, 2 of (bob,carol,dave))");
 * if (formatPolicy(tree) !== "and(alice, 2 of (bob, carol, dave))") throw new Error("printed otherwise");
 * ```
 */
export function parsePolicy(text: string, options: PolicyOptions = {}): AccessTree {
  const input = new PolicyText(text.normalize("NFC"));
  const tree = parseNode(input, 0);
  const rest = input.peek();
  if (rest.kind !== "end") throw invalid(rest.at, `${rest.text} comes after the end of the policy`);
  checkPolicy(tree, options, input.positions);
  return tree;
}

/** The text form: what {@linkcode parsePolicy} reads as the same tree. */
export function formatPolicy(tree: AccessTree): string {
  if (tree.kind === "leaf") return tree.name;
  const parts = tree.children.map(({ index, node }, i) => {
    const expected = i === 0 ? 1 : (tree.children[i - 1] as Child).index + 1;
    return (index === expected ? "" : `${index}: `) + formatPolicy(node);
  });
  const head = tree.kind === "threshold" ? `${tree.minSigners} of ` : tree.kind;
  return `${head}(${parts.join(", ")})`;
}

/**
 * Checks every rule of SPEC 3.1 on a tree from anywhere.
 *
 * @param positions where nodes stand in a text, for messages.
 * @throws UsageError POLICY_INVALID
 */
export function checkPolicy(
  tree: AccessTree,
  options: PolicyOptions = {},
  positions: ReadonlyMap<AccessTree, number> = new Map(),
): void {
  const names = new Set<string>();
  let nodes = 0;
  visit(tree, 0);
  if (options.allowSingle === true) return;
  for (const leaf of nodesOf(tree)) {
    if (leaf.kind === "leaf" && qualified(tree, new Set([leaf.name]))) {
      throw refuse(leaf, `${leaf.name} alone satisfies the policy and would hold the key outright`);
    }
  }

  function refuse(node: AccessTree, why: string): UsageError {
    return invalid(positions.get(node), why);
  }

  function visit(node: AccessTree, depth: number): void {
    if (++nodes > ACCESS_LIMITS.nodesMax) {
      throw refuse(node, `a policy has at most ${ACCESS_LIMITS.nodesMax} nodes`);
    }
    if (depth > ACCESS_LIMITS.depthMax) throw refuse(node, TOO_DEEP);
    if (node.kind !== "leaf") {
      const wrong = gateFault(node);
      if (wrong !== undefined) throw refuse(node, wrong);
      for (const child of node.children) visit(child.node, depth + 1);
      return;
    }
    const wrong = nameFault(node.name) ?? (names.has(node.name) ? `${node.name} appears twice` : undefined);
    if (wrong !== undefined) throw refuse(node, wrong);
    if (names.add(node.name).size > ACCESS_LIMITS.leavesMax) {
      throw refuse(node, `a policy has at most ${ACCESS_LIMITS.leavesMax} parties`);
    }
  }
}

/** Canonical encoding (SPEC 3.1). Decoding checks every rule but that of single parties. */
export const accessTreeCodec: Codec<AccessTree> = {
  sizeMax: ACCESS_LIMITS.nodesMax * 4 + ACCESS_LIMITS.leavesMax * (4 + ACCESS_LIMITS.nameBytesMax),
  write(out, tree) {
    checkPolicy(tree, { allowSingle: true });
    writeNode(out, tree);
  },
  read(input) {
    const tree = readNode(input, 0);
    try {
      checkPolicy(tree, { allowSingle: true });
    } catch (error) {
      throw error instanceof UsageError ? new DecodeError(error.message) : error;
    }
    return tree;
  },
};

/** The canonical encoding. @throws UsageError POLICY_INVALID */
export function encodePolicy(tree: AccessTree): Bytes {
  return encode(accessTreeCodec, tree);
}

/** Reads a canonical encoding. @throws DecodeError */
export function decodePolicy(bytes: Uint8Array): AccessTree {
  return decode(accessTreeCodec, bytes);
}

/** `H("policy"; tree, u16 n, (u16 index, name, identity)_1..n)`, members ascending by index (SPEC 0.3). */
export function policyHash(tree: AccessTree, members: readonly PolicyMember[]): Bytes {
  return hash(
    Tag.policy,
    encodePolicy(tree),
    u16(members.length),
    ...members.flatMap((m) => [u16(m.index), utf8(m.name), m.identity]),
  );
}

/** Names of the leaves in the order of the tree: pre-order, children by index. */
export function leavesOf(tree: AccessTree): string[] {
  return tree.kind === "leaf" ? [tree.name] : tree.children.flatMap((child) => leavesOf(child.node));
}

/** True iff the set satisfies the formula. */
export function qualified(tree: AccessTree, set: ReadonlySet<string>): boolean {
  if (tree.kind === "leaf") return set.has(tree.name);
  return tree.children.filter((child) => qualified(child.node, set)).length >= tree.minSigners;
}

/**
 * The active set and its coefficients: at every node the children with the fewest leaves, then those with the lowest
 * indices. Every party finds the same one.
 *
 * @param set who could act.
 * @returns undefined where the set is not qualified.
 * @source SPEC 3.4
 */
export function solve(tree: AccessTree, set: ReadonlySet<string>, curve: Group): Solution | undefined {
  if (tree.kind === "leaf") {
    return set.has(tree.name)
      ? { active: [tree.name], coefficients: new Map([[tree.name, curve.scalar(1n)]]) }
      : undefined;
  }
  const able: { readonly index: number; readonly solution: Solution }[] = [];
  for (const { index, node } of tree.children) {
    const solution = solve(node, set, curve);
    if (solution !== undefined) able.push({ index, solution });
  }
  if (able.length < tree.minSigners) return undefined;
  // Every cheapest choice has all children below some number of leaves; of those at it, the lowest indices come first.
  const chosen = able
    .sort((a, b) => a.solution.active.length - b.solution.active.length || a.index - b.index)
    .slice(0, tree.minSigners)
    .sort((a, b) => a.index - b.index);
  const lambdas = lagrangeAtZero(chosen.map((child) => child.index), curve);
  const coefficients = new Map<string, Scalar>();
  for (const [k, { solution }] of chosen.entries()) {
    for (const [name, c] of solution.coefficients) {
      coefficients.set(name, curve.mul(lambdas[k] as Scalar, c));
    }
  }
  return { active: [...coefficients.keys()], coefficients };
}

/** How many coefficients one dealing has: 1 and, for every gate, `minSigners - 1` (SPEC 2.2). */
export function coefficientCount(tree: AccessTree): number {
  return 1 + ownCoefficients(tree);
}

/**
 * Positions, in the list of coefficients, of the highest one of every gate that needs more than one child: those that make
 * the threshold real and must not vanish (SPEC 2.2).
 */
export function topCoefficients(tree: AccessTree): number[] {
  const tops: number[] = [];
  let at = 0;
  for (const node of nodesOf(tree)) {
    if (node.kind === "leaf" || node.minSigners === 1) continue;
    at += node.minSigners - 1;
    tops.push(at);
  }
  return tops;
}

/**
 * Evaluates the nested polynomials of SPEC 2.2: the root's has `coefficients[0]` as constant term, every other gate's has
 * what its parent hands down; the others follow in pre-order, children by index.
 *
 * @param only evaluates just the way to this leaf.
 * @returns the value that arrives at each leaf.
 */
export function handDown<T>(
  tree: AccessTree,
  coefficients: readonly T[],
  module: SmallModule<T>,
  only?: string,
): Map<string, T> {
  invariant(coefficients.length === coefficientCount(tree), "a dealing has another shape than its tree");
  const out = new Map<string, T>();
  visit(tree, coefficients[0] as T, 1);
  return out;

  function visit(node: AccessTree, value: T, at: number): void {
    if (node.kind === "leaf") {
      if (only === undefined || only === node.name) out.set(node.name, value);
      return;
    }
    const own = coefficients.slice(at, at + node.minSigners - 1);
    let next = at + own.length;
    for (const child of node.children) {
      if (only === undefined || hasLeaf(child.node, only)) {
        visit(child.node, horner(value, own, child.index, module), next);
      }
      next += ownCoefficients(child.node);
    }
  }
}

/** The linear forms that make the shares of the coefficients, per leaf (SPEC 3.3). */
export function shareMatrix(tree: AccessTree, curve: Group): Map<string, readonly Scalar[]> {
  const columns = coefficientCount(tree);
  const units = Array.from(
    { length: columns },
    (_, k) => Array.from({ length: columns }, (_, m) => curve.scalar(k === m ? 1n : 0n)),
  );
  return handDown<Scalar[]>(tree, units, {
    add: (a, b) => a.map((x, k) => curve.add(x, b[k] as Scalar)),
    timesSmall: (a, factor) => a.map((x) => curve.mul(x, curve.scalar(BigInt(factor)))),
  });
}

/** λ_k = Π_{m≠k} x_m / (x_m − x_k), so that Σ λ_k·f(x_k) = f(0). */
function lagrangeAtZero(indices: readonly number[], curve: Group): Scalar[] {
  return indices.map((x) => {
    let numerator = 1n;
    let denominator = 1n;
    for (const other of indices) {
      if (other === x) continue;
      numerator *= BigInt(other);
      denominator *= BigInt(other - x);
    }
    return curve.mul(curve.scalar(numerator), curve.invertVartime(curve.scalar(denominator)));
  });
}

/** constant + c_1·x + c_2·x² + …, with additions and small factors only. */
function horner<T>(constant: T, higher: readonly T[], x: number, module: SmallModule<T>): T {
  if (higher.length === 0) return constant;
  let value = higher[higher.length - 1] as T;
  for (let k = higher.length - 2; k >= 0; k--) {
    value = module.add(module.timesSmall(value, x), higher[k] as T);
  }
  return module.add(module.timesSmall(value, x), constant);
}

function ownCoefficients(tree: AccessTree): number {
  let count = 0;
  for (const node of nodesOf(tree)) if (node.kind !== "leaf") count += node.minSigners - 1;
  return count;
}

function hasLeaf(tree: AccessTree, name: string): boolean {
  return tree.kind === "leaf" ? tree.name === name : tree.children.some((child) => hasLeaf(child.node, name));
}

/** All nodes in pre-order, children by index. */
function* nodesOf(tree: AccessTree): Generator<AccessTree, void, undefined> {
  yield tree;
  if (tree.kind === "leaf") return;
  for (const child of tree.children) yield* nodesOf(child.node);
}

function gateFault(gate: Gate): string | undefined {
  const { kind, minSigners, children } = gate;
  if (!Number.isInteger(minSigners) || minSigners < 1 || minSigners > children.length) {
    return `${minSigners} of ${children.length} is impossible`;
  }
  if (kind === "and" && minSigners !== children.length) return "and needs all its children";
  if (kind === "or" && minSigners !== 1) return "or needs one of its children";
  let last = 0;
  for (const { index } of children) {
    if (!Number.isInteger(index) || index > ACCESS_LIMITS.indexMax) {
      return `an index is an integer of 1 to ${ACCESS_LIMITS.indexMax}: found ${index}`;
    }
    if (index <= last) return `indices ascend from 1: found ${index} after ${last}`;
    last = index;
  }
  return undefined;
}

function nameFault(name: string): string | undefined {
  if (name === "") return "a name is empty";
  const shown = JSON.stringify(name);
  if (name.normalize("NFC") !== name) return `the name ${shown} is not in Unicode normal form C`;
  if (utf8(name).length > ACCESS_LIMITS.nameBytesMax) {
    return `a name has at most ${ACCESS_LIMITS.nameBytesMax} bytes: found ${shown}`;
  }
  if (/[\s(),:\p{C}]/u.test(name)) return `the name ${shown} has a character that names cannot have`;
  if (/^(?:and|or|of|\d+)$/i.test(name)) return `${shown} is no name: it has a meaning in policies`;
  return undefined;
}

function writeNode(out: Writer, node: AccessTree): void {
  if (node.kind === "leaf") {
    const name = utf8(node.name);
    out.put(u8(0));
    out.put(u16(name.length));
    out.put(name);
    return;
  }
  out.put(u8(KINDS.indexOf(node.kind)));
  out.put(u8(node.minSigners));
  out.put(u8(node.children.length));
  for (const child of node.children) {
    out.put(u8(child.index));
    writeNode(out, child.node);
  }
}

function readNode(input: Reader, depth: number): AccessTree {
  if (depth > ACCESS_LIMITS.depthMax) throw new DecodeError(TOO_DEEP);
  const kind = KINDS[input.number(1, "node type")];
  if (kind === undefined) throw new DecodeError("a policy has a node of an unknown type");
  if (kind === "leaf") {
    const name = fromUtf8(input.take(input.number(2, "name length"), "name"));
    if (name === undefined) throw new DecodeError("a name is not UTF-8 in NFC");
    return { kind, name };
  }
  const minSigners = input.number(1, "threshold");
  const count = input.number(1, "number of children");
  const children = Array.from({ length: count }, () => ({
    index: input.number(1, "index"),
    node: readNode(input, depth + 1),
  }));
  return { kind, minSigners, children };
}

/** Recursive descent over `node := name | and(list) | or(list) | n of (list)`, `list := [n:] node, ...`. */
function parseNode(input: PolicyText, depth: number): AccessTree {
  const word = input.next();
  if (word.kind !== "word") {
    throw invalid(word.at, `a name, and, or, or a number is expected, not ${word.text}`);
  }
  if (depth > ACCESS_LIMITS.depthMax) throw invalid(word.at, TOO_DEEP);
  const node = parseAt(input, word, depth);
  input.positions.set(node, word.at);
  return node;
}

function parseAt(input: PolicyText, word: Token, depth: number): AccessTree {
  if (word.text === "and" || word.text === "or") {
    const children = parseChildren(input, depth, `${word.text} is`);
    return { kind: word.text, minSigners: word.text === "and" ? children.length : 1, children };
  }
  if (!/^\d+$/.test(word.text)) return { kind: "leaf", name: word.text };
  const of = input.next();
  if (of.text !== "of") {
    throw invalid(of.at, `a number is followed by of, as in 2 of (a, b, c), not by ${of.text}`);
  }
  return { kind: "threshold", minSigners: Number(word.text), children: parseChildren(input, depth, "of is") };
}

function parseChildren(input: PolicyText, depth: number, after: string): Child[] {
  const open = input.next();
  if (open.text !== "(") {
    throw invalid(open.at, `${after} followed by a list in parentheses, not by ${open.text}`);
  }
  if (input.peek().text === ")") throw invalid(input.peek().at, "a list of parties is empty");
  const children: Child[] = [];
  for (let expected = 1;; expected++) {
    expected = parseIndex(input) ?? expected;
    children.push({ index: expected, node: parseNode(input, depth + 1) });
    const separator = input.next();
    if (separator.text === ")") return children;
    if (separator.text !== ",") {
      throw invalid(separator.at, `a comma or ) is expected, not ${separator.text}`);
    }
  }
}

function parseIndex(input: PolicyText): number | undefined {
  if (!/^\d+$/.test(input.peek().text) || input.peek(1).text !== ":") return undefined;
  const index = Number(input.next().text);
  input.next();
  return index;
}

function invalid(at: number | undefined, why: string): UsageError {
  return new UsageError("POLICY_INVALID", `policy${at === undefined ? "" : `, character ${at}`}: ${why}`);
}

interface Token {
  readonly kind: "word" | "sign" | "end";
  readonly text: string;
  /** From 1, as people count. */
  readonly at: number;
}

/** The tokens of a policy's text. */
class PolicyText {
  /** Where each node stands, for messages. */
  readonly positions = new Map<AccessTree, number>();
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(text: string) {
    for (const match of text.matchAll(/[(),:]|[^\s(),:]+/g)) {
      const kind = /^[(),:]$/.test(match[0]) ? "sign" : "word";
      this.#tokens.push({ kind, text: match[0], at: match.index + 1 });
    }
    this.#tokens.push({ kind: "end", text: "the end", at: text.length + 1 });
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] as Token;
  }

  next(): Token {
    const token = this.peek();
    this.#at++;
    return token;
  }
}

const KINDS = ["leaf", "threshold", "and", "or"] as const;
const TOO_DEEP = `a policy has at most ${ACCESS_LIMITS.depthMax} gates above a party`;
