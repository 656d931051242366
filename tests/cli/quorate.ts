import { main } from "../../cli/main.ts";

// Tests read what goes to a pipe, also where somebody runs them on a terminal.
for (const stream of [Deno.stdout, Deno.stderr]) stream.isTerminal = () => false;

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in this process and collects what it prints. */
export async function quorate(...args: readonly string[]): Promise<Output> {
  const written = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const former = { stdout: Deno.stdout.writeSync, stderr: Deno.stderr.writeSync };
  for (const stream of ["stdout", "stderr"] as const) {
    Deno[stream].writeSync = (bytes) => {
      written[stream].push(bytes.slice());
      return bytes.length;
    };
  }
  try {
    const code = await main(args);
    const join = (parts: readonly Uint8Array[]) =>
      parts.map((part) => new TextDecoder().decode(part)).join("");
    return { code, stdout: join(written.stdout), stderr: join(written.stderr) };
  } finally {
    Deno.stdout.writeSync = former.stdout;
    Deno.stderr.writeSync = former.stderr;
  }
}
