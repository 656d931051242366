/**
 * `deno task life`: refresh, reshare, repair and recover with every policy of the tests on both curves, with real processes, each
 * followed by a signature that openssl verifies. Prints how long each took.
 *
 * @module
 */

import { EVERYTHING, live, type Taken } from "../tests/e2e/life.ts";

async function main(): Promise<void> {
  const startedAt = performance.now();
  console.log("curve      policy  step         s  and to sign");
  let count = 0;
  for (const curve of ["secp256k1", "p256"]) {
    await live(curve, EVERYTHING, (taken) => {
      count++;
      print(taken);
    });
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${count} steps, all as they should be, ${seconds} s`);
}

function print({ curve, policy, step, elapsedMs, signMs }: Taken): void {
  const [took, signed] = [elapsedMs, signMs].map((ms) => (ms / 1000).toFixed(1).padStart(6));
  const signature = signMs < 1 ? "" : signed;
  console.log(`${curve.padEnd(10)} ${policy.padEnd(7)} ${step.padEnd(9)}${took}  ${signature}`.trimEnd());
}

if (import.meta.main) await main();
