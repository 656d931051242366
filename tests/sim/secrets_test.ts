import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type Bytes, copy, hex, u32 } from "../../src/base/bytes.ts";
import { bigintToBytes, secp256k1 } from "../../src/math/curve.ts";
import { hash, xof } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import type { SignInput } from "../../src/protocols/ecdsa/sign_opening.ts";
import type { Definition } from "../../src/protocols/protocol.ts";
import { ECHO_ROUND_BIT } from "../../src/session/envelope.ts";
import { FrameType } from "../../src/session/links.ts";
import { makeScenario, type ProtocolName } from "./scenarios.ts";
import { type Interceptor, World } from "./world.ts";

/** Everything that parties drew, and the scalars that were made of it: polynomials, nonces, masks. */
function recording(secrets: Map<string, Bytes>) {
  return <I, O>(definition: Definition<I, O>): Definition<I, O> => ({
    ...definition,
    run(session, input) {
      let counter = 0;
      const note = (what: string, bytes: Bytes) =>
        secrets.set(`${what} of party ${session.self} in ${hex(session.id)}`, copy(bytes));
      const rng = {
        bytes(length: number): Bytes {
          const drawn = session.rng.bytes(length);
          note(`draw ${counter}`, drawn);
          if (length === 48) note(`scalar ${counter}`, bigintToBytes(secp256k1.reduce(drawn), 32));
          const { share } = input as Partial<SignInput>;
          if (share !== undefined) {
            // What src/protocols/ecdsa/hedge.ts makes of the draw: r_i, phi_i and all that follows.
            const { keyId, epoch } = share.record;
            const key = hash(Tag.hedgeKey, keyId, u32(epoch), share.share.expose());
            const hedged = xof(48, Tag.hedge, key, drawn, session.id, u32(counter));
            note(`hedged scalar ${counter}`, bigintToBytes(secp256k1.reduce(hedged), 32));
          }
          counter++;
          return drawn;
        },
      };
      return definition.run({ ...session, rng }, input);
    },
  });
}

/** Damages every envelope of a round that one party sends, or lets nothing of it through. */
function damage(round: number, drop: boolean): Interceptor {
  return ({ from, frame }) => {
    if (
      from !== 1 || frame.type !== FrameType.ENVELOPE ||
      ((frame.payload[0] as number) & ~ECHO_ROUND_BIT) !== round
    ) {
      return [{ frame }];
    }
    if (drop) return [];
    const payload = copy(frame.payload);
    payload[payload.length - 70] = (payload[payload.length - 70] as number) ^ 1;
    return [{ frame: { ...frame, payload } }];
  };
}

function spellings(secret: Bytes): string[] {
  return [hex(secret), secret.toBase64(), BigInt(`0x${hex(secret)}`).toString(), [...secret].join(", ")];
}

const PROTOCOLS = [
  "dkg",
  "ecdsa-sign",
  "refresh",
  "reshare",
  "repair",
  "frost-sign",
  "frost-refresh",
] as const;

for (const protocol of PROTOCOLS satisfies readonly ProtocolName[]) {
  Deno.test(`secrets: no event, error, inspect or log of ${protocol} holds a nonce, a mask or a coefficient`, () => {
    const secrets = new Map<string, Bytes>();
    const shown: string[] = [];
    const interceptors = [
      undefined,
      ...[1, 2, 3].flatMap((round) => [damage(round, true), damage(round, false)]),
    ];
    for (const [i, intercept] of interceptors.entries()) {
      const world = new World({
        seed: `secrets/${protocol}/${i}`,
        parties: 3,
        timeoutMs: 5_000,
        ...(intercept ? { intercept } : {}),
      });
      const scenario = makeScenario(protocol, 3, secp256k1);
      const units = world.parties.flatMap((party) => scenario.start(world, party, recording(secrets)));
      world.run();
      for (const { slot } of units) {
        const { outcome } = slot;
        if (outcome === undefined) continue;
        shown.push(inspect(outcome, { depth: 12 }), Deno.inspect(outcome, { depth: 12 }));
        if (!outcome.ok) {
          shown.push(outcome.error.message, outcome.error.stack ?? "", JSON.stringify(outcome.error));
        }
      }
      for (const { event } of world.events) {
        shown.push(inspect({ ...event, evidence: undefined }, { depth: 12 }));
      }
      for (const { record } of world.records) shown.push(inspect(record, { depth: 12 }));
      shown.push(inspect(world.closed, { depth: 12 }));
    }
    assert.ok(secrets.size > 10 && shown.length > 200, `${secrets.size} secrets, ${shown.length} texts`);
    const all = shown.join("\n").toLowerCase().replaceAll(/\s+/g, " ");
    for (const [what, secret] of secrets) {
      for (const spelling of spellings(secret)) {
        assert.ok(!all.includes(spelling.toLowerCase()), `${what} is shown`);
      }
    }
  });
}
