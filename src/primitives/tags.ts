/**
 * Every domain separation tag of the project, in one place. A test proves that they are unique and well formed.
 *
 * @module
 */

/**
 * Purposes of hashes (SPEC 0.2). The hashed tag is `"quorate/v1/"` and the value here; two uses never share one.
 */
export const Tag = {
  // Configuration and identity (WIRE.md 2, 6).
  roster: "roster",
  clusterHash: "cluster",
  config: "cfg",
  policy: "policy",
  keyId: "key-id",
  hello: "hello",
  helloAck: "hello-ack",
  // Sessions (WIRE.md 3, 4).
  proposal: "proposal",
  payload: "payload",
  open: "open",
  offer: "offer",
  ready: "ready",
  sid: "sid",
  envelope: "envelope",
  message: "message",
  echo: "echo",
  // Shared by protocols.
  pok: "pok",
  certificate: "cert",
  // Agree-random (SPEC 5).
  agreeCommit: "agree/com",
  agreeOut: "agree/out",
  agreeOk: "agree/ok",
  agreeNonce: "agree/nonce",
  // Distributed key generation (SPEC 2.4).
  dkgCommit: "dkg/com",
  dkgTranscript: "dkg/transcript",
  dkgOutput: "dkg/output",
  chainCode: "cc",
  // Later epochs of a key (SPEC 2.8 to 2.10).
  reshareCommit: "reshare/com",
  reshareTranscript: "reshare/transcript",
  reshareOutput: "reshare/output",
  epochDigest: "reshare/epoch",
  // Pair set-up (SPEC 2.3).
  pair: "pair",
  pairTag: "pair/tag",
  pairOtHash: "pair/ot-hash",
  pairOtKey: "pair/ot-key",
  pairCertificate: "pair/cert",
  pairZeroSeed: "pair/zseed",
  pairZeroSeedOk: "pair/zseed-ok",
  pairRound: "pair/round",
  // Re-randomised pair states (SPEC 2.9).
  pairCoin: "pair/coin",
  pairCoinCommit: "pair/coin-com",
  pairOtShift: "pair/ot-shift",
  pairOtRefresh: "pair/ot-refresh",
  pairZeroSeedRefresh: "pair/zseed-refresh",
  pairRerandomizedOk: "pair/rerand-ok",
  pprfLeft: "pprf0",
  pprfRight: "pprf1",
  pprfProof: "pprf-proof",
  pprfCheck: "pprf-check",
  // VOLE (SPEC 2.5).
  vole: "vole",
  voleGadget: "vole/gadget",
  voleA: "vole/a",
  voleTheta: "vole-theta",
  voleMu: "vole-mu",
  voleAesPrg: "vole/aes-prg",
  voleAesPad: "vole/aes-pad",
  softSpokenPrg: "ss-prg",
  softSpokenU: "ss-u",
  softSpokenChi: "ss-chi",
  softSpokenPad: "ss-pad",
  // Signing (SPEC 2.6).
  signCommit: "sign/com",
  signRound1: "sign-r1",
  signR: "sign/R",
  zeroShare: "zero",
  // Import of a private key.
  keyImport: "key-import",
  keyImportChain: "key-import/cc",
  // Hedged randomness (SPEC 8.14).
  hedge: "hedge",
  hedgeKey: "hedge/key",
  // FROST (SPEC 6).
  frostTranscript: "frost/transcript",
  frostMessage: "frost/message",
  frostNonce: "frost/nonce",
  frostRecord: "frost/record",
  frostEpoch: "frost/epoch",
  frostRefreshCommit: "frost/refresh/com",
  frostRefreshTranscript: "frost/refresh/transcript",
  frostRepairAnnounced: "frost/repair/announced",
  // Publicly verifiable backup (SPEC 4.2).
  pveAad: "pve-aad",
  pveBatchAad: "pve-batch-aad",
  pveQuorumAad: "pve-quorum-aad",
  pveCustodian: "pve-custodian",
  pveSeeds: "pve-seeds",
  pveRow0: "pve-row0",
  pveRow1: "pve-row1",
  pveBatchScalars: "pve-batch-x0",
  pveBatchSeal: "pve-batch-rho",
  pveQuorumKey: "pve-quorum-key",
  pveQuorumShares: "pve-quorum-shares",
  pveQuorumSeal: "pve-quorum-rho",
  pveQuorumBody: "pve-quorum-body",
  pveChallenge: "pve-fs",
  pveFile: "pve-file",
  pveRsaSeed: "pve-rsa-seed",
  pveRsaKey: "pve-rsa-key",
  // Voting (VOTING.md).
  voteMembership: "vote/membership",
  voteBallot: "vote/ballot",
  voteVote: "vote/vote",
  voteGossip: "vote/gossip",
  voteProposal: "vote/proposal",
  voteTx: "vote/tx",
  voteEnvelope: "vote/envelope",
  voteReceipt: "vote/receipt",
  voteSuspicion: "vote/suspicion",
  voteOffence: "vote/offence",
  voteCore: "vote/core",
  voteApproval: "vote/approval",
  voteDecision: "vote/decision",
  signApproved: "sign/approved",
  signRegister: "sign/register",
  // Storage (DESIGN 6).
  storeSeal: "store/seal",
  storeItem: "store/item",
  storeRow: "store/row",
  storeState: "store/state",
  storeRecord: "row",
} as const;

/** One of the registered tags. */
export type TagName = typeof Tag[keyof typeof Tag];
