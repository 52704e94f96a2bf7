// The server is restarted under the page, which stands behind a proxy with a prefix of its own.

import { spawn } from "node:child_process";
import http from "node:http";
import { assert, browse, live, soon, text } from "./browser.mjs";

const [program, config, served, admin] = process.argv.slice(2);
const start = async () => {
  const server = spawn(program, ["run", config], { stdio: "ignore" });
  await soon("the server", async () => (await fetch(`http://${admin}/healthz`)).ok);
  return server;
};
const ended = (server) => new Promise((then) => { server.on("exit", then); server.kill("SIGKILL"); });
const download = () => http.get(`http://${served}/large.bin`, (answer) => answer.resume()).on("error", () => {});

// As nginx with proxy_pass http://admin/ below /gate/, which passes Host on.
const front = http.createServer((asked, answer) => {
  if (!asked.url.startsWith("/gate/")) { answer.statusCode = 404; return answer.end(); }
  const [host, port] = admin.split(":");
  const behind = http.request({ host, port, path: asked.url.slice(5), method: asked.method, headers: asked.headers }, (got) => { answer.writeHead(got.statusCode, got.headers); got.pipe(answer); });
  behind.on("error", () => { if (!answer.headersSent) answer.statusCode = 502; answer.destroy(); });
  answer.on("close", () => behind.destroy());
  asked.pipe(behind);
});
await new Promise((then) => front.listen(0, "127.0.0.1", then));

let server = await start();
try {
  await browse(`http://127.0.0.1:${front.address().port}/gate/`, async (page) => {
    await live(page);
    download();
    await soon("the download", async () => (await text(page, "#total-transfers")) === "1");
    await ended(server);
    await soon("that it is gone", async () => (await text(page, "#link")).includes("does not answer"));
    server = await start();
    await live(page);
    await soon("nothing is under way", async () => (await text(page, "#total-transfers")) === "0");
    download();
    await soon("a new download", async () => (await text(page, "#total-transfers")) === "1");
    // Changes too go through the proxy.
    await page.$eval("#river [data-group=server] .row button", (button) => button.click());
    await page.$eval("#detail .editor input", (input) => { input.focus(); input.select(); });
    await page.keyboard.type("3m");
    await page.keyboard.press("Enter");
    await soon("the change", async () => (await (await fetch(`http://${admin}/v1/limits/server`)).json()).rate === 3 * 1024 * 1024);
    assert((await page.$$("#river .row")).length >= 3, "rows");
  }, { tolerates: ["net::ERR_", "502 (Bad Gateway)"] });
} finally {
  await ended(server);
}
process.exit(0);
