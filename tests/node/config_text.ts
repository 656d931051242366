import { seededRng } from "../../src/base/rng.ts";
import { generateIdentity } from "../../src/pki/identity.ts";

const rng = seededRng("configuration text");

/** The least that a configuration has. */
export const PARTIES: string = `cluster = "demo"
ca_cert_path = "certs/ca.pem"
${
  ["alice", "bob", "carol", "dave", "erin"].map((name, i) => `
[[parties]]
name = "${name}"
address = "127.0.0.1:${9101 + i}"
cert_path = "certs/${name}/cert.pem"
key_path = "certs/${name}/key.pem"
tls_pin = ["sha256/${new Uint8Array(32).fill(i).toBase64()}"]
identity = "${generateIdentity(rng).publicText}"
identity_key_path = "data/${name}/identity.pem"
`).join("")
}`;
