import assert from "node:assert/strict";
import { DEPLOY, yamlOf } from "./support.ts";

const DOCS = new URL("../docs/", DEPLOY);
const DEPLOYMENT = Deno.readTextFileSync(new URL("deployment.md", DOCS));

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, DEPLOY))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}${name}`;
    if (path === "cluster") return [];
    return isDirectory ? filesBelow(`${path}/`) : [path];
  });
}

Deno.test("docs/deployment.md names every file of deploy/, and links lead somewhere", () => {
  for (const path of filesBelow("")) {
    const name = path.split("/").at(-1) as string;
    const folder = /^(?:.*\/)?provisioning\//.exec(path)?.[0];
    const names = [path, name, ...(folder === undefined ? [] : [folder])];
    if (path.endsWith(".dockerignore")) names.push("*.dockerignore");
    assert.ok(names.some((one) => DEPLOYMENT.includes(one)), `${path} is not explained`);
  }
  for (const name of ["deployment.md", "metrics.md", "configuration.md"]) {
    const text = Deno.readTextFileSync(new URL(name, DOCS));
    for (const [, target] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      assert.doesNotThrow(() => Deno.statSync(new URL(target as string, DOCS)), `${name}: ${target}`);
    }
  }
});

Deno.test("docs/deployment.md has the ports, volumes and networks that the files have", () => {
  const { services, networks } = yamlOf<{
    services: Record<string, { ports?: string[] }>;
    networks: Record<string, unknown>;
  }>("compose.yaml");
  for (const network of Object.keys(networks)) assert.ok(DEPLOYMENT.includes(`\`${network}\``), network);
  for (const { ports = [] } of Object.values(services)) {
    for (const port of ports) assert.ok(DEPLOYMENT.includes(port.split(":")[1] as string), port);
  }
  for (const port of ["9000", "9100", "9200", "2379", "2380", "5432"]) {
    assert.match(DEPLOYMENT, new RegExp(`^\\| ${port} \\|`, "m"));
  }
});
