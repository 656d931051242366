import assert from "node:assert/strict";
import { canonicalJson, type Json, parseCanonicalJson } from "../../src/audit/canonical.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { InvariantError } from "../../src/base/errors.ts";

Deno.test("canonicalJson() writes the examples of RFC 8785", () => {
  // Section 3.2.2 and 3.2.3.
  const example = JSON.parse(
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],' +
      '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
  ) as Json;
  assert.equal(
    canonicalJson(example),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  const names = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 };
  assert.equal(
    canonicalJson(names),
    '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}',
  );
});

Deno.test("canonicalJson() leaves out what is undefined, and refuses what JSON lacks", () => {
  assert.equal(canonicalJson({ b: undefined, a: [{ d: 1, c: "" }] }), '{"a":[{"c":"","d":1}]}');
  for (const value of [NaN, Infinity, "\ud800", { "\udfff": 1 }]) {
    assert.throws(() => canonicalJson(value), InvariantError);
  }
});

Deno.test("parseCanonicalJson() reads canonical texts and no other spelling", () => {
  assert.deepEqual(parseCanonicalJson('{"a":1,"b":[true,"\u20ac"]}'), { a: 1, b: [true, "€"] });
  const others = [
    '{"b":1,"a":1}',
    '{"a":1,"a":1}',
    '{ "a":1}',
    '{"a":1} ',
    '{"a":1.0}',
    '{"a":1e0}',
    '"\\u0041"',
    '"\\ud800"',
    "-0",
    "1e999",
    "",
    "{",
    '{"__proto__":1,"a":2,"__proto__":1}',
  ];
  for (const text of others) assert.throws(() => parseCanonicalJson(text), DecodeError, text);
});
