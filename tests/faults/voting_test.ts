import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { type Bytes, concat, hex } from "../../src/base/bytes.ts";
import { TransportError, UsageError } from "../../src/base/errors.ts";
import { HandOff, type HandOffEvent } from "../../src/node/hand_off.ts";
import type { Coordination } from "../../src/storage/coordination.ts";
import { sendOutbox } from "../../src/storage/outbox.ts";
import type { Records } from "../../src/storage/records.ts";
import { SqliteStore } from "../../src/storage/sqlite_stores.ts";
import { certificateFault, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { encodeItem } from "../../src/voting/items.ts";
import { makeMembership } from "../../src/voting/membership.ts";
import { verifyOffence } from "../../src/voting/offence.ts";
import { reputationOf } from "../../src/voting/reputation.ts";
import { type LedgerLike, type Voter, Voters } from "./voters.ts";

/** Nobody is accused of anything at any honest voter. */
function blameless(voters: Voters): void {
  deepEqual(voters.honest.filter(({ isUp }) => isUp).flatMap(({ service }) => service.offences), []);
}

/** Every decision verifies with the membership alone. */
function verifies(voters: Voters, txId: string): void {
  for (const { service, isUp } of voters.honest) {
    if (!isUp) continue;
    const certificate = service.certificate(txId);
    ok(certificate !== undefined);
    equal(certificateFault(voters.membership, certificate), undefined);
  }
}

/** Waits until all honest voters hold the same offences, and gives their kinds with the subject. */
async function offences(voters: Voters, count: number): Promise<string[]> {
  await voters.cluster.until(
    "all know the offence",
    () => voters.honest.every(({ service }) => service.offences.length >= count),
  );
  const lists = voters.honest.map(({ service }) => {
    for (const { proof } of service.offences) ok(verifyOffence(voters.membership, proof) !== undefined);
    return service.offences.map(({ id, kind, subject }) => `${kind} ${subject} ${hex(id)}`).sort();
  });
  for (const list of lists) deepEqual(list, lists[0]);
  return (lists[0] ?? []).map((text) => text.split(" ").slice(0, 2).join(" "));
}

Deno.test("V1 concurrent double votes are counted once each, and are proven at all", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    // To different members at the same moment.
    voters.say(5, 1, [{ kind: "vote", vote: voters.vote(5, "tx", 42n) }]);
    voters.say(5, 2, [{ kind: "vote", vote: voters.vote(5, "tx", 43n) }]);
    for (const i of [1, 2, 3]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    deepEqual(await offences(voters, 1), ["double-vote 5"]);
    for (const { service } of voters.honest) {
      const voted = service.certificate("tx")?.votes.map(({ voter }) => voter) ?? [];
      equal(new Set(voted).size, voted.length);
    }
    verifies(voters, "tx");
  });
});

Deno.test("V1 the same vote again is no offence, and a second one after a restart of the observer is", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    const first = { kind: "vote", vote: voters.vote(5, "tx", 42n) } as const;
    for (let i = 0; i < 3; i++) voters.say(5, 1, [first, first]);
    await voters.cluster.until(
      "the vote is known",
      () => voters.honest.every(({ service }) => service.status("tx") !== undefined),
    );
    await voters.quiet();
    blameless(voters);
    for (const voter of voters.honest) voter.restart();
    voters.say(5, 3, [{ kind: "vote", vote: voters.vote(5, "tx", 43n) }]);
    deepEqual(await offences(voters, 1), ["double-vote 5"]);
  });
});

Deno.test("V1 a double vote across a partition is proven when it heals", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    voters.cluster.between([1, 2], [3, 4], { kind: "drop" });
    voters.say(5, 1, [{ kind: "vote", vote: voters.vote(5, "tx", 42n) }]);
    voters.say(5, 3, [{ kind: "vote", vote: voters.vote(5, "tx", 43n) }]);
    await voters.cluster.until(
      "both sides know a vote",
      () => voters.honest.every(({ service }) => service.status("tx") !== undefined),
    );
    blameless(voters);
    voters.cluster.between([1, 2], [3, 4], { kind: "pass" });
    deepEqual(await offences(voters, 1), ["double-vote 5"]);
  });
});

Deno.test("V2 a vote for another value is dissent: no offence, and the transaction is decided", async () => {
  await Voters.run({}, async (voters) => {
    voters.cast(5, "tx", 7n);
    for (const i of [1, 2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    await voters.quiet();
    blameless(voters);
    for (const { service } of voters.honest) {
      equal(reputationOf(service.offences, voters.voter(5).id, 0), 100);
    }
  });
});

Deno.test("V3 a forged vote blames the member that passed it on, never the one that it names", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    const forged = { ...voters.vote(5, "tx", 42n), voter: voters.voter(1).id };
    voters.say(5, 2, [{ kind: "vote", vote: forged }]);
    deepEqual(await offences(voters, 1), ["invalid-signature 5"]);
    for (const { service } of voters.honest) equal(service.status("tx"), undefined);
  });
});

Deno.test("V3 an envelope in another member's name ends the link, and proves nothing", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    voters.say(5, 2, [{ kind: "vote", vote: voters.vote(5, "tx", 42n) }], { from: 1 });
    await voters.cluster.until(
      "the link is ended",
      () => voters.voter(2).events.some(({ kind }) => kind === "closed"),
    );
    await voters.quiet();
    blameless(voters);
    for (const { service } of voters.honest) equal(service.status("tx"), undefined);
  });
});

Deno.test("V4 votes of strangers, other epochs, other clusters and unknown schemas count for nothing", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    const { membership } = voters;
    const input = {
      cluster: membership.cluster,
      epoch: membership.epoch,
      quorum: membership.quorum,
      voters: membership.voters.map(({ name, key }) => ({ name, key: key.publicKey })),
    };
    const strangers = [
      makeMembership({ ...input, cluster: "other" }),
      makeMembership({ ...input, epoch: 9 }),
      makeMembership({ ...input, quorum: 5, faults: 0 }),
    ];
    for (const stranger of strangers) {
      voters.say(5, 1, [{ kind: "vote", vote: voters.vote(5, "tx", 42n, stranger) }]);
    }
    voters.say(5, 1, [{ kind: "vote", vote: { ...voters.vote(5, "tx", 42n), voter: 6 as never } }]);
    await voters.cluster.until("all are counted", () => voters.voter(1).service.counts.mismatch >= 4);
    blameless(voters);
    for (const { service } of voters.honest) equal(service.status("tx"), undefined);
    // A schema that nobody knows does not decode: that is the sender's offence.
    const encoded = encodeItem({ kind: "vote", vote: voters.vote(5, "tx", 42n) });
    voters.sayRaw(5, 2, [unknownSchema(encoded)]);
    deepEqual(await offences(voters, 1), ["invalid-signature 5"]);
  });
});

Deno.test("V5 votes after the decision are stored and shown, and are no offence", async () => {
  await Voters.run({}, async (voters) => {
    for (const i of [1, 2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    throws(() => voters.cast(5, "tx", 43n), { code: "ALREADY_DECIDED" });
    voters.cast(5, "tx", 42n);
    await voters.quiet();
    blameless(voters);
  });
});

Deno.test("V6 two members that cheat together decide nothing against the others, and get nobody blamed", async () => {
  await Voters.run({ actors: [4, 5] }, async (voters) => {
    // f_s = 2: with both of them, three honest members are not enough for two values.
    for (const actor of [4, 5]) {
      for (const to of [1, 2, 3]) {
        voters.say(
          actor,
          to,
          [42n, 43n].map((value) => ({ kind: "vote", vote: voters.vote(actor, "tx", value) })),
        );
      }
    }
    for (const i of [1, 2]) voters.cast(i, "tx", 42n);
    voters.cast(3, "tx", 43n);
    await voters.decided("tx", 42n);
    deepEqual((await offences(voters, 2)).sort(), ["double-vote 4", "double-vote 5"]);
    for (const { service } of voters.honest) equal(service.alarm, undefined);
    verifies(voters, "tx");
  });
});

Deno.test("V7 a member that floods names of transactions fills its own places, and nobody else's", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    const flood = Array.from({ length: 200 }, (_, i) => i);
    voters.say(5, 1, flood.map((i) => ({ kind: "vote", vote: voters.vote(5, `flood ${i}`, 1n) })));
    await voters.cluster.until("the quota holds", () => voters.voter(1).service.counts.overQuota >= 100);
    for (const i of [1, 2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    const open = flood.filter((i) => voters.voter(1).service.status(`flood ${i}`) !== undefined);
    equal(open.length, 64);
    blameless(voters);
  });
});

Deno.test("V8 a score is a function of the proofs: the same after a restart, and after proofs that come twice", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    const proof = async () => {
      const pair = [42n, 43n].map((value) => ({ kind: "vote", vote: voters.vote(5, "tx", value) }) as const);
      voters.say(5, 1, pair);
      return await offences(voters, 1);
    };
    await proof();
    const scores = () =>
      voters.honest.map(({ service }) =>
        voters.membership.voters.map(({ index }) => reputationOf(service.offences, index, Date.now()))
      );
    const before = scores();
    deepEqual(before[0], [100, 100, 100, 100, 0]);
    for (const voter of voters.honest) voter.restart();
    const [stored] = voters.voter(1).service.offences;
    ok(stored !== undefined);
    // A forged proof: two votes of another member that it never signed.
    voters.say(5, 2, [
      { kind: "offence", proof: stored.proof },
      {
        kind: "offence",
        proof: {
          kind: "double-vote",
          votes: [voters.vote(5, "t", 1n), voters.vote(5, "t", 2n)].map((vote) => ({
            ...vote,
            voter: 1,
          })) as never,
        },
      },
    ]);
    await voters.quiet();
    deepEqual(scores(), before);
  });
});

Deno.test("N1 partition 4/1: the four decide, the one learns it when the partition heals, nobody is accused", async () => {
  await Voters.run({}, async (voters) => {
    voters.cluster.between([5], [1, 2, 3, 4], { kind: "drop" });
    voters.cast(5, "tx", 42n);
    for (const i of [1, 2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n, 1, 2, 3, 4);
    equal(voters.voter(5).service.status("tx")?.state, "undecided");
    voters.cluster.between([5], [1, 2, 3, 4], { kind: "pass" });
    await voters.decided("tx", 42n);
    blameless(voters);
  });
});

Deno.test("N1 partition 3/2: neither side decides, and both heal into one decision", async () => {
  await Voters.run({}, async (voters) => {
    voters.cluster.between([1, 2, 3], [4, 5], { kind: "drop" });
    for (const i of [1, 2, 3, 4, 5]) voters.cast(i, "tx", 42n);
    await voters.quiet();
    for (const { service } of voters.honest) equal(service.status("tx")?.state, "undecided");
    voters.cluster.between([1, 2, 3], [4, 5], { kind: "pass" });
    await voters.decided("tx", 42n);
    blameless(voters);
    verifies(voters, "tx");
  });
});

Deno.test("N2 one-way partition: votes reach the member that is not heard, and the other way, over the others", async () => {
  await Voters.run({}, async (voters) => {
    for (const to of [1, 2]) voters.cluster.fault(5, to, { kind: "drop" });
    for (const i of [1, 2, 3, 5]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    blameless(voters);
  });
});

Deno.test("N3 a ring of links is enough: votes are relayed, and nobody is accused of what others say", async () => {
  await Voters.run({}, async (voters) => {
    const ring = [[1, 2], [2, 3], [3, 4], [4, 5], [1, 5]].map(([a, b]) => `${a} ${b}`);
    for (let a = 1; a <= 5; a++) {
      for (let b = a + 1; b <= 5; b++) {
        if (!ring.includes(`${a} ${b}`)) voters.cluster.between([a], [b], { kind: "drop" });
      }
    }
    for (const i of [1, 2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    blameless(voters);
  });
});

/** Ends the process at the k-th transaction, before or after it. */
class Failpoint {
  readonly after: boolean;
  left: number;
  hit = false;

  constructor(left: number, after: boolean) {
    this.left = left;
    this.after = after;
  }

  wrap(ledger: LedgerLike): LedgerLike {
    return {
      find: (...args) => ledger.find(...args),
      transact: (work) => {
        const isHere = --this.left === 0;
        if (isHere && !this.after) this.#fail();
        const result = ledger.transact(work);
        if (isHere) this.#fail();
        return result;
      },
    };
  }

  #fail(): never {
    this.hit = true;
    throw new UsageError("STORE_UNWRITABLE", "the process ended here");
  }
}

Deno.test("C1 a crash before or after any write, and a restart, never make an honest member vote twice", async () => {
  let points = 0;
  for (let place = 1; place < 40; place++) {
    let hit = false;
    for (const after of [false, true]) {
      const failpoint = new Failpoint(place, after);
      const wrap = (voter: number, ledger: LedgerLike) =>
        voter === 1 && !failpoint.hit ? failpoint.wrap(ledger) : ledger;
      await Voters.run({ members: 4, quorum: 3, ledger: wrap, digestMs: 50 }, async (voters) => {
        const first = voters.voter(1);
        const attempt = (value: bigint) => {
          try {
            if (first.isUp) voters.cast(1, "tx", value);
          } catch (error) {
            ok(error instanceof UsageError, String(error));
          }
        };
        attempt(42n);
        for (const i of [2, 3]) voters.cast(i, "tx", 42n);
        for (let i = 0; i < 20 && !failpoint.hit; i++) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        first.restart();
        // The operator tries another value after the crash.
        attempt(43n);
        attempt(42n);
        await voters.cluster.until(
          "the three who are up decide, or cannot",
          () => [2, 3, 4].every((i) => (voters.voter(i).service.status("tx")?.missing.length ?? 9) <= 1),
        );
        blameless(voters);
        for (const { service } of voters.honest) equal(service.alarm, undefined);
      });
      hit ||= failpoint.hit;
      if (failpoint.hit) points++;
    }
    if (!hit) break;
  }
  ok(points >= 4, `${points} failpoints were reached`);
});

Deno.test("C3 a crash after signing and before sending: the same vote is sent again, and no other", async () => {
  await Voters.run({}, async (voters) => {
    const first = voters.voter(1);
    voters.cluster.between([1], [2, 3, 4, 5], { kind: "drop" });
    voters.cast(1, "tx", 42n);
    first.restart();
    throws(() => voters.cast(1, "tx", 43n), { code: "ALREADY_VOTED" });
    voters.cluster.between([1], [2, 3, 4, 5], { kind: "pass" });
    for (const i of [2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    blameless(voters);
  });
});

Deno.test("D1 a full disk refuses a vote before it is signed, is said, and mends without a restart", async () => {
  let full = false;
  const ledger = (voter: number, own: LedgerLike): LedgerLike => ({
    find: (...args) => own.find(...args),
    transact: (work) => {
      if (voter === 1 && full) {
        throw new UsageError("STORE_UNWRITABLE", "cannot use the store: the disk is full");
      }
      return own.transact(work);
    },
  });
  await Voters.run({ ledger }, async (voters) => {
    full = true;
    const first: Voter = voters.voter(1);
    throws(() => voters.cast(1, "tx", 42n), { code: "STORE_UNWRITABLE" });
    deepEqual(first.service.unready().map(({ reason }) => reason), ["store"]);
    for (const i of [2, 3]) voters.cast(i, "tx", 42n);
    await voters.quiet();
    for (const i of [2, 3, 4, 5]) {
      ok(voters.voter(i).service.status("tx")?.missing.includes("alice"), "nobody has a vote of alice");
    }
    full = false;
    voters.cast(1, "tx", 42n);
    voters.cast(4, "tx", 42n);
    await voters.decided("tx", 42n);
    deepEqual(first.service.unready(), []);
    blameless(voters);
  });
});

Deno.test("B1 a member that says one thing to some and another to the others is proven guilty, and decides nothing", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    for (const to of [1, 2]) voters.say(5, to, [{ kind: "vote", vote: voters.vote(5, "tx", 42n) }]);
    for (const to of [3, 4]) voters.say(5, to, [{ kind: "vote", vote: voters.vote(5, "tx", 43n) }]);
    for (const i of [1, 2]) voters.cast(i, "tx", 42n);
    for (const i of [3, 4]) voters.cast(i, "tx", 43n);
    deepEqual(await offences(voters, 1), ["double-vote 5"]);
    await voters.quiet();
    for (const { service } of voters.honest) equal(service.status("tx")?.state, "undecided");
  });
});

Deno.test("B2 a vote that is sent to one member alone reaches all, and the decision with it", async () => {
  await Voters.run({ actors: [5] }, async (voters) => {
    for (const i of [1, 2, 3]) voters.cast(i, "tx", 42n);
    voters.say(5, 4, [{ kind: "vote", vote: voters.vote(5, "tx", 42n) }]);
    await voters.decided("tx", 42n);
    blameless(voters);
  });
});

Deno.test("P1 without the store of records decisions go on, records wait and arrive once; a full outbox refuses votes", async () => {
  await Voters.run({ outboxLimit: 12 }, async (voters) => {
    const { outbox, service } = voters.voter(1);
    for (const tx of ["a", "b"]) for (const i of [1, 2, 3, 4]) voters.cast(i, tx, 42n);
    await voters.decided("a", 42n);
    await voters.decided("b", 42n);
    await voters.cluster.until("the outbox fills", () => {
      try {
        service.cast(`more ${outbox.waiting}`, { schema: "integer", integer: 1n });
        return false;
      } catch (error) {
        equal((error as UsageError).code, "OUTBOX_FULL");
        return true;
      }
    });
    // Decisions of others go on, and are recorded.
    for (const i of [2, 3, 4, 5]) voters.cast(i, "c", 42n);
    await voters.decided("c", 42n, 1);
    const directory = Deno.makeTempDirSync();
    const store = SqliteStore.open({ path: `${directory}/records.sqlite` });
    let failures = 3;
    const flaky = {
      head: (stream: string) => store.head(stream),
      append: async (stream: string, rows: Parameters<Records["append"]>[1]) => {
        if (failures-- > 0) {
          if (failures === 1) await store.append(stream, rows);
          if (failures === 1) return { ok: false, reason: "unknown" } as const;
          throw new TransportError("STORE_UNAVAILABLE", "down", { parties: [] });
        }
        return await store.append(stream, rows);
      },
    } as unknown as Records;
    const stop = new AbortController();
    const sending = sendOutbox(outbox, flaky, { signal: stop.signal, retryMs: { first: 1, max: 5 } });
    await voters.cluster.until("all records have arrived", () => outbox.waiting === 0);
    stop.abort();
    await sending;
    const rows = await store.read("1", 0n, 1000);
    deepEqual(rows.map(({ seq }) => seq), rows.map((_, i) => BigInt(i + 1)));
    equal(rows.filter(({ kind }) => kind === "decision").length, 3);
    service.cast("after", { schema: "integer", integer: 1n });
    await store[Symbol.asyncDispose]();
    Deno.removeSync(directory, { recursive: true });
  });
});

Deno.test("P2 without the store of coordination decisions go on, and are handed off when it is back", async () => {
  await Voters.run({}, async (voters) => {
    for (const i of [1, 2, 3, 4]) voters.cast(i, "tx", 42n);
    await voters.decided("tx", 42n);
    const directory = Deno.makeTempDirSync({ prefix: "quorate-hand-off-" });
    const store = SqliteStore.open({ path: `${directory}/shared.sqlite` });
    let failures = 2;
    const flaky = {
      create: async (...args: Parameters<Coordination["create"]>) => {
        if (failures-- > 0) throw new TransportError("STORE_UNAVAILABLE", "no leader", { parties: [] });
        return await store.create(...args);
      },
      get: (key: string) => store.get(key),
    } as unknown as Coordination;
    const events: HandOffEvent["kind"][] = [];
    const stop = new AbortController();
    const rows = new Set<string>();
    const handOff = new HandOff({
      coordination: flaky,
      ledger: {
        find: () => [],
        transact: (work) =>
          work({ find: () => [], put: (_table, row) => rows.add(JSON.stringify(row)), remove: () => {} }),
      },
      membershipAt: () => voters.membership,
      retryMs: { first: 1, max: 5 },
      on: ({ kind }) => {
        events.push(kind);
        if (kind === "done") stop.abort();
      },
    });
    handOff.add(voters.voter(1).service.certificate("tx") as QuorumCertificate);
    await handOff.run(stop.signal);
    deepEqual(events, ["waiting", "waiting", "done"]);
    equal(rows.size, 1);
    await store[Symbol.asyncDispose]();
    Deno.removeSync(directory, { recursive: true });
  });
});

Deno.test("VotingService waits for a decision, and ends with the signal", async () => {
  await Voters.run({}, async (voters) => {
    const { service } = voters.voter(1);
    const waiting = service.decision("tx", 10_000, new AbortController().signal);
    for (const i of [2, 3, 4, 5]) voters.cast(i, "tx", 42n);
    equal((await waiting)?.state, "decided");
    equal(await service.decision("never", 1, new AbortController().signal), undefined);
    equal(await service.decision("never", 10_000, AbortSignal.abort()), undefined);
  });
});

/** The encoding of a vote with a schema that does not exist. */
function unknownSchema(item: Bytes): Bytes {
  const text = hex(item);
  // The value 42 as an integer: schema 1, eight bytes.
  const at = text.indexOf("0001000000000000002a");
  if (at < 0) throw new Error("the value is not where it was");
  return concat(Uint8Array.fromHex(text.slice(0, at) + "0063" + text.slice(at + 4)));
}
