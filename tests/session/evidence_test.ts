import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, concat, copy, EMPTY, u8, utf8 } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import { ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import type { Round } from "../../src/protocols/protocol.ts";
import { type Envelope, sealEnvelope } from "../../src/session/envelope.ts";
import { EnvelopeStore } from "../../src/session/envelope_store.ts";
import { conflicts, type Evidence, verifyEvidence } from "../../src/session/evidence.ts";
import { openCodec, proposalHash } from "../../src/session/messages.ts";
import { makeRoster, type Roster } from "../../src/session/roster.ts";
import { ALICE, BOB, CAROL, chat, CLOSE, Lonely, SAY, wordBody } from "./support.ts";

const SIGNERS = [1, 2, 3].map((i) => ed25519Signer(sha256(u8(i))));
const ROSTER = makeRoster(
  "c",
  SIGNERS.map(({ publicKey }, i) => ({ name: `p${i}`, identity: publicKey })),
);
const SID = sha256(utf8("sid")) as Evidence["sid"];

function sealed(fields: Partial<Envelope> = {}, signer = 2): Bytes {
  const made = { round: 1, from: BOB, to: 0, echo: EMPTY, body: wordBody("x"), ...fields };
  return sealEnvelope(SIGNERS[signer - 1] as typeof SIGNERS[0], SID, "toy", made);
}

function evidence(kind: Evidence["kind"], raws: readonly Bytes[]): Evidence {
  const envelopes = raws.map((raw) => ({ raw, hasEcho: false }));
  return { sid: SID, protocol: "toy", culprit: BOB, kind, envelopes };
}

Deno.test("verifyEvidence() accepts two different envelopes for one place, and nothing less", () => {
  const two = [sealed(), sealed({ body: wordBody("y") })];
  assert.ok(verifyEvidence(evidence("equivocation", two), ROSTER));
  const wrong: [string, readonly Bytes[]][] = [
    ["one", [sealed()]],
    ["the same", [sealed(), sealed()]],
    ["three", [...two, sealed({ body: wordBody("z") })]],
    ["of two rounds", [sealed(), sealed({ round: 2, body: wordBody("y") })]],
    ["for two receivers", [sealed({ to: ALICE }), sealed({ to: CAROL, body: wordBody("y") })]],
    ["of another sender", [sealed(), sealed({ from: CAROL, body: wordBody("y") }, 3)]],
    ["of another signer", [sealed(), sealed({ body: wordBody("y") }, 3)]],
    ["in the name of another", [sealed({ from: CAROL }), sealed({ from: CAROL, body: wordBody("y") })]],
    ["with trailing bytes", [sealed(), concat(two[1] as Bytes, u8(0))]],
    ["cut", [sealed(), (two[1] as Bytes).slice(0, -1)]],
  ];
  for (const [name, raws] of wrong) assert.ok(!verifyEvidence(evidence("equivocation", raws), ROSTER), name);
  const good = evidence("equivocation", two);
  assert.ok(!verifyEvidence({ ...good, culprit: CAROL }, ROSTER));
  assert.ok(!verifyEvidence({ ...good, culprit: partyId(9) }, ROSTER));
  assert.ok(!verifyEvidence({ ...good, protocol: "other" }, ROSTER));
  assert.ok(!verifyEvidence({ ...good, sid: sha256(utf8("other")) as Evidence["sid"] }, ROSTER));
  const misread = { ...good, envelopes: two.map((raw) => ({ raw, hasEcho: true })) };
  assert.ok(!verifyEvidence(misread, ROSTER));
});

Deno.test("verifyEvidence() accepts signed messages of the culprit, at least one", () => {
  assert.ok(verifyEvidence(evidence("message", [sealed(), sealed({ round: 2 })]), ROSTER));
  assert.ok(!verifyEvidence(evidence("message", []), ROSTER));
  assert.ok(!verifyEvidence(evidence("message", [sealed(), sealed({ from: CAROL }, 3)]), ROSTER));
  assert.ok(!verifyEvidence(evidence("message", [sealed({}, 3)]), ROSTER));
});

Deno.test("verifyEvidence() does not take an OPEN for one of another proposal", () => {
  const lonely = new Lonely();
  lonely.start(chat);
  const open = lonely.openOf(BOB);
  const sid = proposalHash(open.proposal) as Evidence["sid"];
  const shown = { ...open, proposal: { ...open.proposal, epoch: 99 } };
  const envelopes = [{ raw: encode(openCodec, shown), hasEcho: false }];
  assert.ok(!verifyEvidence({ sid, protocol: "toy", culprit: BOB, kind: "open", envelopes }, lonely.roster));
});

Deno.test("conflicts() is about what is said, not about how it is signed", () => {
  const base: Envelope = {
    round: 1,
    from: BOB,
    to: 0,
    echo: EMPTY,
    body: utf8("x"),
    signature: new Uint8Array(64),
  };
  assert.ok(!conflicts(base, { ...base, signature: new Uint8Array(64).fill(1) }));
  assert.ok(conflicts(base, { ...base, body: utf8("y") }));
  assert.ok(conflicts(base, { ...base, echo: new Uint8Array(32) }));
  for (const place of [{ round: 2 }, { from: CAROL }, { to: ALICE }]) {
    assert.ok(!conflicts(base, { ...base, body: utf8("y"), ...place }), JSON.stringify(place));
  }
});

/** A store whose roster takes every signature and counts. */
function countingStore() {
  let verified = 0;
  const parties = ROSTER.parties.map((entry) => ({
    ...entry,
    identity: { ...entry.identity, publicKey: entry.identity.publicKey, verify: () => ++verified > 0 },
  }));
  const roster: Roster = { ...ROSTER, parties, get: (index) => parties[index - 1] as typeof parties[0] };
  const store = new EnvelopeStore({
    sid: SID,
    protocol: "toy",
    rounds: [{ ...SAY, direct: CLOSE.direct }, CLOSE] as Round[],
    roster,
    self: ALICE,
  });
  return { store, verified: () => verified };
}

Deno.test("EnvelopeStore drops a copy before any cryptography, and another signature over the same is a copy", () => {
  const { store, verified } = countingStore();
  const raw = sealed();
  assert.equal(store.accept(BOB, raw).kind, "stored");
  assert.equal(verified(), 1);
  assert.equal(store.accept(BOB, copy(raw)).kind, "duplicate");
  assert.equal(verified(), 1);
  const resigned = copy(raw);
  resigned[raw.length - 1] = (raw.at(-1) as number) ^ 1;
  assert.equal(store.accept(BOB, resigned).kind, "duplicate");
  assert.equal(verified(), 2);
  assert.equal(store.accept(BOB, sealed({ body: wordBody("y") })).kind, "equivocation");
  assert.equal(store.accept(CAROL, concat(sealed({ from: CAROL }), u8(0))).kind, "invalid", "trailing bytes");
});

Deno.test("EnvelopeStore gives as evidence what a party sent up to the round, and shows echoed broadcasts only", () => {
  const { store } = countingStore();
  const echo = new Uint8Array(32);
  const sent = [
    sealed(),
    sealed({ round: 2, echo }),
    sealed({ round: 2, to: ALICE, echo }),
    sealed({ from: CAROL }),
    sealed({ from: CAROL, to: ALICE, body: wordBody("for alice only") }),
  ];
  for (const [i, raw] of sent.entries()) {
    assert.equal(store.accept(i >= 3 ? CAROL : BOB, raw).kind, "stored");
  }
  const raws = (round: number) => store.evidenceOf(round, BOB).envelopes.map(({ raw }) => raw.toHex());
  assert.deepEqual(raws(1), [sent[0]].map((raw) => raw?.toHex()));
  assert.deepEqual(raws(2), sent.slice(0, 3).map((raw) => raw.toHex()));
  assert.deepEqual(store.evidenceOf(2, BOB).envelopes.map(({ hasEcho }) => hasEcho), [false, true, true]);
  const shown = store.echoedBroadcasts().map((raw) => raw.toHex());
  assert.deepEqual(shown, [sent[0], sent[3]].map((raw) => raw?.toHex()));
});
