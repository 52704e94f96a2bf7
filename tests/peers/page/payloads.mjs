// What clients choose is shown as text: targets, and what is below routes.

import { assert, browse, click, live, soon } from "./browser.mjs";

const [admin, ...payloads] = process.argv.slice(2);

await browse(admin, async (page) => {
  await live(page);
  await soon("transfers", async () => (await page.$$("#river [data-group=transfers] .row")).length >= 8);
  const shown = await page.$$eval("#river [data-group=routes] .row .title", (all) => all.map((one) => one.textContent));
  for (const payload of payloads) assert(shown.includes(payload), `${payload} is not shown as it is: ${shown}`);
  const named = await soon("the event streams", async () => page.$$eval("#streams tbody th", (all) => all.length && all.map((one) => one.textContent)));
  assert(named.every((name) => payloads.includes(name)), `${named}`);
  assert((await page.$$eval("#river [data-group=transfers] .row .title", (all) => all.filter((one) => one.textContent.includes(".bin") && !one.textContent.includes("?")).length)) >= 4, "files with such names");
  for (const row of await page.$$("#river .row")) {
    await row.$eval("button", (button) => button.click());
    await soon("its details", async () => page.$("#detail h2"));
  }
  await click(page, "#all-limits");
  await soon("limits", async () => (await page.$$("#limits tbody tr")).length > 3);
  const made = await page.evaluate(() => ({
    foreign: document.querySelectorAll("#river img, #river script, #river svg, #detail img, #detail script, #limits img, #streams img, iframe, main style").length,
    ran: "ran" in window,
  }));
  assert(made.foreign === 0 && !made.ran, JSON.stringify(made));
});
process.exit(0);
