import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { systemRng } from "../../src/base/rng.ts";
import { FrameType } from "../../src/session/links.ts";
import { agreed, blameless, Cluster, named, pause, QUICK } from "./cluster.ts";

const DROP = { kind: "drop" } as const;
const PASS = { kind: "pass" } as const;

Deno.test("N1 partition: the majority goes on, the minority names whom it misses, and after healing all agree once", async () => {
  await Cluster.run({ parties: 5, timeoutMs: 1_500 }, async (cluster) => {
    const [majority, minority] = [[1, 2, 3], [4, 5]];
    await cluster.linked();
    cluster.between(majority, minority, DROP);
    await cluster.until(
      "both sides notice",
      () =>
        majority.every((a) =>
          minority.every((b) =>
            cluster.status(a, b).state === "down" && cluster.status(b, a).state === "down"
          )
        ),
    );
    const [within, across] = await Promise.all([cluster.agree(...majority), cluster.agree(1, 4, 5)]);
    assert.ok(agreed(within));
    assert.ok(blameless(across));
    assert.deepEqual(named(across, 4), [1]);
    assert.deepEqual(named(across, 5), [1]);
    assert.deepEqual(named(across, 1), [4, 5]);
    cluster.between(majority, minority, PASS);
    for (const a of majority) for (const b of minority) cluster.proxy(a, b).cut();
    await cluster.linked();
    assert.ok(agreed(await cluster.agree(1, 2, 3, 4, 5)));
    await cluster.until(
      "no session is left",
      () => [...cluster.parties.values()].every(({ host }) => host.size === 0),
    );
  });
});

Deno.test("N1 partition that never heals: every party ends in a named state within its deadline", async () => {
  await Cluster.run({ parties: 3, timeoutMs: 1_000 }, async (cluster) => {
    await cluster.linked();
    cluster.between([1], [2, 3], DROP);
    const endings = await cluster.agree(1, 2, 3);
    assert.ok(blameless(endings));
    assert.deepEqual([named(endings, 1), named(endings, 2), named(endings, 3)], [[2, 3], [1], [1]]);
  });
});

Deno.test("N2 one-way partition: both sides show the direction that is down, nobody is blamed, and others agree", async () => {
  // Silence is not judged here before the test has looked.
  const limits = { ...QUICK, silenceMs: 2_000 };
  await Cluster.run({ parties: 3, timeoutMs: 1_200, limits }, async (cluster) => {
    await cluster.linked();
    cluster.fault(1, 2, DROP);
    await cluster.until("alice is heard no more", () => cluster.status(2, 1).directions?.in === "down");
    assert.equal(cluster.status(2, 1).directions?.out, "unknown");
    await cluster.until("alice is not answered", () => cluster.status(1, 2).directions?.out === "down");
    assert.equal(cluster.status(1, 2).directions?.in, "up");
    assert.deepEqual(cluster.status(1, 3).directions, { in: "up", out: "up" });
    const choice = [1, 2, 3].filter((index) =>
      index === 1 || cluster.status(1, index).directions?.out === "up"
    );
    assert.deepEqual(choice, [1, 3], "who looks at the directions does not choose bob");
    assert.ok(agreed(await cluster.agree(...choice)));

    const endings = await cluster.agree(1, 2, 3);
    assert.ok(blameless(endings));
    assert.deepEqual(named(endings, 2), [1]);
    assert.ok(!named(endings, 3)?.includes(3));
    await cluster.until(
      "the link ends at both",
      () =>
        cluster.party(1).log.some(({ code, peer }) =>
          peer === "bob" && (code === "ONE_WAY" || code === "CLOSED")
        ) &&
        cluster.party(2).log.some(({ code, peer }) =>
          peer === "alice" && (code === "SILENT" || code === "CLOSED")
        ),
    );
    cluster.fault(1, 2, PASS);
    cluster.proxy(1, 2).cut();
    await cluster.linked();
    assert.ok(agreed(await cluster.agree(1, 2, 3)));
  });
});

Deno.test("N3 non-transitive: the missing edge is named from both ends, and a subset without it agrees", async () => {
  await Cluster.run({ parties: 3, timeoutMs: 1_000 }, async (cluster) => {
    await cluster.linked();
    cluster.between([1], [3], DROP);
    await cluster.until(
      "the edge is gone",
      () => cluster.status(1, 3).state === "down" && cluster.status(3, 1).state === "down",
    );
    const endings = await cluster.agree(1, 2, 3);
    assert.ok(blameless(endings));
    assert.deepEqual([named(endings, 1), named(endings, 3)], [[3], [1]]);
    assert.ok(!(named(endings, 2) ?? []).includes(2));
    for (const pair of [[1, 2], [2, 3]]) assert.ok(agreed(await cluster.agree(...pair)));
  });
});

for (
  const [what, fault, timeoutMs] of [
    ["10 ms with jitter", { kind: "delay", ms: 10, jitterMs: 10 }, 5_000],
    ["100 ms with jitter", { kind: "delay", ms: 100, jitterMs: 50 }, 5_000],
    ["500 ms", { kind: "delay", ms: 500 }, 2_000],
    ["stalls of 300 ms, as retransmissions cause them", { kind: "delay", ms: 0, jitterMs: 300 }, 5_000],
    ["64 kB/s", { kind: "throttle", bytesPerSecond: 64_000 }, 5_000],
  ] as const
) {
  Deno.test(`N4 slow network, ${what}: sessions finish, also where a round waits less than all rounds take`, async () => {
    await Cluster.run({ parties: 3, timeoutMs, limits: { silenceMs: 5_000 } }, async (cluster) => {
      await cluster.linked();
      cluster.between([1, 2, 3], [1, 2, 3], fault);
      assert.ok(agreed(await cluster.agree(1, 2, 3)));
    });
  });
}

Deno.test("N5 slow party: what waits for it is bounded, others are served meanwhile, and it is dropped at its deadline", async () => {
  const limits = {
    silenceMs: 20_000,
    sendBufferBytes: 256 << 10,
    slowDeadlineMs: 400,
    sendBacklogBytes: 4 << 20,
  };
  await Cluster.run({ parties: 3, limits }, async (cluster) => {
    await cluster.linked();
    const { mesh } = cluster.party(1);
    cluster.fault(1, 2, { kind: "throttle", bytesPerSecond: 50 });
    const payload = systemRng.bytes(64 << 10);
    let largest = 0;
    let served = 0;
    while (cluster.status(1, 2).state === "up") {
      if (mesh.room(partyId(2)) === undefined) {
        mesh.send(partyId(2), { type: FrameType.ENVELOPE, session: new Uint8Array(16), payload });
      }
      if (cluster.status(1, 2).isSlow) {
        assert.ok(agreed(await cluster.agree(1, 3)), "carol is served");
        served++;
      }
      largest = Math.max(largest, cluster.status(1, 2).waitingBytes ?? 0);
      await pause(0);
    }
    assert.ok(served > 0);
    assert.ok(largest < limits.sendBufferBytes + 2 * payload.length, `${largest} bytes waited`);
    assert.equal(
      cluster.party(1).log.find(({ code, peer }) => code !== "LINK_UP" && peer === "bob")?.code,
      "BACKLOG",
    );
  });
});

Deno.test("N6 link flap: sessions survive three drops by sending again, and the fourth ends them once, without blame", async () => {
  await Cluster.run({ parties: 3, timeoutMs: 8_000, limits: { silenceMs: 20_000 } }, async (cluster) => {
    await cluster.linked();
    const downs = () =>
      Object.values(cluster.party(1).mesh.metrics().peers[0]?.downs ?? {}).reduce((a, b) => a + b, 0);
    const flap = async () => {
      const before = downs();
      cluster.proxy(1, 2).cut();
      await cluster.until("the link dropped", () => downs() > before);
      await cluster.linked(1, 2);
    };
    /** Begins a session and holds it in its first round: nothing of carol's arrives any more. */
    const held = async () => {
      cluster.party(1).events.length = 0;
      cluster.fault(3, 1, { kind: "delay", ms: 150 });
      const endings = cluster.agree(1, 2, 3);
      await cluster.until("the first round began", () => cluster.party(1).events.at(-1)?.kind === "round");
      cluster.fault(3, 1, { kind: "stall" });
      return { endings };
    };
    const resumed = await held();
    for (let i = 0; i < 3; i++) await flap();
    cluster.fault(3, 1, PASS);
    assert.ok(agreed(await resumed.endings));
    assert.equal(downs(), 3);

    const ended = await held();
    for (let i = 0; i < 4; i++) await flap();
    cluster.fault(3, 1, PASS);
    const endings = await ended.endings;
    assert.ok(blameless(endings));
    assert.deepEqual(endings.get(1), { code: "LINK_FLAP", names: [2], cheats: false });
    assert.deepEqual([cluster.party(1).mesh.metrics().peers[0]?.ups, downs()], [8, 7]);
    const failed = cluster.party(1).events.filter(({ kind }) => kind === "failed");
    assert.equal(failed.length, 1);
  });
});
