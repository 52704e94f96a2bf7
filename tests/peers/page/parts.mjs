// Parts of the page that need no browser: how rates are written for typing, how long a pace is shown, what the stream says when it is refused, and how it goes on.

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

const { History } = await part("history.js");
// Samples that are far apart: a row flows on until the next one is overdue.
const history = new History();
for (const [time, bytes] of [[0, 0], [5000, 500_000]]) {
  history.step(time);
  history.apart(5000);
  history.note("row", bytes, null, 0);
}
assert.deepEqual([5000, 9900, 15_001].map((now) => history.pace("row", now)), [100_000, 100_000, 0]);
history.apart(200);
assert.deepEqual([6900, 7001].map((now) => history.pace("row", now)), [100_000, 0]);

const { Stream } = await part("stream.js");
// Until when nothing had changed: not known of a whole state, and from the first of those that came since it was asked for.
{
  let bring;
  const body = new ReadableStream({ start(stream) { bring = (text) => stream.enqueue(new TextEncoder().encode(text)); } });
  let then;
  const stream = new Stream({ fetch: async () => new Response(body) }, () => then());
  const comes = (events) => new Promise((done) => { then = done; bring(events.join("")); });
  const change = (at, elapsed) => `event: change\ndata: ${JSON.stringify({ at, elapsed })}\n\n`;
  stream.run();
  await comes([`event: full\ndata: {"at": 1000, "elapsed": 200}\n\n`, change(1200, 200)]);
  assert.deepEqual([stream.news(), stream.news()], [-Infinity, null]);
  await comes([change(9000, 200), change(9200, 200), change(9400, 200)]);
  assert.deepEqual([stream.news(), stream.news(), stream.state.at], [8800, null, 9400]);
  await comes([change(9600, 200)]);
  assert.deepEqual(stream.news(), 9400);
  stream.stop();
}

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

// What is told, and after which ids is asked, of answers that bring these events and then stay open, or end.
async function followed(answers, until) {
  // Retries at once: the silence that counts as an end is not awaited.
  const timer = globalThis.setTimeout;
  globalThis.setTimeout = (then, ms) => timer(then, ms < 2000 ? 0 : ms);
  const told = [], after = [];
  const fetch = async (path, { headers, signal }) => {
    after.push(headers["Last-Event-ID"] ?? null);
    const { events, open } = answers[after.length - 1];
    const body = new ReadableStream({
      start(stream) {
        for (const event of events) stream.enqueue(new TextEncoder().encode(event));
        if (!open) stream.close();
        else signal.addEventListener("abort", () => stream.error(signal.reason));
      },
    });
    return new Response(body);
  };
  let stream;
  await new Promise((then) => {
    stream = new Stream({ fetch }, (what) => { if (told.at(-1) !== what) told.push(what); if (until(told, stream.state)) then(); });
    stream.run();
  });
  stream.stop();
  globalThis.setTimeout = timer;
  return { told, after, state: stream.state };
}
const event = (kind, id, data) => `event: ${kind}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
const gap = "event: sluicegate.gap\ndata: {}\n\n";

// It resumes while nothing changes: the server answers all the same.
assert.deepEqual(
  await followed([{ events: [event("full", "a-1", { at: 1 })] }, { events: ["id: a-1\n\n"], open: true }], (told) => told.length === 3),
  { told: ["live", "lost", "live"], after: [null, "a-1"], state: { at: 1 } },
);
// The server begins anew: a gap, and the whole state in the same answer.
assert.deepEqual(
  await followed([{ events: [event("full", "a-1", { at: 1 })] }, { events: [gap + event("full", "b-0", { at: 2 })], open: true }], (told) => told.length === 3),
  { told: ["live", "lost", "live"], after: [null, "a-1"], state: { at: 2 } },
);
// Events were missed in mid-stream: what follows changes nothing that is known, so all of it is asked for.
assert.deepEqual(
  await followed(
    [{ events: [event("full", "a-1", { at: 1 }), gap, event("change", "a-9", { at: 9 })], open: true }, { events: [event("full", "a-9", { at: 9 })], open: true }],
    (told, state) => state?.at === 9 && told.at(-1) === "live",
  ),
  { told: ["live", "lost", "live"], after: [null, null], state: { at: 9 } },
);
process.exit(0);
