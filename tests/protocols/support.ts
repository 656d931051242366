import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { type Codec, decode, encode } from "../../src/base/codec.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { CheaterError } from "../../src/base/errors.ts";
import { type Rng, seededRng } from "../../src/base/rng.ts";
import { leavesOf, parsePolicy } from "../../src/primitives/access.ts";
import type { DkgInput } from "../../src/protocols/dkg/dkg.ts";
import type { Member } from "../../src/protocols/key_share.ts";
import type { LocalMessage, LocalOutcome } from "../../src/protocols/local.ts";
import type { Protocol, Step } from "../../src/protocols/protocol.ts";
import { type Curve, secp256k1 } from "../../src/math/curve.ts";

/** The parties of a policy, with seeded identity keys. */
export interface Group {
  readonly parties: readonly PartyId[];
  readonly members: readonly Member[];
  readonly identities: ReadonlyMap<PartyId, Bytes>;
  readonly rng: Rng;
  /** The input of key generation for one of them. */
  input(self: PartyId): DkgInput;
}

/** Makes the parties that a policy names, in the order of its leaves. */
export function makeGroup(
  text: string,
  options: { readonly curve?: Curve; readonly seed?: string } = {},
): Group {
  const policy = parsePolicy(text);
  const rng = seededRng(options.seed ?? text);
  const seeds = leavesOf(policy).map(() => rng.bytes(32));
  const members = leavesOf(policy).map((name, i) => ({
    index: partyId(i + 1),
    name,
    identity: ed25519Signer(seeds[i] as Bytes).publicKey,
  }));
  return {
    parties: members.map((member) => member.index),
    members,
    identities: new Map(members.map((member, i) => [member.index, seeds[i] as Bytes])),
    rng,
    input: (self) => ({ keyName: "treasury", curve: options.curve ?? secp256k1, policy, members, self }),
  };
}

/** Changes one decoded field of the messages that `matches` picks out. */
export function tamperWith<T>(
  codec: Codec<T>,
  matches: Partial<Pick<LocalMessage, "round" | "kind" | "from" | "receiver">>,
  change: (message: T) => T,
): (message: LocalMessage) => Bytes {
  return (message) => {
    const hit = Object.entries(matches).every(([key, value]) => message[key as keyof LocalMessage] === value);
    return hit ? encode(codec, change(decode(codec, message.body))) : message.body;
  };
}

/** The bytes with one bit changed. */
export function flipped(bytes: Uint8Array, at = 0): Bytes {
  const out = new Uint8Array(bytes);
  out[at] = (out[at] as number) ^ 1;
  return out;
}

/** The same protocol; shows every step and its answer to the test. Ends the protocol where it is ended itself. */
export function* watched<T>(run: Protocol<T>, see: (step: Step, answer: unknown) => void): Protocol<T> {
  try {
    let next = run.next();
    while (!next.done) {
      const answer = yield next.value;
      see(next.value, answer);
      next = run.next(answer);
    }
    return next.value;
  } finally {
    run.return(undefined as never);
  }
}

/** The results of all parties. @throws the first error. */
export function valuesOf<T>(outcomes: ReadonlyMap<PartyId, LocalOutcome<T>>): Map<PartyId, T> {
  return new Map([...outcomes].map(([party, outcome]) => {
    if (!outcome.ok) throw outcome.error;
    return [party, outcome.value];
  }));
}

/** Asserts that the party ended by naming the culprits. */
export function blames<T>(
  outcome: LocalOutcome<T> | undefined,
  expected: {
    readonly round: number;
    readonly culprits: readonly number[];
    readonly what: string;
    readonly code?: string;
  },
): void {
  assert.ok(outcome !== undefined && !outcome.ok, "the party did not notice");
  const { error } = outcome;
  assert.ok(error instanceof CheaterError, String((error as Error).stack));
  assert.deepEqual(
    { round: error.round, culprits: error.culprits, code: error.code },
    { round: expected.round, culprits: expected.culprits, code: expected.code ?? "CHEATED" },
  );
  assert.ok(error.what.includes(expected.what), error.what);
}
