/** What of the transport reads bytes of peers, beside frames and HELLO. */

import { concat, EMPTY, equal } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { Rng } from "../../src/base/rng.ts";
import { FrameType } from "../../src/session/links.ts";
import { decodeBatch, encodeBatch } from "../../src/transport/batch.ts";
import { LinkFault } from "../../src/transport/faults.ts";
import { isUserType } from "../../src/transport/limits.ts";
import { ackMessage, errorMessage, heartbeatMessage, type MessageKind } from "../../src/transport/message.ts";
import { MessageType } from "../../src/transport/message_types.ts";
import { SealedChannel } from "../../src/transport/sealed_channel.ts";
import type { Target } from "./targets.ts";

/** The targets. */
export function transportTargets(rng: Rng): Target[] {
  return [
    batches(rng),
    ...([1, 2] as const).map((suite) => sealed(rng, suite)),
    kind("ACK", ackMessage, { type: MessageType.SIGN_ROUND_1, digest: rng.bytes(32) }),
    kind("HEARTBEAT", heartbeatMessage, { clockMs: 1_700_000_000_000n }),
    kind("ERROR", errorMessage, { code: "BUSY", text: "later …", detail: rng.bytes(20) }),
  ];
}

function batches(rng: Rng): Target {
  const frame = (type: number, size: number) => ({ type, session: rng.bytes(16), payload: rng.bytes(size) });
  return {
    name: "batch",
    inputs: [
      encodeBatch([frame(FrameType.ENVELOPE, 30), frame(FrameType.DONE, 0), frame(200, 9)]),
      encodeBatch([frame(MessageType.ACK, 32)]),
    ],
    read: (input) => encodeBatch(decodeBatch(input, isUserType)),
    refuses: (error) => error instanceof LinkFault,
  };
}

/** Nothing but what was sealed may open, however it is changed. */
function sealed(rng: Rng, suite: 1 | 2): Target {
  const masterKey = rng.bytes(32), sessionId = rng.bytes(32);
  const make = (role: "dialler" | "listener") =>
    SealedChannel.fromMasterKey(masterKey, { suite, role, sessionId });
  const alice = make("dialler");
  const plaintexts = [EMPTY, rng.bytes(40)];
  const inputs = plaintexts.map((plaintext) => alice.encrypt(plaintext));
  alice.rotateKeys();
  inputs.push(alice.encrypt(rng.bytes(9)));
  return {
    name: `sealed, suite ${suite}`,
    inputs,
    read(input) {
      // A channel of its own, because one that has opened a message refuses it afterwards.
      using bob = make("listener");
      bob.decrypt(input);
      const found = inputs.find((bytes) => equal(bytes, input));
      return found === undefined ? concat(EMPTY) : input;
    },
    refuses: (error) => error instanceof TransportError && error.code.startsWith("CHANNEL_"),
  };
}

function kind<T>(name: string, messages: MessageKind<T>, value: T): Target {
  return {
    name,
    inputs: [messages.encode(value).payload],
    read: (input) => messages.encode(messages.decode({ payload: input })).payload,
    refuses: (error) => error instanceof DecodeError,
  };
}
