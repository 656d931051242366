/**
 * What the simulator runs: every protocol with its inputs, its durable state, and what must hold of its results.
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, hex, utf8 } from "../../src/base/bytes.ts";
import { ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { type Curve, p256, secp256k1 } from "../../src/math/curve.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { agreeNonce, agreeRandom } from "../../src/protocols/agree_random.ts";
import { verifyCertificate } from "../../src/protocols/dkg/certificate.ts";
import { dkg, type DkgInput, type DkgResult } from "../../src/protocols/dkg/dkg.ts";
import { decodeStoredKey } from "../../src/protocols/dkg/stored_key.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import { PairState } from "../../src/protocols/ecdsa/pair_state.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import type { EcdsaSignature } from "../../src/protocols/ecdsa/signature.ts";
import { quorumOf } from "../../src/protocols/key_share.ts";
import type { Definition } from "../../src/protocols/protocol.ts";
import { dealKey, type DealtKey } from "../protocols/ecdsa/support.ts";
import { type EpochOptions, refreshing, repairing, resharing } from "./epoch_scenarios.ts";
import { frostGenerating, frostRefreshing, frostRepairing, frostSigning } from "./frost_scenarios.ts";
import { GenerationStores, same, type Scenario, startLater, type Unit, type Wrap } from "./scenario.ts";
import { NAMES } from "./world.ts";

export const PROTOCOLS = [
  "agree-random",
  "agree-nonce",
  "dkg",
  "pair",
  "ecdsa-sign",
  "refresh",
  "reshare",
  "repair",
  "frost-dkg",
  "frost-sign",
  "frost-refresh",
  "frost-repair",
] as const;
export type ProtocolName = typeof PROTOCOLS[number];

export type { Scenario, Unit, Wrap };

/** Numbers of parties that a protocol is simulated with: a FROST share is repaired by at least two. */
export function sizesOf(protocol: ProtocolName): readonly number[] {
  return protocol === "frost-repair" ? SIZES.slice(1) : SIZES;
}

export const SIZES: readonly number[] = [2, 3, 5];

/** Makes a scenario for n parties. */
export function makeScenario(
  protocol: ProtocolName,
  n: number,
  curve: Curve,
  options: EpochOptions = {},
): Scenario {
  const parties = Array.from({ length: n }, (_, i) => partyId(i + 1));
  switch (protocol) {
    case "agree-random":
      return agreement(protocol, agreeRandom, { bits: 256, participants: parties });
    case "agree-nonce":
      return agreement(protocol, agreeNonce, { participants: parties });
    case "dkg":
      return keyGeneration(parties, curve);
    case "pair":
      return pairs(n, curve);
    case "ecdsa-sign":
      return signing(n, curve);
    case "refresh":
      return refreshing(n, curve, options);
    case "reshare":
      return resharing(n, curve, options);
    case "repair":
      return repairing(n, curve, options);
    case "frost-dkg":
      return frostGenerating(n, curve);
    case "frost-sign":
      return frostSigning(n, curve);
    case "frost-refresh":
      return frostRefreshing(n, curve, options);
    case "frost-repair":
      return frostRepairing(n, curve, options);
  }
}

function agreement<I extends { readonly participants: readonly PartyId[] }>(
  protocol: ProtocolName,
  definition: Definition<I, Bytes>,
  input: I,
): Scenario {
  return {
    protocol,
    rounds: definition.rounds(input),
    start: (world, party, wrap = same, delayMs = 0) => [{
      party,
      participants: input.participants,
      slot: world.start(party, wrap(definition), input, { delayMs }),
    }],
    fault: (values) =>
      new Set((values as Bytes[]).map(hex)).size > 1 ? "honest parties have different values" : undefined,
    record: () => {},
    halfDone: () => undefined,
  };
}

function keyGeneration(parties: readonly PartyId[], curve: Curve): Scenario {
  const members = parties.map((index) => ({
    index,
    name: NAMES[index - 1] as string,
    identity: ed25519Signer(sha256(new Uint8Array([7, 0, index]))).publicKey,
  }));
  const names = members.map((member) => member.name);
  const policy = parsePolicy(`2 of (${names.join(", ")})`);
  const stores = new GenerationStores();
  const inputOf = (self: PartyId): DkgInput => {
    const kept = stores.of(self);
    const stored = kept && { state: kept.state, key: decodeStoredKey(kept.key) };
    return { keyName: "treasury", curve, policy, members, self, ...(stored && { stored }) };
  };
  return {
    protocol: "dkg",
    rounds: dkg.rounds(inputOf(parties[0] as PartyId)),
    start(world, party, wrap = same, delayMs = 0) {
      const slot = startLater(world, party, delayMs, () => ({
        definition: wrap(dkg),
        input: inputOf(party),
      }));
      return [{ party, participants: parties, slot }];
    },
    fault(values) {
      const results = values as DkgResult[];
      const keys = new Set(results.map(({ share }) => hex(curve.encodePoint(share.record.publicKey))));
      if (keys.size > 1) return "honest parties have different public keys";
      for (const { share, certificate } of results) verifyCertificate(share.record, certificate);
      return undefined;
    },
    record: (party, record) => stores.write(party, record),
    halfDone: (all) => stores.halfDone(all),
  };
}

/** A pair set-up of every party with the next one, in a ring, all at once. */
function pairs(n: number, curve: Curve): Scenario {
  const key = dealtKey(n, curve);
  const parties = [...key.shares.keys()];
  const inputOf = (self: PartyId, peer: PartyId) => ({
    share: key.shares.get(self) as never,
    peer,
    admit: () => {},
  });
  return {
    protocol: "pair",
    rounds: pairSetUp.rounds(inputOf(partyId(1), partyId(2))),
    start: (world, party, wrap = same, delayMs = 0) =>
      parties.filter((peer) => [1, n - 1].includes(Math.abs(peer - party))).map((peer) => ({
        party,
        participants: [party, peer].toSorted((a, b) => a - b),
        slot: world.start(party, wrap(pairSetUp), inputOf(party, peer), { delayMs }),
      })),
    fault: (values) =>
      new Set((values as PairState[]).map((state) => hex(state.tag))).size > 1
        ? "the two sides hold different states"
        : undefined,
    record: () => {},
    halfDone: () => undefined,
  };
}

/** All n parties sign with a key of `2 of (...)` or, for two, of both. */
function signing(n: number, curve: Curve): Scenario {
  const key = dealtKey(n, curve);
  const parties = [...key.shares.keys()];
  const quorum = quorumOf(key.record, parties);
  if (quorum === undefined) throw new Error("not qualified");
  const digest = sha256(utf8("simulated"));
  const states = new Map([...key.pairs].map(([party, held]) => [
    party,
    new Map([...held].map(([peer, state]) => {
      using encoded = state.encode();
      return [peer, PairState.decode(encoded.expose())];
    })),
  ]));
  const burned = new Map(parties.map((party) => [party, new Set<PartyId>()]));
  const inputOf = (self: PartyId) => ({
    share: key.shares.get(self) as never,
    signers: quorum.active,
    coefficients: quorum.coefficients,
    digest,
    pairs: (peer: PartyId) => states.get(self)?.get(peer),
    burned: (peer: PartyId) => burned.get(self)?.has(peer) ?? false,
  });
  return {
    protocol: "ecdsa-sign",
    rounds: sign.rounds(inputOf(partyId(1))),
    start: (world, party, wrap = same, delayMs = 0) => [{
      party,
      participants: quorum.active,
      slot: world.start(party, wrap(sign), inputOf(party), { delayMs }),
    }],
    fault(values) {
      const signatures = values as (EcdsaSignature | undefined)[];
      for (const signature of signatures) {
        if (signature === undefined) return "a receiver has no signature";
        const { publicKey } = key.record;
        if (!curve.verifyEcdsa({ publicKey, digest, signature: signature.compact, lowS: true })) {
          return "a signature does not verify";
        }
      }
      return undefined;
    },
    record(party, record) {
      if (record.kind !== "burn") return;
      burned.get(party)?.add(record.peer);
      states.get(party)?.delete(record.peer);
    },
    halfDone: () => undefined,
  };
}

const dealt = new Map<string, DealtKey>();

/** Keys and pair states are dealt once per size and curve: all n parties sign. */
function dealtKey(n: number, curve: Curve): DealtKey {
  const id = `${n}/${curve.name}`;
  let key = dealt.get(id);
  if (key === undefined) {
    const names = NAMES.slice(0, n).join(", ");
    key = dealKey(curve, `${n} of (${names})`, seededRng(`sim/${id}`));
    dealt.set(id, key);
  }
  return key;
}

export const CURVES_SIMULATED: readonly Curve[] = [secp256k1, p256];
