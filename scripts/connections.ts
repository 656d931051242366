/**
 * `deno task connections`: how much one node carries. A thousand parties of another process link with it; then a hundred of them
 * send at once; then one floods it while others ask. Prints what was lost, the memory per idle connection, and how much slower the
 * others were.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { partyId } from "../src/base/brands.ts";
import { systemRng } from "../src/base/rng.ts";
import { createAuthority, issueLeaf } from "../src/pki/authority.ts";
import { pinOf } from "../src/pki/pin.ts";
import { MessageType } from "../src/transport/message_types.ts";
import { Transport } from "../src/transport/transport.ts";
import { CLUSTER, type CrowdOrder, type CrowdSetup, identityOf, rosterOf } from "../tests/bench/crowd.ts";
import { linesOf } from "../tests/faults/peer_process.ts";

const USAGE = `deno task connections [--parties N] [--active N] [--messages N]

  --parties N   how many link with the node, more than are active (1000)
  --active N    how many of them send at once (100)
  --messages N  how many messages of 256 bytes each of those sends (1000)`;
const WANTED_KB = 90;
const WANTED_RATIO = 2;

/** The other process. */
class Crowd {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<string>;

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--frozen",
        "-A",
        new URL("../tests/bench/crowd.ts", import.meta.url).pathname,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  async tell(order: CrowdSetup | CrowdOrder): Promise<Record<string, unknown>> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the crowd ended");
    return JSON.parse(value);
  }

  async end(): Promise<void> {
    await this.#input.close();
    await this.#child.status;
  }
}

async function main(args: string[]): Promise<number> {
  const numbers = readOptions(args);
  if (numbers === undefined) {
    console.error(USAGE);
    return 64;
  }
  const { parties, active, messages } = numbers;
  const hub = await makeHub(parties);
  await hub.transport.start();
  const crowd = new Crowd();
  const flooder = new Crowd();
  try {
    const last = { ...hub.setup, first: parties, leaves: hub.setup.leaves.slice(-1) };
    await flooder.tell({ ...last, port: hub.transport.port as number });
    await settle();
    const before = Deno.memoryUsage().rss;
    const since = performance.now();
    const others = { ...hub.setup, first: 1, leaves: hub.setup.leaves.slice(0, -1) };
    await crowd.tell({ ...others, port: hub.transport.port as number });
    console.log(`${parties} parties linked in ${seconds(since)} s, handshakes of both sides on this machine`);
    await settle();
    const perLink = (Deno.memoryUsage().rss - before) / (parties - 1) / 1024;
    const kept = judge(perLink <= WANTED_KB);
    console.log(
      `memory per idle connection: ${perLink.toFixed(0)} KB (wanted: at most ${WANTED_KB} KB) ${kept}`,
    );
    const whole = await carryAll({ hub: hub.transport, crowd, active, messages });
    const fair = await withstand(hub.transport, crowd, flooder);
    const linked = hub.transport.metrics().activeConnections;
    console.log(`links at the end: ${linked} of ${parties} ${judge(linked === parties)}`);
    return perLink <= WANTED_KB && whole && fair && linked === parties ? 0 : 1;
  } finally {
    await Promise.all([crowd.end(), flooder.end()]);
    await hub.transport.stop({ drainMs: 0 });
  }
}

/** Everybody active sends at once; each peer's messages must come whole and in order. */
async function carryAll(options: {
  readonly hub: Transport;
  readonly crowd: Crowd;
  readonly active: number;
  readonly messages: number;
}): Promise<boolean> {
  const { hub, crowd, active, messages } = options;
  const next = new Map<number, number>();
  let misplaced = 0;
  let arrived = 0;
  const all = Promise.withResolvers<void>();
  const stop = hub.on(MessageType.SIGN_ROUND_1, ({ from, payload }) => {
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    if (number !== (next.get(from) ?? 0)) misplaced++;
    next.set(from, number + 1);
    if (++arrived === active * messages) all.resolve();
  });
  const since = performance.now();
  await crowd.tell({ kind: "send", parties: active, messages, bytes: 256 });
  const timer = setTimeout(() => all.resolve(), 30_000);
  await all.promise;
  clearTimeout(timer);
  stop();
  const lost = active * messages - arrived;
  const rate = Math.round(arrived / Number(seconds(since))).toLocaleString("en");
  console.log(
    `${active} parties sent ${messages} messages each at once: ${lost} lost, ${misplaced} out of order, ${rate} /s ` +
      judge(lost + misplaced === 0),
  );
  return lost + misplaced === 0;
}

/** The 99th percentile of others, without and with a flood. */
async function withstand(hub: Transport, crowd: Crowd, flooder: Crowd): Promise<boolean> {
  hub.on(
    MessageType.SIGN_ROUND_2,
    ({ from }) => hub.send(from, { type: MessageType.ACK, payload: new Uint8Array(8) }),
  );
  hub.on(MessageType.SIGN_ROUND_3, () => {});
  const order = { kind: "ask", parties: 10, rounds: 200 } as const;
  const p99 = async () => percentile((await crowd.tell(order)).times as number[], 0.99);
  await p99();
  const times: Record<"quiet" | "flooded", number[]> = { quiet: [], flooded: [] };
  // By turns, so that what else the machine does meets both alike.
  for (let i = 0; i < 5; i++) {
    times.quiet.push(await p99());
    await flooder.tell({ kind: "flood" });
    // The burst that everybody may send after a pause is over then.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    times.flooded.push(await p99());
    await flooder.tell({ kind: "stop-flood" });
  }
  const [quiet, flooded] = [percentile(times.quiet, 0.5), percentile(times.flooded, 0.5)];
  const { rate } = hub.metrics().peers.at(-1) as ReturnType<Transport["metrics"]>["peers"][number];
  const ratio = flooded / quiet;
  console.log(
    `round trip of 10 others, 99th percentile: ${quiet.toFixed(2)} ms, while one party floods ` +
      `${flooded.toFixed(2)} ms: ${ratio.toFixed(1)} times (wanted: at most ${WANTED_RATIO}) ` +
      `${judge(ratio <= WANTED_RATIO)}; the flooder waited ${rate.limited.toLocaleString("en")} times`,
  );
  return ratio <= WANTED_RATIO;
}

async function makeHub(count: number) {
  const authority = await createAuthority({ cluster: CLUSTER });
  const leaves = [];
  for (let i = 1; i <= count + 1; i++) {
    leaves.push(await issueLeaf({ authority, cluster: CLUSTER, party: `p${i}`, host: "127.0.0.1" }));
  }
  const pins = leaves.map((leaf) => pinOf(leaf.certPem));
  const own = leaves.pop() as typeof leaves[number];
  const many = { perSecond: 1e4, burst: 1e4 };
  const transport = new Transport({
    roster: rosterOf(count),
    self: partyId(count + 1),
    listen: "127.0.0.1:0",
    addressOf: () => undefined,
    tls: { ...own, authoritiesPem: authority.certPem },
    pins: new Map(pins.map((pin, i) => [partyId(i + 1), [pin]])),
    identity: identityOf(count + 1),
    rng: systemRng,
    // All parties have one address here, which is throttled otherwise.
    limits: { connectionRates: { perAddress: many, total: many } },
  });
  const setup: Omit<CrowdSetup, "port" | "first"> = {
    count,
    authorityPem: authority.certPem,
    leaves,
    hubPin: pins.pop() as string,
    pins,
  };
  return { transport, setup };
}

function readOptions(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        parties: { type: "string", default: "1000" },
        active: { type: "string", default: "100" },
        messages: { type: "string", default: "1000" },
      },
    });
    const [parties, active, messages] = [values.parties, values.active, values.messages].map(Number);
    const isRight = [parties, active, messages].every((n) => Number.isInteger(n) && (n as number) > 0);
    if (!isRight || Math.max(10, active as number) >= (parties as number)) return undefined;
    return { parties, active, messages } as { parties: number; active: number; messages: number };
  } catch {
    return undefined;
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] as number;
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}

function judge(isGood: boolean): string {
  return isGood ? "ok" : "NOT REACHED";
}

Deno.exit(await main(Deno.args));
