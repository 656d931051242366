import assert from "node:assert/strict";
import {
  type Checkpoint,
  cosign,
  originOf,
  parseCheckpoint,
  signCheckpoint,
  verifyCheckpoint,
  verifyCosignature,
  withSignature,
} from "../../src/audit/checkpoint.ts";
import { emptyRoot } from "../../src/audit/merkle.ts";
import { formatNote, noteKeyId, parseNote, SignatureType } from "../../src/audit/note.ts";
import { hex, utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import {
  type Ed25519Signer,
  ed25519Signer,
  type Ed25519Verifier,
  ed25519Verifier,
} from "../../src/base/crypto.ts";

/** The key and note of golang.org/x/mod/sumdb/note, which defined the format. */
const GO_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_KEY = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n" +
  "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

const alice = signerOf(1);
const bob = signerOf(2);
const aliceKey = { name: originOf("demo", "alice"), verifier: verifierOf(alice) };
const bobKey = { name: originOf("demo", "bob"), verifier: verifierOf(bob) };
const head = { origin: aliceKey.name, size: 7, root: emptyRoot() };

function signerOf(n: number): Ed25519Signer {
  return ed25519Signer(new Uint8Array(32).fill(n));
}

function verifierOf({ publicKey }: { publicKey: Uint8Array }): Ed25519Verifier {
  return ed25519Verifier(publicKey) as Ed25519Verifier;
}

Deno.test("a note of the Go implementation is read, verified and written again byte for byte", () => {
  const signer = ed25519Signer(Uint8Array.fromBase64(GO_SEED).subarray(1));
  const publicKey = Uint8Array.fromBase64(GO_KEY).subarray(1);
  assert.deepEqual(signer.publicKey, publicKey);
  const keyId = noteKeyId("PeterNeumann", SignatureType.ED25519, publicKey);
  assert.equal(hex(keyId), "c74f20a3");
  const { text, signatures } = parseNote(GO_NOTE);
  assert.deepEqual(signatures, [{ name: "PeterNeumann", keyId, signature: signer.sign(utf8(text)) }]);
  assert.equal(formatNote({ text, signatures }), GO_NOTE);
});

Deno.test("noteKeyId() gives the published id of a cosigner's key", () => {
  const [name, id, key] = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2".split(
    "+",
  ) as [
    string,
    string,
    string,
  ];
  const bytes = Uint8Array.fromBase64(key);
  assert.equal(bytes[0], SignatureType.COSIGNATURE);
  assert.equal(hex(noteKeyId(name, SignatureType.COSIGNATURE, bytes.subarray(1))), id);
});

Deno.test("parseCheckpoint() reads the example of C2SP with its log's and its witness's signatures", () => {
  const { origin, size, root, note } = parseCheckpoint(
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" +
      "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n" +
      "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n",
  );
  assert.deepEqual([origin, size, root.length], ["example.com/behind-the-sofa", 20852163, 32]);
  assert.deepEqual(note.signatures.map(({ signature }) => signature.length), [64, 72]);
  const cosignature = note.signatures[1]?.signature as Uint8Array;
  assert.equal(new DataView(cosignature.buffer, cosignature.byteOffset).getBigUint64(0), 1679315147n);
});

Deno.test("parseNote() refuses what is no note", () => {
  const line = GO_NOTE.split("\n").at(-2) as string;
  const wrong: Readonly<Record<string, string>> = {
    "no empty line": `text\n${line}\n`,
    "no signature": "text\n\n",
    "no line end": GO_NOTE.slice(0, -1),
    "two signatures and no line end": `${GO_NOTE}${line}`,
    "a control character": GO_NOTE.replace("think", "thi\tnk"),
    "half of a pair": GO_NOTE.replace("think", "\ud800"),
    "another dash": GO_NOTE.replace("\u2014", "-"),
    "no name": GO_NOTE.replace(" PeterNeumann", ""),
    "a plus in the name": GO_NOTE.replace("PeterNeumann", "Peter+Neumann"),
    "a Unicode space in the name": GO_NOTE.replace("PeterNeumann", "Peter\u00a0Neumann"),
    "one part more": GO_NOTE.replace("AM=\n", "AM= x\n"),
    "no base64": GO_NOTE.replace("AM=\n", "AM\n"),
    "a second spelling of base64": GO_NOTE.replace("AM=\n", "AN=\n"),
    "a key's id only": `text\n\n\u2014 name ${new Uint8Array(4).toBase64()}\n`,
    "too many signatures": `text\n\n${`${line}\n`.repeat(129)}`,
    "too long": "x".repeat(64 * 1024) + GO_NOTE,
  };
  for (const [why, note] of Object.entries(wrong)) assert.throws(() => parseNote(note), DecodeError, why);
  assert.equal(parseNote(`text\n\n${`${line}\n`.repeat(128)}`).signatures.length, 128);
});

Deno.test("parseCheckpoint() refuses what is no checkpoint", () => {
  const right = signCheckpoint(head, alice);
  assert.deepEqual(parseCheckpoint(right).size, 7);
  const wrong: Readonly<Record<string, string>> = {
    "no origin": right.replace(/^.*\n/, "\n"),
    "a leading zero": right.replace("\n7\n", "\n07\n"),
    "a sign": right.replace("\n7\n", "\n-7\n"),
    "a number above 2^53": right.replace("\n7\n", "\n9007199254740992\n"),
    "a short root": right.replace(head.root.toBase64(), head.root.slice(1).toBase64()),
    "an extension line": right.replace("=\n\n", "=\nmore\n\n"),
    "two lines": right.replace(`${head.root.toBase64()}\n`, ""),
  };
  for (const [why, note] of Object.entries(wrong)) {
    assert.throws(() => parseCheckpoint(note), DecodeError, why);
  }
});

Deno.test("verifyCheckpoint() accepts the log's own signature on this text only", () => {
  const note = signCheckpoint(head, alice);
  assert.equal(note.split("\n")[0], "quorate/demo/alice");
  assert.ok(verifyCheckpoint(parseCheckpoint(note), aliceKey));
  assert.ok(!verifyCheckpoint(parseCheckpoint(note.replace("\n7\n", "\n8\n")), aliceKey), "another size");
  assert.ok(
    !verifyCheckpoint(parseCheckpoint(note), { ...aliceKey, verifier: bobKey.verifier }),
    "another key",
  );
  const others = signCheckpoint({ ...head, origin: bobKey.name }, bob);
  assert.ok(!verifyCheckpoint(parseCheckpoint(others), aliceKey), "another log");
  const text = parseNote(others).text;
  const named = {
    name: aliceKey.name,
    keyId: noteKeyId(aliceKey.name, 1, alice.publicKey),
    signature: alice.sign(utf8(text)),
  };
  assert.ok(
    !verifyCheckpoint(parseCheckpoint(formatNote({ text, signatures: [named] })), aliceKey),
    "another log's name",
  );
  // Bob's signature under bob's name on a note about alice's log is none of alice's.
  const foreign = parseCheckpoint(signCheckpoint({ ...head, origin: bobKey.name }, bob));
  const mixed: Checkpoint = {
    ...parseCheckpoint(note),
    note: { ...foreign.note, text: parseNote(note).text },
  };
  assert.ok(!verifyCheckpoint(mixed, aliceKey), "no signature of the log");
  // A signature of the known key that does not verify spoils the note, beside a good one too.
  const [good] = parseNote(note).signatures;
  const spoilt = { ...parseNote(note), signatures: [good, { ...good, signature: new Uint8Array(64) }] };
  assert.ok(!verifyCheckpoint(parseCheckpoint(formatNote(spoilt as never)), aliceKey), "one bad signature");
});

Deno.test("verifyCosignature() accepts a peer's signature over time and text", () => {
  const note = signCheckpoint(head, alice);
  const line = cosign(parseCheckpoint(note), { name: bobKey.name, signer: bob, seconds: 1679315147 });
  const cosigned = withSignature(note, line);
  const checkpoint = parseCheckpoint(cosigned);
  assert.deepEqual(verifyCosignature(checkpoint, bobKey), { name: bobKey.name, timestamp: 1679315147 });
  assert.ok(verifyCheckpoint(checkpoint, aliceKey));
  assert.equal(verifyCosignature(parseCheckpoint(note), bobKey), undefined, "no cosignature");
  assert.equal(
    verifyCosignature(checkpoint, { ...bobKey, verifier: aliceKey.verifier }),
    undefined,
    "another key",
  );
  const moved = parseCheckpoint(cosigned.replace("\n7\n", "\n8\n"));
  assert.equal(verifyCosignature(moved, bobKey), undefined, "another text");
  const signed = checkpoint.note.signatures[1]?.signature as Uint8Array<ArrayBuffer>;
  const change = (signature: Uint8Array<ArrayBuffer>): Checkpoint => {
    const [own, theirs] = checkpoint.note.signatures;
    return {
      ...checkpoint,
      note: { ...checkpoint.note, signatures: [own, { ...theirs, signature }] as never },
    };
  };
  assert.ok(verifyCosignature(change(signed), bobKey) !== undefined);
  assert.equal(verifyCosignature(change(signed.with(7, 0)), bobKey), undefined, "another time");
  assert.equal(verifyCosignature(change(signed.with(0, 1)), bobKey), undefined, "a time above 2^53");
  assert.equal(verifyCosignature(change(signed.slice(0, -1)), bobKey), undefined, "a byte less");
  assert.equal(verifyCosignature(change(signed.slice(0, 4)), bobKey), undefined, "half a time");
  const last = Date.parse("9999-12-31T23:59:59Z") / 1000;
  for (const [seconds, timestamp] of [[2 ** 60, undefined], [last + 1, undefined], [last, last]] as const) {
    const late = cosign(parseCheckpoint(note), { name: bobKey.name, signer: bob, seconds });
    const found = verifyCosignature(parseCheckpoint(withSignature(note, late)), bobKey);
    // A witness chooses the time, and whoever reads it has to be able to show it.
    assert.equal(found?.timestamp, timestamp, `${seconds}`);
  }
});

Deno.test("the log's signature and a cosignature of one key are not taken for each other", () => {
  const note = signCheckpoint(head, alice);
  const own = cosign(parseCheckpoint(note), { name: aliceKey.name, signer: alice, seconds: 1 });
  assert.equal(verifyCosignature(parseCheckpoint(note), aliceKey), undefined);
  const only = formatNote({
    text: parseNote(note).text,
    signatures: [parseNote(`x\n\n${own}`).signatures[0] as never],
  });
  assert.ok(!verifyCheckpoint(parseCheckpoint(only), aliceKey));
});

Deno.test("withSignature() puts a newer line in the place of the same key's older one", () => {
  const note = signCheckpoint(head, alice);
  const at = (seconds: number) => cosign(parseCheckpoint(note), { name: bobKey.name, signer: bob, seconds });
  const twice = withSignature(withSignature(note, at(5)), at(6));
  assert.equal(parseNote(twice).signatures.length, 2);
  assert.equal(verifyCosignature(parseCheckpoint(twice), bobKey)?.timestamp, 6);
  assert.throws(() => withSignature(note, "no line"), DecodeError);
});
