import assert from "node:assert/strict";
import { VERSION } from "../../src/base/version.ts";

Deno.test("VERSION is that of the package, and the changelog has it", () => {
  const read = (name: string) => Deno.readTextFileSync(new URL(`../../${name}`, import.meta.url));
  assert.equal(JSON.parse(read("deno.json")).version, VERSION);
  assert.ok(read("CHANGELOG.md").includes(`## ${VERSION}`));
});
