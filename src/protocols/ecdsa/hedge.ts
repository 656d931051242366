/**
 * Hedged randomness: if the system's generator fails, two sessions still get different secrets (SPEC 8.14).
 *
 * @module
 */

import { u32 } from "../../base/bytes.ts";
import { invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { hash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import type { KeyShare, PublicKeyRecord } from "../key_share.ts";
import type { Session } from "../protocol.ts";

/**
 * `XOF(len, "hedge"; key of the share, 32 fresh bytes, sid, counter)`: as good as the generator, and where that one repeats
 * itself still different in each session and call, because no two sessions share an id.
 */
export function hedgedRng(
  session: Pick<Session, "id" | "rng">,
  { record, share }: Pick<KeyShare, "share"> & { readonly record: Pick<PublicKeyRecord, "keyId" | "epoch"> },
): Rng {
  const key = hash(Tag.hedgeKey, record.keyId, u32(record.epoch), share.expose());
  let counter = 0;
  return {
    bytes(length) {
      invariant(counter < 0xffffffff, "a session draws a bounded number of values");
      return xof(length, Tag.hedge, key, session.rng.bytes(32), session.id, u32(counter++));
    },
  };
}
