import assert from "node:assert/strict";
import { programOf, run, textOf } from "./support.ts";

const UNIT = textOf("systemd/quorate@.service");

function settings(name: string): string[] {
  return UNIT.split("\n").filter((line) => line.startsWith(`${name}=`)).map((line) =>
    line.slice(name.length + 1)
  );
}

Deno.test("quorate@.service lets the node drain, reads certificates again, and confines it to its data", () => {
  const [command] = settings("ExecStart");
  const drain = Number(/--drain (\d+)/.exec(command as string)?.[1]);
  assert.ok(Number(settings("TimeoutStopSec")[0]) >= drain + 15, "there is time to close after the drain");
  assert.deepEqual(settings("KillSignal"), ["SIGTERM"]);
  assert.deepEqual(settings("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
  assert.deepEqual(settings("ReadWritePaths"), ["/var/lib/quorate/%i"]);
  assert.deepEqual(settings("CapabilityBoundingSet"), [""]);
  assert.deepEqual(settings("LimitCORE"), ["0"]);
  for (
    const [name, value] of [["NoNewPrivileges", "yes"], ["ProtectSystem", "strict"], ["ProtectHome", "yes"]]
  ) {
    assert.deepEqual(settings(name as string), [value], name);
  }
  // A restart does not mend a wrong configuration, identity or store.
  assert.deepEqual(settings("RestartPreventExitStatus"), ["64 65 77 78"]);
});

Deno.test("systemd accepts quorate@.service, and finds it well confined", async () => {
  const analyze = programOf("systemd-analyze", { mayBeMissing: true });
  if (analyze === undefined) return;
  const directory = await Deno.makeTempDir();
  try {
    // The programs need not be on the machine that tests run on.
    const unit = `${directory}/quorate@alice.service`;
    const text = UNIT.replaceAll(/^(Exec\w+)=\S+/gm, `$1=${analyze}`).replaceAll("%i", "alice");
    await Deno.writeTextFile(unit, text);
    const verified = await run(analyze, "verify", "--man=no", unit);
    assert.equal(verified.said, "");
    assert.ok(verified.success);
    const { said } = await run(analyze, "security", "--offline=true", "--no-pager", unit);
    const exposure = Number(/exposure level for .*: ([\d.]+)/.exec(said)?.[1]);
    // Before version 250 there is no judging without a running systemd.
    if (Number.isNaN(exposure)) return console.log(`systemd does not judge the unit: ${said.split("\n")[0]}`);
    assert.ok(exposure < 2, said.split("\n").filter((line) => line.startsWith("✗")).join("\n"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
