/**
 * Refresh and reshare under crashes: every subset of parties, at every frame sent, frame received and record written
 * (FAULTS.md C1, C2, S5). At every moment the members of the newest certified epoch all have its shares; no epoch number is
 * certified twice; and running the command again, at all parties, leads to one epoch that all of them have.
 */

import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { u16, u8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { frostRefresh, type FrostRefreshResult } from "../../src/protocols/frost/refresh.ts";
import type { EpochResult } from "../../src/protocols/reshare/certify.ts";
import { refresh } from "../../src/protocols/reshare/refresh.ts";
import { reshare } from "../../src/protocols/reshare/reshare.ts";
import { Keyring, type MemoryStore, subsets } from "../protocols/reshare/support.ts";
import { epochsFault, newestCertified } from "./epoch_scenarios.ts";
import { FrostRing } from "./frost_scenarios.ts";
import { type Slot, World } from "./world.ts";

/** A key, and what its parties have stored. */
interface Ring {
  readonly stores: ReadonlyMap<PartyId, MemoryStore>;
  store(party: PartyId): MemoryStore;
}

/** What a command prints. */
interface Made {
  readonly epoch: number;
  readonly isCompleted: boolean;
}

/** One command, run at all its parties. */
interface Command<R extends Ring = Ring> {
  readonly parties: number;
  /** The key as it was made, or as an earlier run left it. */
  make(stores?: ReadonlyMap<PartyId, MemoryStore>): R;
  start(ring: R, world: World, party: PartyId): Slot<unknown>;
  madeOf(value: unknown): Made;
  /** That all who are to have a share of this epoch have it, and every quorum of them the key. */
  requireHeld(ring: R, epoch: number): void;
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
  "refresh of a FROST key, 2 parties": frostRefreshOf(2),
  "refresh of a FROST key, 3 parties": frostRefreshOf(3),
};

const TIMEOUT_MS = 10_000;
const OVER_MS = 100_000;

for (const [name, command] of Object.entries(COMMANDS)) {
  Deno.test(`crashes: ${name}`, () => {
    const endings = new Map<string, Ring["stores"]>();
    let runs = 0;
    for (const crash of crashesOf(command)) {
      runs++;
      const ring = command.make();
      runWith(command, ring, crash);
      const ending = describe(ring);
      if (!endings.has(ending)) endings.set(ending, ring.stores);
    }
    assert.ok(runs > 40 * (command.parties - 1), `${runs} crashes`);
    // What a run that ended left behind is all that the next one knows.
    for (const [ending, stores] of endings) {
      runAgain(command, command.make(stores), ending);
    }
    assert.ok(endings.size > command.parties, `${endings.size} endings`);
  });
}

/** Crashes in the second run too: it begins where the first one ended half-way. */
Deno.test("crashes: refresh, 2 parties, in two runs after each other", () => {
  const command = COMMANDS["refresh, 2 parties"] as Command;
  const endings = new Map<string, Ring["stores"]>();
  for (const crash of crashesOf(command)) {
    const ring = command.make();
    runWith(command, ring, crash);
    endings.set(describe(ring), ring.stores);
  }
  const second = new Map<string, Ring["stores"]>();
  for (const stores of endings.values()) {
    for (const crash of crashesOf(command)) {
      const ring = command.make(stores);
      runWith(command, ring, crash, "second");
      second.set(describe(ring), ring.stores);
    }
  }
  for (const [ending, stores] of second) {
    runAgain(command, command.make(stores), ending);
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
  const { world } = runWith(command, command.make(), undefined);
  const parties = world.parties;
  for (const party of parties) {
    const others = subsets(parties.filter((other) => other !== party));
    for (let step = 1; step <= world.steps(party); step++) {
      for (const others_ of others) yield { party, step, with: others_ };
    }
  }
}

/** One run of the command until nothing moves any more. */
function runWith(
  command: Command,
  ring: Ring,
  crash: CrashPlan | undefined,
  seed = "first",
): { readonly world: World; readonly slots: readonly Slot<unknown>[] } {
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
function runAgain(command: Command, ring: Ring, ending: string): void {
  const before = newestCertified(ring, [...ring.stores.keys()]);
  const { slots } = runWith(command, ring, undefined, "again");
  const epochs = new Set<number>();
  for (const { outcome } of slots) {
    assert.ok(outcome?.ok, `after ${ending}: ${outcome?.ok === false && outcome.error.message}`);
    const { epoch, isCompleted } = command.madeOf(outcome.value);
    epochs.add(epoch);
    if (ending.includes(`pending ${before}`)) assert.ok(isCompleted, ending);
  }
  assert.equal(epochs.size, 1, ending);
  const [epoch] = [...epochs] as [number];
  command.requireHeld(ring, epoch);
  // Nothing below it is left anywhere, and no attempt above it could still be certified by these parties.
  for (const store of ring.stores.values()) for (const e of store.rows.keys()) assert.ok(e >= epoch, ending);
}

/** S5: the members of the newest certified epoch all have its shares; and nobody has two attempts of one number. */
function requireUsable(ring: Ring): void {
  assert.ok(newestCertified(ring, [...ring.stores.keys()]) >= 0, "an epoch is certified");
  assert.equal(epochsFault(ring, [...ring.stores.keys()]), undefined);
}

/** What is on all disks, in words. */
function describe(ring: Ring): string {
  return [...ring.stores].map(([party, store]) =>
    `${party}: ${[...store.rows].map(([epoch, { state }]) => `${state} ${epoch}`).sort().join(", ")}`
  ).join("; ");
}

function refreshOf(policy: string, members: readonly string[]): Command<Keyring> {
  return {
    ...keyOf(policy, members),
    parties: members.length,
    start: (ring, world, party) => world.start(party, refresh, ring.refreshInput(party)),
  };
}

function reshareOf(
  policy: string,
  to: string,
  members: readonly string[],
  dealers: readonly string[],
): Command<Keyring> {
  return {
    ...keyOf(policy, members),
    parties: members.length + dealers.length,
    start: (ring, world, party) => world.start(party, reshare, ring.reshareInput(party, to, dealers)),
  };
}

function keyOf(
  policy: string,
  members: readonly string[],
): Pick<Command<Keyring>, "make" | "madeOf" | "requireHeld"> {
  const made = new Keyring(policy, { seed: "crash", identityOf: (party) => sha256(u8(7), u16(party)) });
  return {
    make: (stores) => made.fork(stores),
    madeOf(value) {
      const { record, outcome } = value as EpochResult;
      return { epoch: record.epoch, isCompleted: outcome === "completed" };
    },
    requireHeld: (ring, epoch) => void ring.holds(epoch, members),
  };
}

function frostRefreshOf(parties: number): Command<FrostRing> {
  const made = FrostRing.of(parties, secp256k1);
  return {
    parties,
    make: (stores) => made.fork(stores),
    start: (ring, world, party) => world.start(party, frostRefresh, ring.refreshInput(party)),
    madeOf(value) {
      const { share, outcome } = value as FrostRefreshResult;
      return { epoch: share.record.epoch, isCompleted: outcome === "completed" };
    },
    requireHeld(ring, epoch) {
      assert.equal(ring.sharingFault(), undefined);
      assert.equal(ring.holding(partyId(1))?.share.record.epoch, epoch);
    },
  };
}
