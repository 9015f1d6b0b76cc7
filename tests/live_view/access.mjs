// A gateway with an access token: nothing without it, everything with it, and only in this tab.

import { holds, PAGE_URL, receive, walk } from "./walk.mjs";

await walk("access", async (page, step, shot) => {
  await step("the page asks for the token and shows nothing before", async () => {
    await receive([42, "a secret order"]);
    await page.goto(`${PAGE_URL}/#/updates`);
    await page.getByRole("heading", { name: "This gateway asks for its access token" }).waitFor();
    await shot("form");
    holds((await page.getByText("secret").count()) === 0, "nothing is shown");
  }, /401/);

  await step("a wrong token is refused in words", async () => {
    await page.getByLabel("Access token").fill("open-says-me");
    await page.getByLabel("Access token").press("Enter");
    await page.getByRole("alert").getByText("That is not the gateway's token").waitFor();
  }, /401/);

  await step("the right one opens, and is kept over a reload but not for another tab", async () => {
    await page.getByLabel("Access token").fill("open-sesame");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByText("a secret order").waitFor();
    await page.reload();
    await page.getByText("a secret order").waitFor();
    const kept = await page.evaluate(() => [localStorage.length, document.cookie, location.href]);
    holds(kept[0] === 0 && kept[1] === "" && !kept[2].includes("sesame"), `the token is nowhere else: ${kept}`);
    const other = await page.context().newPage();
    await other.goto(PAGE_URL);
    await other.getByRole("heading", { name: "This gateway asks for its access token" }).waitFor();
    await other.close();
  });
});
