import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { LedgerVoteStore } from "../../src/node/vote_store.ts";
import { VotingService, type VotingServiceOptions } from "../../src/node/voting.ts";
import type { Links } from "../../src/session/links.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { council } from "../voting/support.ts";

Deno.test("VotingService tells of a decision, whatever becomes of what is told beside it", async () => {
  const directory = Deno.makeTempDirSync();
  Deno.chmodSync(directory, 0o700);
  const { membership, signers } = council(1, 1, { faults: 0 });
  const told: string[] = [];
  const links: Links = {
    self: partyId(1),
    listen: () => {},
    send: () => true,
    bootId: () => undefined,
    closeLink: () => {},
  };
  {
    using ledger = Ledger.open({
      directory,
      owner: { cluster: "demo", party: "alice", index: 1 },
      sealing: { kind: "key", key: new Secret(new Uint8Array(32)) },
      rng: systemRng,
    });
    const outbox = new Outbox(ledger, { cluster: "demo", stream: "alice" });
    const options: VotingServiceOptions = {
      config: {
        membership,
        peers: new Map([[partyId(1), signers[0]!.publicKey]]),
        ttlMs: 1e6,
        digestMs: 1e6,
        silenceMs: 1e6,
      },
      self: partyId(1),
      sign: (message) => signers[0]!.sign(message),
      store: new LedgerVoteStore({ ledger, outbox, membershipAt: () => membership, now: () => 0 }),
      links,
      rosters: links,
      rng: systemRng,
      now: () => 0,
      on: ({ kind }) => {
        told.push(kind);
        if (kind === "vote") throw new Error("the log is broken");
      },
    };
    using service = new VotingService(options);
    await Promise.resolve();
    assert.throws(() => service.cast("tx", { schema: "integer", integer: 42n }), /the log is broken/);
    assert.deepEqual(told.filter((kind) => kind !== "cast"), ["vote", "decided"]);
  }
  Deno.removeSync(directory, { recursive: true });
});
