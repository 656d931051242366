import assert from "node:assert/strict";
import { VERSION } from "../../src/base/version.ts";

Deno.test("VERSION is that of the package, and the changelog has it", () => {
  const read = (name: string) => Deno.readTextFileSync(new URL(`../../${name}`, import.meta.url));
  assert.equal(JSON.parse(read("deno.json")).version, VERSION);
  const [, heading] = /^## \[(.*?)\]/m.exec(read("CHANGELOG.md")) ?? [];
  const [, next] = /^Nothing has been released yet; this becomes (.*)\.$/m.exec(read("CHANGELOG.md")) ?? [];
  assert.equal(heading === "Unreleased" ? next : heading, VERSION);
});
