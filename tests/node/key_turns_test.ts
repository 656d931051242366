import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import { utf8 } from "../../src/base/bytes.ts";
import type { QuorateError } from "../../src/base/errors.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { KeyTurns } from "../../src/node/key_turns.ts";
import type { Outcome } from "../../src/session/session_types.ts";
import type { TurnSession } from "../../src/session/turn.ts";
import { ALICE, BOB, CAROL, chat, type ToyInput } from "../session/support.ts";
import { World } from "../sim/world.ts";

/** What a session of these tests did. */
class Fake implements TurnSession {
  readonly prop: Uint8Array<ArrayBuffer>;
  readonly said: string[] = [];

  constructor(order: number) {
    this.prop = new Uint8Array(32).fill(order);
  }

  wake(): void {
    this.said.push("wake");
  }

  retire({ code }: QuorateError): void {
    this.said.push(code);
  }
}

function take(turns: KeyTurns, order: number, key = "treasury") {
  const turn = turns.take(key);
  const session = new Fake(order);
  turn.enter(session);
  return { turn, session, admitted: (isComplete = true) => turn.admits(session, isComplete) };
}

const unchanged = () => "";

Deno.test("admits() waits for all participants, and for the session that runs", () => {
  const turns = new KeyTurns(unchanged);
  const first = take(turns, 2), second = take(turns, 1);
  assert.equal(first.admitted(false), false);
  assert.equal(first.admitted(), true);
  first.turn.runs();
  assert.equal(second.admitted(), false);
  first.turn[Symbol.dispose]();
  assert.deepEqual(second.session.said, ["wake"]);
  assert.equal(second.admitted(), true);
});

Deno.test("admits() prefers the lower proposal as long as the other has not begun", () => {
  const turns = new KeyTurns(unchanged);
  const high = take(turns, 2), low = take(turns, 1), higher = take(turns, 3);
  assert.equal(high.admitted(), true);
  assert.equal(higher.admitted(), false);
  assert.equal(low.admitted(), true);
  assert.equal(high.admitted(), true, "what was agreed to stays agreed to");
});

Deno.test("admits() lets sessions about different keys run at once", () => {
  const turns = new KeyTurns(unchanged);
  const one = take(turns, 1), other = take(turns, 2, "cold");
  assert.equal(one.admitted(), true);
  one.turn.runs();
  assert.equal(other.admitted(), true);
});

Deno.test("a request that changed the key ends those that wait for their turn", () => {
  let version = "epoch 0";
  const turns = new KeyTurns(() => version);
  const refresh = take(turns, 1), sign = take(turns, 2), early = take(turns, 3);
  assert.equal(refresh.admitted(), true);
  refresh.turn.runs();
  assert.equal(sign.admitted(), false);
  version = "epoch 1";
  refresh.turn[Symbol.dispose]();
  assert.deepEqual(sign.session.said, ["KEY_CHANGED", "wake"]);
  assert.deepEqual(early.session.said, ["KEY_CHANGED", "wake"]);
});

Deno.test("a session that runs is not ended by what changed beside it", () => {
  let version = "epoch 0";
  const turns = new KeyTurns(() => version);
  const running = take(turns, 2), other = take(turns, 1);
  running.admitted();
  running.turn.runs();
  version = "epoch 1";
  other.turn[Symbol.dispose]();
  assert.deepEqual(running.session.said, []);
});

Deno.test("a request that begins after the change is not ended by the ones that were", () => {
  let version = "epoch 0";
  const turns = new KeyTurns(() => version);
  const refresh = take(turns, 1), stale = take(turns, 2);
  refresh.admitted();
  refresh.turn.runs();
  version = "epoch 1";
  refresh.turn[Symbol.dispose]();
  const again = take(turns, 3);
  stale.turn[Symbol.dispose]();
  assert.deepEqual(again.session.said, ["wake"]);
});

Deno.test("take() refuses what is too much for one key", () => {
  const turns = new KeyTurns(unchanged);
  for (let i = 0; i < 16; i++) turns.take("treasury");
  assert.throws(() => turns.take("treasury"), { code: "PARTY_BUSY" });
  turns.take("cold");
  assert.deepEqual(turns.sizes, new Map([["treasury", 16], ["cold", 1]]));
});

Deno.test("alone() waits for the session that runs, and others wait for it", async () => {
  const turns = new KeyTurns(unchanged);
  const running = take(turns, 1), waiting = take(turns, 2);
  running.admitted();
  running.turn.runs();
  const discard = turns.take("treasury");
  const alone = discard.alone(30_000);
  assert.equal(waiting.admitted(), false);
  running.turn[Symbol.dispose]();
  await alone;
  assert.equal(waiting.admitted(), false);
  discard[Symbol.dispose]();
  assert.equal(waiting.admitted(), true);
});

Deno.test("alone() ends at once where nobody wants it any more, and takes no turn", async () => {
  const turns = new KeyTurns(unchanged);
  const running = take(turns, 1);
  running.turn.runs();
  const gone = new AbortController();
  const waiting = turns.take("treasury");
  const alone = waiting.alone(60_000, gone.signal);
  gone.abort();
  await alone;
  running.turn[Symbol.dispose]();
  assert.equal(take(turns, 2).admitted(), true);
});

Deno.test("alone() ends where the other does not", async () => {
  const turns = new KeyTurns(unchanged);
  const running = take(turns, 1);
  running.admitted();
  running.turn.runs();
  await assert.rejects(turns.take("treasury").alone(10), { code: "PARTY_BUSY" });
});

/** Sessions of one key in a simulated network: what each party is asked for, in its own order. */
function compete(
  seed: string,
  requests: readonly { readonly participants: readonly PartyId[]; readonly payload: string }[],
) {
  const world = new World({ seed, parties: 3 });
  const rng = seededRng(`${seed}/order`);
  const outcomes = new Map<string, Map<PartyId, Outcome>>();
  let running = 0, runningMax = 0;
  for (const party of world.parties) {
    const turns = new KeyTurns(unchanged);
    for (const input of requests.filter(({ participants }) => participants.includes(party))) {
      const delayMs = (rng.bytes(1)[0] as number) * 2;
      world.at(delayMs, () => {
        const turn = turns.take("key");
        let isRunning = false;
        world.host(party).observe<ToyInput, string>(chat, input, {
          turn: {
            enter: (session) => turn.enter(session),
            admits: (session, isComplete) => turn.admits(session, isComplete),
            runs: () => {
              turn.runs();
              isRunning = true;
              if (party === ALICE) runningMax = Math.max(runningMax, ++running);
            },
          },
        }, {
          outcome: (outcome) => {
            if (isRunning && party === ALICE) running--;
            const known = outcomes.get(input.payload) ?? new Map<PartyId, Outcome>();
            outcomes.set(input.payload, known.set(party, outcome));
            turn[Symbol.dispose]();
          },
        });
      });
    }
  }
  world.run();
  return { outcomes, runningMax };
}

Deno.test("requests that come to each node in another order all get their turn, without a leader", () => {
  const crowds = [[ALICE, BOB, CAROL], [ALICE, BOB], [BOB, CAROL], [ALICE, CAROL]];
  let most = 0;
  for (let seed = 0; seed < 40; seed++) {
    const requests = Array.from({ length: 8 }, (_, i) => ({
      participants: crowds[(sha256(utf8(`${seed}/${i}`))[0] as number) % 4] as PartyId[],
      payload: `message ${i}`,
    }));
    const { outcomes, runningMax } = compete(`turns ${seed}`, requests);
    most = Math.max(most, runningMax);
    for (const { participants, payload } of requests) {
      const ended = outcomes.get(payload) as Map<PartyId, Outcome>;
      assert.equal(ended.size, participants.length, `seed ${seed}, ${payload}`);
      const words = new Set(
        [...ended.values()].map((outcome) => outcome.ok ? outcome.value : outcome.error.message),
      );
      assert.equal(words.size, 1, `seed ${seed}, ${payload}: ${[...words].join(" / ")}`);
      assert.ok(
        [...ended.values()].every(({ ok }) => ok),
        `seed ${seed}, ${payload}: ${[...words].join(" / ")}`,
      );
    }
  }
  assert.ok(most >= 1);
});

Deno.test("a session that waits for its turn too long ends with PARTY_BUSY, and tells its peers", () => {
  const world = new World({ seed: "busy", parties: 2, timeoutMs: 1_000 });
  const turns = new KeyTurns(unchanged);
  const other = take(turns, 0, "key");
  other.admitted();
  other.turn.runs();
  const outcomes = new Map<PartyId, Outcome>();
  const input = { participants: world.parties };
  for (const party of world.parties) {
    world.at(0, () => {
      const turn = party === ALICE ? { turn: turns.take("key") } : {};
      world.host(party).observe<ToyInput, string>(chat, input, turn, {
        outcome: (outcome) => outcomes.set(party, outcome),
      });
    });
  }
  world.run();
  const [alice, bob] = [ALICE, BOB].map((party) => outcomes.get(party));
  assert.ok(alice?.ok === false && bob?.ok === false);
  assert.equal(alice.error.code, "PARTY_BUSY");
  assert.ok(["PEER_REFUSED", "TIMEOUT"].includes(bob.error.code), bob.error.code);
});

Deno.test("in a daemon a time-out says what the peer wants instead", () => {
  const world = new World({ seed: "wish", parties: 2, timeoutMs: 1_000 });
  const outcomes = new Map<PartyId, Outcome>();
  for (const party of world.parties) {
    world.at(0, () => {
      const input = { participants: world.parties, payload: `message of ${party}` };
      world.host(party).observe<ToyInput, string>(chat, input, {}, {
        outcome: (outcome) => outcomes.set(party, outcome),
      });
    });
  }
  world.run();
  const alice = outcomes.get(ALICE);
  assert.ok(alice?.ok === false);
  assert.equal(alice.error.code, "TIMEOUT");
  assert.match(
    alice.error.message,
    /bob did not answer .*: it has another message \(.*\) and runs "sim bob"/,
  );
});
