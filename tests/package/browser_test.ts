/**
 * The layers from `base` to `protocols` need no runtime: they run in a browser.
 */

import assert from "node:assert/strict";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { type Browser, chromium } from "playwright-core";
import { bundle } from "../../scripts/bundle.ts";
import { utf8 } from "../../src/base/bytes.ts";
import type { PageResult } from "./browser/page.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executable = PATHS.find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});
const isMissing = executable === undefined;
if (isMissing) console.warn("no Chromium is here: the test of protocols in a browser is left out");

Deno.test({
  name: "two parties inside a page of Chromium make a key and a signature, which verifies there and here",
  // CI installs Chromium: there it must not be missing.
  ignore: isMissing && Deno.env.get("CI") !== "true",
  fn: async () => {
    assert.ok(executable !== undefined, `no Chromium at ${PATHS.join(", ")}`);
    const script = await bundle({ root: ROOT, entry: "tests/package/browser/page.ts", platform: "browser" });
    assert.ok(!/^import\b/m.test(script), "the page imports something");
    const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox"] });
    try {
      const { result, requests } = await inPage(browser, script);
      const [keygen, pair, sign] = result.elapsedMs;
      console.log(`in the page: key generation ${keygen} ms, pair set-up ${pair} ms, signature ${sign} ms`);
      assert.deepEqual([result.backend, result.valid, requests], ["noble", true, []]);
      const [der, key] = [result.signature, result.publicKey].map((text) => Uint8Array.fromHex(text)) as [
        Uint8Array,
        Uint8Array,
      ];
      assert.ok(secp256k1.verify(der, utf8("pay 5 to dave"), key, { format: "der", lowS: true }));
      assert.ok(!secp256k1.verify(der, utf8("pay 6 to dave"), key, { format: "der", lowS: true }));
    } finally {
      await browser.close();
    }
  },
});

/** Runs the script in a page that may load nothing. @returns what it tried to load beside its result. */
async function inPage(
  browser: Browser,
  script: string,
): Promise<{ readonly result: PageResult; readonly requests: readonly string[] }> {
  const page = await browser.newPage();
  const requests: string[] = [];
  await page.route("**", (route) => {
    requests.push(route.request().url());
    return route.abort();
  });
  await page.setContent("<!doctype html><title>quorate</title>");
  await page.addScriptTag({ content: script, type: "module" });
  // A module is run some time after it was added.
  await page.waitForFunction(`typeof signOf === "function"`);
  const result = await page.evaluate(`signOf("pay 5 to dave")`) as PageResult;
  return { result, requests };
}
