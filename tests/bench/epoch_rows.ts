import type { PartyId } from "../../src/base/brands.ts";
import { systemRng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import type { PairState } from "../../src/protocols/ecdsa/pair_state.ts";
import { allValues, dealPair } from "../protocols/ecdsa/support.ts";
import { Keyring } from "../protocols/reshare/support.ts";
import type { BenchRow } from "./row.ts";

const POLICY = "2 of (alice, bob, carol)";

/** Refresh, reshare and repair, all parties in one process. */
export const epochRows: readonly BenchRow[] = [
  {
    kind: "time",
    name: "refresh/2-of-3/secp256k1",
    samples: 15,
    prepare() {
      const { ring, pairs } = ringWithPairs();
      const parties = ring.record.members.map(({ index }) => index);
      const change = (self: PartyId) => ({
        pairs: "rerandomize" as const,
        pairState: (peer: PartyId) => pairs.get(self)?.get(peer),
      });
      return fresh(ring, (run) => allValues(run.refreshWith(change, parties)));
    },
  },
  {
    kind: "time",
    name: "refresh-without-pairs/2-of-3/secp256k1",
    samples: 15,
    prepare: () => fresh(new Keyring(POLICY), (ring) => allValues(ring.refresh())),
  },
  {
    kind: "time",
    name: "reshare-without-pairs/2-of-3-to-2-of-3/secp256k1",
    samples: 15,
    prepare: () => fresh(new Keyring(POLICY), (ring) => allValues(ring.reshare("2 of (alice, bob, dave)"))),
  },
];

/** Every sample starts from the same stores. */
function fresh(ring: Keyring, run: (ring: Keyring) => unknown): () => unknown {
  const stores = [...ring.stores];
  return () => {
    for (const [party, store] of stores) ring.stores.set(party, store.clone());
    return run(ring);
  };
}

function ringWithPairs(): { ring: Keyring; pairs: Map<PartyId, Map<PartyId, PairState>> } {
  const ring = new Keyring(POLICY, { curve: secp256k1 });
  const members = ring.record.members.map(({ index }) => index);
  const pairs = new Map(members.map((index) => [index, new Map<PartyId, PairState>()]));
  for (const i of members) {
    for (const j of members) if (i < j) dealPair({ record: ring.record, pairs }, i, j, systemRng);
  }
  return { ring, pairs };
}
