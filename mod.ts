/**
 * Threshold keys for several hosts: no single machine, person or backup can sign alone.
 *
 * The protocols ({@linkcode dkg}, {@linkcode pairSetUp}, {@linkcode sign}, {@linkcode agreeRandom}) are generators that know
 * nothing of networks; {@linkcode SessionHost} runs them over links; {@linkcode Mesh} makes links of mutual TLS, and
 * {@linkcode Transport} carries messages of other programs over them; {@linkcode SealedChannel} seals without any of that;
 * {@linkcode openParty} wires all of it together from a configuration file. Nothing runs on import.
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

export * from "./src/base/brands.ts";
export type { Bytes } from "./src/base/bytes.ts";
export { type Codec, decode, DecodeError, encode, Reader, Writer } from "./src/base/codec.ts";
export {
  type AeadName,
  type CryptoBackend,
  type EcKey,
  type EcName,
  type Ed25519Signer,
  ed25519Signer,
  type Ed25519Verifier,
  ed25519Verifier,
} from "./src/base/crypto.ts";
export {
  CheaterError,
  type Code,
  type CodeMeaning,
  CODES,
  type ErrorDetails,
  InvariantError,
  QuorateError,
  TransportError,
  UsageError,
} from "./src/base/errors.ts";
export { type Rng, seededRng, systemRng } from "./src/base/rng.ts";
export { Secret } from "./src/base/secret.ts";
export {
  type Curve,
  type CurveName,
  CURVES,
  type Group,
  p256,
  type Point,
  type Scalar,
  secp256k1,
} from "./src/math/curve.ts";
export {
  ACCESS_LIMITS,
  type AccessTree,
  type Child,
  formatPolicy,
  type Gate,
  type Leaf,
  leavesOf,
  parsePolicy,
  type PolicyMember,
  type PolicyOptions,
  qualified,
  type Solution,
  solve,
} from "./src/primitives/access.ts";
export * from "./src/protocols/agree_random.ts";
export {
  type Certificate,
  type Endorsed,
  type Lineage,
  type Origin,
  verifyCertificate,
} from "./src/protocols/dkg/certificate.ts";
export { dkg, type DkgInput, type DkgResult } from "./src/protocols/dkg/dkg.ts";
export type { Endorsement } from "./src/protocols/dkg/messages.ts";
export {
  decodeStoredKey,
  type KeyState,
  type StoredDeparture,
  type StoredKey,
} from "./src/protocols/dkg/stored_key.ts";
export * from "./src/protocols/ecdsa/derive.ts";
export * from "./src/protocols/ecdsa/ecdsa2p.ts";
export { type PairInput, pairSetUp } from "./src/protocols/ecdsa/pair.ts";
export * from "./src/protocols/ecdsa/pair_state.ts";
export type { SymSuite } from "./src/protocols/ecdsa/params.ts";
export { sign } from "./src/protocols/ecdsa/sign.ts";
export type { SignInput } from "./src/protocols/ecdsa/sign_opening.ts";
export * from "./src/protocols/ecdsa/signature.ts";
export { type FrostCertificate, verifyFrostCertificate } from "./src/protocols/frost/certificate.ts";
export { frostDkg, type FrostDkgInput, type FrostDkgResult } from "./src/protocols/frost/dkg.ts";
export type { FrostHeldEpoch } from "./src/protocols/frost/held.ts";
export {
  type FrostKeyRecord,
  type FrostKeyShare,
  frostQuorumOf,
  type Threshold,
  thresholdOf,
} from "./src/protocols/frost/key.ts";
export {
  frostRefresh,
  type FrostRefreshInput,
  type FrostRefreshResult,
} from "./src/protocols/frost/refresh.ts";
export { frostRepair, type FrostRepairInput, type FrostRepairResult } from "./src/protocols/frost/repair.ts";
export { frostSign, type FrostSignInput } from "./src/protocols/frost/sign.ts";
export { decodeFrostStoredKey, type FrostStoredKey } from "./src/protocols/frost/stored_key.ts";
export { FROST_SUITES, type FrostScheme, type FrostSuite } from "./src/protocols/frost/suite.ts";
export * from "./src/protocols/key_share.ts";
export * from "./src/protocols/local.ts";
export * from "./src/protocols/protocol.ts";
export {
  type BackedUpRecord,
  type BackupInfo,
  type BackupInput,
  createBackup,
  describeBackup,
  type ExpectedBackup,
  expectedShare,
  recoverBackup,
  type RecoveredShares,
  type RecoverOptions,
  type SecretShare,
  secretShare,
  verifyBackup,
} from "./src/protocols/pve/backup.ts";
export {
  checkCustodianGroup,
  type CustodianGroup,
  CustodianKey,
  custodianName,
  type Decapsulator,
  formatCustodianKey,
  generateCustodianKey,
  parseCustodianKey,
  parseCustodianPrivateKey,
} from "./src/protocols/pve/custodian.ts";
export * from "./src/protocols/pve/drill.ts";
export type {
  BackupHead,
  BackupPurpose,
  BackupRecipient,
  LabelledShare,
} from "./src/protocols/pve/format.ts";
export type { CustodianPublicKey, CustodianSuite } from "./src/protocols/pve/pke.ts";
export {
  answerBackup,
  type CustodianReport,
  type QuorumRecovery,
  recoverQuorumBackup,
} from "./src/protocols/pve/quorum.ts";
export type { EpochResult } from "./src/protocols/reshare/certify.ts";
export type { EpochState, HeldEpoch } from "./src/protocols/reshare/held.ts";
export { refresh, type RefreshInput } from "./src/protocols/reshare/refresh.ts";
export { repair, type RepairInput, type RepairResult } from "./src/protocols/reshare/repair.ts";
export { reshare, type ReshareInput } from "./src/protocols/reshare/reshare.ts";
export { sync, type SyncInput, type SyncResult } from "./src/protocols/reshare/sync.ts";
export type { Proof } from "./src/zk/schnorr_pok.ts";
export type { SessionContext, SessionEvent } from "./src/session/context.ts";
export { type Evidence, verifyEvidence } from "./src/session/evidence.ts";
export * from "./src/session/host.ts";
export type { Journal } from "./src/session/journal.ts";
export * from "./src/session/links.ts";
export type { Mend } from "./src/session/opening.ts";
export * from "./src/session/roster.ts";
export type { Outcome, Settled } from "./src/session/session.ts";
export type { Turn, TurnSession } from "./src/session/turn.ts";
export type { Traffic, TrafficByType } from "./src/transport/counters.ts";
export type { EventReceiver } from "./src/transport/event_queue.ts";
export { LINK_CODES, type LinkCode } from "./src/transport/faults.ts";
export type { Directions } from "./src/transport/heartbeat.ts";
export type { ReceiveOptions } from "./src/transport/inbox.ts";
export type { LinkFigures } from "./src/transport/link.ts";
export * from "./src/transport/limits.ts";
export * from "./src/transport/memory.ts";
export * from "./src/transport/mesh.ts";
export {
  ackMessage,
  errorMessage,
  type ErrorReport,
  heartbeatMessage,
  type Message,
  MessageKind,
  type ReceivedMessage,
} from "./src/transport/message.ts";
export * from "./src/transport/message_types.ts";
export * from "./src/transport/rate.ts";
export type { FrameFields, RawFrame } from "./src/transport/frame.ts";
export {
  type LinkRole,
  type MasterKeyOptions,
  SealedChannel,
  type SealedChannelOptions,
  type Suite,
  SUITES,
} from "./src/transport/sealed_channel.ts";
export type { TlsMaterial } from "./src/transport/tls_listener.ts";
export * from "./src/transport/transport.ts";
export * from "./src/pki/authority.ts";
export * from "./src/pki/identity.ts";
export * from "./src/pki/inspect.ts";
export * from "./src/pki/pin.ts";
export { createRequest, type RequestedKey } from "./src/pki/request.ts";
export * from "./src/pki/revocation.ts";
export type { LockHolder } from "./src/storage/lock.ts";
export { canonicalJson, type Json, type JsonObject, parseCanonicalJson } from "./src/audit/canonical.ts";
export * from "./src/audit/checkpoint.ts";
export * from "./src/audit/cosigning.ts";
export {
  AUDIT_EVENTS,
  type AuditDetails,
  type AuditEvent,
  type AuditEventType,
  type AuditOutcome,
  type AuditRecord,
  decodeRecord as decodeAuditRecord,
  type DetailKind,
  type DetailValues,
  encodeRecord as encodeAuditRecord,
} from "./src/audit/events.ts";
export { AuditLog, type AuditLogOptions, type AuditStatus } from "./src/audit/log.ts";
export { type Note, type NoteSignature } from "./src/audit/note.ts";
export * from "./src/audit/proof.ts";
export type { StoredCheckpoint } from "./src/audit/stored_checkpoints.ts";
export * from "./src/audit/verify.ts";
export { provesFork, Witness, type WitnessAlarm, type WitnessOptions } from "./src/audit/witness.ts";
export * from "./src/audit/witness_messages.ts";
export type { AuditConfig } from "./src/node/audit_config.ts";
export { CertificateWatch, type CertificateWatchOptions } from "./src/node/certificate_watch.ts";
export {
  certificateEvents,
  type CertificateMaterial,
  expiriesOf,
  type Expiry,
  loadCertificates,
} from "./src/node/certificates.ts";
export {
  type Address,
  type Config,
  type Environment,
  loadConfig,
  parseConfig,
  type PartyConfig,
} from "./src/node/config.ts";
export type { CoordinationConfig, RecordsConfig, StoresConfig, TlsFiles } from "./src/node/store_config.ts";
export * from "./src/node/derivation.ts";
export {
  type Aspect,
  ASPECTS,
  diagnose,
  DOCTOR_LIMITS,
  examineCertificates,
  type Finding,
  type Grade,
  isAboutIdentity,
  type Surroundings,
  worstOf,
} from "./src/node/doctor.ts";
export type {
  FrostGenerateRequest,
  FrostKeyInfo,
  FrostSignRequest,
  FrostSignResult,
} from "./src/node/frost_keys.ts";
export * from "./src/node/init.ts";
export type { RepairRequest, ReshareRequest } from "./src/node/key_epochs.ts";
export { type ExportedKey, exportPrivateKey, type ExportRequest } from "./src/node/key_export.ts";
export type { ImportRequest } from "./src/node/key_import.ts";
export * from "./src/node/private_key.ts";
export {
  type EpochInfo,
  type EpochOutcome,
  type GenerateRequest,
  type KeyInfo,
  openParty,
  type PublicKeyInfo,
  type RefreshRequest,
  type SignRequest,
  type SignResult,
} from "./src/node/party.ts";
export type { LocalOptions as OpenOptions } from "./src/node/local_party.ts";
export type { Network, NetworkOptions } from "./src/node/network.ts";
export type { NodeConfig } from "./src/node/node_config.ts";
export type { LogFormat, LogLevel } from "./src/telemetry/log.ts";
export type { Party, PartyOptions, RequestOptions } from "./src/node/party.ts";
export * from "./src/node/permissions.ts";
export * from "./src/node/public_key.ts";
export * from "./src/node/public_record.ts";
