/**
 * Shell blocks of the documents. A block whose info string is `sh` alone is run; one that cannot be run here says why, with one of
 * {@linkcode REASONS} behind it.
 *
 * @module
 */

/** Why a block is not run. */
export const REASONS: Readonly<Record<string, string>> = {
  "checkout": "it gets the program itself, from the network",
  "other-host": "it is for another host, or for somebody with rights that a test has not",
  "service": "it is for a service manager, a container or a server that a test does not start",
  "own-test": "a test of its own runs it",
};

/** One fenced block. */
export interface Block {
  /** Number of its first line. */
  readonly line: number;
  /** What is behind `sh`, if anything. */
  readonly reason: string | undefined;
  readonly text: string;
  /** What it prints, where the document shows it and says that a test compares it. */
  readonly output: string | undefined;
}

/** A document of the project. */
export interface Document {
  /** As `docs/concepts.md`. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** Whether its blocks go on where those of the quick start end. */
  readonly goesOn: boolean;
}

/** Stands in a document whose blocks go on where those of the quick start end. */
const GOES_ON = "<!-- test: after the quick start -->";

/** What follows a block, before the next one. */
const OUTPUT = /^(?:(?!\n```)[^])*?\n<!-- test: output -->\n```text\n([^]*?\n)```\n/;

const ROOT = new URL("../../", import.meta.url);

/** README and all documents. */
export function documents(): Document[] {
  const names = [...Deno.readDirSync(new URL("docs/", ROOT))].map(({ name }) => name)
    .filter((name) => name.endsWith(".md")).sort();
  return ["README.md", ...names.map((name) => `docs/${name}`)].map((path) => {
    const text = Deno.readTextFileSync(new URL(path, ROOT));
    return { path, text, blocks: blocksIn(text), goesOn: text.includes(GOES_ON) };
  });
}

function blocksIn(text: string): Block[] {
  const blocks: Block[] = [];
  // Inside a list a block is indented, and so are its lines.
  for (const match of text.matchAll(/^( *)```(sh|bash|shell|console)\b *([^\n]*)\n([^]*?)^\1```$/gm)) {
    const [, indent = "", language, info = "", body = ""] = match;
    const line = text.slice(0, match.index).split("\n").length;
    const isReadmes = /<!-- test: [^\n]* -->\n$/.test(text.slice(0, match.index)) && !text.includes(GOES_ON);
    const reason = language !== "sh" ? language : isReadmes ? "own-test" : info;
    const after = text.slice(match.index + match[0].length);
    const output = OUTPUT.exec(after)?.[1];
    blocks.push({
      line,
      reason: reason === "" ? undefined : reason,
      text: body.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      output,
    });
  }
  return blocks;
}
