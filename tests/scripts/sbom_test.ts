import assert from "node:assert/strict";
import { ACCEPTED, billOf, componentsOf, packageCache } from "../../scripts/sbom.ts";

const LOCK = Deno.readTextFileSync(new URL("../../deno.lock", import.meta.url));

Deno.test("every dependency has a licence that goes with the project's own", async () => {
  const components = componentsOf(LOCK, await packageCache());
  assert.ok(components.length > 10);
  assert.deepEqual(components.filter(({ licence }) => !ACCEPTED.has(licence)), []);
});

Deno.test("the bill of materials has every package of the lock file once, with its hash, and is the same each time", async () => {
  const cache = await packageCache();
  const components = componentsOf(LOCK, cache);
  assert.equal(new Set(components.map(({ name, version }) => `${name}@${version}`)).size, components.length);
  for (const { sha512, version } of components) {
    assert.match(sha512, /^[0-9a-f]{128}$/);
    assert.match(version, /^\d+\.\d+\.\d+/);
  }
  for (
    const [name, range] of Object.entries(
      JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url))).imports,
    )
  ) {
    const version = /@(\d+\.\d+\.\d+)/.exec(range as string)?.[1];
    assert.ok(
      components.some((one) => one.name === name.replace(/\/$/, "") && one.version === version),
      name,
    );
  }
  assert.equal(JSON.stringify(billOf(components)), JSON.stringify(billOf(componentsOf(LOCK, cache))));
});
