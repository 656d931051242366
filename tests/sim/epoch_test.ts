/**
 * Refresh and reshare under crashes: every subset of parties, at every frame sent, frame received and record written
 * (FAULTS.md C1, C2, S5). At every moment the members of the newest certified epoch all have its shares; no epoch number is
 * certified twice; and running the command again, at all parties, leads to one epoch that all of them have.
 */

import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import { hex, u16, u8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import type { Definition } from "../../src/protocols/protocol.ts";
import type { EpochResult } from "../../src/protocols/reshare/certify.ts";
import { endorsedOf, epochDigest, recordOfStored } from "../../src/protocols/reshare/held.ts";
import { refresh } from "../../src/protocols/reshare/refresh.ts";
import { reshare } from "../../src/protocols/reshare/reshare.ts";
import { Keyring, type MemoryStore, subsets } from "../protocols/reshare/support.ts";
import { type Slot, World } from "./world.ts";

/** One command, run at all its parties. */
interface Command {
  readonly parties: number;
  readonly policy: string;
  /** Who has a share when it is over. */
  readonly members: readonly string[];
  start(ring: Keyring, world: World, party: PartyId): Slot<EpochResult>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  "refresh, 2 parties": refreshOf("and(alice, bob)", ["alice", "bob"]),
  "refresh, 3 parties": refreshOf("2 of (alice, bob, carol)", ["alice", "bob", "carol"]),
  "reshare, 2 parties": reshareOf("and(alice, bob)", "2 of (bob, alice)", ["alice", "bob"], []),
  "reshare, 3 parties, one only deals and one only receives": reshareOf(
    "and(alice, bob)",
    "and(bob, carol)",
    ["bob", "carol"],
    ["alice"],
  ),
};

const TIMEOUT_MS = 10_000;
const OVER_MS = 100_000;

for (const [name, command] of Object.entries(COMMANDS)) {
  Deno.test(`crashes: ${name}`, () => {
    const endings = new Map<string, Map<PartyId, MemoryStore>>();
    let runs = 0;
    for (const crash of crashesOf(command)) {
      runs++;
      const ring = makeRing(command);
      runWith(command, ring, crash);
      const ending = describe(ring);
      if (!endings.has(ending)) endings.set(ending, ring.stores);
    }
    assert.ok(runs > 40 * (command.parties - 1), `${runs} crashes`);
    // What a run that ended left behind is all that the next one knows.
    for (const [ending, stores] of endings) {
      runAgain(command, makeRing(command, stores), ending);
    }
    assert.ok(endings.size > command.parties, `${endings.size} endings`);
  });
}

/** Crashes in the second run too: it begins where the first one ended half-way. */
Deno.test("crashes: refresh, 2 parties, in two runs after each other", () => {
  const command = COMMANDS["refresh, 2 parties"] as Command;
  const endings = new Map<string, Map<PartyId, MemoryStore>>();
  for (const crash of crashesOf(command)) {
    const ring = makeRing(command);
    runWith(command, ring, crash);
    endings.set(describe(ring), ring.stores);
  }
  const second = new Map<string, Map<PartyId, MemoryStore>>();
  for (const stores of endings.values()) {
    for (const crash of crashesOf(command)) {
      const ring = makeRing(command, stores);
      runWith(command, ring, crash, "second");
      second.set(describe(ring), ring.stores);
    }
  }
  for (const [ending, stores] of second) {
    runAgain(command, makeRing(command, stores), ending);
  }
  assert.ok(second.size > endings.size, `${second.size} endings`);
});

/** Which processes end together, and before which action of which of them. */
interface CrashPlan {
  readonly party: PartyId;
  readonly step: number;
  readonly with: readonly PartyId[];
}

/** Every action of every party, with every set of others. */
function* crashesOf(command: Command): Generator<CrashPlan> {
  const { world } = runWith(command, makeRing(command), undefined);
  const parties = world.parties;
  for (const party of parties) {
    const others = subsets(parties.filter((other) => other !== party));
    for (let step = 1; step <= world.steps(party); step++) {
      for (const others_ of others) yield { party, step, with: others_ };
    }
  }
}

/** The key as it was made, or as an earlier run left it. */
function makeRing({ policy }: Command, stores?: ReadonlyMap<PartyId, MemoryStore>): Keyring {
  const ring = new Keyring(policy, { seed: "crash", identityOf: (party) => sha256(u8(7), u16(party)) });
  for (const [party, store] of stores ?? []) ring.stores.set(party, store.clone());
  return ring;
}

/** One run of the command until nothing moves any more. */
function runWith(
  command: Command,
  ring: Keyring,
  crash: CrashPlan | undefined,
  seed = "first",
): { readonly world: World; readonly slots: readonly Slot<EpochResult>[] } {
  const world: World = new World({
    seed,
    parties: command.parties,
    timeoutMs: TIMEOUT_MS,
    mode: "command",
    onRecord: (party, record) => {
      ring.store(party).write(record);
      requireUsable(ring);
    },
    ...(crash === undefined ? {} : {
      crash: { party: crash.party, step: crash.step },
      onCrash: () => crash.with.forEach((other) => world.kill(other)),
    }),
  });
  const slots = world.parties.map((party) => command.start(ring, world, party));
  world.run(OVER_MS);
  requireUsable(ring);
  const dead = crash === undefined ? [] : [crash.party, ...crash.with];
  for (const [k, slot] of slots.entries()) {
    const party = world.parties[k] as PartyId;
    assert.ok(slot.outcome !== undefined || dead.includes(party), `party ${party} never ended`);
    if (slot.outcome?.ok === false) {
      assert.notEqual(slot.outcome.error.code, "INVARIANT", slot.outcome.error.message);
    }
  }
  return { world, slots };
}

/** The same command at all parties: it completes the epoch, or makes another one, and everybody has it. */
function runAgain(command: Command, ring: Keyring, ending: string): void {
  const before = newestCertified(ring);
  const { slots } = runWith(command, ring, undefined, "again");
  const epochs = new Set<number>();
  for (const { outcome } of slots) {
    assert.ok(outcome?.ok, `after ${ending}: ${outcome?.ok === false && outcome.error.message}`);
    epochs.add(outcome.value.record.epoch);
    if (ending.includes(`pending ${before}`)) assert.equal(outcome.value.outcome, "completed");
  }
  assert.equal(epochs.size, 1, ending);
  const [epoch] = [...epochs] as [number];
  ring.holds(epoch, command.members);
  // Nothing below it is left anywhere, and no attempt above it could still be certified by these parties.
  for (const store of ring.stores.values()) for (const e of store.rows.keys()) assert.ok(e >= epoch, ending);
}

/** S5: the members of the newest certified epoch all have its shares; and nobody has two attempts of one number. */
function requireUsable(ring: Keyring): void {
  const newest = newestCertified(ring);
  const digests = new Map<number, Set<string>>();
  for (const store of ring.stores.values()) {
    for (const { state, key } of store.held()) {
      if (state === "pending") continue;
      const { epoch } = recordOfStored(key);
      digests.set(epoch, (digests.get(epoch) ?? new Set()).add(hex(epochDigest(endorsedOf(key)))));
    }
  }
  for (const [epoch, of] of digests) assert.equal(of.size, 1, `epoch ${epoch} is certified twice`);
  const certified = [...ring.stores.values()].flatMap((store) => store.held())
    .find(({ state, key }) => state !== "pending" && recordOfStored(key).epoch === newest)?.key;
  assert.ok(certified !== undefined);
  const record = recordOfStored(certified);
  const digest = epochDigest(endorsedOf(certified));
  for (const { index, name } of record.members) {
    const own = ring.store(index).held().find(({ key }) => hex(epochDigest(endorsedOf(key))) === hex(digest));
    assert.ok(
      own !== undefined && "share" in own.key,
      `${name} has no share of the certified epoch ${newest}`,
    );
  }
}

function newestCertified(ring: Keyring): number {
  const epochs = [...ring.stores.values()].flatMap((store) =>
    [...store.rows].flatMap(([epoch, { state }]) => state === "pending" ? [] : [epoch])
  );
  return Math.max(...epochs);
}

/** What is on all disks, in words. */
function describe(ring: Keyring): string {
  return [...ring.stores].map(([party, store]) =>
    `${party}: ${[...store.rows].map(([epoch, { state }]) => `${state} ${epoch}`).sort().join(", ")}`
  ).join("; ");
}

function refreshOf(policy: string, members: readonly string[]): Command {
  return {
    parties: members.length,
    policy,
    members,
    start: (ring, world, party) => begin(world, party, refresh, () => ring.refreshInput(party)),
  };
}

function reshareOf(
  policy: string,
  to: string,
  members: readonly string[],
  dealers: readonly string[],
): Command {
  return {
    parties: members.length + dealers.length,
    policy,
    members,
    start: (ring, world, party) => begin(world, party, reshare, () => ring.reshareInput(party, to, dealers)),
  };
}

function begin<I>(
  world: World,
  party: PartyId,
  definition: Definition<I, EpochResult>,
  input: () => I,
): Slot<EpochResult> {
  return world.start(party, definition, input());
}
