// The line of a limit is dragged, typed, moved by keys and taken back, and the bytes of a download follow.

import http from "node:http";
import { assert, browse, click, live, pause, soon, text } from "./browser.mjs";

const [admin, served] = process.argv.slice(2);
const arrived = [];
http.get(`${served}/large.bin`, (answer) => answer.on("data", (bytes) => arrived.push([performance.now(), bytes.length])));
const between = (from, to) => arrived.reduce((sum, [at, bytes]) => sum + (at >= from && at < to ? bytes : 0), 0);
const limit = async () => (await (await fetch(`${admin}v1/limits/server`)).json()).rate;

// The pace of a second that begins 200 ms from now.
async function pace() {
  const from = performance.now() + 200;
  await pause(1250);
  return between(from, from + 1000);
}

await browse(admin, async (page) => {
  await live(page);
  await click(page, "#river [data-group=server] .row button");
  await soon("the line", async () => (await text(page, ".flag")).startsWith("3.81 MiB/s"));
  await pause(1500);
  const before = await pace();
  assert(before > 3_000_000, `${before} bytes a second under 4 MB/s`);

  // Down to an eighth of the picture.
  const line = await (await page.$(".handle")).boundingBox(), box = await (await page.$(".big canvas")).boundingBox();
  await page.mouse.move(box.x + box.width / 2, line.y + line.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.7, { steps: 4 });
  await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.875, { steps: 4 });
  assert((await limit()) === 4_000_000, "nothing is set while it is dragged");
  await page.mouse.up();
  const set = await soon("the limit", async () => { const rate = await limit(); return rate !== 4_000_000 && rate; });
  const slower = await pace();
  assert(set < 2_000_000, `dragged to ${set}`);
  // What 200 ms of the limit give may come early.
  assert(slower < set * 1.25 + 20_000 && slower > set * 0.6, `${slower} bytes a second under ${set}, before that ${before}`);

  // A rate is typed as elsewhere.
  await page.$eval("#detail .editor input", (input) => { input.focus(); input.select(); });
  await page.keyboard.type("1.5m");
  await page.keyboard.press("Enter");
  await soon("the typed rate", async () => (await limit()) === 1_572_864);
  const typed = await pace();
  assert(typed < 1_572_864 * 1.25 && typed > 1_000_000, `${typed} bytes a second under 1.5m`);

  // What is no rate is refused, with what to write.
  await page.$eval("#detail .editor input", (input) => { input.focus(); input.select(); });
  await page.keyboard.type("fast");
  await page.keyboard.press("Enter");
  await soon("what is wrong", async () => (await text(page, "#toast")).includes("does not begin with a plain number"));

  // Keys move the line.
  await page.focus(".handle");
  await page.keyboard.press("PageDown");
  await soon("half of it", async () => Math.abs((await limit()) - 786_432) <= 1);

  // Each change is listed, and taken back.
  await soon("three changes", async () => (await page.$$("#changes li")).length === 3);
  await page.$$eval("#changes li button", (buttons) => buttons[2].click());
  await soon("what was at first", async () => (await limit()) === 4_000_000);

  // A field says its rate exactly, and what nobody typed is not sent.
  let sent = 0;
  page.on("request", (request) => { if (request.method() === "PATCH") sent += 1; });
  await fetch(`${admin}v1/limits/server`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: '{"rate": 1500000}' });
  await soon("the exact rate", () => page.$eval("#detail .editor input", (input) => input.value === "1500000B"));
  await click(page, "#detail .editor [type=submit]");
  await click(page, "#river [data-group=clients] .row button");
  await soon("a client without a rate", () => page.$eval("#detail .editor input", (input) => input.value === "as each"));
  await click(page, "#detail .editor [type=submit]");
  await pause(500);
  assert(sent === 0 && (await limit()) === 1_500_000, `${sent} changes that nobody typed`);
}, { tolerates: ["422 (Unprocessable"] });
process.exit(0);
