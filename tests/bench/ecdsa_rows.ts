import { partyId } from "../../src/base/brands.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { systemRng } from "../../src/base/rng.ts";
import { CURVES, secp256k1 } from "../../src/math/curve.ts";
import { dkg } from "../../src/protocols/dkg/dkg.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import type { KeyShare } from "../../src/protocols/key_share.ts";
import { runLocally } from "../../src/protocols/local.ts";
import { allValues, dealKey, runSign } from "../protocols/ecdsa/support.ts";
import { makeGroup } from "../protocols/support.ts";
import type { BenchRow } from "./row.ts";

/** Key generation, pair set-up and signing, all parties in one process. */
export const ecdsaRows: readonly BenchRow[] = [
  ...Object.values(CURVES).flatMap((curve) =>
    [2, 3].map((signers): BenchRow => ({
      kind: "time",
      name: `sign/${signers}-signers/${curve.name}`,
      samples: 40,
      prepare() {
        const key = dealKey(curve, `${signers} of (alice, bob, carol)`);
        const active = [1, 2, 3].slice(0, signers);
        const digest = sha256(utf8("a message"));
        return () => allValues(runSign(key, { digest }, { signers: active, rng: systemRng }));
      },
    }))
  ),
  {
    kind: "time",
    name: "pair/secp256k1",
    samples: 7,
    prepare() {
      const key = dealKey(secp256k1, "and(alice, bob)");
      return () => setUpPair([...key.shares.values()]);
    },
  },
  {
    kind: "time",
    name: "keygen-without-pairs/2-of-3/secp256k1",
    samples: 15,
    prepare: () => generateKey,
  },
  {
    kind: "time",
    name: "keygen/2-of-3/secp256k1",
    samples: 5,
    prepare: () => () => {
      const [alice, bob, carol] = generateKey() as [KeyShare, KeyShare, KeyShare];
      for (const pair of [[alice, bob], [alice, carol], [bob, carol]]) setUpPair(pair);
    },
  },
];

function generateKey(): KeyShare[] {
  const group = makeGroup("2 of (alice, bob, carol)");
  const outcomes = runLocally(group.parties, (session) => dkg.run(session, group.input(session.self)), {
    rng: systemRng,
    identities: group.identities,
  });
  return allValues(outcomes).map(({ share }) => share);
}

function setUpPair(shares: readonly KeyShare[]): void {
  const parties = shares.map((share) => share.self);
  allValues(
    runLocally(parties, (session) =>
      pairSetUp.run(session, {
        share: shares.find((share) => share.self === session.self) as KeyShare,
        peer: partyId(parties.find((party) => party !== session.self) as number),
        admit: () => {},
      }), { rng: systemRng }),
  );
}
