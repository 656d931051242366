/**
 * Everything wired together: {@linkcode openParty} from a configuration file, with certificates, storage and the audit log.
 *
 * @module
 */

export * from "../base/mod.ts";
export type * from "../protocols/mod.ts";
export type * from "../transport/mod.ts";
export * from "../pki/authority.ts";
export * from "../pki/identity.ts";
export * from "../pki/inspect.ts";
export * from "../pki/pin.ts";
export { createRequest, type RequestedKey } from "../pki/request.ts";
export * from "../pki/revocation.ts";
export type { LockHolder } from "../storage/lock.ts";
export { canonicalJson, type Json, type JsonObject, parseCanonicalJson } from "../audit/canonical.ts";
export * from "../audit/checkpoint.ts";
export * from "../audit/cosigning.ts";
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
} from "../audit/events.ts";
export { AuditLog, type AuditLogOptions, type AuditStatus } from "../audit/log.ts";
export { type Note, type NoteSignature } from "../audit/note.ts";
export * from "../audit/proof.ts";
export type { StoredCheckpoint } from "../audit/stored_checkpoints.ts";
export * from "../audit/verify.ts";
export { provesFork, Witness, type WitnessAlarm, type WitnessOptions } from "../audit/witness.ts";
export * from "../audit/witness_messages.ts";
export * from "./clock.ts";
export type { AuditConfig } from "./audit_config.ts";
export { CertificateWatch, type CertificateWatchOptions } from "./certificate_watch.ts";
export {
  certificateEvents,
  type CertificateMaterial,
  expiriesOf,
  type Expiry,
  loadCertificates,
} from "./certificates.ts";
export {
  type Address,
  type Config,
  type Environment,
  loadConfig,
  parseConfig,
  type PartyConfig,
} from "./config.ts";
export type { CoordinationConfig, RecordsConfig, StoresConfig, TlsFiles } from "./store_config.ts";
export * from "./derivation.ts";
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
} from "./doctor.ts";
export type { FrostGenerateRequest, FrostKeyInfo, FrostSignRequest, FrostSignResult } from "./frost_keys.ts";
export * from "./init.ts";
export type { RepairRequest, ReshareRequest } from "./key_epochs.ts";
export { type ExportedKey, exportPrivateKey, type ExportRequest } from "./key_export.ts";
export type { ImportRequest } from "./key_import.ts";
export * from "./private_key.ts";
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
} from "./party.ts";
export type { LocalOptions as OpenOptions } from "./local_party.ts";
export type { Network, NetworkOptions } from "./network.ts";
export type { NodeConfig } from "./node_config.ts";
export type { LogFormat, LogLevel } from "../telemetry/log.ts";
export type { Party, PartyOptions, RequestOptions } from "./party.ts";
export * from "./permissions.ts";
export * from "./public_key.ts";
export * from "./public_record.ts";
export type { VotingConfig } from "./voting_config.ts";
export type { DayWindow, PolicyConfig } from "./policy_config.ts";
export type { ApprovedInput } from "./approval_key.ts";
export type { ApprovedRequest } from "./approved_signing.ts";
export {
  type Approval,
  APPROVAL_SCHEMES,
  approvalCore,
  approvalHash,
  decodeApproval,
  encodeApproval,
  INPUT_MODES,
} from "../voting/approval.ts";
export { certificateCodec, certificateFault, type QuorumCertificate } from "../voting/certificate.ts";
export type { GossipEnvelope } from "../voting/gossip.ts";
export {
  type FaultBounds,
  faultBounds,
  makeMembership,
  type Membership,
  type MembershipInput,
  type Voter,
} from "../voting/membership.ts";
export { type Offence, offenceCodec, type OffenceProof, OFFENCES, verifyOffence } from "../voting/offence.ts";
export { followRosters, nextMembership } from "../voting/roster.ts";
export {
  decodeValue,
  encodeValue,
  formatValue,
  type SchemaName,
  SCHEMAS,
  type Value,
} from "../voting/value.ts";
export { type Question, type Vote, voteCodec, type VoteFault, voteFault } from "../voting/vote.ts";
export type { SessionPurpose } from "../telemetry/sessions.ts";
