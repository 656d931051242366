import assert from "node:assert/strict";

/** DESIGN 1: imports only go up this list. */
const LAYERS = [
  "base",
  "math",
  "primitives",
  "zk",
  "protocols",
  "session",
  "transport",
  "pki",
  "storage",
  "audit",
  "telemetry",
  "voting",
  "node",
  "cli",
] as const;
type Layer = typeof LAYERS[number];

const ROOT = new URL("../", import.meta.url);
/** They also run in a browser. */
const PURE: readonly Layer[] = ["base", "math", "primitives", "zk", "protocols"];

interface Source {
  readonly path: string;
  readonly layer: Layer;
  /** Without comments, and with empty string and template texts. */
  readonly code: string;
  /** What is imported, type imports included. */
  readonly imports: readonly { readonly from: string; readonly typeOnly: boolean }[];
}

/** What may not be written where, and the places that may. */
const BANNED: readonly {
  readonly what: string;
  readonly pattern: RegExp;
  readonly layers: readonly Layer[];
  readonly except?: readonly string[];
}[] = [
  { what: "Deno's own interfaces", pattern: /\bDeno\s*[.[]/, layers: PURE },
  { what: "the network", pattern: /\b(?:fetch|WebSocket|XMLHttpRequest)\b\s*\(/, layers: PURE },
  { what: "the clock", pattern: /\bDate\b|\bperformance\s*\./, layers: PURE },
  { what: "timers", pattern: /\bset(?:Timeout|Interval|Immediate)\b/, layers: PURE },
  {
    what: "promises",
    pattern: /\basync\b|\bawait\b|\bPromise\b/,
    layers: ["math", "primitives", "zk", "protocols"],
  },
  { what: "unsafe randomness", pattern: /\bMath\s*\.\s*random\b/, layers: LAYERS },
  {
    what: "the system's randomness",
    pattern: /\bgetRandomValues\b|\brandomBytes\b|\brandomUUID\b/,
    layers: LAYERS,
    except: ["src/base/rng.ts"],
  },
  {
    what: "variable-time multiplication",
    pattern: /\bmultiplyUnsafe\b/,
    layers: LAYERS.filter((layer) => layer !== "math"),
  },
  {
    what: "hashing that is not tagged and framed",
    pattern: /\bsha(?:256|512)\s*\(/,
    // Groups hash as their standards say.
    layers: ["primitives", "zk", "protocols", "session"],
    except: ["src/primitives/hash.ts"],
  },
  { what: "Paillier encryption", pattern: /paillier/i, layers: LAYERS },
  { what: "the type any", pattern: /[:<,|&(]\s*any\b/, layers: LAYERS },
  { what: "enums", pattern: /\benum\s+\w/, layers: LAYERS },
];

const SOURCES = [...walk("src/"), ...walk("cli/")].map(parse);

Deno.test("every source file is in a layer, and imports only from its own and those above it", () => {
  assert.ok(SOURCES.length > 10);
  const wrong: string[] = [];
  for (const { path, layer, imports } of SOURCES) {
    for (const { from } of imports) {
      const target = layerOfImport(path, from);
      if (target !== undefined && LAYERS.indexOf(target) > LAYERS.indexOf(layer)) {
        wrong.push(`${path} imports ${from}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("every import is relative, of node:, or named in deno.json", () => {
  const { imports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))) as {
    imports: Record<string, string>;
  };
  const named = Object.keys(imports);
  const known = (from: string) =>
    from.startsWith("./") || from.startsWith("../") || from.startsWith("node:") ||
    named.some((name) => name.endsWith("/") ? from.startsWith(name) : from === name);
  const wrong = SOURCES.flatMap(({ path, imports }) =>
    imports.filter(({ from }) => !known(from)).map(({ from }) => `${path} imports ${from}`)
  );
  assert.deepEqual(wrong, []);
  for (const [name, target] of Object.entries(imports)) {
    assert.match(
      target,
      /^npm:\/?(?:@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+\/?$/,
      `${name} is not pinned to one version`,
    );
    assert.doesNotMatch(target, /paillier/i);
  }
});

Deno.test("base to protocols import nothing of a runtime, and no zod", () => {
  const wrong = SOURCES.filter(({ layer }) => PURE.includes(layer)).flatMap(({ path, imports }) =>
    imports.filter(({ from, typeOnly }) => {
      // The back-end over node:crypto names its types; it finds the module itself at run time.
      if (from === "node:crypto" && typeOnly && path === "src/base/crypto_node.ts") return false;
      return from.startsWith("node:") || from === "zod" || from.includes("://");
    }).map(({ from }) => `${path} imports ${from}`)
  );
  assert.deepEqual(wrong, []);
});

for (const { what, pattern, layers, except = [] } of BANNED) {
  Deno.test(`no source of ${layers.length === LAYERS.length ? "any layer" : layers.join(", ")} uses ${what}`, () => {
    const wrong = SOURCES
      .filter(({ path, layer }) => layers.includes(layer) && !except.includes(path))
      .filter(({ code }) => pattern.test(code))
      .map(({ path, code }) => `${path}: ${pattern.exec(code)?.[0]}`);
    assert.deepEqual(wrong, []);
  });
}

Deno.test("parse() sees the imports and the words that the rules are about, and not those in texts and comments", () => {
  const source = [
    'import type { A } from "../session/a.ts";',
    'import { b,\n  type C } from "zod"; export * from "./d.ts"; import "reflect-metadata";',
    "const lazy = await import('../node/e.ts'); // Math.random()",
    'const word = ["import", "from"]; const command = ["key import", "x"];',
    "/* Date */ const text = `Paillier ${Math.random()} ${`Deno.cwd ${new Date()}`}`;",
    'const quoted = "Deno.cwd" + \'fetch(\' + /"/.source; performance.now();',
  ].join("\n");
  const { imports, code } = parse({ path: "src/math/x.ts", text: source });
  assert.deepEqual(imports, [
    { from: "../session/a.ts", typeOnly: true },
    { from: "zod", typeOnly: false },
    { from: "./d.ts", typeOnly: false },
    { from: "reflect-metadata", typeOnly: false },
    { from: "../node/e.ts", typeOnly: false },
  ]);
  assert.ok(code.includes("Math.random") && code.includes("new Date") && code.includes("performance.now"));
  for (const hidden of ["Paillier", "Deno.cwd", "fetch(", "https", "/Date"]) {
    assert.ok(!code.includes(hidden), code);
  }
  assert.equal(layerOfImport("src/math/x.ts", "../session/a.ts"), "session");
  assert.equal(layerOfImport("src/protocols/dkg/x.ts", "../../math/a.ts"), "math");
  assert.equal(layerOfImport("cli/main.ts", "../src/node/a.ts"), "node");
  assert.equal(layerOfImport("src/node/a.ts", "../../cli/main.ts"), "cli");
  assert.equal(layerOfImport("src/node/a.ts", "zod"), undefined);
});

function* walk(folder: string): Generator<{ readonly path: string; readonly text: string }> {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(new URL(folder, ROOT))];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = folder + entry.name;
    if (entry.isDirectory) yield* walk(`${path}/`);
    else if (/\.[cm]?[jt]sx?$/.test(path)) yield { path, text: Deno.readTextFileSync(new URL(path, ROOT)) };
  }
}

function parse({ path, text }: { readonly path: string; readonly text: string }): Source {
  const { code, quoted } = strip(text);
  const imports: { from: string; typeOnly: boolean }[] = [];
  const statement =
    /\b(import|export)\s+(type\s+)?[\w*{][^;"'`()]*?\bfrom\s*["']([^"']+)["']|(?<!["'\w-])import\s*\(?\s*["']([^"'\s]+)["']/g;
  for (const match of quoted.matchAll(statement)) {
    imports.push({ from: (match[3] ?? match[4]) as string, typeOnly: match[2] !== undefined });
  }
  return { path, layer: layerOf(path), imports, code };
}

function layerOf(path: string): Layer {
  const folder = path.startsWith("cli/") ? "cli" : path.split("/")[1];
  const layer = LAYERS.find((name) => name === folder);
  assert.ok(
    layer !== undefined && path.split("/").length > (layer === "cli" ? 1 : 2),
    `${path} is in no layer`,
  );
  return layer;
}

function layerOfImport(path: string, from: string): Layer | undefined {
  if (!from.startsWith(".")) return undefined;
  return layerOf(new URL(from, `file:///${path}`).pathname.slice(1));
}

/**
 * Walks over the source once. `code` has neither comments nor texts, but the expressions inside templates; `quoted` keeps
 * quoted texts, which imports need.
 */
function strip(text: string): { readonly code: string; readonly quoted: string } {
  let code = "";
  let quoted = "";
  const both = (part: string) => {
    code += part;
    quoted += part;
  };
  // One entry per template that is open: how many braces are open in its current expression.
  const templates: number[] = [];
  let inTemplate = false;
  const token = /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/y;
  const expression = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;
  const at = (pattern: RegExp, i: number) => {
    pattern.lastIndex = i;
    return pattern.exec(text)?.[0];
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (inTemplate) {
      if (c === "\\") i++;
      else if (c === "`") inTemplate = false;
      else if (c === "$" && text[i + 1] === "{") {
        templates.push(0);
        inTemplate = false;
        i++;
        both(" ");
      }
      continue;
    }
    const found = at(token, i) ?? (/[=(,:[!&|?{};+]\s*$/.test(code) ? at(expression, i) : undefined);
    if (found !== undefined) {
      i += found.length - 1;
      const isText = found.startsWith('"') || found.startsWith("'");
      code += isText ? '""' : " ";
      quoted += isText ? found : " ";
    } else if (c === "`") {
      inTemplate = true;
    } else if (c === "}" && templates.at(-1) === 0) {
      templates.pop();
      inTemplate = true;
      both(" ");
    } else {
      if (templates.length > 0 && (c === "{" || c === "}")) {
        templates.push((templates.pop() as number) + (c === "{" ? 1 : -1));
      }
      both(c);
    }
  }
  return { code, quoted };
}
