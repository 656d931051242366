import { deepEqual, throws } from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import type { LinkEvent, Links } from "../../src/session/links.ts";
import { Switchboard } from "../../src/transport/switchboard.ts";

const PEER = partyId(2);
const BOOT = new Uint8Array(16);
const frame = (type: number): LinkEvent => ({
  kind: "frame",
  peer: PEER,
  frame: { type, session: new Uint8Array(16), payload: new Uint8Array() },
});

function linksOf(): { links: Links; tell: (event: LinkEvent) => void } {
  let tell: (event: LinkEvent) => void = () => {};
  const links: Links = {
    self: partyId(1),
    send: () => true,
    bootId: () => BOOT,
    closeLink: () => {},
    listen: (receiver) => tell = receiver,
  };
  return { links, tell: (event) => tell(event) };
}

Deno.test("Switchboard gives each type to its user, the others to the rest, and links to all", () => {
  const { links, tell } = linksOf();
  const board = new Switchboard(links);
  const heard: string[] = [];
  const note = (who: string) => (event: LinkEvent) =>
    heard.push(`${who} ${event.kind === "frame" ? event.frame.type : event.kind}`);
  board.rest.listen(note("rest"));
  board.channel(44).listen(note("votes"));
  tell({ kind: "up", peer: PEER, bootId: BOOT });
  tell(frame(44));
  tell(frame(8));
  tell({ kind: "down", peer: PEER, reason: "AGE" });
  deepEqual(heard, ["rest up", "votes up", "votes 44", "rest 8", "rest down", "votes down"]);
});

Deno.test("Switchboard tells everybody of a link, also where one of them throws", () => {
  const { links, tell } = linksOf();
  const board = new Switchboard(links);
  const heard: string[] = [];
  board.channel(44).listen(() => {
    throw new Error("a bug");
  });
  board.channel(46).listen(({ kind }) => heard.push(kind));
  throws(() => tell({ kind: "up", peer: PEER, bootId: BOOT }), /a bug/);
  throws(() => tell({ kind: "down", peer: PEER, reason: "AGE" }), /a bug/);
  deepEqual(heard, ["up", "down"]);
});

Deno.test("Switchboard tells a user who comes late of links that are still up", async () => {
  const { links, tell } = linksOf();
  const board = new Switchboard(links);
  tell({ kind: "up", peer: PEER, bootId: BOOT });
  tell({ kind: "up", peer: partyId(3), bootId: BOOT });
  const heard: string[] = [];
  board.channel(44).listen((event) => heard.push(`${event.kind} ${event.peer}`));
  tell({ kind: "down", peer: partyId(3), reason: "AGE" });
  await Promise.resolve();
  await Promise.resolve();
  deepEqual(heard, ["down 3", "up 2"]);
});

Deno.test("Switchboard reports what a user who came late throws: nobody else could catch it", async () => {
  const { links, tell } = linksOf();
  const failures: unknown[] = [];
  const board = new Switchboard(links, (error) => failures.push(error));
  tell({ kind: "up", peer: PEER, bootId: BOOT });
  const bug = new Error("a bug");
  board.channel(44).listen(() => {
    throw bug;
  });
  await Promise.resolve();
  await Promise.resolve();
  deepEqual(failures, [bug]);
});
