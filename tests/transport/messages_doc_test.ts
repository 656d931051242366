import assert from "node:assert/strict";
import { FrameType } from "../../src/session/links.ts";
import { DEFAULT_LIMITS, payloadCap } from "../../src/transport/limits.ts";
import { MessageType, NodeMessageType } from "../../src/transport/message_types.ts";
import { SealedChannel } from "../../src/transport/sealed_channel.ts";
import { Transport } from "../../src/transport/transport.ts";

const TEXT = Deno.readTextFileSync(new URL("../../docs/messages.md", import.meta.url));

Deno.test("docs/messages.md has every type with its number, largest payload and rate, and no other", () => {
  const rows = [...TEXT.matchAll(/^\| (\d+) \| `(\w+)` \| (\d+) \| (.*)\|$/gm)].map((
    [, type, name, cap, rate = ""],
  ) => [name, Number(type), Number(cap), rate.trim()]);
  const there = Object.entries({ ...FrameType, ...MessageType, ...NodeMessageType }).map(([name, type]) => {
    const rate = DEFAULT_LIMITS.rates.types[type];
    const said = rate === undefined ? "" : `${rate.perSecond} a second, ${rate.burst} at once`;
    return [name, type, payloadCap(type), said];
  });
  assert.deepEqual(rows, there);
});

Deno.test("docs/messages.md names methods that there are", () => {
  const called = [...TEXT.matchAll(/`transport\.(\w+)\(/g)].map(([, name]) => name as string);
  assert.deepEqual(called.filter((name) => !(name in Transport.prototype)), []);
  const [, sealed = ""] = /`SealedChannel\.fromMasterKey\(\)`: ([^|]*)\|/.exec(TEXT) ?? [];
  const methods = [...sealed.matchAll(/`(\w+)`/g)].map(([, name]) => name as string);
  assert.ok(methods.length === 6 && "fromMasterKey" in SealedChannel);
  assert.deepEqual(methods.filter((name) => !(name in SealedChannel.prototype)), []);
});
