import assert from "node:assert/strict";
import { fuzz, judge } from "./fuzz.ts";
import { makeTargets, type Target } from "./targets.ts";

const SECONDS = 5;

Deno.test("every reader refuses a damaged input in its own words, or reads what has exactly that encoding", async () => {
  const seed = crypto.getRandomValues(new Uint8Array(4)).toHex();
  const targets = await makeTargets(seed);
  for (const target of targets) {
    for (const input of target.inputs) {
      const verdict = judge(target, input.slice());
      assert.equal(verdict, "accepted", `${target.name}: a valid input: ${JSON.stringify(verdict)}`);
    }
  }
  const endsAt = performance.now() + SECONDS * 1000;
  const { tallies, violation } = fuzz(targets, seed, () => performance.now() < endsAt);
  assert.equal(
    violation,
    undefined,
    `seed ${seed}: ${violation?.target}: ${violation?.what}: ${violation?.input.toHex()}`,
  );
  for (const [name, { cases }] of tallies) assert.ok(cases > 0, `${name} was not fed`);
});

Deno.test("judge() notices a reader that fails, that is lax, and that writes into its input", () => {
  const target = (read: Target["read"]): Target => ({
    name: "test",
    inputs: [],
    read,
    refuses: (error) => error instanceof RangeError,
  });
  const input = Uint8Array.of(1, 2);
  const said = (read: Target["read"]) => {
    const verdict = judge(target(read), input);
    return typeof verdict === "string" ? verdict : verdict.what;
  };
  assert.equal(said((bytes) => bytes.slice()), "accepted");
  assert.equal(said(() => undefined), "accepted");
  assert.equal(
    said(() => {
      throw new RangeError("no");
    }),
    "refused",
  );
  assert.match(
    said(() => {
      throw new TypeError("oh");
    }),
    /^not a refusal of this layer: TypeError: oh/,
  );
  assert.equal(said(() => Uint8Array.of(1)), "read, and written as 01");
  assert.equal(said((bytes) => bytes.fill(0)), "the input was changed");
});

Deno.test("fuzz() gives the same cases for the same seed", async () => {
  const seen: string[][] = [];
  for (let run = 0; run < 2; run++) {
    const cases: string[] = [];
    const target: Target = {
      name: "test",
      inputs: [new Uint8Array(50)],
      read: (bytes) => void cases.push(bytes.toHex()),
      refuses: () => false,
    };
    fuzz([target], "one", (number) => number < 200);
    seen.push(cases);
  }
  assert.deepEqual(seen[0], seen[1]);
  assert.ok(new Set(seen[0]).size > 100, "cases differ");
  assert.ok((await makeTargets("one")).length > 10);
});
