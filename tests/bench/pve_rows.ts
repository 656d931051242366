import { keyId } from "../../src/base/brands.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { createBackup, recoverBackup, verifyBackup } from "../../src/protocols/pve/backup.ts";
import { generateCustodianKey } from "../../src/protocols/pve/custodian.ts";
import type { BenchRow } from "./row.ts";

/** Backup of one share on secp256k1. Decryption is without verification: that one has a row of its own. */
export const pveRows: readonly BenchRow[] = (["x25519", "p256"] as const).flatMap((suite): BenchRow[] => {
  const prepare = () => {
    const key = generateCustodianKey(suite, systemRng), to = key.publicKey;
    const x = secp256k1.randomScalar(systemRng);
    const share = {
      keyId: keyId(systemRng.bytes(32)),
      epoch: 0,
      group: secp256k1,
      leaf: "alice",
      publicShare: secp256k1.mulBase(x),
      share: new Secret(secp256k1.encodeScalar(x)),
    };
    const encrypt = () => createBackup({ to, shares: [share], createdAt: 0, rng: systemRng });
    return { key, to, shares: [share], encrypt };
  };
  return [
    { kind: "time", name: `pve/encrypt/${suite}`, samples: 20, prepare: () => prepare().encrypt },
    {
      kind: "time",
      name: `pve/verify/${suite}`,
      samples: 20,
      prepare() {
        const { to, shares, encrypt } = prepare();
        const backup = encrypt();
        return () => verifyBackup(backup, { to, shares });
      },
    },
    {
      kind: "time",
      name: `pve/decrypt/${suite}`,
      samples: 100,
      prepare() {
        const { key, shares, encrypt } = prepare();
        const backup = encrypt();
        return () => recoverBackup(backup, { key, shares, verify: false });
      },
    },
  ];
});
