// How a limit is shared: the mark of each client is its share by weight, and the map has a place for each.

import http from "node:http";
import { assert, browse, click, live, soon, text } from "./browser.mjs";

const [admin, served] = process.argv.slice(2);
const get = (localAddress) => http.get(`${served}/large.bin`, { localAddress }, (answer) => answer.resume());

await browse(admin, async (page) => {
  await live(page);
  ["127.0.0.2", "127.0.0.3"].forEach(get);
  // Pointed at, a row says what it was then.
  const box = await (await page.$("#river [data-group=server] canvas")).boundingBox();
  await soon("what it was", async () => {
    await page.mouse.move(box.x + box.width - 6 - Math.random() * 4, box.y + box.height / 2);
    return /^[0-9.]+ [KM]?i?B\/s of 977 KiB\/s · [a-z]+ · [0-9.]+ s ago$/.test(await page.$eval("#river [data-group=server] .tip", (tip) => (tip.hidden ? "" : tip.textContent)));
  });
  await click(page, "#river [data-group=server] .row button");
  // What each takes follows from its weight, one to three, and its mark says so.
  const shares = await soon("both shares", async () => {
    const items = await page.$$eval("#detail .shares li", (all) => all.map((item) => ({
      name: item.querySelector(".name").textContent, numbers: item.querySelector(".numbers").textContent,
      mark: parseFloat(item.querySelector(".mark").style.left), fill: parseFloat(item.querySelector(".fill").style.width),
    })));
    const [large, small] = items;
    return items.length === 2 && large.name === "127.0.0.3" && small.fill > 20 && small.fill < 50 && items;
  });
  const [large, small] = shares;
  assert(Math.abs(large.mark / small.mark - 3) < 0.01, `marks at ${large.mark} and ${small.mark}`);
  assert(large.numbers.endsWith("weight 3") && !small.numbers.includes("weight"), JSON.stringify(shares));
  assert(await page.$eval("#detail", (detail) => detail.scrollWidth <= detail.clientWidth), "something is wider than the panel");
  const map = await page.$eval("#detail .map", (map) => ({ said: map.getAttribute("aria-label"), places: [...map.children].map((place) => [parseFloat(place.style.width), place.lastChild.children.length]) }));
  assert(map.said.startsWith("2 share 977 KiB/s: 127.0.0.3 ") && map.places.length === 2, JSON.stringify(map));
  assert(map.places.every(([, below]) => below === 1) && map.places[0][0] > map.places[1][0], JSON.stringify(map));
  // A client's own share leads to its transfers, and a limit in the table to who shares it.
  await click(page, "#detail .shares li button");
  await soon("its transfer", async () => (await text(page, "#detail .shares")).includes("GET /large.bin"));
  await page.$$eval("#limits tbody button", (all) => all.find((one) => one.textContent === "server").click());
  await soon("the limit's children", async () => (await page.$$("#detail .shares li")).length === 2 && (await text(page, "#detail h2")).includes("server"));
});
process.exit(0);
