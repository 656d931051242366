/** What reads text of operators, of nodes for operators, and of peers for people. */

import { partyId } from "../../src/base/brands.ts";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { QuorateError, UsageError } from "../../src/base/errors.ts";
import type { Rng } from "../../src/base/rng.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { type LinkView, PeerViews } from "../../src/node/peer_views.ts";
import {
  decodeEvent,
  decodeJson,
  encodeEvent,
  encodeJson,
  errorFromText,
} from "../../src/node/operator_wire.ts";
import { formatPrivateKey, parsePrivateKey } from "../../src/node/private_key.ts";
import { parseFrostSignature, parseSignature } from "../../src/node/public_key.ts";
import { Secret } from "../../src/base/secret.ts";
import { generateIdentity, parseIdentityText } from "../../src/pki/identity.ts";
import { formatPath, formatXpub, parsePath, parseXpub } from "../../src/protocols/ecdsa/derive.ts";
import type { LinkEvent, Links } from "../../src/session/links.ts";
import { makeRoster } from "../../src/session/roster.ts";
import type { Target } from "./targets.ts";

const JSON_WORDS = [
  '"',
  ",",
  "{",
  "}",
  "[",
  "]",
  "null",
  "-1",
  "1e9",
  "1e999",
  '"__proto__":1,',
  '{"base64":"A"}',
  "\\u0000",
];

/** The targets. */
export function operatorTargets(rng: Rng): Target[] {
  return [views(rng), ...operators(), ...keys(rng)];
}

/** Nothing that a peer says of its links is a reason to end one, or reaches a dashboard in another form. */
function views(rng: Rng): Target {
  const names = ["alice", "bob", "carol"];
  const roster = makeRoster(
    "demo",
    names.map((name) => ({ name, identity: ed25519Signer(rng.bytes(32)).publicKey })),
  );
  const said: LinkView[] = [
    { name: "alice", in: "up", out: "down", rttMs: 1.5, flaps: 2 },
    { name: "carol", in: "up", out: "unknown", rttMs: null, flaps: 0 },
  ];
  return {
    name: "VIEW",
    inputs: [utf8(JSON.stringify(said)), utf8("[]")],
    words: [...JSON_WORDS, '"up"', '"name":"dave"', '"rttMs":'],
    read(payload) {
      let hear: (event: LinkEvent) => void = () => {};
      const links = {
        self: partyId(1),
        listen: (receiver: typeof hear) => hear = receiver,
      } as unknown as Links;
      using heard = new PeerViews({ roster, links, own: () => [] });
      hear({ kind: "frame", peer: partyId(2), frame: { type: 0, session: rng.bytes(16), payload } });
      for (const view of heard.views()) {
        for (const link of view.links) {
          if (!names.includes(link.name)) throw new Error("a stranger is shown");
          if (!["up", "down", "unknown"].includes(link.in)) throw new Error("a direction that there is not");
        }
      }
      return undefined;
    },
    refuses: () => false,
  };
}

function operators(): Target[] {
  const events = [
    { event: "warn", text: "later …" },
    { event: "data", data: { rows: [1, 2], bytes: new Uint8Array([1, 2, 3]) } },
    { event: "error", error: new UsageError("USAGE", "no") },
    { event: "link", link: { code: "UP", peer: "bob", direction: "in", text: "up" } },
    {
      event: "session",
      session: {
        kind: "round",
        protocol: "sign",
        sid: new Uint8Array(32) as never,
        round: 1,
        rounds: 3,
        roundName: "commit",
        participants: [1, 2].map(partyId),
        waitingFor: [partyId(2)],
        deadlineMs: 1000,
      },
    },
  ] as Parameters<typeof encodeEvent>[0][];
  const isUsage = (error: unknown) => error instanceof UsageError && error.code === "USAGE";
  return [
    {
      name: "operators, event of a node",
      inputs: events.map((event) => utf8(encodeEvent(event).trim())),
      words: JSON_WORDS,
      read: (input) => void decodeEvent(fromUtf8(input) ?? ""),
      refuses: isUsage,
    },
    {
      name: "operators, error of a node",
      inputs: [utf8(encodeJson({ error: { code: "TIMEOUT", message: "no", party: "bob", parties: [2] } }))],
      words: JSON_WORDS,
      read(input) {
        const error = errorFromText(fromUtf8(input) ?? "");
        if (!(error instanceof QuorateError)) throw new Error("not an error of ours");
      },
      refuses: isUsage,
    },
    {
      name: "operators, request",
      inputs: [utf8(encodeJson({ command: "vote", input: { txId: "tx_001", value: { base64: "AAEC" } } }))],
      words: JSON_WORDS,
      read: (input) => void decodeJson(fromUtf8(input) ?? ""),
      refuses: isUsage,
    },
  ];
}

function keys(rng: Rng): Target[] {
  const isUsage = (code: string) => (error: unknown) => error instanceof UsageError && error.code === code;
  const scalar = secp256k1.randomScalar(rng);
  const root = {
    curve: secp256k1,
    publicKey: secp256k1.mulBase(scalar),
    chainCode: rng.bytes(32),
    depth: 0,
    parentFingerprint: new Uint8Array(4),
    childNumber: 0,
  };
  const secret = { curve: secp256k1, scalar: new Secret(secp256k1.encodeScalar(scalar)) };
  const text = (input: Uint8Array) => fromUtf8(input) ?? "";
  return [
    {
      name: "extended public key",
      inputs: [utf8(formatXpub(root)), utf8(formatXpub({ ...root, depth: 2, childNumber: 7 }, "test"))],
      read(input) {
        const read = parseXpub(text(input));
        const again = [formatXpub(read), formatXpub(read, "test")].map(utf8);
        return again.find((bytes) => bytes.toHex() === input.toHex()) ?? again[0] as Uint8Array;
      },
      refuses: isUsage("USAGE"),
    },
    {
      name: "derivation path",
      inputs: ["m", "m/0/5", "m/2147483647"].map(utf8),
      words: ["m", "/", "0", "'", "h", "2147483648", "-1", "1e3"],
      read: (input) => utf8(formatPath(parsePath(text(input)))),
      refuses: isUsage("USAGE"),
    },
    {
      name: "identity, text",
      inputs: [utf8(generateIdentity(rng).publicText)],
      words: ["ed25519/", "=", "A", " "],
      read: (input) => utf8(`ed25519/${parseIdentityText(text(input), "bob").toBase64()}`),
      refuses: isUsage("IDENTITY_INVALID"),
    },
    {
      name: "private key to import",
      inputs: [formatPrivateKey(secret, "pem"), formatPrivateKey(secret, "jwk")],
      words: [
        '"EC"',
        '"OKP"',
        '"d"',
        '"crv"',
        '""',
        "{}",
        "=",
        "-----BEGIN PRIVATE KEY-----",
        "EC PRIVATE KEY",
      ],
      read(input) {
        using _key = parsePrivateKey(input, "file");
      },
      refuses: isUsage("FILE_UNREADABLE"),
    },
    ...[parseSignature, parseFrostSignature].map((parse): Target => ({
      name: `signature, ${parse.name}`,
      inputs: [
        rng.bytes(64),
        Uint8Array.fromHex("3006020101020101"),
        utf8(JSON.stringify({ compact: rng.bytes(64).toHex() })),
      ].slice(0, parse === parseSignature ? 3 : 1),
      words: ['"compact"', "{}", "null", "[]", "00"],
      read(input) {
        if (parse(input, "file").length !== 64) throw new Error("a signature of another length");
      },
      refuses: isUsage("SIGNATURE_INVALID"),
    })),
  ];
}
