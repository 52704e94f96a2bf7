// Thousands of transfers: the largest are shown, what is shown and the rest are all there is, and the page answers.

import { assert, browse, click, live, pause, soon, text } from "./browser.mjs";

const [admin, transfers, large, clients, seconds] = process.argv.slice(2).map((word) => Number(word) || word);
const number = (text) => Number(text.replace(/[^0-9]/g, ""));
const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

// A whole state, as the stream has it at one instant.
async function state() {
  const abort = new AbortController();
  const answer = await fetch(`${admin}v1/live`, { signal: abort.signal });
  let text = "";
  for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    const full = /^event: full\n(?:id: .*\n)?data: (.*)\n(?:id: .*\n)?\n/m.exec(text);
    if (full) { abort.abort(); return JSON.parse(full[1]); }
  }
  throw new Error(`no state: ${text.slice(0, 200)}`);
}

// Paces as the page writes them, in bytes a second: of each transfer with a row, of the rest, and of the server.
const paces = (page) => page.evaluate(() => {
  const units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
  const pace = (text) => { const [number, unit] = text.split(" "); return Number(number) * units[unit.slice(0, -2)]; };
  const now = (row) => pace(row.querySelector(".now").textContent);
  const rows = [...document.querySelectorAll("#river [data-group=transfers] .row")];
  const rest = rows.filter((row) => row.dataset.key === "rest");
  return { shown: rows.filter((row) => row.dataset.key !== "rest").map(now), rest: rest.map(now), server: now(document.querySelector("#river [data-key=server]")) };
});

await browse(admin, async (page) => {
  await live(page);
  await soon("all transfers", async () => number(await text(page, "#total-transfers")) === transfers);

  // At one instant the sums are exact.
  const one = await state();
  const rows = (of) => Object.values(of);
  assert(one.server.transfers === transfers, `${one.server.transfers} transfers`);
  assert(sum(rows(one.server.held_by)) === transfers, JSON.stringify(one.server.held_by));
  assert(sum(rows(one.routes).map((row) => row.transfers)) === transfers, JSON.stringify(one.routes));
  assert(rows(one.transfers).length === 500 && one.rest.transfers === transfers - 500, JSON.stringify(one.rest));
  assert(rows(one.clients).length === Math.min(200, clients) && one.rest.clients === Math.max(0, clients - 200), JSON.stringify(one.rest));

  // The largest have a row, the others one together, and headings say of how many.
  const titles = () => page.$$eval("#river [data-group=transfers] .row .title", (all) => all.map((title) => title.textContent));
  await soon("the largest", async () => {
    const shown = await titles();
    const others = shown.pop();
    if (others !== `${transfers - 60} others`) throw new Error(others);
    return shown.length === 60 && new Set(shown).size === 60 && shown.every((title) => title.startsWith("GET /large/")) && large >= 60;
  });
  const count = (group) => text(page, `#river [data-group=${group}] .count`);
  assert(await count("transfers") === `the largest 60 of ${transfers}`, await count("transfers"));
  assert(await count("clients") === `the largest 60 of ${clients}`, await count("clients"));

  const thread = await page.createCDPSession();
  await thread.send("Performance.enable", { timeDomain: "threadTicks" });
  const worked = async () => (await thread.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value;
  const heap = async () => { await thread.send("HeapProfiler.collectGarbage"); return (await page.metrics()).JSHeapUsedSize; };
  const early = await heap();
  await page.evaluate(() => {
    globalThis.seen = { frames: [], tasks: [] };
    new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
    let last = performance.now();
    const next = (now) => { seen.frames.push(now - last); last = now; requestAnimationFrame(next); };
    requestAnimationFrame(next);
  });

  // For a while: what is shown and the rest make up what leaves. A chunk comes each second, most of them at about the same time: of
  // eight seconds there may be one more or less, and a machine that is too busy shifts them. Then another while is looked at.
  const looked = async () => {
    const [before, began] = [await worked(), performance.now()];
    const seen = [];
    const from = await state();
    while (performance.now() - began < seconds * 1000) { seen.push(await paces(page)); await pause(250); }
    const to = await state();
    const share = (await worked() - before) * 1000 / (performance.now() - began);
    const mean = (of) => sum(seen.map(of)) / seen.length;
    const [shown, rest, server] = [mean((one) => sum(one.shown)), mean((one) => sum(one.rest)), mean((one) => one.server)];
    const left = (to.server.bytes - from.server.bytes) * 1000 / (to.at - from.at);
    console.log(`${transfers} transfers: shown ${Math.round(shown)} and the rest ${Math.round(rest)} of ${Math.round(server)} B/s; sockets took ${Math.round(left)} B/s`);
    const wrong = [];
    if (Math.abs(shown + rest - server) >= server * 0.05) wrong.push(`${shown} and ${rest} are not ${server}`);
    if (Math.abs(server - left) >= left * 0.1) wrong.push(`the page says ${server}, the counters ${left}`);
    return [wrong, share];
  };
  let [wrong, share] = await looked();
  for (let again = 0; again < 4 && wrong.length > 0; again++) [wrong, share] = await looked();
  assert(wrong.length === 0, wrong.join("; "));

  // A click is answered while all that goes on.
  const clicked = performance.now();
  await click(page, "#river [data-group=transfers] .row button");
  await soon("the way of a transfer", async () => !(await page.$eval("#detail", (detail) => detail.hidden)) && (await text(page, "#detail")).includes("GET /large/"));
  const answered = performance.now() - clicked;
  const { frames, tasks } = await page.evaluate(() => seen);
  frames.sort((one, other) => one - other);
  const late = await heap(), { Nodes } = await page.metrics();
  console.log(`frames: half within ${frames[frames.length >> 1].toFixed(0)} ms, 99 of 100 within ${frames[Math.floor(frames.length * 0.99)].toFixed(0)}; ${tasks.length} tasks above 50 ms, the longest ${Math.max(0, ...tasks).toFixed(0)}; a click answered in ${answered.toFixed(0)} ms; ${Math.round(share * 100)} % of a processor; heap ${early} → ${late}, ${Nodes} nodes`);
  assert(share < 0.6, `the page works for ${share} of the time`);
  assert(late < 24_000_000 && Nodes < 8000, `heap ${late}, ${Nodes} nodes`);
});
process.exit(0);
