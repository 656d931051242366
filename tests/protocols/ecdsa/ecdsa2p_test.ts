import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../../src/base/brands.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { secp256k1 } from "../../../src/math/curve.ts";
import { formatPolicy } from "../../../src/primitives/access.ts";
import { ecdsa2pKeyGeneration, ecdsa2pSign } from "../../../src/protocols/ecdsa/ecdsa2p.ts";
import type { PairState } from "../../../src/protocols/ecdsa/pair_state.ts";
import type { KeyShare, Member } from "../../../src/protocols/key_share.ts";
import { runLocally } from "../../../src/protocols/local.ts";
import { makeGroup } from "../support.ts";
import { allValues, dealKey, dealPair } from "./support.ts";

const ALICE = partyId(1), BOB = partyId(2);
const DIGEST = new Uint8Array(32).fill(3);

Deno.test("ecdsa2pKeyGeneration and ecdsa2pSign make a signature of two, for one receiver", () => {
  const group = makeGroup("and(alice, bob)");
  const members = group.members as [Member, Member];
  const generated = allValues(
    runLocally(
      group.parties,
      (session) =>
        ecdsa2pKeyGeneration.run(session, { keyName: "pair", curve: secp256k1, members, self: session.self }),
      {
        rng: group.rng,
        identities: group.identities,
      },
    ),
  );
  const shares = new Map(generated.map(({ share }) => [share.self, share]));
  const { record } = shares.get(ALICE) as KeyShare;
  assert.equal(formatPolicy(record.policy), "and(alice, bob)");
  const pairs = new Map<PartyId, Map<PartyId, PairState>>([[ALICE, new Map()], [BOB, new Map()]]);
  dealPair({ record, pairs }, ALICE, BOB, seededRng("pair"));
  const inputOf = (self: PartyId) => ({
    share: shares.get(self) as KeyShare,
    digest: DIGEST,
    receiver: BOB,
    pairs: (peer: PartyId) => pairs.get(self)?.get(peer),
    burned: () => false,
  });
  const offers = new Map([ALICE, BOB].map((party) => [party, ecdsa2pSign.offer?.(inputOf(party)) as never]));
  assert.deepEqual(ecdsa2pSign.unsettled?.(inputOf(ALICE), ALICE, offers), { mine: [], others: [] });
  assert.deepEqual(ecdsa2pSign.proposal(inputOf(ALICE)), ecdsa2pSign.proposal(inputOf(BOB)));
  assert.equal(ecdsa2pSign.rounds(inputOf(ALICE)).length, 3);
  const [alice, bob] = allValues(
    runLocally([ALICE, BOB], (session) => ecdsa2pSign.run(session, inputOf(session.self)), {
      rng: seededRng("sign"),
      offers,
    }),
  );
  assert.equal(alice, undefined);
  assert(bob !== undefined);
  const { publicKey } = record;
  assert(secp256k1.verifyEcdsa({ publicKey, digest: DIGEST, signature: bob.compact, lowS: true }));
});

Deno.test("ecdsa2pSign refuses a key of more than two", () => {
  const key = dealKey(secp256k1, "2 of (alice, bob, carol)");
  const input = {
    share: key.shares.get(ALICE) as KeyShare,
    digest: DIGEST,
    pairs: () => undefined,
    burned: () => false,
  };
  assert.throws(() => ecdsa2pSign.proposal(input), { code: "USAGE", message: /exactly two/ });
});
