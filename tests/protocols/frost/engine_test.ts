/**
 * FROST over the real session engine: round 0, envelopes, echo, and every lie that the simulator knows.
 */

import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../../src/base/bytes.ts";
import { type Ed25519Signer, sha256 } from "../../../src/base/crypto.ts";
import { CheaterError, type QuorateError } from "../../../src/base/errors.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import { verifyFrostCertificate } from "../../../src/protocols/frost/certificate.ts";
import { frostDkg, type FrostDkgInput } from "../../../src/protocols/frost/dkg.ts";
import { encodeFrostRecord, type FrostKeyShare, shareScalar } from "../../../src/protocols/frost/key.ts";
import { frostRefresh } from "../../../src/protocols/frost/refresh.ts";
import { frostRepair, type FrostRepairInput } from "../../../src/protocols/frost/repair.ts";
import { frostSign, type FrostSignInput } from "../../../src/protocols/frost/sign.ts";
import type { Definition, Round } from "../../../src/protocols/protocol.ts";
import { envelopeHead } from "../../../src/session/envelope.ts";
import { FrameType } from "../../../src/session/links.ts";
import { ADVERSARIES, type Attack, corruptDefinition, intercept, placesOf } from "../../sim/adversary.ts";
import { NAMES, type Slot, World } from "../../sim/world.ts";
import { dealFrostKey, SCHEMES, Stores } from "./support.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const PARTIES = [ALICE, BOB, CAROL];
const MESSAGE = sha256(utf8("a message"));

function never(): never {
  throw new Error("something is missing");
}

/** Runs one session of all these parties in a world, to its end. */
function runIn<I, O>(
  world: World,
  definition: Definition<I, O>,
  parties: readonly PartyId[],
  inputOf: (party: PartyId) => I,
  corrupt?: { readonly party: PartyId; readonly definition: Definition<I, O> },
): Map<PartyId, Slot<O>> {
  const slots = new Map(
    parties.map((party) => [
      party,
      world.start(party, corrupt?.party === party ? corrupt.definition : definition, inputOf(party)),
    ]),
  );
  world.run(world.now + 600_000);
  return slots;
}

function valueOf<O>(slot: Slot<O> | undefined): O {
  assert.ok(slot?.outcome !== undefined, "the session never ended");
  if (!slot.outcome.ok) throw slot.outcome.error;
  return slot.outcome.value;
}

for (const scheme of SCHEMES) {
  Deno.test(`a ${scheme} key lives over the session engine: generated, used, refreshed, repaired, used`, () => {
    const stores = new Stores();
    const world = new World({
      seed: scheme,
      parties: 3,
      onRecord: (party, record) => stores.write(party, record),
    });
    const members = PARTIES.map((index) => ({
      index,
      name: NAMES[index - 1] as string,
      identity: (world.identities.get(index) as Ed25519Signer).publicKey,
    }));
    const policy = parsePolicy("2 of (alice, bob, carol)");
    const generated = runIn(world, frostDkg, PARTIES, (self): FrostDkgInput => ({
      keyName: "treasury",
      scheme,
      policy,
      members,
      self,
    }));
    const shares = new Map(PARTIES.map((party) => [party, valueOf(generated.get(party)).share]));
    const { record } = shares.get(ALICE) ?? never();
    for (const receivers of [undefined, [BOB]]) {
      const signed = runIn(world, frostSign, [ALICE, BOB], (self): FrostSignInput => ({
        share: shares.get(self) ?? never(),
        signers: [ALICE, BOB],
        message: MESSAGE,
        ...(receivers === undefined ? {} : { receivers }),
      }));
      const signature = valueOf(signed.get(BOB));
      assert.ok(signature !== undefined && record.suite.verify(record.publicKey, MESSAGE, signature));
      const others = valueOf(signed.get(ALICE));
      assert.deepEqual(others, receivers === undefined ? signature : undefined);
    }

    const refreshed = runIn(world, frostRefresh, PARTIES, (self) => ({
      keyName: "treasury",
      self,
      held: stores.of(self).slice(),
    }));
    const { share: fresh, certificate } = valueOf(refreshed.get(CAROL));
    verifyFrostCertificate(fresh.record, certificate);
    assert.equal(fresh.record.epoch, 1);
    assert.ok(fresh.record.publicKey.equals(record.publicKey));

    // Carol loses everything but its identity.
    stores.of(CAROL).length = 0;
    const repaired = runIn(world, frostRepair, PARTIES, (self): FrostRepairInput => ({
      keyName: "treasury",
      scheme,
      helpers: [ALICE, BOB],
      lost: CAROL,
      self,
      identityOf: (party) => members.find(({ index }) => index === party)?.identity,
      ...(self === CAROL ? {} : { holding: { share: valueOf(refreshed.get(self)).share, certificate } }),
    }));
    const { share } = valueOf(repaired.get(CAROL)) ?? never();
    assert.equal(shareScalar(share), shareScalar(fresh));
    assert.deepEqual(encodeFrostRecord(share.record), encodeFrostRecord(fresh.record));
    assert.deepEqual(stores.of(CAROL).map(({ state }) => state), ["active"]);
    const last = new Map<PartyId, FrostKeyShare>([[BOB, valueOf(refreshed.get(BOB)).share], [CAROL, share]]);
    const signed = runIn(world, frostSign, [BOB, CAROL], (self) => ({
      share: last.get(self) ?? never(),
      signers: [BOB, CAROL],
      message: MESSAGE,
    }));
    const signature = valueOf(signed.get(CAROL));
    assert.ok(signature !== undefined && record.suite.verify(record.publicKey, MESSAGE, signature));
  });
}

const KEY = dealFrostKey("bip340", "2 of (alice, bob, carol)");

function signInput(self: PartyId, receivers?: readonly PartyId[]): FrostSignInput {
  return {
    share: KEY.shares.get(self) ?? never(),
    signers: PARTIES,
    message: MESSAGE,
    ...(receivers === undefined ? {} : { receivers }),
  };
}

/** Lies that must end with the name of the liar, told in these rounds. */
const NAMED: Readonly<Record<string, readonly number[]>> = {
  equivocate: [1],
  "equivocate-late": [1],
  "flip-one": [1, 2],
  flip: [1, 2],
  zeros: [1, 2],
  ones: [1, 2],
  truncate: [1, 2],
  empty: [1, 2],
};

for (const receivers of [undefined, [ALICE, CAROL]]) {
  Deno.test(`frostSign over the engine, receivers ${receivers ?? "all"}: no lie of bob blames another or breaks a signature`, () => {
    const rounds = frostSign.rounds(signInput(ALICE, receivers));
    const corpus = honestMessages(rounds, receivers);
    for (const adversary of Object.keys(ADVERSARIES)) {
      for (const place of placesOf(rounds, adversary, 3)) {
        const attack: Attack = { adversary, corrupt: BOB, target: CAROL, place };
        const lies = seededRng(`${adversary} ${place.kind} ${place.round}`);
        const world = new World({
          seed: "lies",
          parties: 3,
          timeoutMs: 10_000,
          intercept: intercept(attack, rounds, lies, corpus),
        });
        const definition = corruptDefinition(attack, lies, corpus)(frostSign);
        const slots = runIn(world, frostSign, PARTIES, (self) => signInput(self, receivers), {
          party: BOB,
          definition,
        });
        const errors = [ALICE, CAROL].flatMap((party) =>
          judge(slots.get(party), `${adversary} at ${place.kind} ${place.round}`)
        );
        if (NAMED[adversary]?.includes(place.round) && place.kind !== "open" && place.kind !== "ready") {
          assert.ok(
            errors.some((error) => error instanceof CheaterError && error.culprits.includes(BOB)),
            `${adversary} at ${place.kind} ${place.round}: ${
              errors.map((error) => error.message).join("; ")
            }`,
          );
        }
      }
    }
  });
}

/** What every honest session must be like; its errors. */
function judge(slot: Slot<Bytes | undefined> | undefined, lie: string): QuorateError[] {
  const outcome = slot?.outcome;
  assert.ok(outcome !== undefined, `${lie}: a session never ended`);
  if (outcome.ok) {
    const { suite, publicKey } = KEY.record;
    assert.ok(outcome.value !== undefined && suite.verify(publicKey, MESSAGE, outcome.value), lie);
    return [];
  }
  const cause = outcome.error.code === "OUTCOME_UNKNOWN"
    ? outcome.error.cause as QuorateError
    : outcome.error;
  assert.notEqual(cause.code, "INVARIANT", `${lie}: ${cause.message}`);
  if (cause instanceof CheaterError) {
    assert.ok(cause.culprits.every((party) => party === BOB), `${lie}: ${cause.message}`);
  }
  for (const { culprit } of outcome.evidence) assert.equal(culprit, BOB, lie);
  return [cause];
}

function honestMessages(
  rounds: readonly Round[],
  receivers: readonly PartyId[] | undefined,
): Map<string, Bytes> {
  const corpus = new Map<string, Bytes>();
  const world = new World({
    seed: "corpus",
    parties: 3,
    intercept: ({ frame }) => {
      if (frame.type === FrameType.ENVELOPE) {
        const { from, round, to } = envelopeHead(frame.payload);
        corpus.set(`${from}/${round}/${to}`, frame.payload);
      }
      return [{ frame }];
    },
  });
  const slots = runIn(world, frostSign, PARTIES, (self) => signInput(self, receivers));
  for (const party of receivers ?? PARTIES) judge(slots.get(party), "no lie");
  assert.ok(corpus.size >= rounds.length);
  return corpus;
}

Deno.test("frostSign ends with an unknown outcome where a share is missing after the own one left, and not before", () => {
  for (const [round, code] of [[1, "TIMEOUT"], [2, "OUTCOME_UNKNOWN"]] as const) {
    const world = new World({
      seed: "silent",
      parties: 3,
      timeoutMs: 10_000,
      intercept: ({ from, frame }) => {
        if (from !== BOB) return [{ frame }];
        if (frame.type !== FrameType.ENVELOPE) return frame.type === FrameType.ABORT ? [] : [{ frame }];
        return envelopeHead(frame.payload).round >= round ? [] : [{ frame }];
      },
    });
    const slots = runIn(world, frostSign, PARTIES, (self) => signInput(self));
    for (const party of [ALICE, CAROL]) {
      const outcome = slots.get(party)?.outcome;
      assert.ok(outcome !== undefined && !outcome.ok);
      assert.equal(outcome.error.code, code);
      const released = world.records.some(({ party: of, record }) =>
        of === party && record.kind === "release"
      );
      assert.equal(released, round === 2);
    }
  }
});

Deno.test("frostSign sends no commitment and blames nobody where the parties have different messages", () => {
  const world = new World({ seed: "messages", parties: 3, timeoutMs: 10_000 });
  const slots = runIn(world, frostSign, PARTIES, (self) => ({
    ...signInput(self),
    message: self === BOB ? sha256(MESSAGE) : MESSAGE,
  }));
  assert.deepEqual(world.records, []);
  for (const slot of slots.values()) {
    assert.ok(slot.outcome !== undefined && !slot.outcome.ok);
    assert.ok(!(slot.outcome.error instanceof CheaterError));
  }
});
