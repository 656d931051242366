/**
 * The life of a key with real processes, step by step: each step that changes the shares is followed by a signature that openssl
 * accepts under the public key as it was made.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { Cluster, sameOutput, shuffled } from "./cluster.ts";

/** Who may sign. */
export const POLICIES = {
  "2 of 2": "2 of (alice, bob)",
  "2 of 3": "2 of (alice, bob, carol)",
  "4 of 4": "4 of (alice, bob, carol, dave)",
  nested: "and(alice, 2 of (bob, carol, dave))",
} as const;
export type PolicyName = keyof typeof POLICIES;

/** What is done. */
export type Step =
  | { readonly do: "generate"; readonly policy: PolicyName }
  | { readonly do: "refresh"; readonly pairs: "renew" | "rerandomize" }
  | { readonly do: "reshare"; readonly policy: PolicyName; readonly dealers?: readonly string[] }
  /** A share that does not follow from the others is refused: see `recover`. */
  | { readonly do: "repair"; readonly lost: string; readonly refused?: true }
  | { readonly do: "recover"; readonly lost: string };

/** A step that was taken, and how long it took without the signature after it. */
export interface Taken {
  readonly step: Step["do"];
  readonly policy: PolicyName;
  readonly curve: string;
  readonly elapsedMs: number;
  readonly signMs: number;
}

/** A key, and what is known of it. */
export class Life {
  readonly cluster: Cluster;
  readonly curve: string;
  #policy: PolicyName = "2 of 2";
  #epoch = 0;
  #publicKey = "";
  #everybody: readonly string[] = [];

  constructor(cluster: Cluster, curve: string) {
    this.cluster = cluster;
    this.curve = curve;
  }

  /** Takes a step, and signs. */
  async take(step: Step): Promise<Taken> {
    const startedAt = performance.now();
    const touched = await this.#do(step);
    const elapsedMs = performance.now() - startedAt;
    if (touched !== undefined) await this.#sign(this.#signersWith(touched));
    const signMs = performance.now() - startedAt - elapsedMs;
    return { step: step.do, policy: this.#policy, curve: this.curve, elapsedMs, signMs };
  }

  /** @returns a party whose share is new, where there is one. */
  async #do(step: Step): Promise<string | undefined> {
    switch (step.do) {
      case "generate":
        return await this.#generate(step.policy);
      case "refresh":
        return await this.#refresh(step.pairs);
      case "reshare":
        return await this.#reshare(step.policy, step.dealers ?? []);
      case "repair":
        return step.refused === true ? await this.#cannotRepair(step.lost) : await this.#repair(step.lost);
      case "recover":
        return await this.#recover(step.lost);
    }
  }

  async #generate(policy: PolicyName): Promise<undefined> {
    const members = membersOf(policy);
    const args = ["key", "generate", "--curve", this.curve, "--policy", POLICIES[policy]];
    this.#publicKey = sameOutput(await this.#all(members, args)).trim();
    this.#policy = policy;
    this.#everybody = members;
    const { stdout } = await this.#one(members[0] as string, ["key", "export-public", "--format", "pem"]);
    this.cluster.file("treasury.pem", stdout);
  }

  async #refresh(pairs: string): Promise<string> {
    const members = membersOf(this.#policy);
    const args = ["key", "refresh", "--pairs", pairs, "--json"];
    const shown = JSON.parse(sameOutput(await this.#all(members, args)));
    this.#epoch++;
    assert.deepEqual(
      [shown.epoch, shown.publicKey, shown.outcome],
      [this.#epoch, this.#publicKey, "dealt"],
    );
    return members.at(-1) as string;
  }

  async #reshare(policy: PolicyName, dealers: readonly string[]): Promise<string> {
    const former = membersOf(this.#policy), members = membersOf(policy);
    const parties = [...new Set([...members, ...dealers])];
    const named = dealers.length === 0 ? [] : ["--dealers", dealers.join()];
    const args = ["key", "reshare", "--policy", POLICIES[policy], ...named, "--json"];
    this.#policy = policy;
    this.#epoch++;
    this.#everybody = [...new Set([...this.#everybody, ...members])];
    // Old members who are told nothing take part too: they hear that they have left.
    const told = [...new Set([...parties, ...former])];
    for (const [party, { stdout }] of await this.#all(told, args)) {
      const shown = JSON.parse(stdout);
      assert.deepEqual([shown.epoch, shown.publicKey], [this.#epoch, this.#publicKey], party);
      assert.deepEqual([shown.policy, shown.member], [POLICIES[policy], members.includes(party)], party);
    }
    for (const gone of this.#everybody.filter((party) => !members.includes(party)).slice(0, 1)) {
      const left = await this.#one(gone, ["key", "sign", "--message", "x"], 64);
      assert.match(left.stderr, /KEY_UNKNOWN: this party left the key treasury in epoch/);
    }
    return members.find((name) => !former.includes(name)) ?? members.at(-1) as string;
  }

  async #repair(lost: string): Promise<string> {
    const helpers = this.#helpersOf(lost);
    burnDown(this.cluster, lost);
    const args = ["key", "repair", "--lost", lost, "--helpers", helpers.join(), "--json"];
    for (const [party, { stdout }] of await this.#all([lost, ...helpers], args)) {
      assert.equal(JSON.parse(stdout).outcome, party === lost ? "restored" : "helped");
    }
    return lost;
  }

  async #cannotRepair(lost: string): Promise<undefined> {
    const helpers = membersOf(this.#policy).filter((name) => name !== lost);
    const args = ["key", "repair", "--lost", lost, "--helpers", helpers.join()];
    const { stderr } = await this.#one(helpers[0] as string, args, 2);
    assert.match(
      stderr,
      new RegExp(
        `NOT_QUALIFIED: .* the share of ${lost} does not follow from those of the others: recover it`,
      ),
    );
  }

  /** From a backup that was made in this epoch, after everything that the party had on disk is gone. */
  async #recover(lost: string): Promise<string> {
    const { cluster } = this;
    const custodian = join(cluster.work, "custodian");
    try {
      Deno.statSync(`${custodian}.key`);
    } catch {
      await cluster.one(lost, ["backup", "custodian", "--out", custodian]);
    }
    const backup = join(cluster.work, `${lost}-${this.#epoch}.pve`);
    await this.#one(lost, ["backup", "create", "--custodian", `${custodian}.pub`, "--out", backup]);
    const other = membersOf(this.#policy).find((name) => name !== lost) as string;
    const { stdout } = await this.#one(other, ["key", "export-public", "--format", "record"]);
    const record = cluster.file("treasury.json", stdout);
    burnDown(cluster, lost);
    const from = ["--backup", backup, "--custodian-key", `${custodian}.key`, "--record", record];
    const { stdout: restored } = await cluster.one(lost, ["backup", "recover", ...from, "--json"]);
    assert.equal(JSON.parse(restored).keys[0].outcome, "restored");
    return lost;
  }

  /** They sign a fresh message, and openssl accepts it under the key as it was made. */
  async #sign(signers: readonly string[]): Promise<void> {
    const { cluster } = this;
    const message = cluster.file("message.txt", `${signers.join()} ${Math.random()}\n`);
    const signature = cluster.file("message.sig");
    await cluster.all(shuffled(signers), (party) => [
      ...["key", "sign", "--key", "treasury", "--signers", signers.join(), "--message-file", message],
      ...(party === signers[0] ? ["--out", signature] : []),
    ]);
    const openssl = await new Deno.Command("openssl", {
      args: ["dgst", "-sha256", "-verify", cluster.file("treasury.pem"), "-signature", signature, message],
    }).output();
    assert.equal(new TextDecoder().decode(openssl.stdout).trim(), "Verified OK");
  }

  #signersWith(party: string): string[] {
    const members = membersOf(this.#policy);
    const others = members.filter((name) => name !== party);
    const chosen = this.#policy === "4 of 4"
      ? members
      : this.#policy !== "nested"
      ? [party, others[0] as string]
      : ["alice", ...(party === "alice" ? ["bob", "carol"] : [party, others.at(-1) as string])];
    return chosen.toSorted();
  }

  #helpersOf(lost: string): string[] {
    const others = membersOf(this.#policy).filter((name) => name !== lost);
    return this.#policy === "nested" ? others.filter((name) => name !== "alice") : others;
  }

  #all(parties: readonly string[], args: readonly string[]) {
    return this.cluster.all(shuffled(parties), () => [...args, "--key", "treasury"]);
  }

  #one(party: string, args: readonly string[], code = 0) {
    return this.cluster.one(party, [...args, "--key", "treasury"], code);
  }
}

/** Walks a key through its steps, in a cluster of its own. */
export async function live(
  curve: string,
  steps: readonly Step[],
  seen: (taken: Taken) => void = () => {},
): Promise<void> {
  using cluster = await Cluster.make(["alice", "bob", "carol", "dave"]);
  const life = new Life(cluster, curve);
  for (const step of steps) seen(await life.take(step));
}

/** Everything that the party has stored is gone; its certificates and identity came from elsewhere again. */
export function burnDown(cluster: Cluster, party: string): void {
  const found = cluster.config.parties.find(({ name }) => name === party);
  const dataDirectory = found?.dataDirectory as string;
  for (const name of ["quorate.sqlite", "quorate.sqlite-wal", "quorate.sqlite-shm", "high-water"]) {
    try {
      Deno.removeSync(join(dataDirectory, name));
    } catch {
      // A store that was closed has no log.
    }
  }
}

function membersOf(policy: PolicyName): string[] {
  return ["alice", "bob", "carol", "dave"].filter((name) => POLICIES[policy].includes(name));
}

/** Every step with every policy. */
export const EVERYTHING: readonly Step[] = [
  { do: "generate", policy: "2 of 2" },
  ...stepsIn("2 of 2"),
  { do: "reshare", policy: "2 of 3" },
  ...stepsIn("2 of 3"),
  { do: "reshare", policy: "4 of 4" },
  ...stepsIn("4 of 4"),
  { do: "reshare", policy: "nested" },
  ...stepsIn("nested"),
  { do: "reshare", policy: "2 of 2", dealers: ["dave"] },
];

function stepsIn(policy: PolicyName): Step[] {
  const refreshes: Step[] = [{ do: "refresh", pairs: "renew" }, { do: "refresh", pairs: "rerandomize" }];
  switch (policy) {
    case "2 of 2":
      return [...refreshes, { do: "repair", lost: "bob", refused: true }, { do: "recover", lost: "alice" }];
    case "2 of 3":
      return [...refreshes, { do: "repair", lost: "carol" }, { do: "recover", lost: "alice" }];
    case "4 of 4":
      return [...refreshes, { do: "repair", lost: "dave", refused: true }, { do: "recover", lost: "carol" }];
    case "nested":
      return [...refreshes, { do: "repair", lost: "bob" }, { do: "recover", lost: "alice" }];
  }
}

/** Each step with each policy once, on one curve or the other. */
export const SAMPLE: Readonly<Record<"secp256k1" | "p256", readonly Step[]>> = {
  secp256k1: [
    { do: "generate", policy: "2 of 2" },
    { do: "refresh", pairs: "renew" },
    { do: "repair", lost: "bob", refused: true },
    { do: "reshare", policy: "2 of 3" },
    { do: "repair", lost: "carol" },
    { do: "recover", lost: "alice" },
    { do: "reshare", policy: "4 of 4" },
    { do: "refresh", pairs: "rerandomize" },
  ],
  p256: [
    { do: "generate", policy: "2 of 3" },
    { do: "refresh", pairs: "rerandomize" },
    { do: "reshare", policy: "nested" },
    { do: "refresh", pairs: "renew" },
    { do: "repair", lost: "bob" },
    { do: "recover", lost: "dave" },
    { do: "reshare", policy: "4 of 4" },
    { do: "repair", lost: "dave", refused: true },
    { do: "recover", lost: "carol" },
    { do: "reshare", policy: "2 of 2", dealers: ["carol", "dave"] },
    { do: "recover", lost: "alice" },
  ],
};
