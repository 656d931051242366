/**
 * `deno task sbom`: a bill of materials of the dependencies in deno.lock, as CycloneDX 1.6, with the licence that each package states.
 * Ends with 1 where a licence is not one of those that the project accepts.
 *
 * @module
 */

import { VERSION } from "../src/base/version.ts";

/** Licences that go with the project's own. */
export const ACCEPTED: ReadonlySet<string> = new Set([
  "MIT",
  "ISC",
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Unlicense",
  "(Apache-2.0 AND BSD-3-Clause)",
]);

/** One dependency. */
export interface Component {
  /** As in the registry. */
  readonly name: string;
  /** Exact. */
  readonly version: string;
  /** SPDX expression of its package.json. */
  readonly licence: string;
  /** SHA-512 of the package, hexadecimal. */
  readonly sha512: string;
}

/** All packages of a lock file, ascending by name. @param cache where Deno keeps packages. */
export function componentsOf(lock: string, cache: string): Component[] {
  const { npm } = JSON.parse(lock) as { npm: Record<string, { integrity: string }> };
  const seen = new Map<string, Component>();
  for (const [key, { integrity }] of Object.entries(npm)) {
    // `name@version`, and behind it the peers with which it was resolved.
    const match = /^(@?[^@]+)@([^_]+)/.exec(key);
    if (match === null) throw new Error(`deno.lock has an entry ${key} that is no package`);
    const [, name, version] = match as unknown as [string, string, string];
    const sha512 = Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex();
    seen.set(`${name}@${version}`, { name, version, licence: licenceOf(cache, name, version), sha512 });
  }
  return [...seen.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The bill of materials: the same bytes for the same lock file. */
export function billOf(components: readonly Component[]): object {
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { type: "application", name: "quorate", version: VERSION } },
    components: components.map(({ name, version, licence, sha512 }) => ({
      type: "library",
      name,
      version,
      purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
      hashes: [{ alg: "SHA-512", content: sha512 }],
      licenses: [{ expression: licence }],
    })),
  };
}

/** Where Deno keeps packages: one directory per registry. */
export async function packageCache(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout)) as { npmCache: string };
  const [registry] = [...Deno.readDirSync(npmCache)].filter(({ isDirectory }) => isDirectory);
  if (registry === undefined) throw new Error("no package is in Deno's cache: run deno install --frozen");
  return `${npmCache}/${registry.name}`;
}

function licenceOf(cache: string, name: string, version: string): string {
  const { license } = JSON.parse(Deno.readTextFileSync(`${cache}/${name}/${version}/package.json`)) as {
    license?: string;
  };
  return license ?? "none";
}

async function main(): Promise<number> {
  const lock = Deno.readTextFileSync(new URL("../deno.lock", import.meta.url));
  const components = componentsOf(lock, await packageCache());
  console.log(JSON.stringify(billOf(components), undefined, 2));
  const others = components.filter(({ licence }) => !ACCEPTED.has(licence));
  for (const { name, licence } of others) console.error(`${name} has the licence ${licence}`);
  return others.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
