/**
 * Two parties make an ECDSA key together and sign with it, and neither of them ever has the private key. Here both are in one process,
 * linked in memory; with a `Mesh` in the place of the memory network the same lines run on two hosts.
 *
 * @module
 */

import {
  ecdsa2pKeyGeneration,
  ecdsa2pSign,
  ed25519Signer,
  makeRoster,
  type Member,
  memoryNetwork,
  pairSetUp,
  partyId,
  secp256k1,
  SessionHost,
  systemClock,
  systemRng,
} from "@quorate/quorate";

const identities = [1, 2].map(() => ed25519Signer(systemRng.bytes(32)));
const members = ["alice", "bob"].map((name, i) => {
  return { index: partyId(i + 1), name, identity: identities[i].publicKey };
}) as [Member, Member];
const roster = makeRoster("example", members);
const network = memoryNetwork(members.map(({ index }) => index));
const message = new TextEncoder().encode("pay 5 to dave");
const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", message));

async function party({ index: self }: Member, { index: peer }: Member) {
  const identity = identities[self - 1];
  const links = network.links(self);
  // A real party writes what must survive a crash to its journal, before it goes on.
  const surroundings = { links, clock: systemClock, rng: systemRng, journal: { write: () => {} } };
  const options = { roster, self, identity, ...surroundings, timeoutMs: 10_000, command: "example" };
  const host = new SessionHost({ ...options, mode: "daemon" });
  const key = { keyName: "treasury", curve: secp256k1, members, self };
  const { share } = await host.start(ecdsa2pKeyGeneration, key).result;
  const pair = await host.start(pairSetUp, { share, peer, admit: () => {} }).result;
  const input = { share, digest, pairs: () => pair, burned: () => false };
  return { share, signature: await host.start(ecdsa2pSign, input).result };
}

const [alice, bob] = members;
const [{ share, signature }] = await Promise.all([party(alice, bob), party(bob, alice)]);
console.log(`public key ${share.record.publicKey.toBytes().toHex()}`);
console.log(`signature  ${signature?.der.toHex()}`);
