/**
 * Steps that several demos have: key generation, a signature and its verification, refresh.
 *
 * @module
 */

import { createHash, createPublicKey, verify } from "node:crypto";
import { join } from "node:path";
import { TransportError } from "../src/base/errors.ts";
import type { Stage } from "./demo_stage.ts";
import type { Finished } from "./processes.ts";

/** Members of a key, its curve and its policy. */
export interface GeneratedKey {
  readonly key: string;
  readonly members: readonly string[];
  readonly curve: "secp256k1" | "p256";
  readonly policy: string;
}

/** All members generate a key, over links on which both ends have shown their certificates. */
export async function generate(stage: Stage, { key, members, curve, policy }: GeneratedKey): Promise<void> {
  const name = { secp256k1: "secp256k1", p256: "P-256" }[curve];
  await stage.step(`Distributed key generation on ${name}, policy "${policy}"`, async () => {
    const made = await stage.run(
      members,
      () => ["key", "generate", "--key", key, "--curve", curve, "--policy", policy],
    );
    for (const [party, { stderr }] of made) stage.say(`[${party}] mutual TLS with ${linksOf(stderr)}`);
    stage.each(made, (out) => `public key ${out.trim()}`);
    stage.equalEverywhere(made);
    stage.results["publicKey"] = [...made.values()][0]?.stdout.trim();
  });
}

/** A quorum signs, and the signature is verified with the public key alone. */
export async function signAndVerify(stage: Stage, quorum: readonly string[], key: string): Promise<void> {
  const message = new TextEncoder().encode(stage.message);
  const messagePath = stage.file("message.txt");
  const publicPath = stage.file(`${key}.pem`);
  const first = quorum[0] as string;
  Deno.writeFileSync(messagePath, message);
  await stage.step(`Signing "${stage.message}" with a quorum: ${quorum.join(", ")}`, async () => {
    const digest = createHash("sha256").update(message).digest("hex");
    stage.say(`SHA-256 of the message: ${digest}`);
    const signed = await stage.run(
      quorum,
      (party) => [
        ...["key", "sign", "--key", key, "--signers", quorum.join(","), "--message-file", messagePath],
        ...(party === first ? ["--out", join(stage.own(first), "message.sig")] : []),
      ],
      (party) => ({ read: [stage.published], write: party === first ? [stage.own(first)] : [] }),
    );
    stage.each(signed, () => "signed");
    const [exported] =
      (await stage.run([first], () => ["key", "export-public", "--key", key, "--format", "pem"])).values();
    Deno.writeTextFileSync(publicPath, (exported as Finished).stdout);
    const signature = Deno.readFileSync(stage.publish(first, "message.sig")).toHex();
    stage.say(`signature (DER): ${signature}`);
    stage.results["digest"] = digest;
    stage.results["signatures"] = [...stage.results["signatures"] as string[] ?? [], signature];
  });
  await stage.step(
    "Verification with the public key alone",
    () => verifyAlone(stage, publicPath, messagePath),
  );
}

/** New shares of the same key: what was stolen of an old one is worth nothing any more. */
export async function refresh(
  stage: Stage,
  key: string,
  members: readonly string[] = stage.names,
): Promise<void> {
  await stage.step("Key refresh: new shares, the same public key", async () => {
    const publicKeys = () =>
      stage.run(members, () => ["key", "export-public", "--key", key, "--format", "hex"]);
    const before = await publicKeys();
    await stage.run(members, () => ["key", "refresh", "--key", key]);
    const after = await publicKeys();
    stage.each(after, (out) => `public key ${out.trim()}`);
    stage.equalEverywhere(before);
    stage.equalEverywhere(after);
    if (before.get(members[0] as string)?.stdout !== after.get(members[0] as string)?.stdout) {
      throw new TransportError("PEER_ABORTED", "the refresh changed the public key");
    }
    stage.say("the public key is the one from before");
  });
}

async function verifyAlone(stage: Stage, publicPath: string, messagePath: string): Promise<void> {
  const publicKey = createPublicKey(Deno.readTextFileSync(publicPath));
  const signature = Deno.readFileSync(stage.file("message.sig"));
  const verifies = (message: string) =>
    verify("sha256", new TextEncoder().encode(message), publicKey, signature);
  const good = verifies(stage.message);
  const wrong = verifies(`${stage.message} (changed)`);
  stage.say(`node:crypto, the message:       ${good ? "verified" : "NOT VERIFIED"}`);
  stage.say(`node:crypto, a wrong message:   ${wrong ? "VERIFIED" : "refused, as it must be"}`);
  const openssl = await runOpenssl([
    ...["dgst", "-sha256", "-verify", publicPath, "-signature", stage.file("message.sig"), messagePath],
  ]);
  stage.say(
    openssl === undefined
      ? "openssl:                        not installed here"
      : `openssl dgst -verify:           ${openssl.trim()}`,
  );
  if (!good || wrong || (openssl !== undefined && !openssl.includes("Verified OK"))) {
    throw new TransportError("SIGNATURE_INVALID", "the demo's signature did not verify as it should");
  }
}

/** Whom a party had links to, as its progress tells. */
function linksOf(progress: string): string {
  const peers = new Set<string>();
  for (const line of progress.split("\n")) {
    const [, peer] = /"event":"link","code":"LINK_UP","peer":"([^"]+)"/.exec(line) ?? [];
    if (peer !== undefined) peers.add(peer);
  }
  return [...peers].sort().join(", ");
}

/** Runs openssl. @returns what it prints; undefined where it is not installed. */
async function runOpenssl(args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command("openssl", { args: [...args] }).output();
    const decoder = new TextDecoder();
    return decoder.decode(stdout) || decoder.decode(stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
