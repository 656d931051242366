/** What of keys is read beside shares: offers of round 0, records, certificates, and what a party that left keeps. */

import { DecodeError } from "../../src/base/codec.ts";
import { CheaterError } from "../../src/base/errors.ts";
import type { Rng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { decodeCertificate, encodeCertificate } from "../../src/protocols/dkg/certificate.ts";
import {
  decodeOffer,
  decodeStoredDeparture,
  encodeOffer,
  encodeStoredDeparture,
} from "../../src/protocols/dkg/stored_key.ts";
import { decodeRecord, encodeRecord } from "../../src/protocols/key_share.ts";
import { encodeHeld, readHeld } from "../../src/protocols/reshare/held.ts";
import { ALICE, CAROL, Keyring } from "../protocols/reshare/support.ts";
import type { Target } from "./targets.ts";

/** The targets. */
export function keyTargets(rng: Rng): Target[] {
  const ring = new Keyring("2 of (alice, bob, carol)");
  const { record, certificate } = ring;
  const first = ring.store(CAROL).held();
  ring.reshare("2 of (alice, bob, dave)", ["carol"]);
  const left = ring.store(CAROL).held();
  const active = ring.store(ALICE).held();
  const later = [...ring.store(ALICE).rows.values()].at(-1)?.certificate;
  const departure = left.flatMap(({ key }) => "share" in key ? [] : [key])[0];
  if (departure === undefined || later === undefined) throw new Error("carol has not left");
  const isDecode = (error: unknown) => error instanceof DecodeError;
  return [
    {
      name: "offer of a generated key",
      inputs: [
        encodeOffer({ state: "pending", keyId: record.keyId }),
        encodeOffer({ state: "active", keyId: record.keyId }),
      ],
      read: (input) => encodeOffer(decodeOffer(input)),
      refuses: isDecode,
    },
    {
      name: "offer of epochs",
      inputs: [first, active, left].map(encodeHeld),
      read: (input) => void readHeld(CAROL, input),
      refuses: (error) => error instanceof CheaterError && error.code === "INVALID_MESSAGE",
    },
    {
      name: "public record",
      inputs: [encodeRecord(record), encodeRecord({ ...record, purpose: "decision" })],
      read: (input) => encodeRecord(decodeRecord(input)),
      refuses: isDecode,
    },
    {
      name: "certificate of a key",
      inputs: [certificate, later],
      read: (input) => encodeCertificate(secp256k1, decodeCertificate(secp256k1, input)),
      refuses: isDecode,
    },
    {
      name: "stored departure",
      inputs: [
        encodeStoredDeparture(departure),
        encodeStoredDeparture({ ...departure, signature: rng.bytes(64) }),
      ],
      read: (input) => encodeStoredDeparture(decodeStoredDeparture(input)),
      refuses: isDecode,
    },
  ];
}
