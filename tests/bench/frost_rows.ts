import { utf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import {
  dealFrostKey,
  runFrostDkg,
  runFrostRefresh,
  runFrostSign,
  SCHEMES,
  storedFrostKey,
} from "../protocols/frost/support.ts";
import { makeGroup, valuesOf } from "../protocols/support.ts";
import type { BenchRow } from "./row.ts";

const POLICY = "2 of (alice, bob, carol)";

/** Key generation, signing and refresh with FROST, all parties in one process. */
export const frostRows: readonly BenchRow[] = SCHEMES.flatMap((scheme): readonly BenchRow[] => [
  {
    kind: "time",
    name: `frost/sign/2-of-3/${scheme}`,
    samples: 40,
    prepare() {
      const key = dealFrostKey(scheme, POLICY);
      const message = sha256(utf8("a message"));
      return () => valuesOf(runFrostSign(key, message, { signers: [1, 2], rng: systemRng }));
    },
  },
  {
    kind: "time",
    name: `frost/keygen/2-of-3/${scheme}`,
    samples: 15,
    prepare() {
      const group = makeGroup(POLICY);
      return () => valuesOf(runFrostDkg(group, scheme, { rng: systemRng }));
    },
  },
  {
    kind: "time",
    name: `frost/refresh/2-of-3/${scheme}`,
    samples: 15,
    prepare() {
      const { group, stores } = storedFrostKey(scheme, POLICY);
      return () => valuesOf(runFrostRefresh(group, (party) => stores.of(party), { rng: systemRng }));
    },
  },
]);
