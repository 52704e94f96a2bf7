// Parts of the page that need no browser: how rates are written for typing, and what the stream says when it is refused.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [assets] = process.argv.slice(2);
const part = (name) => import(`data:text/javascript,${encodeURIComponent(readFileSync(`${assets}/${name}`, "utf8"))}`);

const { typed } = await part("format.js");
const sizes = { B: 1, k: 1024, m: 2 ** 20, g: 2 ** 30 };
for (const [rate, expected] of [[500, "500B"], [60 * 1024, "60k"], [1_572_864, "1.5m"], [1_500_000, "1500000B"], [2 ** 30, "1g"], [4_000_000, "3906.25k"], [4_000_001, "4000001B"], [null, "off"]]) {
  assert(typed(rate) === expected, `${rate} is typed ${typed(rate)}, not ${expected}`);
}
for (let rate = 1; rate < 1e12; rate = Math.ceil(rate * 1.37)) {
  const text = typed(rate), back = Number(text.slice(0, -1)) * sizes[text.at(-1)];
  assert(back === rate, `${rate} is typed ${text}, which is ${back}`);
}

const { Stream } = await part("stream.js");
// What is told of one failure of each kind.
for (const [failure, expected] of [
  [{ status: 429, message: "32 look on already." }, ["lost", "32 look on already."]],
  [{ status: 404, message: "404 Not Found" }, ["lost", "404 Not Found"]],
  [{ status: 0, message: "The server does not answer." }, ["lost", null]],
  [{ status: 401, message: "Send the token" }, ["sign-in", undefined]],
]) {
  const told = await new Promise((then) => {
    const stream = new Stream({ fetch: async () => { throw Object.assign(new Error(failure.message), failure); } }, (...words) => { stream.stop(); then(words); });
    stream.run();
  });
  assert(told[0] === expected[0] && told[1] === expected[1], `${failure.status}: ${told}`);
}
process.exit(0);
