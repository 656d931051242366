/**
 * Threshold keys for several hosts: no single machine, person or backup can sign alone.
 *
 * The protocols ({@linkcode dkg}, {@linkcode pairSetUp}, {@linkcode sign}, {@linkcode agreeRandom}) are generators that know
 * nothing of networks; {@linkcode SessionHost} runs them over links; {@linkcode Mesh} makes links of mutual TLS, and
 * {@linkcode Transport} carries messages of other programs over them; {@linkcode SealedChannel} seals without any of that;
 * {@linkcode openParty} wires all of it together from a configuration file. Nothing runs on import.
 *
 * This is all of the package. `@quorate/quorate/protocols` has the protocols alone, which run in a browser too,
 * `@quorate/quorate/transport` sessions and links, and `@quorate/quorate/node` everything that knows files and configurations.
 *
 * @example Two parties in one process agree on randomness
 * ```ts
 * import { agreeRandom, partyId, runLocally, systemRng } from "@quorate/quorate";
 *
 * const participants = [partyId(1), partyId(2)];
 * const input = { bits: 256, participants };
 * const outcomes = runLocally(participants, (session) => agreeRandom.run(session, input), { rng: systemRng });
 * const values = [...outcomes.values()].map((outcome) => outcome.ok ? outcome.value.toHex() : "failed");
 * if (values[0] !== values[1] || values[0]?.length !== 64) throw new Error("they differ");
 * ```
 *
 * @example Messages over mutual TLS, without the protocols
 * ```ts
 * import {
 *   createAuthority,
 *   ed25519Signer,
 *   issueLeaf,
 *   makeRoster,
 *   MessageType,
 *   partyId,
 *   pinOf,
 *   systemRng,
 *   Transport,
 * } from "@quorate/quorate";
 *
 * const names = ["alice", "bob"];
 * const authority = await createAuthority({ cluster: "demo" });
 * const leaves = await Promise.all(
 *   names.map((party) => issueLeaf({ authority, cluster: "demo", party, host: "127.0.0.1" })),
 * );
 * const identities = names.map(() => ed25519Signer(systemRng.bytes(32)));
 * const roster = makeRoster("demo", names.map((name, i) => ({ name, identity: identities[i]!.publicKey })));
 * const pins = new Map(leaves.map((leaf, i) => [partyId(i + 1), [pinOf(leaf.certPem)]]));
 *
 * const ports = new Map<number, number | undefined>();
 * const [alice, bob] = names.map((_, i) =>
 *   new Transport({
 *     roster,
 *     self: partyId(i + 1),
 *     listen: "127.0.0.1:0",
 *     addressOf: (peer) => ports.has(peer) ? `127.0.0.1:${ports.get(peer)}` : undefined,
 *     tls: { ...leaves[i]!, authoritiesPem: authority.certPem },
 *     pins,
 *     identity: identities[i]!,
 *     rng: systemRng,
 *   })
 * ) as [Transport, Transport];
 * bob.on(MessageType.SIGN_ROUND_1, (message) =>
 *   bob.send(message.from, { type: MessageType.ACK, payload: message.payload }));
 * await Promise.all([alice.start(), bob.start()]);
 * ports.set(2, bob.port);
 * await alice.connected([partyId(2)]);
 *
 * await alice.send(partyId(2), { type: MessageType.SIGN_ROUND_1, payload: new TextEncoder().encode("hello") });
 * const answer = await alice.receive({ type: MessageType.ACK, timeoutMs: 5_000 });
 * await Promise.all([alice.stop(), bob.stop()]);
 * if (new TextDecoder().decode(answer.payload) !== "hello") throw new Error("not echoed");
 * ```
 *
 * @module
 */

export * from "./src/protocols/mod.ts";
export * from "./src/transport/mod.ts";
export * from "./src/node/mod.ts";
