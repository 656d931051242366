/**
 * A page in which two parties make a key together, sign with it and verify: the protocols alone, without a runtime's help.
 */

import {
  ecdsa2pKeyGeneration,
  ecdsa2pSign,
  ed25519Signer,
  type KeyShare,
  type LocalOptions,
  type LocalOutcome,
  type Member,
  pairSetUp,
  type PairState,
  partyId,
  type Protocol,
  runLocally,
  secp256k1,
  type Session,
  systemRng,
} from "../../../src/protocols/mod.ts";
import { cryptoBackendName, sha256 } from "../../../src/base/crypto.ts";

/** What the page has done. */
export interface PageResult {
  /** Which of the two implementations of hashes and ciphers ran. */
  readonly backend: string;
  /** Compressed, hexadecimal. */
  readonly publicKey: string;
  /** DER, hexadecimal. */
  readonly signature: string;
  /** What the page itself says of it. */
  readonly valid: boolean;
  /** Milliseconds of key generation, pair set-up and signature. */
  readonly elapsedMs: readonly [number, number, number];
}

function signOf(message: string): PageResult {
  const seeds = [systemRng.bytes(32), systemRng.bytes(32)] as const;
  const members = ["alice", "bob"].map((name, i) => ({
    index: partyId(i + 1),
    name,
    identity: ed25519Signer(seeds[i] as Uint8Array).publicKey,
  })) as unknown as [Member, Member];
  const [alice, bob] = members.map(({ index }) => index) as [Member["index"], Member["index"]];
  const identities = new Map([[alice, seeds[0]], [bob, seeds[1]]]);
  const both = <T>(start: (session: Session) => Protocol<T>, options: Partial<LocalOptions> = {}) =>
    new Map(
      [...runLocally([alice, bob], start, { rng: systemRng, identities, ...options })]
        .map(([party, outcome]) => [party, valueOf(outcome)]),
    );
  const clock = [performance.now()];

  const keys = both((session) =>
    ecdsa2pKeyGeneration.run(session, { keyName: "page", curve: secp256k1, members, self: session.self })
  );
  clock.push(performance.now());
  const shareOf = (party: Member["index"]) => keys.get(party)?.share as KeyShare;
  const pairs = both((session) =>
    pairSetUp.run(session, {
      share: shareOf(session.self),
      peer: session.self === alice ? bob : alice,
      admit: () => {},
    })
  );
  clock.push(performance.now());
  const digest = sha256(new TextEncoder().encode(message));
  const inputOf = (self: Member["index"]) => ({
    share: shareOf(self),
    digest,
    pairs: () => pairs.get(self) as PairState,
    burned: () => false,
  });
  const offers = new Map(
    [alice, bob].map((party) => [party, ecdsa2pSign.offer?.(inputOf(party)) ?? new Uint8Array()]),
  );
  const signatures = both((session) => ecdsa2pSign.run(session, inputOf(session.self)), { offers });
  clock.push(performance.now());

  const { publicKey } = shareOf(alice).record;
  const signature = signatures.get(alice);
  if (signature === undefined) throw new Error("alice has no signature");
  const elapsed = clock.slice(1).map((at, i) => Math.round(at - (clock[i] as number)));
  return {
    backend: cryptoBackendName,
    publicKey: publicKey.toBytes().toHex(),
    signature: signature.der.toHex(),
    valid: secp256k1.verifyEcdsa({ publicKey, digest, signature: signature.compact, lowS: true }),
    elapsedMs: elapsed as [number, number, number],
  };
}

function valueOf<T>(outcome: LocalOutcome<T>): T {
  if (!outcome.ok) throw outcome.error;
  return outcome.value;
}

Object.assign(globalThis, { signOf });
