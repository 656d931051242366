import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { TransportError, UsageError } from "../../src/base/errors.ts";
import { explained, type Surroundings, withFiles } from "../../src/node/explain.ts";

const QUIET: Surroundings = { links: [], listen: "127.0.0.1:1", turnedAway: undefined, stopped: false };
const BOB = { peer: partyId(2), name: "bob" };

function timeout(): TransportError {
  return new TransportError("TIMEOUT", "bob did not answer", { parties: [2], party: "bob" });
}

function message(surroundings: Partial<Surroundings>, error: Error = timeout()): string {
  const result = explained(error, { ...QUIET, ...surroundings }) as TransportError;
  assert.equal(result.code, (error as TransportError).code);
  return result.message;
}

Deno.test("explained() says of a time-out who did not reach whom", () => {
  const down = {
    ...BOB,
    state: "down",
    role: "dialler",
    lastFault: { code: "CLOSED", text: "refused" },
  } as const;
  assert.equal(message({ links: [down] }), "bob did not answer (bob: refused)");
  const dialled = { ...BOB, state: "down", role: "listener" } as const;
  assert.equal(message({ links: [dialled] }), "bob did not answer (bob has not connected to 127.0.0.1:1)");
  assert.equal(
    message({ links: [dialled], turnedAway: "no pin matches" }),
    "bob did not answer (bob has not connected to 127.0.0.1:1, where the last connection was refused: no pin matches)",
  );
});

Deno.test("explained() says nothing of links that are up, or of other parties", () => {
  const fault = { lastFault: { code: "CLOSED", text: "refused" } } as const;
  assert.equal(
    message({ links: [{ ...BOB, state: "up", role: "dialler", ...fault }] }),
    "bob did not answer",
  );
  const carol = { peer: partyId(3), name: "carol", state: "down", role: "dialler", ...fault } as const;
  assert.equal(message({ links: [carol] }), "bob did not answer");
  assert.equal(message({ links: [{ ...BOB, state: "down", role: "dialler" }] }), "bob did not answer");
  const { party, parties } = explained(timeout(), QUIET) as TransportError;
  assert.deepEqual([party, parties], ["bob", [2]]);
});

Deno.test("explained() tells a stop here from one elsewhere, and leaves other errors as they are", () => {
  const cancelled = new TransportError("CANCELLED", "cancelled");
  assert.match(message({ stopped: true }, cancelled), /stopped here .*: run it again/);
  assert.equal(explained(cancelled, QUIET), cancelled);
  const refused = new TransportError("PEER_REFUSED", "no", { parties: [2] });
  assert.equal(explained(refused, { ...QUIET, stopped: true }), refused);
});

Deno.test("withFiles() names the files of a wrong certificate", () => {
  const error = withFiles(new UsageError("IDENTITY_INVALID", "no PEM"), ["a.pem", "b.pem"]) as UsageError;
  assert.deepEqual([error.code, error.message], ["IDENTITY_INVALID", "no PEM; the files are a.pem, b.pem"]);
  const other = new UsageError("ADDRESS_IN_USE", "taken");
  assert.equal(withFiles(other, ["a.pem"]), other);
});
