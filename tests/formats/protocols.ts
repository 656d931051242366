/**
 * The messages of protocols: one run of each between two parties, from fixed seeds.
 */

import { partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import { dkg } from "../../src/protocols/dkg/dkg.ts";
import { pairSetUp } from "../../src/protocols/ecdsa/pair.ts";
import { sign } from "../../src/protocols/ecdsa/sign.ts";
import { frostDkg } from "../../src/protocols/frost/dkg.ts";
import { frostSign } from "../../src/protocols/frost/sign.ts";
import type { FrostScheme } from "../../src/protocols/frost/suite.ts";
import type { KeyShare } from "../../src/protocols/key_share.ts";
import { type LocalOptions, runLocally } from "../../src/protocols/local.ts";
import type { Definition, Round } from "../../src/protocols/protocol.ts";
import { dealKey, runSign, signInput } from "../protocols/ecdsa/support.ts";
import { dealFrostKey, runFrostSign } from "../protocols/frost/support.ts";
import { makeGroup } from "../protocols/support.ts";

/** A protocol whose messages are stored. */
export interface ProtocolExample {
  /** Of the protocol, on the wire. */
  readonly version: number;
  /** With their codecs. */
  readonly rounds: readonly Round[];
  /** Runs it; the option sees every message. */
  run(options: Pick<LocalOptions, "rng" | "tamper">): Map<unknown, { readonly ok: boolean }>;
}

const POLICY = "2 of (alice, bob)";
const [ALICE, BOB] = [partyId(1), partyId(2)];
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
  ...(["ed25519", "bip340"] as const).flatMap((scheme) => frostExamples(scheme)),
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
  for (const outcome of outcomes?.values() ?? []) if (!outcome.ok) throw new Error(`${name} fails`);
  return messages;
}

function example<I, O>(
  definition: Definition<I, O>,
  input: I,
  run: ProtocolExample["run"],
): ProtocolExample {
  return { version: definition.version, rounds: definition.rounds(input), run };
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

function pairInput(self: typeof ALICE) {
  const share = key.shares.get(self) as KeyShare;
  return { share, peer: self === ALICE ? BOB : ALICE, admit: () => {} };
}
