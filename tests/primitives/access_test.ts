import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, u16, utf8 } from "../../src/base/bytes.ts";
import { DecodeError, Reader } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { type Curve, CURVES, secp256k1 } from "../../src/math/curve.ts";
import {
  ACCESS_LIMITS,
  type AccessTree,
  accessTreeCodec,
  checkPolicy,
  coefficientCount,
  decodePolicy,
  encodePolicy,
  formatPolicy,
  handDown,
  leavesOf,
  parsePolicy,
  policyHash,
  qualified,
  shareMatrix,
  solve,
  topCoefficients,
} from "../../src/primitives/access.ts";
import { hash } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import { anyTree, gaussSolve, refusesPolicy, subsetsOf } from "./support.ts";

const DEMO = [
  "2 of (alice, bob, carol)",
  "4 of (alice, bob, carol, dave)",
  "and(alice, bob, carol, dave)",
  "and(alice, 2 of (bob, carol, dave))",
  "or(and(a, b), 2 of (c, d, e))",
  "2 of (a, 5: or(b, c), and(d, 3: e))",
];

Deno.test("parsePolicy() reads the text form whatever the spaces", () => {
  const tree = parsePolicy("  and ( alice ,2 of(bob,carol\n,dave) )");
  assert.deepEqual(tree, {
    kind: "and",
    minSigners: 2,
    children: [
      { index: 1, node: { kind: "leaf", name: "alice" } },
      {
        index: 2,
        node: {
          kind: "threshold",
          minSigners: 2,
          children: ["bob", "carol", "dave"].map((name, i) => ({
            index: i + 1,
            node: { kind: "leaf", name },
          })),
        },
      },
    ],
  });
});

Deno.test("formatPolicy() prints what parsePolicy() reads", () => {
  for (const text of DEMO) assert.equal(formatPolicy(parsePolicy(text)), text);
  fc.assert(fc.property(anyTree, (tree) => {
    assert.deepEqual(parsePolicy(formatPolicy(tree), { allowSingle: true }), tree);
  }));
});

for (
  const [text, position, why] of [
    ["", 1, "is expected, not the end"],
    ["and(a, 2 of (b, c)", 19, "a comma or ) is expected"],
    ["and a", 5, "and is followed by a list"],
    ["2 (a, b)", 3, "a number is followed by of"],
    ["2 of a, b", 6, "of is followed by a list"],
    ["and(a,, b)", 7, "is expected, not ,"],
    ["and(a, b) c", 11, "comes after the end"],
    ["2 of (a, or(), c)", 13, "is empty"],
    ["and(a, or)", 10, "or is followed by a list"],
    ["2 of (a:b, c)", 8, "a comma or ) is expected"],
    ["3 of (a, b)", 1, "3 of 2 is impossible"],
    ["0 of (a, b)", 1, "0 of 2 is impossible"],
    ["and(a, b, a)", 11, "a appears twice"],
    ["2 of (2: a, 1: b)", 1, "ascend"],
    ["2 of (0: a, b)", 1, "ascend"],
    ["2 of (a, 256: b)", 1, "1 to 255"],
    ["and(a, OR)", 8, "is no name"],
    [`and(a, ${"x".repeat(65)})`, 8, "at most 64 bytes"],
    ["and(a, b\u0007)", 8, "cannot have"],
    ["alice", 1, "alice alone satisfies"],
    ["or(and(a, b), carol)", 15, "carol alone satisfies"],
    ["1 of (a, b)", 7, "a alone satisfies"],
  ] as const
) {
  Deno.test(`parsePolicy() refuses ${JSON.stringify(text).slice(0, 40)} and says where`, () => {
    refusesPolicy(() => parsePolicy(text), `character ${position}: `, why);
  });
}

Deno.test("parsePolicy() accepts a policy that one party satisfies where that is allowed", () => {
  assert.equal(formatPolicy(parsePolicy("or(a, b)", { allowSingle: true })), "or(a, b)");
  assert.deepEqual(parsePolicy("alice", { allowSingle: true }), { kind: "leaf", name: "alice" });
});

Deno.test("parsePolicy() reads names in Unicode normal form C", () => {
  assert.deepEqual(leavesOf(parsePolicy("and(jose\u0301, b)")), ["jos\u00e9", "b"]);
});

Deno.test("checkPolicy() refuses what only code can make", () => {
  const leaf = (name: string): AccessTree => ({ kind: "leaf", name });
  const gate = (
    kind: "and" | "or" | "threshold",
    minSigners: number,
    ...nodes: AccessTree[]
  ): AccessTree => ({
    kind,
    minSigners,
    children: nodes.map((node, i) => ({ index: i + 1, node })),
  });
  refusesPolicy(() => checkPolicy(gate("and", 1, leaf("a"), leaf("b"))), "and needs all");
  refusesPolicy(() => checkPolicy(gate("or", 2, leaf("a"), leaf("b"))), "or needs one");
  refusesPolicy(() => checkPolicy(gate("threshold", 1.5, leaf("a"), leaf("b"))), "impossible");
  refusesPolicy(() => checkPolicy(gate("and", 2, leaf("a"), leaf(""))), "empty");
  refusesPolicy(() => checkPolicy(gate("and", 2, leaf("a"), leaf("e\u0301"))), "normal form");
  refusesPolicy(() => checkPolicy({ kind: "or", minSigners: 1, children: [] }), "1 of 0 is impossible");
  let deep: AccessTree = leaf("z");
  for (let i = 0; i < 9; i++) deep = gate("and", 2, leaf(`a${i}`), deep);
  refusesPolicy(() => checkPolicy(deep), "at most 8 gates");
  for (const name of ["a b", "a,b", "a:b", "(a", "12", "Of"]) {
    refusesPolicy(() => checkPolicy(gate("and", 2, leaf("a"), leaf(name))), "name");
  }
});

Deno.test("checkPolicy() holds every limit exactly", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `p${i}`).join(", ");
  parsePolicy(`2 of (${names(64)})`);
  refusesPolicy(() => parsePolicy(`2 of (${names(65)})`), "at most 64 parties");

  const nested = (depth: number) =>
    Array.from({ length: depth }, (_, i) => `and(a${i}, `).join("") + "z" + ")".repeat(depth);
  parsePolicy(nested(ACCESS_LIMITS.depthMax));
  refusesPolicy(() => parsePolicy(nested(ACCESS_LIMITS.depthMax + 1)), "at most 8 gates");

  // 64 leaves under chains of or() with one child each: 1 + 64·k nodes.
  const chains = (lengths: (i: number) => number) =>
    `2 of (${
      Array.from({ length: 64 }, (_, i) => "or(".repeat(lengths(i)) + `p${i}` + ")".repeat(lengths(i))).join()
    })`;
  parsePolicy(chains((i) => i < 63 ? 3 : 2)); // 1 + 63·4 + 3 = 256
  refusesPolicy(() => parsePolicy(chains(() => 3)), "at most 256 nodes");
});

Deno.test("encodePolicy() gives the golden encodings", () => {
  const golden: [string, string][] = [
    [
      "and(alice, 2 of (bob, carol, dave))",
      "02020201000005616c6963650201020301000003626f62020000056361726f6c0300000464617665",
    ],
    ["2 of (a, b, c)", "010203010000016102000001620300000163"],
    ["3 of (a, b, c)", "010303010000016102000001620300000163"],
    ["and(a, b, c)", "020303010000016102000001620300000163"],
    ["or(a, b, c)", "030103010000016102000001620300000163"],
    ["2 of (a, b, 4: c)", "010203010000016102000001620400000163"],
    // Without the number of children the next two would be one encoding.
    ["2 of (x, or(y), z)", "010203" + "0100000178" + "02" + "030101" + "0100000179" + "030000017a"],
    ["2 of (x, or(y, z))", "010202" + "0100000178" + "02" + "030102" + "0100000179" + "020000017a"],
    // Nesting on the left or on the right.
    ["and(and(a, b), c)", "020202" + "01" + "020202" + "0100000161" + "0200000162" + "0200000163"],
    ["and(a, and(b, c))", "020202" + "0100000161" + "02" + "020202" + "0100000162" + "0200000163"],
    // Names that only differ in where one ends.
    ["and(ab, c)", "020202" + "01" + "0000026162" + "0200000163"],
    ["and(a, bc)", "020202" + "0100000161" + "02" + "0000026263"],
  ];
  for (const [text, encoding] of golden) {
    const tree = parsePolicy(text, { allowSingle: true });
    assert.equal(encodePolicy(tree).toHex(), encoding, text);
    assert.deepEqual(decodePolicy(Uint8Array.fromHex(encoding)), tree);
  }
  assert.equal(new Set(golden.map(([, encoding]) => encoding)).size, golden.length);
});

Deno.test("decodePolicy() inverts encodePolicy() and refuses every longer or shorter string", () => {
  fc.assert(fc.property(anyTree, (tree) => {
    const bytes = encodePolicy(tree);
    assert.deepEqual(decodePolicy(bytes), tree);
    assert.throws(() => decodePolicy(concat(bytes, new Uint8Array(1))), DecodeError);
    assert.throws(() => decodePolicy(bytes.subarray(0, bytes.length - 1)), DecodeError);
  }));
});

Deno.test("decodePolicy() reads nothing that encodePolicy() would write otherwise", () => {
  const rng = seededRng("policy mutations");
  const bytes = encodePolicy(parsePolicy(DEMO[4] as string));
  let accepted = 0;
  for (let i = 0; i < 2000; i++) {
    const [at = 0, value = 0] = rng.bytes(2);
    const mutated = bytes.slice();
    mutated[at % bytes.length] = value;
    try {
      const tree = decodePolicy(mutated);
      accepted++;
      assert.deepEqual(encodePolicy(tree), mutated);
    } catch (error) {
      assert.ok(error instanceof DecodeError, String(error));
    }
  }
  assert.ok(accepted > 0);
});

for (
  const [what, encoding] of [
    ["an unsorted index", "010202" + "0200000161" + "0100000162"],
    ["a repeated index", "010202" + "0100000161" + "0100000162"],
    ["index 0", "010202" + "0000000161" + "0100000162"],
    ["an and that needs fewer", "020102" + "0100000161" + "0200000162"],
    ["an or that needs more", "030202" + "0100000161" + "0200000162"],
    ["a threshold of 0", "010002" + "0100000161" + "0200000162"],
    ["a threshold above the number of children", "010302" + "0100000161" + "0200000162"],
    ["no children", "010000"],
    ["an unknown node type", "040102" + "0100000161" + "0200000162"],
    ["a name twice", "010202" + "0100000161" + "0200000161"],
    ["an empty name", "000000"],
    ["a name that is not UTF-8", "000001ff"],
    ["a name in normal form D", "00000365cc81"],
    ["nine gates", "030101" + "01030101".repeat(8) + "0100000161"],
  ] as const
) {
  Deno.test(`decodePolicy() refuses ${what}`, () => {
    assert.throws(() => decodePolicy(Uint8Array.fromHex(encoding)), DecodeError);
  });
}

Deno.test("parsePolicy() and decodePolicy() refuse any depth before the stack ends", () => {
  refusesPolicy(() => parsePolicy("and(a, ".repeat(100_000)), "at most 8 gates");
  const gates = new Reader(Uint8Array.fromHex("03010101".repeat(100_000)));
  assert.throws(() => accessTreeCodec.read(gates), DecodeError);
});

Deno.test("policyHash() is the hash of SPEC 0.3", () => {
  const tree = parsePolicy("and(a, b)");
  const members = ["a", "b"].map((name, i) => ({ index: i + 1, name, identity: new Uint8Array(32).fill(i) }));
  const each = members.flatMap((m) => [u16(m.index), utf8(m.name), m.identity]);
  assert.deepEqual(policyHash(tree, members), hash(Tag.policy, encodePolicy(tree), u16(2), ...each));
});

Deno.test("policyHash() depends on the tree, each member's index, name and identity, and their number", () => {
  const members = ["a", "b"].map((name, i) => ({ index: i + 1, name, identity: new Uint8Array(32).fill(i) }));
  const tree = parsePolicy("and(a, b)");
  const [a, b] = members as [typeof members[0], typeof members[0]];
  const variants = [
    policyHash(tree, members),
    policyHash(parsePolicy("2 of (a, b)"), members),
    policyHash(tree, [a]),
    policyHash(tree, [a, { ...b, index: 3 }]),
    policyHash(tree, [a, { ...b, name: "c" }]),
    policyHash(tree, [a, { ...b, identity: new Uint8Array(32).fill(9) }]),
    policyHash(tree, [b, a]),
  ];
  assert.equal(new Set(variants.map((hash) => hash.toHex())).size, variants.length);
});

Deno.test("leavesOf() lists the leaves in the order of the tree", () => {
  assert.deepEqual(leavesOf(parsePolicy("or(and(b, a), 2 of (e, c, d))")), ["b", "a", "e", "c", "d"]);
});

Deno.test("qualified() evaluates the formula", () => {
  const tree = parsePolicy("and(alice, 2 of (bob, carol, dave))");
  for (const set of subsetsOf(leavesOf(tree))) {
    const expected = set.has("alice") && [...set].filter((name) => name !== "alice").length >= 2;
    assert.equal(qualified(tree, set), expected, [...set].join());
  }
});

Deno.test("solve() chooses the fewest leaves, then the lowest indices", () => {
  const chosen = (text: string, set: string) =>
    solve(parsePolicy(text, { allowSingle: true }), new Set(set.split("")), secp256k1)?.active.join("");
  assert.equal(chosen("2 of (a, b, c)", "abc"), "ab");
  assert.equal(chosen("2 of (a, b, c)", "bc"), "bc");
  assert.equal(chosen("2 of (a, b, c)", "c"), undefined);
  assert.equal(chosen("or(and(a, b, c), 2 of (d, e, f))", "abcdef"), "de");
  assert.equal(chosen("or(and(a, b), 2 of (d, e, f))", "abdef"), "ab");
  assert.equal(chosen("2 of (and(a, b), c, and(d, e), f)", "abcdef"), "cf");
  assert.equal(chosen("2 of (and(a, b), c, and(d, e))", "abcde"), "abc");
  assert.equal(chosen("2 of (and(a, b), c, and(d, e))", "bcde"), "cde");
  assert.equal(chosen("3 of (and(a, b), and(c, d), e, and(f, g))", "abcdefg"), "abcde");
});

Deno.test("solve() uses as few leaves as any qualified set has", () => {
  fc.assert(
    fc.property(anyTree.filter((tree) => leavesOf(tree).length <= 8), (tree) => {
      const sets = [...subsetsOf(leavesOf(tree))].filter((set) => qualified(tree, set));
      const fewest = Math.min(...sets.map((set) => set.size));
      assert.equal(solve(tree, new Set(leavesOf(tree)), secp256k1)?.active.length, fewest);
    }),
    { numRuns: 40 },
  );
});

for (const curve of Object.values(CURVES)) {
  Deno.test(`solve() agrees with Gaussian elimination over the share matrix on ${curve.name}`, () => {
    for (const text of DEMO) solvesLikeGauss(parsePolicy(text), curve);
    fc.assert(
      fc.property(
        anyTree.filter((tree) => leavesOf(tree).length <= 6),
        (tree) => solvesLikeGauss(tree, curve),
      ),
      { numRuns: 15 },
    );
  });
}

Deno.test("handDown() evaluates the same with and without the way to one leaf only", () => {
  const tree = parsePolicy("2 of (a, 5: or(b, c), and(d, 3: e))");
  const module = {
    add: (a: number, b: number) => a + b,
    timesSmall: (a: number, factor: number) => a * factor,
  };
  const coefficients = [1000, 100, 7];
  const all = handDown(tree, coefficients, module);
  // The root is 1000 + 100·x; the last child's gate, at 6, is 1600 + 7·x.
  assert.deepEqual([...all], [["a", 1100], ["b", 1500], ["c", 1500], ["d", 1607], ["e", 1621]]);
  for (const [name, value] of all) {
    assert.deepEqual([...handDown(tree, coefficients, module, name)], [[name, value]]);
  }
  assert.throws(() => handDown(tree, [1, 2], module), { code: "INVARIANT" });
});

Deno.test("topCoefficients() are the last ones of every gate that needs more than one child", () => {
  assert.equal(coefficientCount(parsePolicy("3 of (a, b, c, d)")), 3);
  assert.deepEqual(topCoefficients(parsePolicy("3 of (a, b, c, d)")), [2]);
  const nested = parsePolicy("3 of (and(a, b), or(c, d), 2 of (e, f, g), and(h, i, j))");
  assert.equal(coefficientCount(nested), 1 + 2 + 1 + 0 + 1 + 2);
  assert.deepEqual(topCoefficients(nested), [2, 3, 4, 6]);
  assert.deepEqual(topCoefficients(parsePolicy("or(a, b)", { allowSingle: true })), []);
});

/** Every subset: solved exactly where qualified, with the one solution that elimination finds for the active rows. */
function solvesLikeGauss(tree: AccessTree, curve: Curve): void {
  const matrix = shareMatrix(tree, curve);
  for (const set of subsetsOf(leavesOf(tree))) {
    const solution = solve(tree, set, curve);
    assert.equal(solution !== undefined, qualified(tree, set));
    if (solution === undefined) {
      assert.equal(gaussSolve([...set].map((name) => matrix.get(name) ?? []), curve), undefined);
      continue;
    }
    assert.ok(solution.active.every((name) => set.has(name)));
    const rows = solution.active.map((name) => matrix.get(name) ?? []);
    assert.deepEqual([...solution.coefficients.values()], gaussSolve(rows, curve));
    assert.ok([...solution.coefficients.values()].every((c) => c !== 0n));
  }
}

Deno.test("checkPolicy() throws a UsageError with a stable code", () => {
  assert.throws(
    () => parsePolicy("and("),
    (error) => error instanceof UsageError && error.code === "POLICY_INVALID",
  );
});
