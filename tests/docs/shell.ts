/**
 * Shell lines as a reader of the documents types them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createServer } from "node:net";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Makes a directory with the command `quorate`, for the path. */
export function quorateIn(root: string): string {
  const bin = `${root}/bin`;
  Deno.mkdirSync(bin);
  const command = `'${Deno.execPath()}' run --quiet --frozen --config '${CONFIG}' -A '${MAIN}'`;
  Deno.writeTextFileSync(`${bin}/quorate`, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  return bin;
}

/** How long the lines of one document may take, on a busy machine. */
const LIMIT_MS = 300_000;

/** How a script ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  /** Without lines that only tell of progress. */
  readonly stderr: string;
}

/** Runs a script to its end. */
export async function endOf(
  script: string,
  { cwd, bin }: { readonly cwd: string; readonly bin: string },
): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-euo", "pipefail", "-c", script],
    cwd,
    env: { PATH: `${bin}:${Deno.env.get("PATH")}` },
    stdin: "null",
    // A loop that waits for a node which has ended would wait for ever.
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stderr).replace(/^\{.*"level":"info".*\n/gm, "");
  return { code, stdout: decoder.decode(stdout), stderr: said };
}

/** Runs a script that has to end well. @returns what it printed. */
export async function runShell(
  script: string,
  options: { readonly cwd: string; readonly bin: string },
): Promise<string> {
  const { code, stdout, stderr } = await endOf(script, options);
  assert.equal(code, 0, `${script}\n${stderr}`);
  return stdout;
}

/** The first of so many ports in a row that nothing listens on now, nor a hundred and two hundred above them. */
export async function freeBasePort(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const base = 20_000 + (crypto.getRandomValues(new Uint16Array(1))[0] as number) % 10_000;
    const ports = [0, 100, 200].flatMap((offset) =>
      Array.from({ length: count }, (_, i) => base + offset + i)
    );
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error("no free ports in a row");
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) =>
    server.once("error", () => resolve(false))
      .listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  );
}
