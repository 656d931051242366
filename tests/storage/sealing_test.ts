import assert from "node:assert/strict";
import { seededRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { newSealingParameters, Sealer, type SealOwner } from "../../src/storage/sealing.ts";
import { fails, id } from "./fixture.ts";

const rng = seededRng("sealing");
const parameters = newSealingParameters("key", rng);
const owner: SealOwner = { cluster: "test", party: "alice", index: 1 };
const source = { kind: "key", key: new Secret(id("key")) } as const;

Deno.test("Sealer opens only what the same owner sealed for the same place", () => {
  using alice = new Sealer(source, parameters, owner, rng);
  using plaintext = new Secret(id("share"));
  const sealed = alice.seal(id("place"), plaintext);
  using opened = alice.open(id("place"), sealed);
  assert.deepEqual(opened?.expose(), id("share"));
  assert.equal(alice.open(id("another place"), sealed), undefined);
  for (const change of [{ cluster: "prod" }, { party: "bob" }, { index: 2 }]) {
    using other = new Sealer(source, parameters, { ...owner, ...change }, rng);
    assert.equal(other.open(id("place"), sealed), undefined, JSON.stringify(change));
    assert.equal(other.isAuthentic(id("m"), alice.authenticate(id("m"))), false, JSON.stringify(change));
  }
  using salted = new Sealer(source, { ...parameters, salt: rng.bytes(16) }, owner, rng);
  assert.equal(salted.open(id("place"), sealed), undefined);
});

Deno.test("open() refuses every flipped or missing byte", () => {
  using sealer = new Sealer(source, parameters, owner, rng);
  const sealed = sealer.seal(id("place"), source.key);
  for (let at = 0; at < sealed.length; at++) {
    const flipped = sealed.slice();
    flipped[at] = (flipped[at] as number) ^ 0x80;
    assert.equal(sealer.open(id("place"), flipped), undefined, `byte ${at}`);
    assert.equal(sealer.open(id("place"), sealed.slice(0, at)), undefined, `${at} bytes`);
  }
});

Deno.test("seal() never gives the same bytes twice", () => {
  using sealer = new Sealer(source, parameters, owner, rng);
  assert.notDeepEqual(sealer.seal(id("place"), source.key), sealer.seal(id("place"), source.key));
});

Deno.test("Sealer refuses a stored scrypt cost that is too small or too large", () => {
  const passphrase = { kind: "passphrase", passphrase: new Secret(id("words")) } as const;
  for (const scryptLogN of [0, 13, 21, 40, Number.NaN]) {
    const stored = { kind: "passphrase", salt: rng.bytes(16), scryptLogN } as const;
    fails(() => new Sealer(passphrase, stored, owner, rng), "STORE_CORRUPT", /scrypt/);
  }
});
