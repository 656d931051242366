/**
 * A certificate request for a key of another kind than ours.
 *
 * @module
 */

import "reflect-metadata";
import * as x509 from "@peculiar/x509";

/** A good request, PEM, for a key on P-384. */
export async function requestOnP384(): Promise<string> {
  const signingAlgorithm = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"]) as CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=bob",
    keys,
    signingAlgorithm,
  });
  return request.toString("pem");
}
