// The pictures of docs/live.md.

import http from "node:http";
import path from "node:path";
import { browse, click, live, pause, soon } from "./browser.mjs";

const [admin, served, folder] = process.argv.slice(2);
const get = (target, localAddress, headers = {}) => http.get(`${served}${target}`, { localAddress, headers }, (answer) => answer.resume());
const reads = (target, localAddress, rate) => http.get(`${served}${target}`, { localAddress }, async (answer) => { for await (const bytes of answer) await pause(bytes.length / rate * 1000); });

await browse(admin, async (page) => {
  await live(page);
  get("/large.bin?release=42", "127.0.0.2");
  get("/media/large.bin?clip=a", "127.0.0.3");
  await pause(12_000);
  get("/media/large.bin?clip=b", "127.0.0.4");
  get("/large.bin", "127.0.0.2");
  get("/large.bin", "127.0.0.5", { "x-api-key": "k-4f1b2c" });
  await pause(14_000);
  reads("/media/large.bin?slow", "127.0.0.6", 60_000);
  for (let number = 0; number < 4; number += 1) get(`/large.bin?part=${number}`, "127.0.0.7");
  await pause(20_000);
  await fetch(`${admin}v1/limits/server`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: "{\"rate\": \"3m\"}" });
  await pause(20_000);
  await fetch(`${admin}v1/limits/server`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: "{\"rate\": \"6m\"}" });
  await pause(25_000);
  await click(page, "#river [data-group=server] .row button");
  await pause(1500);
  await page.screenshot({ path: path.join(folder, "live-light.png") });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await soon("a transfer", async () => page.$("#river [data-group=transfers] .row"));
  await click(page, "#river [data-group=transfers] .row button");
  await pause(2500);
  await page.screenshot({ path: path.join(folder, "live-dark.png") });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await click(page, "#river [data-group=transfers] [aria-current] button");
  await page.setViewport({ width: 360, height: 780, deviceScaleFactor: 2 });
  await page.evaluate(() => scrollTo(0, 0));
  await pause(2500);
  await page.screenshot({ path: path.join(folder, "live-narrow.png") });
}, { width: 1440, height: 1080 });
process.exit(0);
