// The page's words and its JSON, without a browser.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

// Where Node takes them for modules, whatever its version.
const copy = mkdtempSync(join(tmpdir(), "live-view-"));
after(() => rmSync(copy, { recursive: true }));
cpSync(new URL("../../src/http/page/", import.meta.url), copy, { recursive: true });
writeFileSync(join(copy, "package.json"), '{"type": "module"}');
const page = pathToFileURL(`${copy}/`);
const { gist, pretty } = await import(new URL("json.js", page));
const { ceiling } = await import(new URL("chart.js", page));
const { parse, to } = await import(new URL("routes.js", page));
const { bytes, duration, filter, rate } = await import(new URL("words.js", page));

const shown = (node) => node.text ?? node.children.map(shown).join("");

test("JSON is indented and otherwise as it came", () => {
  const json = '{"id":12345678901234567890,"id":1.0,"text":"a \\"b\\": {,} \\u0000 \\\\","list":[],"deep":[[{}],{"x":null}]}';
  const text = shown(pretty(json));
  assert.equal(text.replaceAll(/\n */g, "").replaceAll(": ", ":"), json.replaceAll(": ", ":"));
  assert.equal(shown(pretty('{"a":[1,{"b":2}],"c":{}}')), '{\n  "a": [\n    1,\n    {\n      "b": 2\n    }\n  ],\n  "c": {}\n}');
});

test("what is no JSON, or nested without end, or huge, is shown all the same", () => {
  assert.equal(shown(pretty("")), "");
  assert.ok(shown(pretty('{"a":')).startsWith('{\n  "a":'));
  assert.ok(shown(pretty("]]]}")).includes("]"));
  const deep = shown(pretty("[".repeat(10_000) + "]".repeat(10_000)));
  assert.equal(deep.replaceAll(/\s/g, "").length, 20_000);
  const huge = pretty(JSON.stringify({ text: "x".repeat(300_000), list: Array(1_000).fill(1) }));
  assert.equal(huge.children.length, 1, "one text, without colours");
});

test("an update's gist is what it says and who says it, whatever is in it", () => {
  const said = (kind, payload) => gist(kind, JSON.stringify({ update_id: 1, [kind]: payload }));
  assert.deepEqual(said("message", { text: "hi", from: { first_name: "A", last_name: "B" }, chat: { title: "T" } }), { who: "A B · T", what: "hi", quoted: true });
  assert.equal(said("callback_query", { data: "order:1", from: { username: "x" } }).what, "order:1");
  assert.equal(said("message", { photo: [], date: 1, chat: {} }).what, "photo");
  for (const odd of [null, 1, "text", [], { text: 5, from: 7, chat: "c" }, { from: { username: 5 }, message: null }]) {
    assert.equal(typeof said("message", odd).who, "string");
  }
  assert.deepEqual(gist("message", "no JSON"), { who: "", what: "" });
});

test("addresses lead back to what they were made from", () => {
  assert.equal(to(), "#/");
  assert.equal(to("group", "a/b", "c d"), "#/group/a%2Fb/c%20d");
  assert.deepEqual(parse("#/group/a%2Fb/c%20d").path, ["group", "a/b", "c d"]);
  assert.equal(to("updates", { chat: "-100", kind: "", bot: null }), "#/updates?chat=-100");
  assert.equal(parse("#/updates?chat=-100&contains=a%26b").query.get("contains"), "a&b");
  assert.deepEqual(parse("#/a/%zz").path, ["a", "%zz"]);
});

test("filters, durations, sizes and rates in words", () => {
  assert.equal(filter({}), "everything");
  assert.equal(filter({ fallback: true }), "what no other group's filter matches");
  assert.equal(filter({ filter: { kinds: ["message"], chatIds: ["42"], chatTypes: ["private"] } }), "message; in private chats; of chat 42");
  assert.equal(filter({ filter: { commands: ["start"], callbackDataPrefixes: ["order:"] } }), "commands /start or callback data order:…");
  assert.deepEqual([0, 999, 1_500, 60_000, 90_000, 3_600_000, 90_061_000].map(duration), ["0 ms", "999 ms", "1.5 s", "1 min", "1 min 30 s", "1 h", "1 d 1 h"]);
  assert.deepEqual([0, "1023", 1024, 10 << 20, 2 ** 40].map(bytes), ["0 B", "1023 B", "1.0 KiB", "10 MiB", "1.0 TiB"]);
  assert.deepEqual([undefined, 0.01, 1.25, 1234.4].map(rate), ["0", "<0.1", "1.3", "1,234"]);
});

test("a chart's scale ends at a round number that holds all", () => {
  for (const value of [0, 4, 5, 10, 11, 40, 41, 99, 1_000, 123_456]) assert.ok(ceiling(value) >= value, `${value}`);
  assert.deepEqual([0, 7, 41, 123_456].map(ceiling), [4, 10, 50, 200_000]);
});
