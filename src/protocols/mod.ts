/**
 * The protocols, and what they are made of: key generation, signatures, refresh, resharing, repair and backups for ECDSA, Ed25519
 * and BIP340, and agreement on randomness. They know nothing of networks, clocks and files, and run in a browser as well.
 *
 * A protocol is a generator that yields once per round; {@linkcode runLocally} drives all parties of one in a process.
 *
 * @module
 */

export * from "../base/mod.ts";
export {
  type Curve,
  type CurveName,
  CURVES,
  type Group,
  p256,
  type Point,
  type Scalar,
  secp256k1,
} from "../math/curve.ts";
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
} from "../primitives/access.ts";
export * from "./agree_random.ts";
export {
  type Certificate,
  type Endorsed,
  type Lineage,
  type Origin,
  verifyCertificate,
} from "./dkg/certificate.ts";
export { dkg, type DkgInput, type DkgResult } from "./dkg/dkg.ts";
export type { Endorsement } from "./dkg/messages.ts";
export { decodeStoredKey, type KeyState, type StoredDeparture, type StoredKey } from "./dkg/stored_key.ts";
export * from "./ecdsa/derive.ts";
export * from "./ecdsa/ecdsa2p.ts";
export { type PairInput, pairSetUp } from "./ecdsa/pair.ts";
export * from "./ecdsa/pair_state.ts";
export type { SymSuite } from "./ecdsa/params.ts";
export { sign } from "./ecdsa/sign.ts";
export type { SignInput } from "./ecdsa/sign_opening.ts";
export * from "./ecdsa/signature.ts";
export { type FrostCertificate, verifyFrostCertificate } from "./frost/certificate.ts";
export { frostDkg, type FrostDkgInput, type FrostDkgResult } from "./frost/dkg.ts";
export type { FrostHeldEpoch } from "./frost/held.ts";
export {
  type FrostKeyRecord,
  type FrostKeyShare,
  frostQuorumOf,
  type Threshold,
  thresholdOf,
} from "./frost/key.ts";
export { frostRefresh, type FrostRefreshInput, type FrostRefreshResult } from "./frost/refresh.ts";
export { frostRepair, type FrostRepairInput, type FrostRepairResult } from "./frost/repair.ts";
export { frostSign, type FrostSignInput } from "./frost/sign.ts";
export { decodeFrostStoredKey, type FrostStoredKey } from "./frost/stored_key.ts";
export { FROST_SUITES, type FrostScheme, type FrostSuite } from "./frost/suite.ts";
export type { BoundRelease, BoundSigning } from "./bound.ts";
export { KEY_PURPOSES, type KeyPurpose, parseKeyPurpose } from "./key_purpose.ts";
export * from "./key_share.ts";
export * from "./local.ts";
export * from "./protocol.ts";
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
} from "./pve/backup.ts";
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
} from "./pve/custodian.ts";
export * from "./pve/drill.ts";
export type { BackupHead, BackupPurpose, BackupRecipient, LabelledShare } from "./pve/format.ts";
export type { CustodianPublicKey, CustodianSuite } from "./pve/pke.ts";
export {
  answerBackup,
  type CustodianReport,
  type QuorumRecovery,
  recoverQuorumBackup,
} from "./pve/quorum.ts";
export type { EpochResult } from "./reshare/certify.ts";
export type { EpochState, HeldEpoch } from "./reshare/held.ts";
export { refresh, type RefreshInput } from "./reshare/refresh.ts";
export { repair, type RepairInput, type RepairResult } from "./reshare/repair.ts";
export { reshare, type ReshareInput } from "./reshare/reshare.ts";
export { sync, type SyncInput, type SyncResult } from "./reshare/sync.ts";
export type { Proof } from "../zk/schnorr_pok.ts";
