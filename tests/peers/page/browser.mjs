// Chromium for the tests of the page: opened, asked, closed. Each scenario is a file beside it.

import { createRequire } from "node:module";
import path from "node:path";

const here = createRequire(path.join(process.env.PEERS_NODE, "package.json"));
const puppeteer = here("puppeteer-core");
export const axe = here.resolve("axe-core/axe.min.js");

export function assert(holds, text) {
  if (!holds) throw new Error(text);
}

export const pause = (ms) => new Promise((then) => setTimeout(then, ms));

// Waits until `attempt` gives something.
export async function soon(what, attempt, patience = 90_000) {
  const end = Date.now() + patience;
  let last;
  while (Date.now() < end) {
    try {
      last = await attempt();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await pause(20);
  }
  throw new Error(`${what}: ${last?.stack ?? last}`);
}

// Runs `scenario` with a page at `url`. Whatever the page complains of, or asks of others, is a failure.
export async function browse(url, scenario, { width = 1440, height = 1000, flags = [], tolerates = [] } = {}) {
  const browser = await puppeteer.launch({
    executablePath: process.env.PEERS_CHROMIUM,
    headless: true,
    // On a busy machine all of it takes longer; only a failing test waits that long.
    timeout: 120_000,
    protocolTimeout: 240_000,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server", "--disable-background-networking", "--disable-component-update", ...flags],
  });
  const faults = [];
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    page.setDefaultNavigationTimeout(120_000);
    page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error}`));
    page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("console", (said) => { if (said.type() === "error") faults.push(`console: ${said.text()}`); });
    page.on("request", (request) => { if (!request.url().startsWith(url)) faults.push(`asked elsewhere: ${request.url()}`); });
    await page.setViewport({ width, height });
    await page.goto(url, { waitUntil: "load" });
    await scenario(page, browser);
  } finally {
    await browser.close();
  }
  const left = faults.filter((fault) => !tolerates.some((known) => fault.includes(known)));
  assert(left.length === 0, left.join("\n"));
}

export const text = (page, selector) => page.$eval(selector, (element) => element.innerText.trim());

// Until the page shows a state.
export const live = (page) => soon("a live page", async () => {
  const link = await text(page, "#link");
  if (!link.startsWith("live")) throw new Error(`the page says: ${link}`);
  return page.$("#river [data-group=server] .row");
});

export const click = (page, selector) => page.$eval(selector, (element) => element.click());
