import assert from "node:assert/strict";
import { type PartyId, partyId, type SessionId, sessionId } from "../../src/base/brands.ts";
import { u16, utf8 } from "../../src/base/bytes.ts";
import { commit, type Commitment, opens } from "../../src/primitives/commitment.ts";
import { hash } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import { flipped } from "../protocols/support.ts";

const base: Commitment = {
  tag: Tag.agreeCommit,
  sid: sessionId(new Uint8Array(32).fill(1)),
  party: partyId(2),
  message: utf8("message"),
  salt: new Uint8Array(32).fill(3),
};

Deno.test("commit() hashes session, committer, message and salt", () => {
  assert.deepEqual(commit(base), hash(Tag.agreeCommit, base.sid, u16(2), base.message, base.salt));
});

Deno.test("opens() accepts the committed values and refuses every other", () => {
  const commitment = commit(base);
  assert.ok(opens(commitment, base));
  const others: Partial<Commitment>[] = [
    { tag: Tag.dkgCommit },
    { sid: flipped(base.sid) as SessionId },
    { party: partyId(3) as PartyId },
    { message: flipped(base.message) },
    { salt: flipped(base.salt) },
  ];
  for (const other of others) assert.equal(opens(commitment, { ...base, ...other }), false);
  assert.equal(opens(flipped(commitment), base), false);
  assert.equal(opens(commitment.subarray(1), base), false);
});

Deno.test("opens() refuses a salt of another length even where the hash is right", () => {
  const short = { ...base, salt: new Uint8Array(31) };
  assert.equal(opens(commit(short), short), false);
});
