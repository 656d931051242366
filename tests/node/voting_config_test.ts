import { deepEqual, equal, throws } from "node:assert/strict";
import { parseConfig } from "../../src/node/config.ts";
import { PARTIES } from "./config_text.ts";

const PATH = "/c/quorate.toml";

function voting(section: string, parties = PARTIES) {
  return parseConfig(`${parties}\n[voting]\n${section}`, PATH).voting;
}

Deno.test("[voting] says of a quorum that decides nothing, or survives nothing, what is wrong with it", () => {
  const none =
    "survives no fault (safe with SAFE equivocating, live with LIVE absent): write faults = 0 if that is meant";
  const bounds = (safe: number, live: number) => none.replace("SAFE", `${safe}`).replace("LIVE", `${live}`);
  const wrong: readonly (readonly [section: string, sentence: string])[] = [
    [
      "quorum = 2",
      "voting: of 5 members 3 to 5 decide: found a quorum of 2, which two groups can have at once",
    ],
    ["quorum = 6", "voting: of 5 members 3 to 5 decide: found a quorum of 6, which cannot be reached"],
    ["quorum = 3", `voting: a quorum of 3 of 5 ${bounds(0, 2)}`],
    ["quorum = 5", `voting: a quorum of 5 of 5 ${bounds(4, 0)}`],
    [
      "faults = 2",
      "voting: a quorum of 4 of 5 survives 1 faults (safe with 2 equivocating, live with 1 absent): found faults = 2",
    ],
    ["quorum = 0", "voting.quorum must be a number of votes from 1 to 64: found 0"],
    ["quorum = 4.5", "voting.quorum must be a number of votes from 1 to 64: found 4.5"],
    ['quorum = "4"', 'voting.quorum must be a number of votes from 1 to 64: found "4"'],
    ["faults = -1", "voting.faults must be a number of members from 0 to 31: found -1"],
    ["ttl_seconds = 0", "voting.ttl_seconds must be a number of seconds from 1 to 31536000: found 0"],
    [
      "digest_seconds = 0.01",
      "voting.digest_seconds must be a number of seconds from 0.1 to 3600: found 0.01",
    ],
    ["silence_seconds = 0", "voting.silence_seconds must be a number of seconds from 1 to 86400: found 0"],
    ['members = ["zed"]', "voting: members names zed, which is none of the parties"],
  ];
  for (const [section, sentence] of wrong) {
    throws(() => voting(section), { code: "CONFIG_INVALID", message: `${PATH}: ${sentence}` }, section);
  }
});

Deno.test("[voting] takes a quorum without room for faults only where that is written", () => {
  const { membership, ttlMs, digestMs, silenceMs } = voting("") as NonNullable<ReturnType<typeof voting>>;
  deepEqual([membership.quorum, membership.faults, ttlMs, digestMs, silenceMs], [
    4,
    1,
    3_600_000,
    5000,
    60_000,
  ]);
  for (const quorum of [3, 5]) equal(voting(`quorum = ${quorum}\nfaults = 0`)?.membership.quorum, quorum);
  deepEqual(
    voting('members = ["dave", "alice", "bob", "carol"]')?.membership.voters.map(({ name }) => name),
    [
      ...["alice", "bob", "carol", "dave"],
    ],
  );
});

Deno.test("a configuration without [voting] votes nothing", () => {
  equal(parseConfig(PARTIES, PATH).voting, undefined);
});
