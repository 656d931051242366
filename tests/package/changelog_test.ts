import assert from "node:assert/strict";
import { VERSION } from "../../src/base/version.ts";

const TEXT = Deno.readTextFileSync(new URL("../../CHANGELOG.md", import.meta.url));
const KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

Deno.test("CHANGELOG has the form of Keep a Changelog, and says something of this version", () => {
  const [title, ...versions] = TEXT.split(/^## /m);
  assert.match(title ?? "", /^# Changelog\n/);
  const names = versions.map((section) => section.slice(0, section.indexOf("\n")));
  for (const [i, name] of names.entries()) {
    assert.match(name, i === 0 ? /^\[Unreleased\]$/ : /^\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$/);
  }
  const released = names.some((name) => name.startsWith(`[${VERSION}]`));
  assert.ok(released || versions[0]?.includes(`becomes ${VERSION}`), `nothing is said of ${VERSION}`);
  for (const section of versions) {
    const kinds = [...section.matchAll(/^### (.*)$/gm)].map(([, kind]) => kind as string);
    assert.ok(kinds.length > 0 && kinds.every((kind) => KINDS.includes(kind)), kinds.join());
    assert.equal(new Set(kinds).size, kinds.length);
  }
});
