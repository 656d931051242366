/**
 * `quorate test-byzantine`: a drill. Five nodes of a throw-away cluster, one of which misbehaves, and what the others make of it.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { type PartyId, partyId } from "../src/base/brands.ts";
import { type Bytes, hex } from "../src/base/bytes.ts";
import { decode, encode } from "../src/base/codec.ts";
import type { Ed25519Signer } from "../src/base/crypto.ts";
import { TransportError, UsageError } from "../src/base/errors.ts";
import { openParty } from "../src/node/party.ts";
import type { OffenceReport, ReputationReport, TxReport } from "../src/node/voting_report.ts";
import type { Links } from "../src/session/links.ts";
import { NO_SESSION } from "../src/session/opening.ts";
import { NodeMessageType } from "../src/transport/message_types.ts";
import { signReceipt } from "../src/voting/availability.ts";
import { gossipCodec, signGossip } from "../src/voting/gossip.ts";
import { encodeItem, type Item } from "../src/voting/items.ts";
import { describeFaults, type Membership } from "../src/voting/membership.ts";
import { offenceCodec, verifyOffence } from "../src/voting/offence.ts";
import { encodeValue } from "../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../src/voting/vote.ts";
import { NodeStage } from "./node_stage.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

const TYPES = ["double-vote", "minority", "invalid-signature", "silent"] as const;
type TestType = typeof TYPES[number];

const NODES = ["n1", "n2", "n3", "n4", "n5"];
const HONEST = NODES.slice(0, 4);
/** The one that misbehaves. */
const TRAITOR = "n5";
const TX = "drill";
const WAIT_MS = 30_000;

/** What a node makes of the traitor. */
interface Verdict {
  readonly node: string;
  readonly state: TxReport["state"];
  readonly value: string | null;
  readonly offence: OffenceReport | null;
  /** Whether the proof verifies with the configuration alone; null where there is none. */
  readonly verified: boolean | null;
  readonly score: number;
  readonly silent: number;
}

/** Adds the command. */
export function addTestByzantine(root: Command): void {
  root.command("test-byzantine")
    .description(
      "a drill: five nodes of a throw-away cluster, one of which misbehaves, and what the others make of it",
    )
    .addOption(new Option("--test-type <type>", "what it does").choices(TYPES).makeOptionMandatory())
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly testType: TestType }>(command);
      await drill(options.testType, options.json === true);
    });
}

async function drill(type: TestType, json: boolean): Promise<void> {
  const say = (line: string) => {
    if (!json) print(false, undefined, `${line}\n`);
  };
  await using stage = await NodeStage.start(NODES, {
    more: "silence_seconds = 2\n",
    without: type === "minority" ? [] : [TRAITOR],
  });
  const membership = stage.config.voting?.membership as Membership;
  say(`five nodes: ${membership.quorum} of 5 decide, ${describeFaults(membership)}`);
  say(SAID[type]);
  const startedAt = performance.now();
  const verdicts = await (type === "minority" ? dissent(stage) : misbehave(stage, membership, type));
  const seconds = (performance.now() - startedAt) / 1000;
  print(
    json,
    { type, traitor: TRAITOR, seconds: Number(seconds.toFixed(3)), verdicts },
    textOf(type, verdicts),
  );
  requireVerdict(type, verdicts);
}

const SAID: Readonly<Record<TestType, string>> = {
  "double-vote": `${TRAITOR} votes for 42 at n1 and n2, and for 43 at n3 and n4`,
  minority: `${TRAITOR} votes for 43, the others for 42`,
  "invalid-signature": `${TRAITOR} passes on a vote of n1 that n1 has not signed`,
  silent: `${TRAITOR} says that it has seen the transaction, and never votes`,
};

/** Somebody who votes otherwise is a node like any other. */
async function dissent(stage: NodeStage): Promise<Verdict[]> {
  await stage.vote(TRAITOR, TX, "43");
  await Promise.all(HONEST.map((name) => stage.vote(name, TX, "42", WAIT_MS)));
  return await verdictsOf(stage, ({ tally }) => tally.length === 2);
}

async function misbehave(stage: NodeStage, membership: Membership, type: TestType): Promise<Verdict[]> {
  const party = await openParty(stage.config, TRAITOR, { command: "test-byzantine", mode: "daemon" });
  try {
    await party.connect();
    const links = party.network?.board.channel(NodeMessageType.VOTE);
    if (links === undefined) throw new UsageError("USAGE", "the drill has no links");
    const traitor = new Traitor(links, membership, partyId(NODES.length), party.local.identity());
    await traitor.linked(HONEST.length);
    // There is nothing to have seen before somebody has voted.
    if (type !== "silent") traitor.act(type);
    await Promise.all(HONEST.map((name) => stage.vote(name, TX, "42", WAIT_MS)));
    if (type === "silent") traitor.act(type);
    return await verdictsOf(
      stage,
      (_report, offences, silent) => type === "silent" ? silent > 0 : offences > 0,
    );
  } finally {
    await party.close();
  }
}

/** Waits until every honest node has made up its mind, and asks for it. */
async function verdictsOf(
  stage: NodeStage,
  isDone: (report: TxReport, offences: number, silent: number) => boolean,
): Promise<Verdict[]> {
  const deadline = performance.now() + WAIT_MS;
  return await Promise.all(HONEST.map(async (node) => {
    for (;;) {
      const verdict = await verdictOf(stage, node);
      const report = await stage.status(node, TX, WAIT_MS);
      const enough = isDone(report, verdict.offence === null ? 0 : 1, verdict.silent);
      if (enough || performance.now() > deadline) return verdict;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }));
}

async function verdictOf(stage: NodeStage, node: string): Promise<Verdict> {
  const client = stage.client(node);
  const ask = (path: string) => client.ask({ method: "GET", path });
  const { state, value } = await stage.status(node, TX);
  const { offences } = await ask("/v1/voting/evidence") as { readonly offences: readonly OffenceReport[] };
  const { members } = await ask("/v1/voting/reputation") as ReputationReport;
  const offence = offences.find(({ subject }) => subject === TRAITOR) ?? null;
  const other = offences.find(({ subject }) => subject !== TRAITOR);
  if (other !== undefined) throw drillFailed(`${node} blames ${other.subject}, which has done nothing`);
  const member = members.find(({ name }) => name === TRAITOR);
  return {
    node,
    state,
    value,
    offence,
    verified: offence === null ? null : await verifies(stage, node, offence.id),
    score: member?.score ?? Number.NaN,
    silent: member?.silent ?? 0,
  };
}

async function verifies(stage: NodeStage, node: string, id: string): Promise<boolean> {
  const question = { method: "POST", path: "/v1/voting/proof", input: { id } } as const;
  const { proof } = await stage.client(node).ask(question) as { readonly proof: Bytes };
  const membership = stage.config.voting?.membership as Membership;
  const offence = verifyOffence(membership, decode(offenceCodec, proof));
  return offence !== undefined && hex(offence.id) === id;
}

function textOf(type: TestType, verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ node, state, value, offence, verified, score, silent }) => [
    node,
    value === null ? state : `${state}: ${value}`,
    offence === null
      ? type === "minority" ? "dissent, no offence" : silent > 0 ? "silent" : "none"
      : offence.kind,
    offence === null
      ? "-"
      : `${offence.id.slice(0, 16)} ${verified === true ? "verifies" : "DOES NOT VERIFY"}`,
    score.toFixed(1),
  ]);
  return table(rows, ["NODE", TX.toUpperCase(), `VERDICT ON ${TRAITOR}`, "EVIDENCE", "SCORE"]);
}

/** @throws TransportError DRILL_FAILED where a node did not see what happened, or saw something else. */
function requireVerdict(type: TestType, verdicts: readonly Verdict[]): void {
  for (const { node, state, value, offence, verified, score, silent } of verdicts) {
    if (state !== "decided" || value !== "42") throw drillFailed(`${node} has not decided 42`);
    const isRight = {
      "double-vote": offence?.kind === "double-vote" && verified === true && score === 0,
      "invalid-signature": offence?.kind === "invalid-signature" && verified === true,
      minority: offence === null && score === 100,
      silent: offence === null && silent === 1 && score === 100,
    }[type];
    if (!isRight) throw drillFailed(`the verdict of ${node} on ${TRAITOR} is not the one that was due`);
  }
}

function drillFailed(sentence: string): TransportError {
  return new TransportError("DRILL_FAILED", sentence, { parties: [] });
}

/** A member with its own key and links, and bad intentions. */
class Traitor {
  readonly #links: Links;
  readonly #membership: Membership;
  readonly #self: PartyId;
  readonly #identity: Ed25519Signer;
  readonly #up = new Set<PartyId>();
  #changed: () => void = () => {};

  constructor(links: Links, membership: Membership, self: PartyId, identity: Ed25519Signer) {
    this.#links = links;
    this.#membership = membership;
    this.#self = self;
    this.#identity = identity;
    links.listen(({ kind, peer }) => {
      if (kind === "up") this.#up.add(peer);
      this.#changed();
    });
  }

  /** Waits for links. */
  async linked(count: number): Promise<void> {
    while (this.#up.size < count) await new Promise<void>((resolve) => this.#changed = resolve);
  }

  act(type: TestType): void {
    const { voters } = this.#membership;
    for (const { index } of voters.filter(({ index }) => index !== this.#self)) {
      switch (type) {
        case "double-vote":
          this.#say(index, { kind: "vote", vote: this.#vote(index <= 2 ? 42n : 43n) });
          break;
        case "invalid-signature":
          this.#say(index, { kind: "vote", vote: { ...this.#vote(42n), voter: partyId(1) } });
          break;
        case "silent":
          this.#say(index, {
            kind: "receipt",
            receipt: signReceipt(
              this.#membership,
              { txId: TX, member: this.#self, state: "seen" },
              (message) => this.#identity.sign(message),
            ),
          });
      }
    }
  }

  #vote(integer: bigint): Vote {
    const question = questionOf(this.#membership, TX, encodeValue({ schema: "integer", integer }));
    return signVote(question, this.#self, (message) => this.#identity.sign(message));
  }

  #say(to: PartyId, item: Item): void {
    const content = { from: this.#self, to, items: [encodeItem(item)] };
    const envelope = signGossip(this.#membership, content, (message) => this.#identity.sign(message));
    const payload = encode(gossipCodec, envelope);
    this.#links.send(to, { type: NodeMessageType.VOTE, session: NO_SESSION, payload });
  }
}
