// axe-core finds nothing: contrast AA, names and roles; light and dark, wide and narrow. The keyboard reaches all of it.

import { readFileSync } from "node:fs";
import { assert, axe, browse, click, live, pause, soon, text } from "./browser.mjs";

const [admin] = process.argv.slice(2);

async function check(page, what) {
  await page.evaluate(readFileSync(axe, "utf8"));
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 4).map((node) => `${node.html} (${node.any.map((one) => one.message).join("; ")})`).join(" | ")}`);
  });
  assert(found.length === 0, `${what}:\n${found.join("\n")}`);
}

await browse(admin, async (page) => {
  await page.setBypassCSP(true);
  await page.reload();
  await live(page);
  await soon("a transfer", async () => page.$("#river [data-group=transfers] .row"));
  for (const scheme of ["light", "dark"]) {
    for (const width of [1440, 360]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }]);
      await page.setViewport({ width, height: 900 });
      for (const group of ["server", "transfers"]) {
        await click(page, `#river [data-group=${group}] .row button`);
        await soon("details", async () => page.$("#detail h2"));
        await pause(300);
        await check(page, `${scheme}, ${width} px, ${group}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert(overflow <= 0, `${width} px: ${overflow} px too wide`);
        await click(page, "#detail .shut");
      }
    }
  }
  // By keys alone: to the server's row, its line, and back.
  await page.setViewport({ width: 1440, height: 900 });
  await page.focus(".skip");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert(await page.evaluate(() => document.activeElement.matches("[data-group=server] .row button")), "the first row is reached");
  await page.keyboard.press("Enter");
  assert(await page.evaluate(() => document.activeElement.id === "detail"), "its details are reached");
  await page.keyboard.press("Tab");
  assert((await page.evaluate(() => document.activeElement.innerText)) === "Close", "they can be closed");
  await page.keyboard.press("Tab");
  const slider = await page.evaluate(() => [document.activeElement.getAttribute("role"), document.activeElement.getAttribute("aria-valuetext")].join(" "));
  assert(slider.startsWith("slider "), slider);
  await page.keyboard.press("ArrowDown");
  await soon("a change", async () => (await text(page, "#changes")).includes("set server"));
  await page.keyboard.down("Shift");
  await page.keyboard.press("Tab");
  await page.keyboard.up("Shift");
  await page.keyboard.press("Enter");
  assert(await page.evaluate(() => document.activeElement.matches("[data-group=server] .row button")), "back at the row");
  // Closing a connection is asked again, and the safe answer is the first.
  await click(page, "#river [data-group=transfers] .row button");
  await soon("the button", async () => page.$eval("#detail > .danger", (button) => !button.disabled));
  await click(page, "#detail > .danger");
  await soon("the question", async () => page.$eval("#confirm", (dialog) => dialog.open));
  await check(page, "the question");
  await page.keyboard.press("Enter");
  await pause(300);
  assert(!(await text(page, "#changes")).includes("closed"), "Enter keeps it");
  await click(page, "#detail > .danger");
  await click(page, "#confirm [value=yes]");
  await soon("its end", async () => (await text(page, "#changes")).includes("closed"));
  // Its details may be asked for once more when it has ended.
}, { tolerates: ["404 (Not Found)"] });
process.exit(0);
