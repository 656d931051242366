import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { frameOf, makeWorld, type Node, withNodes } from "./world.ts";

const world = await makeWorld(3);

Deno.test("Mesh links three parties and delivers frames in order in both directions", async () => {
  await withNodes(world, [1, 2, 3], async (nodes) => {
    const [alice, bob, carol] = [1, 2, 3].map((i) => nodes.get(i)) as [Node, Node, Node];
    await Promise.all([alice.upWith(2, 3), bob.upWith(1, 3), carol.upWith(1, 2)]);
    for (let i = 0; i < 50; i++) {
      for (const [from, node] of nodes) {
        for (const to of nodes.keys()) {
          if (to !== from) assert.ok(node.mesh.send(partyId(to), frameOf(`${from}>${to} ${i}`)));
        }
      }
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    for (const [to, node] of nodes) {
      for (const from of nodes.keys()) {
        if (from === to) continue;
        await node.until(() => node.framesFrom(from).length === 50);
        const texts = node.framesFrom(from).map((frame) => new TextDecoder().decode(frame.payload));
        assert.deepEqual(texts, Array.from({ length: 50 }, (_, i) => `${from}>${to} ${i}`));
      }
    }
  });
});
