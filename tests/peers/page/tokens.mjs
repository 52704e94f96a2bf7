// Signing in: a wrong token, one that may change, one that may look; and where the token is kept.

import { assert, browse, click, live, soon, text } from "./browser.mjs";

const [admin, right, reader] = process.argv.slice(2);

async function signIn(page, token) {
  await soon("the form", async () => page.$eval("#sign-in", (form) => !form.hidden));
  await page.$eval("#token", (input) => { input.focus(); input.select(); });
  await page.keyboard.type(token);
  await page.keyboard.press("Enter");
}

await browse(admin, async (page) => {
  await soon("the form", async () => page.$eval("#sign-in", (form) => !form.hidden));
  assert(await page.$eval("#main", (main) => main.hidden), "nothing is shown without a token");
  await signIn(page, "wrong-wrong-wrong-wrong");
  await soon("what is wrong", async () => (await text(page, "#sign-in-wrong")).includes("not the listener's"));
  await signIn(page, right);
  await live(page);
  await click(page, "#river [data-group=server] .row button");
  assert(!(await page.$eval("#detail .editor button", (button) => button.disabled)), "it may change things");
  const kept = await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length, location.href, history.state].join("|"));
  assert(kept === `|0|0|${admin}|`, `kept elsewhere: ${kept}`);
  await click(page, "#sign-out");
  await signIn(page, reader);
  await live(page);
  await soon("read only", async () => page.$eval("#access", (note) => !note.hidden));
  await click(page, "#river [data-group=server] .row button");
  await soon("no changes", async () => page.$eval("#detail .editor button", (button) => button.disabled));
  await page.reload();
  await soon("the form again", async () => page.$eval("#sign-in", (form) => !form.hidden));
}, { tolerates: ["401 (Unauthorized)"] });
process.exit(0);
