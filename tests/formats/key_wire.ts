/** Public records of keys, and what parties offer of them when a session opens. */

import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { signOffer, unsettledPairs } from "../../src/protocols/ecdsa/sign_opening.ts";
import { encodeFrostHeld, readFrostHeld } from "../../src/protocols/frost/held.ts";
import { decodeFrostRecord, encodeFrostRecord } from "../../src/protocols/frost/key.ts";
import type { KeyPurpose } from "../../src/protocols/key_purpose.ts";
import { decodeRecord, encodeRecord } from "../../src/protocols/key_share.ts";
import { encodeHeld, readHeld } from "../../src/protocols/reshare/held.ts";
import { dealKey, signInput } from "../protocols/ecdsa/support.ts";
import { dealFrostKey, storedFrostKey } from "../protocols/frost/support.ts";
import { Keyring } from "../protocols/reshare/support.ts";
import { filled, type WireExample } from "./example.ts";

const POLICY = "2 of (alice, bob, carol)";
const [ALICE, BOB] = [partyId(1), partyId(2)];
const PURPOSES: readonly KeyPurpose[] = ["plain", "approved-signing", "decision"];
const ring = new Keyring(POLICY);
const frostRecord = dealFrostKey("ed25519", POLICY).record;
const frostHeld = () => storedFrostKey("bip340", POLICY).stores.of(ALICE);

/** All of them, by name. */
export const KEY_WIRE: readonly (readonly [string, WireExample])[] = [
  ...PURPOSES.flatMap((purpose): [string, WireExample][] => [
    [`record of a key for ECDSA, ${purpose}`, {
      make: () => encodeRecord({ ...ring.record, purpose }),
      open(bytes) {
        const record = decodeRecord(bytes);
        assert.equal(record.purpose, purpose);
        assert.deepEqual(encodeRecord(record), bytes);
      },
    }],
    [`record of a key for FROST, ${purpose}`, {
      make: () => encodeFrostRecord({ ...frostRecord, purpose }),
      open(bytes) {
        const record = decodeFrostRecord(bytes);
        assert.equal(record.purpose, purpose);
        assert.deepEqual(encodeFrostRecord(record), bytes);
      },
    }],
  ]),
  ["offer of the epochs of a key for ECDSA", {
    make: () => encodeHeld(ring.store(ALICE).held()),
    open(bytes) {
      const epochs = readHeld(ALICE, bytes)?.epochs.map(({ epoch, state }) => ({ epoch, state }));
      assert.deepEqual(epochs, [{ epoch: 0, state: "active" }]);
    },
  }],
  ["offer of the epochs of a key for FROST", {
    make: () => encodeFrostHeld(frostHeld()),
    open(bytes) {
      const epochs = readFrostHeld(ALICE, bytes).epochs.map(({ epoch, state }) => ({ epoch, state }));
      assert.deepEqual(epochs, [{ epoch: 0, state: "active" }]);
    },
  }],
  ["offer of the pairs of a signer", {
    make: () => signOffer(offeredTo(ALICE)),
    open(bytes) {
      const offers = new Map([[ALICE, bytes], [BOB, signOffer(offeredTo(BOB))]]);
      assert.deepEqual(unsettledPairs(offeredTo(BOB), BOB, offers), { mine: [], others: [] });
    },
  }],
];

function offeredTo(self: typeof ALICE): ReturnType<typeof signInput> {
  return signInput(dealt, self, { digest: filled(3) as Bytes });
}

const dealt = dealKey(secp256k1, "2 of (alice, bob)");
