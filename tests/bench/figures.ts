/**
 * What a row stands beside: the figure that the design of the network layer promised first ("seed"), and the one that this project
 * set itself ("wanted"), in V where the machine matters.
 *
 * @module
 */

/** Figures of one row. */
export interface Figures {
  /** Of the first design, on its machine. */
  readonly seed?: string;
  /** Of this project. */
  readonly target?: string;
}

// Small frames of one moment share a frame (BATCH), so both figures of ours are for these rows.
const SEALED: Figures = { seed: "50,000 /s", target: "100,000 /s, in batches 200,000 /s" };
const SEALED_AES: Figures = { seed: "50,000 /s", target: "50,000 /s" };
const SEAL_SEED = "1,303 ns, without MAC";
const OPEN_SEED = "2,177 ns, without MAC";

/** By the name of the row. */
export const FIGURES: Readonly<Record<string, Figures>> = {
  "sign/2-signers/secp256k1": { target: "20 V" },
  "sign/2-signers/p256": { target: "32 V" },
  "sign/3-signers/secp256k1": { target: "60 V" },
  "sign/3-signers/p256": { target: "90 V" },
  "keygen-without-pairs/2-of-3/secp256k1": { target: "35 V" },
  "keygen/2-of-3/secp256k1": { target: "1,500 V" },
  "refresh/2-of-3/secp256k1": { target: "100 V" },
  "pve/encrypt/x25519": { target: "120 V" },
  "pve/verify/x25519": { target: "80 V" },
  "pve/decrypt/x25519": { target: "1 V" },
  "agree-random/3-parties": { target: "3.5 V" },
  "agree-random/3-parties/mtls": { target: "13 V" },
  "mesh/3-up": { target: "250 ms" },
  "frame/seal-256": { seed: SEAL_SEED, target: "0.020 V" },
  "frame/open-256": { seed: OPEN_SEED, target: "0.016 V" },
  "frame/seal-256/aes-gcm": { seed: SEAL_SEED, target: "0.026 V" },
  "frame/open-256/aes-gcm": { seed: OPEN_SEED, target: "0.018 V" },
  "frame/serialise-256": { seed: "301 ns", target: "1 us" },
  "channel/encrypt-256/aes-gcm": { seed: SEAL_SEED, target: "0.026 V" },
  "channel/decrypt-256/aes-gcm": { seed: OPEN_SEED, target: "0.018 V" },
  "channel/hmac-256": { seed: "500 ns", target: "3.2 us" },
  "link/sealed-256": SEALED,
  "link/sealed-256/two-threads": SEALED,
  "link/sealed-256/two-threads/aes-gcm": SEALED_AES,
  "link/sealed-64k": { seed: "500 MB/s", target: "300 MB/s" },
  "link/sealed-64k/aes-gcm": { seed: "500 MB/s", target: "80 MB/s" },
  "link/unsealed-64k": { seed: "500 MB/s", target: "500 MB/s" },
};
