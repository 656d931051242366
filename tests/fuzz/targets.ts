/**
 * What is fuzzed: everything that reads bytes or text which a peer, a disk or an operator may have damaged. Each target has
 * valid inputs, and says what must come of any other: a refusal of its own kind, or a value with exactly that encoding.
 */

import { concat, equal, fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { type Codec, decode, DecodeError, encode } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { type Rng, seededRng } from "../../src/base/rng.ts";
import { CURVES } from "../../src/math/curve.ts";
import { parseConfig } from "../../src/node/config.ts";
import { createAuthority, createRevocationList, issueLeaf } from "../../src/pki/authority.ts";
import { generateIdentity } from "../../src/pki/identity.ts";
import { fromPem } from "../../src/pki/pem.ts";
import { decodePolicy, encodePolicy, formatPolicy, parsePolicy } from "../../src/primitives/access.ts";
import { decodeStoredKey, encodeStoredKey } from "../../src/protocols/dkg/stored_key.ts";
import { PairState } from "../../src/protocols/ecdsa/pair_state.ts";
import { decodeKeyShare, encodeKeyShare } from "../../src/protocols/key_share.ts";
import { envelopeHead, openEnvelope } from "../../src/session/envelope.ts";
import { FrameType } from "../../src/session/links.ts";
import { abortCodec, doneCodec, openCodec, readyCodec, refusedCodec } from "../../src/session/messages.ts";
import { readLeaf, readRevocationList } from "../../src/transport/certificate.ts";
import { LinkFault } from "../../src/transport/faults.ts";
import {
  encodePlainFrame,
  FrameParser,
  payloadOf,
  type RawFrame,
  sessionOf,
} from "../../src/transport/frame.ts";
import { HelloCodec } from "../../src/transport/hello.ts";
import { u16, u32, u8 } from "../../src/base/bytes.ts";
import { dealKey } from "../protocols/ecdsa/support.ts";
import { auditTargets } from "./audit_targets.ts";
import { backupTargets } from "./backup_targets.ts";
import { frostTargets } from "./frost_targets.ts";
import { keyTargets } from "./key_targets.ts";
import { operatorTargets } from "./operator_targets.ts";
import { protocolTargets } from "./protocol_targets.ts";
import { transportTargets } from "./transport_targets.ts";
import { votingTargets } from "./voting_targets.ts";
import storedV1 from "../protocols/stored_key_v1.json" with { type: "json" };

/** One thing that reads. */
export interface Target {
  readonly name: string;
  /** Valid inputs. */
  readonly inputs: readonly Uint8Array[];
  /** Words of its language, for targets that read text. */
  readonly words?: readonly string[];
  /** Reads an input. @returns its encoding, or undefined where what was read has none. */
  readonly read: (input: Uint8Array<ArrayBuffer>) => Uint8Array | undefined;
  /** Whether an error is a refusal of this layer. */
  readonly refuses: (error: unknown) => boolean;
}

const DOES_NOT_DECODE = (error: unknown) => error instanceof DecodeError;

/** All targets. Their inputs come from a seed, but for the keys of certificates. */
export async function makeTargets(seed: string): Promise<readonly Target[]> {
  const rng = seededRng(`fuzz/${seed}`);
  return [
    ...messages(rng),
    envelopes(rng),
    frames(rng),
    ...transportTargets(rng),
    ...protocolTargets(rng),
    ...policies(),
    ...secrets(rng),
    ...keyTargets(rng),
    ...frostTargets(),
    ...backupTargets(),
    ...await certificates(rng),
    ...auditTargets(rng),
    ...votingTargets(rng),
    ...operatorTargets(rng),
    configuration(rng),
  ];
}

function messages(rng: Rng): Target[] {
  const facts = [{ name: "bits", value: utf8("256") }, { name: "message digest", value: rng.bytes(32) }];
  const proposal = {
    protocol: "agree-random",
    version: 1,
    params: facts,
    rosterHash: rng.bytes(32),
    policyHash: rng.bytes(32),
    keyId: rng.bytes(32),
    epoch: 3,
    participants: [1, 2, 3],
    payload: facts.slice(1),
    request: rng.bytes(32),
  };
  const open = {
    proposal,
    offer: rng.bytes(20),
    command: "agree-random --bits 256",
    auxiliary: false,
    nonce: rng.bytes(32),
    signature: rng.bytes(64),
  };
  const entry = () => ({ nonce: rng.bytes(32), offerHash: rng.bytes(32), signature: rng.bytes(64) });
  return [
    ofCodec("OPEN", openCodec, [
      open,
      {
        ...open,
        auxiliary: true,
        offer: rng.bytes(0),
        proposal: { ...proposal, keyId: rng.bytes(0), params: [] },
      },
    ]),
    ofCodec("READY", readyCodec, [
      { prop: rng.bytes(32), entries: [entry(), entry(), entry()], signature: rng.bytes(64) },
    ]),
    ofCodec("SESSION_REFUSED", refusedCodec, [{
      prop: rng.bytes(32),
      nonce: rng.bytes(32),
      otherProp: rng.bytes(32),
      otherNonce: rng.bytes(32),
      parties: [2],
      code: "PEER_REFUSED",
      field: "number of bits",
      ours: "128",
      theirs: "256 …",
      ourCommand: "agree-random --bits 128",
    }]),
    ofCodec("ABORT", abortCodec, [{
      sid: rng.bytes(32),
      code: "TIMEOUT",
      parties: [3],
      text: "carol did not answer",
      evidence: [rng.bytes(90), rng.bytes(10)],
    }]),
    ofCodec("DONE", doneCodec, [{ sid: rng.bytes(32) }]),
    ofCodec("HELLO", HelloCodec, [{
      versionMin: 1,
      versionMax: 1,
      suites: [2, 1],
      role: 0,
      from: 1,
      to: 2,
      clusterHash: rng.bytes(32),
      rosterHash: rng.bytes(32),
      ownLeafSha256: rng.bytes(32),
      peerLeafSha256: rng.bytes(32),
      bootId: rng.bytes(16),
      nonce: rng.bytes(32),
      clock: 1_700_000_000_000n,
      eph: rng.bytes(32),
    }]),
  ];
}

function ofCodec<T>(name: string, codec: Codec<T>, values: readonly T[]): Target {
  return {
    name,
    inputs: values.map((value) => encode(codec, value)),
    read: (input) => encode(codec, decode(codec, input)),
    refuses: DOES_NOT_DECODE,
  };
}

/** Round 1 has no echo here, every other round has one. */
function envelopes(rng: Rng): Target {
  const write = (round: number, echo: Uint8Array, body: Uint8Array) =>
    concat(u8(round), u16(1), u16(0), echo, u32(body.length), body, rng.bytes(64));
  return {
    name: "envelope",
    inputs: [write(1, rng.bytes(0), rng.bytes(40)), write(2, rng.bytes(32), rng.bytes(0))],
    read(input) {
      const hasEcho = envelopeHead(input).round !== 1;
      const { round, from, to, echo, body, signature } = openEnvelope(input, hasEcho);
      return concat(u8(round), u16(from), u16(to), echo, u32(body.length), body, signature);
    },
    refuses: DOES_NOT_DECODE,
  };
}

function frames(rng: Rng): Target {
  const frame = (type: number, sequence: number, payload: Uint8Array) =>
    encodePlainFrame(
      { type, from: 1, to: 2, sequence, timestamp: 1_700_000_000_000, session: rng.bytes(16) },
      payload,
    );
  const sealed = frame(FrameType.ENVELOPE, 9, rng.bytes(12 + 60 + 32));
  new DataView(sealed.buffer).setUint16(27, 12);
  new DataView(sealed.buffer).setUint32(29, 60);
  new DataView(sealed.buffer).setUint16(33, 32);
  return {
    name: "frames",
    inputs: [
      concat(frame(FrameType.HELLO, 0, rng.bytes(200)), frame(FrameType.HELLO_ACK, 1, rng.bytes(64)), sealed),
      concat(frame(FrameType.PING, 2, rng.bytes(8)), frame(FrameType.DONE, 3, rng.bytes(32))),
    ],
    read(input) {
      const whole = framesOf(input, input.length);
      const dribbled = framesOf(input, 7);
      const same = whole.length === dribbled.length &&
        whole.every((bytes, i) => equal(bytes, dribbled[i] as Uint8Array));
      if (!same) throw new Error("frames depend on how the stream is cut into chunks");
      const read = concat(...whole);
      return concat(read, input.subarray(read.length));
    },
    refuses: (error) => error instanceof LinkFault,
  };
}

function framesOf(stream: Uint8Array, chunkBytes: number): Uint8Array[] {
  const parser = new FrameParser(() => true);
  const out: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += chunkBytes) {
    parser.push(stream.subarray(at, at + chunkBytes));
    for (let frame = parser.next(); frame !== undefined; frame = parser.next()) out.push(written(frame));
  }
  return out;
}

/** The frame, made again from its fields; the time in it is for people and need not be one. */
function written(frame: RawFrame): Uint8Array {
  if (frame.sealed) return frame.bytes.slice();
  const bytes = encodePlainFrame({ ...frame, timestamp: 0, session: sessionOf(frame) }, payloadOf(frame));
  bytes.set(frame.bytes.subarray(19, 27), 19);
  return bytes;
}

function policies(): Target[] {
  const texts = [
    "2 of (alice, bob, carol)",
    "and(alice, 2 of (bob, carol, dave))",
    "or(and(a, b), 2 of (c, d, e))",
    "and(a, or(and(b, c), 3 of (d, e, f, and(g, h))))",
  ];
  return [
    {
      name: "policy, text",
      inputs: texts.map(utf8),
      words: ["and(", "or(", " of ", "2", "0", "1 of (", "alice", ",", ")", "(", " ", "99999999999999999999"],
      read(input) {
        const text = fromUtf8(input);
        if (text === undefined) throw new UsageError("POLICY_INVALID", "not text");
        const tree = parsePolicy(text);
        const again = parsePolicy(formatPolicy(tree));
        if (!equal(encodePolicy(tree), encodePolicy(again))) {
          throw new Error("the text form reads back as another policy");
        }
        return undefined;
      },
      refuses: (error) => error instanceof UsageError && error.code === "POLICY_INVALID",
    },
    {
      name: "policy, binary",
      inputs: texts.map((text) => encodePolicy(parsePolicy(text))),
      read: (input) => encodePolicy(decodePolicy(input)),
      refuses: DOES_NOT_DECODE,
    },
  ];
}

function secrets(rng: Rng): Target[] {
  const keys = Object.values(CURVES).map((curve) => dealKey(curve, "and(a, 2 of (b, c, d))", rng));
  return [
    {
      name: "key share",
      inputs: keys.map(({ shares }) => encodeKeyShare([...shares.values()][1] as never).expose()),
      read: (input) => encodeKeyShare(decodeKeyShare(input)).expose(),
      refuses: DOES_NOT_DECODE,
    },
    {
      name: "stored key",
      inputs: storedV1.map(({ storedKey }) => Uint8Array.fromHex(storedKey)),
      read: (input) => encodeStoredKey(decodeStoredKey(input)).expose(),
      refuses: DOES_NOT_DECODE,
    },
    {
      name: "pair state",
      inputs: keys.map(({ pairs }) =>
        [...([...pairs.values()][0]?.values() ?? [])][0]?.encode().expose() as Uint8Array
      ),
      read: (input) => PairState.decode(input).encode().expose(),
      refuses: DOES_NOT_DECODE,
    },
  ];
}

async function certificates(rng: Rng): Promise<Target[]> {
  const authority = await createAuthority({ cluster: "demo", rng });
  const leaf = await issueLeaf({ authority, cluster: "demo", party: "bob", host: "127.0.0.1", rng });
  const list = await createRevocationList({ authority, revoked: [leaf.certPem], number: 1 });
  const reads = (read: (der: Uint8Array<ArrayBuffer>) => unknown) => (input: Uint8Array<ArrayBuffer>) => {
    read(input);
    return undefined;
  };
  return [
    {
      name: "certificate",
      inputs: [fromPem("CERTIFICATE", leaf.certPem, "leaf")],
      read: reads(readLeaf),
      refuses: DOES_NOT_DECODE,
    },
    {
      name: "revocation list",
      inputs: [fromPem("X509 CRL", list, "list")],
      read: reads(readRevocationList),
      refuses: DOES_NOT_DECODE,
    },
  ];
}

function configuration(rng: Rng): Target {
  const party = (name: string, port: number) =>
    `[[parties]]\nname = "${name}"\naddress = "127.0.0.1:${port}"\ncert_path = "${name}.pem"\nkey_path = "${name}.key"\n` +
    `tls_pin = ["sha256/${rng.bytes(32).toBase64()}"]\nidentity = "${generateIdentity(rng).publicText}"\n` +
    `identity_key_path = "${name}.id"\n`;
  const text =
    `cluster = "demo"\nca_cert_path = "ca.pem"\ntimeout_seconds = 30\nkey_policy = "2 of (alice, bob)"\n` +
    `${party("alice", 1)}${
      party("bob", 2)
    }[transport]\nsilence_seconds = 9\n[storage]\npassphrase_file = "p"\n`;
  return {
    name: "configuration",
    inputs: [utf8(text)],
    words: [
      "[[",
      "]]",
      "=",
      '"',
      "\n",
      "nan",
      "1e99",
      "-1",
      "{}",
      "[]",
      "true",
      "1979-05-27",
      "__proto__ = 1\n",
      "[voting]\n",
    ],
    read(input) {
      parseConfig(new TextDecoder().decode(input), "quorate.toml");
      return undefined;
    },
    refuses: (error) =>
      error instanceof UsageError && (error.code === "CONFIG_INVALID" || error.code === "IDENTITY_INVALID"),
  };
}
