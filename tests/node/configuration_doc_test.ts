import assert from "node:assert/strict";
import { type Config, configKeys, parseConfig } from "../../src/node/config.ts";
import type { ConfigKey } from "../../src/node/config_schema.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";
import { PARTIES } from "./config_text.ts";

interface Row {
  readonly name: string;
  readonly value: string;
  readonly default: string;
}

/** The rows of the reference, with the section of each; those of `TYPE` stand for all types. */
function documented(): Row[] {
  const rows: Row[] = [];
  let section = "";
  for (
    const line of Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url)).split("\n")
  ) {
    const heading = /^##+ (?:\[+([a-z_.]+)\]+|.*)$/.exec(line);
    if (heading !== null) section = heading[1] ?? "";
    const cells = /^\| `([A-Za-z_.]+)` \| (.*) \| (.*) \| .+ \|$/.exec(line);
    if (cells === null) continue;
    const [, key, value, fallback] = cells as unknown as [string, string, string, string];
    rows.push({ name: section === "" ? key : `${section}.${key}`, value, default: fallback });
  }
  return rows;
}

function nameOf({ path }: ConfigKey): string {
  return path.map((part) => /^[A-Z]/.test(part) ? "TYPE" : part).join(".");
}

/** The part of a configuration that can be compared: what follows from the keys here. */
function plain({ roster: _, voting, transport, ...rest }: Config): string {
  const { membership, ...times } = voting ?? {};
  const limits = Object.entries({ ...DEFAULT_LIMITS, ...transport }).map(([key, value]) => [
    key,
    typeof value === "object" ? value : String(value),
  ]);
  return JSON.stringify({ ...rest, limits, times, quorum: membership?.quorum, faults: membership?.faults });
}

Deno.test("docs/configuration.md has every key of the configuration, and no other", () => {
  const rows = documented().map(({ name }) => name);
  assert.equal(new Set(rows).size, rows.length, "each key stands there once");
  const keys = [...new Set(configKeys().map(nameOf))];
  assert.deepEqual(rows.toSorted(), keys.toSorted());
  const types = configKeys().map(({ path }) => path[2]).filter((part) => part !== undefined);
  const text = Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url));
  for (const type of types) assert.ok(text.includes(`\`${type}\``), `the type ${type} is not named`);
});

Deno.test("docs/configuration.md says which keys are required, and the range of each number", () => {
  const rows = new Map(documented().map((row) => [row.name, row]));
  for (const key of configKeys()) {
    const row = rows.get(nameOf(key)) as Row;
    assert.equal(row.default === "required", key.required, row.name);
    if (key.range === undefined) continue;
    const { min, max } = key.range;
    assert.ok(row.value.endsWith(`${min} to ${max}`), `${row.name}: from ${min} to ${max}, not ${row.value}`);
  }
});

Deno.test("docs/configuration.md: to set a key to the default that stands there changes nothing", () => {
  const literals = documented().filter((row) => /^`("[^"]*"|[\d.]+|true|false)`$/.test(row.default));
  assert.ok(literals.length > 40);
  const base = `${PARTIES.replace("[[parties]]", "#HEAD\n[[parties]]")}\n[voting]\n#voting\n`;
  const expected = plain(parseConfig(base, "/q/quorate.toml"));
  for (const { name, default: fallback } of literals) {
    const [key, section] = name.split(".").reverse() as [string, string?];
    const line = `${key} = ${fallback.slice(1, -1)}\n`;
    const text = section === undefined
      ? base.replace("#HEAD\n", line)
      : section === "voting"
      ? base.replace("#voting\n", line)
      : `${base}[${section}]\n${line}`;
    assert.notEqual(text, base, name);
    assert.ok(
      plain(parseConfig(text, "/q/quorate.toml")) === expected,
      `${name} is not ${fallback} by default`,
    );
  }
});
