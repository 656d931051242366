import { keyId } from "../../../src/base/brands.ts";
import { type Bytes, concat } from "../../../src/base/bytes.ts";
import { UsageError } from "../../../src/base/errors.ts";
import { toPem } from "../../../src/base/pem.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import type { Group } from "../../../src/math/curve.ts";
import {
  type CustodianKey,
  generateCustodianKey,
  parseCustodianPrivateKey,
} from "../../../src/protocols/pve/custodian.ts";
import type { SecretShare } from "../../../src/protocols/pve/backup.ts";
import type { CustodianSuite } from "../../../src/protocols/pve/pke.ts";
import { RSA_TEST_KEY } from "../../base/rsa_test_key.ts";

/** Seeded: a failing test fails again. */
export const rng: Rng = seededRng("pve");

/** A share of a key of its own. */
export function makeShare(group: Group, options: Partial<SecretShare> = {}): SecretShare {
  const x = group.randomScalar(rng);
  return {
    keyId: keyId(rng.bytes(32)),
    epoch: 3,
    group,
    leaf: "alice",
    publicShare: group.mulBase(x),
    share: new Secret(group.encodeScalar(x)),
    ...options,
  };
}

const keys = new Map<string, CustodianKey>();
const RSA_PEM = toPem("PRIVATE KEY", RSA_TEST_KEY);

/** A custodian's key, the same one for the same name. */
export function custodian(suite: CustodianSuite, name = "one"): CustodianKey {
  const place = `${suite} ${name}`;
  const key = keys.get(place) ??
    (suite === "rsa" ? parseCustodianPrivateKey(RSA_PEM, "") : generateCustodianKey(suite, rng));
  keys.set(place, key);
  return key;
}

/** Matches the error of a code whose sentence has these words. */
export function refuses(code: string, what: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof UsageError && error.code === code && what.test(error.message);
}

/** The bytes with some of them replaced. */
export function spliced(bytes: Bytes, at: number, replacement: Uint8Array): Bytes {
  return concat(bytes.subarray(0, at), replacement, bytes.subarray(at + replacement.length));
}
