// A thousand transfers come and go for a while, and the tab's heap does not grow.

import http from "node:http";
import { assert, browse, live, pause, soon, text } from "./browser.mjs";

const [admin, served, seconds] = process.argv.slice(2);
const agent = new http.Agent({ maxSockets: Infinity });
let wanted = true;
// Each lasts for a few seconds, so that rows come and go.
function keep(number) {
  if (!wanted) return;
  const request = http.get(`${served}/large.bin?${number}`, { agent }, (answer) => answer.resume().on("close", () => keep(number + 1000)));
  request.on("error", () => setTimeout(() => keep(number), 100));
  setTimeout(() => request.destroy(), 3000 + Math.random() * 9000);
}

await browse(admin, async (page) => {
  await live(page);
  for (let number = 0; number < 1000; number += 1) keep(number);
  await soon("a thousand", async () => Number((await text(page, "#total-transfers")).replace(",", "")) > 900, 60_000);
  // All have a row, or are in the last one.
  await soon("the others", async () => {
    const [others, pace] = await page.$eval("#river [data-key=rest]", (row) => [parseInt(row.querySelector(".title").textContent), row.querySelector(".now").textContent]);
    return others > 800 && pace.endsWith("MiB/s");
  });
  assert((await text(page, "#river [data-group=transfers] .count")).startsWith("the largest 60 of "), "the heading counts all");
  const heap = async () => { await page.evaluate(() => {}); const client = await page.createCDPSession(); await client.send("HeapProfiler.collectGarbage"); const { JSHeapUsedSize } = await page.metrics(); await client.detach(); return JSHeapUsedSize; };
  // Until each row has its two minutes the histories grow, to a size that is known: what is beyond that is a leak.
  await pause(Math.min(10, seconds / 3) * 1000);
  const early = await heap(), nodes = (await page.metrics()).Nodes;
  // Time that the page's thread works, whatever else the machine does: what is left is for the reader.
  const client = await page.createCDPSession();
  await client.send("Performance.enable", { timeDomain: "threadTicks" });
  const worked = async () => (await client.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value;
  const [before, begin] = [await worked(), performance.now()];
  await pause(seconds * 1000);
  const share = (await worked() - before) * 1000 / (performance.now() - begin);
  const late = await heap(), nodesLate = (await page.metrics()).Nodes;
  wanted = false;
  console.log(`heap ${early} → ${late}, nodes ${nodes} → ${nodesLate}, ${Math.round(share * 100)} % of a processor`);
  assert(share < 0.6, `the page works for ${share} of the time`);
  assert(late - early < 3_000_000, `the heap grew from ${early} to ${late}`);
  // A row has about twenty, and there are at most two hundred rows: those that were removed must go too.
  assert(nodesLate < 8000, `nodes grew from ${nodes} to ${nodesLate}`);
});
process.exit(0);
