/**
 * Certificate signing requests: a party's private key is made on its own host and never leaves it.
 *
 * @module
 */

// @peculiar/x509 needs the metadata API before it is loaded.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { UsageError } from "../base/errors.ts";
import { partyUri } from "../transport/peer_identity.ts";
import { ALGORITHM, exportKey, generateKeys, isIpAddress } from "./keys.ts";
import { fromPem, toPem } from "./pem.ts";

/** A request and the private key that belongs to it, both PEM. */
export interface RequestedKey {
  /** PKCS #10. */
  readonly requestPem: string;
  /** PKCS #8. Secret. */
  readonly keyPem: string;
}

/** Makes a new key and a request for its certificate. */
export async function createRequest(
  options: { readonly cluster: string; readonly party: string; readonly host: string },
): Promise<RequestedKey> {
  const { cluster, party, host } = options;
  const keys = await generateKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ O: ["quorate"] }, { CN: [party] }],
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: partyUri(cluster, party) },
        { type: isIpAddress(host) ? "ip" : "dns", value: host },
      ]),
    ],
  });
  return {
    requestPem: toPem("CERTIFICATE REQUEST", new Uint8Array(request.rawData)),
    keyPem: await exportKey(keys.privateKey),
  };
}

/**
 * The public key of a request, once its own signature shows that whoever made it has the private one. Nothing else in a request is
 * used: what the certificate says is for the authority to say.
 *
 * @throws UsageError IDENTITY_INVALID
 */
export async function requestedKey(requestPem: string): Promise<x509.PublicKey> {
  const der = fromPem("CERTIFICATE REQUEST", requestPem, "the request");
  const refuse = (why: string, cause?: unknown) =>
    new UsageError("IDENTITY_INVALID", `the certificate request ${why}`, { cause });
  const { publicKey, isSigned } = await opened(der).catch((cause) => {
    throw refuse("cannot be read", cause);
  });
  const { name, namedCurve } = publicKey.algorithm as EcKeyAlgorithm;
  if (name !== "ECDSA" || namedCurve !== "P-256") throw refuse("is not for a key on P-256");
  if (!isSigned) throw refuse("is not signed by the key that it is for");
  return publicKey;
}

/** What the library throws about a key or a signature in it depends on where its parts are looked at: all of it is here. */
async function opened(
  der: Uint8Array<ArrayBuffer>,
): Promise<{ readonly publicKey: x509.PublicKey; readonly isSigned: boolean }> {
  const request = new x509.Pkcs10CertificateRequest(der);
  return { publicKey: request.publicKey, isSigned: await request.verify() };
}
