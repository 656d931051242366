/**
 * The messages of protocols: one run of each between few parties, from fixed seeds.
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { agreeNonce, agreeRandom } from "../../src/protocols/agree_random.ts";
import { dkg } from "../../src/protocols/dkg/dkg.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import { frostDkg } from "../../src/protocols/frost/dkg.ts";
import { frostRefresh } from "../../src/protocols/frost/refresh.ts";
import { frostRepair, type FrostRepairInput } from "../../src/protocols/frost/repair.ts";
import { frostSign } from "../../src/protocols/frost/sign.ts";
import type { FrostScheme } from "../../src/protocols/frost/suite.ts";
import type { KeyShare } from "../../src/protocols/key_share.ts";
import { type LocalOptions, type LocalOutcome, runLocally } from "../../src/protocols/local.ts";
import type { PairState } from "../../src/protocols/ecdsa/pair_state.ts";
import type { Definition, Round } from "../../src/protocols/protocol.ts";
import { refresh } from "../../src/protocols/reshare/refresh.ts";
import { repair } from "../../src/protocols/reshare/repair.ts";
import { reshare } from "../../src/protocols/reshare/reshare.ts";
import { sync } from "../../src/protocols/reshare/sync.ts";
import { dealKey, dealPair, runSign, signInput } from "../protocols/ecdsa/support.ts";
import { dealFrostKey, runFrostRefresh, runFrostSign, storedFrostKey } from "../protocols/frost/support.ts";
import { Keyring } from "../protocols/reshare/support.ts";
import { makeGroup, valuesOf } from "../protocols/support.ts";

/** A protocol whose messages are stored. */
export interface ProtocolExample {
  /** Its name on the wire. */
  readonly protocol: string;
  /** Of the protocol, on the wire. */
  readonly version: number;
  /** With their codecs. */
  readonly rounds: readonly Round[];
  /** Runs it; the option sees every message. */
  run(options: Pick<LocalOptions, "rng" | "tamper">): Map<unknown, LocalOutcome<unknown>>;
}

const POLICY = "2 of (alice, bob)";
const THREE = "2 of (alice, bob, carol)";
const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const DIGEST = new Uint8Array(32).fill(3);
const group = makeGroup(POLICY);
const { parties, members, identities } = group;
const key = dealKey(secp256k1, POLICY);
const frostInput = { keyName: "seal", policy: group.input(ALICE).policy, members };

/** All of them, by name. */
export const PROTOCOLS: ReadonlyMap<string, ProtocolExample> = new Map([
  [
    "agree-random",
    example(agreeRandom, { bits: 256, participants: parties }, (options) =>
      runLocally(
        parties,
        (session) => agreeRandom.run(session, { bits: 256, participants: parties }),
        options,
      )),
  ],
  [
    "agree-nonce",
    example(
      agreeNonce,
      { participants: parties },
      (options) =>
        runLocally(parties, (session) => agreeNonce.run(session, { participants: parties }), options),
    ),
  ],
  [
    "dkg",
    example(
      dkg,
      group.input(ALICE),
      (options) =>
        runLocally(parties, (session) => dkg.run(session, group.input(session.self)), {
          identities,
          ...options,
        }),
    ),
  ],
  [
    "pair",
    example(
      pairSetUp,
      pairInput(ALICE),
      (options) => runLocally(parties, (session) => pairSetUp.run(session, pairInput(session.self)), options),
    ),
  ],
  [
    "sign",
    example(
      sign,
      signInput(key, ALICE, { digest: DIGEST }),
      (options) => runSign(key, { digest: DIGEST }, options),
    ),
  ],
  ...epochExamples(),
  ...(["ed25519", "bip340"] as const).flatMap((scheme) => [
    ...frostExamples(scheme),
    ...frostEpochExamples(scheme),
  ]),
]);

/** Runs a protocol. @returns its messages: `ROUND KIND FROM RECEIVER`. */
export function messagesOf(name: string): Map<string, Bytes> {
  const messages = new Map<string, Bytes>();
  const outcomes = PROTOCOLS.get(name)?.run({
    rng: seededRng(`stored ${name}`),
    tamper({ round, kind, from, receiver, body }) {
      messages.set(`${round} ${kind} ${from} ${receiver}`, body);
      return body;
    },
  });
  for (const outcome of outcomes?.values() ?? []) {
    if (!outcome.ok) throw new Error(`${name} fails`, { cause: outcome.error });
  }
  return messages;
}

function example<I, O>(
  definition: Definition<I, O>,
  input: I,
  run: ProtocolExample["run"],
): ProtocolExample {
  return { protocol: definition.name, version: definition.version, rounds: definition.rounds(input), run };
}

function frostExamples(scheme: FrostScheme): [string, ProtocolExample][] {
  const inputOf = (self: typeof ALICE) => ({ ...frostInput, scheme, self });
  const frostKey = dealFrostKey(scheme, POLICY);
  const share = frostKey.shares.get(ALICE);
  if (share === undefined) throw new Error("alice has no share");
  return [
    [
      `frost-dkg ${scheme}`,
      example(
        frostDkg,
        inputOf(ALICE),
        (options) =>
          runLocally(parties, (session) => frostDkg.run(session, inputOf(session.self)), {
            identities,
            ...options,
          }),
      ),
    ],
    [
      `frost-sign ${scheme}`,
      example(
        frostSign,
        { share, signers: parties, message: DIGEST },
        (options) => runFrostSign(frostKey, DIGEST, options),
      ),
    ],
  ];
}

/** Later epochs of a key for ECDSA. What a run stores is its own. */
function epochExamples(): [string, ProtocolExample][] {
  const ring = new Keyring(THREE);
  const turned = { ...ring.refreshInput(ALICE), pairs: "rerandomize" as const };
  return [
    ["refresh", example(refresh, ring.refreshInput(ALICE), (options) => ring.fork().refresh(options))],
    ["refresh of pair states", example(refresh, turned, (options) => turnOver(ring.fork(), options))],
    [
      "reshare",
      example(
        reshare,
        ring.reshareInput(ALICE, "2 of (alice, bob, dave)", ["carol"]),
        (options) => ring.fork().reshare("2 of (alice, bob, dave)", ["carol"], options),
      ),
    ],
    [
      "repair",
      example(
        repair,
        ring.repairInput(ALICE, "carol", ["alice", "bob"]),
        (options) => {
          const less = ring.fork();
          less.store(CAROL).rows.clear();
          return less.repair("carol", ["alice", "bob"], options);
        },
      ),
    ],
    [
      "sync",
      example(sync, ring.syncInput(ALICE, ["alice", "carol"]), (options) => {
        const moved = ring.fork();
        valuesOf(moved.reshare("2 of (alice, bob, dave)"));
        return moved.sync(["alice", "carol"], options);
      }),
    ],
  ];
}

function turnOver(ring: Keyring, options: Parameters<ProtocolExample["run"]>[0]) {
  const members = ring.record.members.map(({ index }) => index);
  const pairs = new Map(members.map((index) => [index, new Map<PartyId, PairState>()]));
  for (const i of members) {
    for (const j of members) if (i < j) dealPair({ record: ring.record, pairs }, i, j, ring.rng);
  }
  const change = (self: PartyId) => ({
    pairs: "rerandomize" as const,
    pairState: (peer: PartyId) => pairs.get(self)?.get(peer),
    burned: () => false,
  });
  return ring.refreshWith(change, members, options);
}

function frostEpochExamples(scheme: FrostScheme): [string, ProtocolExample][] {
  const { group, stores } = storedFrostKey(scheme, THREE);
  const refreshed = valuesOf(runFrostRefresh(group, (party) => stores.of(party)));
  const repairInput = (self: PartyId): FrostRepairInput => {
    const { share, certificate } = refreshed.get(self) ?? fail();
    return {
      keyName: "treasury",
      scheme,
      helpers: [ALICE, BOB],
      lost: CAROL,
      self,
      identityOf: (party) => group.members.find(({ index }) => index === party)?.identity,
      ...(self === CAROL ? {} : { holding: { share, certificate } }),
    };
  };
  return [
    [
      `frost-refresh ${scheme}`,
      example(
        frostRefresh,
        { keyName: "treasury", self: ALICE, held: stores.of(ALICE) },
        (options) => runFrostRefresh(group, (party) => stores.of(party), options),
      ),
    ],
    [
      `frost-repair ${scheme}`,
      example(frostRepair, repairInput(ALICE), (options) => {
        const offers = new Map(
          group.parties.map((self) => [self, frostRepair.offer?.(repairInput(self)) ?? fail()]),
        );
        const { identities } = group;
        return runLocally(
          group.parties,
          (session) => frostRepair.run(session, repairInput(session.self)),
          { identities, offers, ...options },
        );
      }),
    ],
  ];
}

function fail(): never {
  throw new Error("something is missing");
}

function pairInput(self: typeof ALICE) {
  const share = key.shares.get(self) as KeyShare;
  return { share, peer: self === ALICE ? BOB : ALICE, admit: () => {} };
}
