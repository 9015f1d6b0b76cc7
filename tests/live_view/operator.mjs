// An operator's day: looks, finds an unanswered message, mends it, steers the group, and loses the gateway for a while.

import { ask, eventually, holds, PAGE_URL, receive, walk } from "./walk.mjs";

const HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

await walk("operator", async (page, step, shot) => {
  const cell = (row, label) => page.locator("tr", { has: page.getByRole("link", { name: row, exact: true }) }).locator(`[data-label="${label}"]`);
  const go = (hash) => page.evaluate((to) => { location.hash = to; }, hash);
  const said = (text) => page.locator("#said").getByText(text).waitFor();
  const figure = (label) => page.locator("main .figure", { has: page.getByText(label, { exact: true }) }).locator("dd");

  await step("the overview shows the bot and the group", async () => {
    await page.goto(PAGE_URL);
    const bot = page.getByRole("article", { name: "Bot default" });
    await bot.getByText("polling").waitFor();
    await bot.getByText("connected", { exact: true }).waitFor();
    await bot.getByText("none yet").waitFor();
    await bot.getByRole("meter", { name: "Journal" }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    holds((await cell("orders", "Gets").innerText()).trim() === "everything", "the filter in words");
    await cell("orders", "State").getByText("1 consumer").waitFor();
  });

  await step("updates appear in the feed by themselves, hostile text as text", async () => {
    await page.keyboard.press("2");
    await page.getByText("No updates are kept yet").waitFor();
    await receive([42, "hello there"], [43, HOSTILE], [-100, "in a group"]);
    const feed = page.getByRole("list", { name: "Updates, newest first" });
    await feed.getByText("hello there").waitFor();
    await feed.getByText(HOSTILE).waitFor();
    await feed.getByText("Person 42").waitFor();
    await shot("feed");
    holds((await page.title()) === "Updates · Switchboard", "no script of an update ran");
  });

  await step("the feed can be paused and goes on", async () => {
    await page.keyboard.press("p");
    await page.getByText("Feed paused").waitFor();
    await receive([44, "while paused"]);
    await page.getByRole("button", { name: "Resume feed" }).waitFor();
    await page.waitForResponse((answer) => answer.url().includes("ListUpdates"), { timeout: 2_500 }).then(
      () => { throw new Error("a paused feed asks for updates"); }, () => {});
    holds((await page.getByText("while paused").count()) === 0, "nothing new while paused");
    await page.keyboard.press("p");
    await page.getByText("while paused").waitFor();
  });

  await step("search by text, chat and kind, from the keyboard", async () => {
    const rows = page.locator(".feed li");
    await page.keyboard.press("/");
    await page.keyboard.type("hello");
    await page.keyboard.press("Enter");
    await eventually("one update has the text", async () => (await rows.count()) === 1);
    holds(page.url().includes("text=hello"), "a search is an address");
    await page.reload();
    await page.getByText("hello there").waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByLabel("Chat id").fill("43");
    await page.getByLabel("Chat id").press("Enter");
    await eventually("one update is of the chat", async () => (await rows.count()) === 1);
    await page.getByText(HOSTILE).waitFor();
    await page.getByLabel("Kind").selectOption("callback_query");
    await page.getByText("Nothing that is kept matches").waitFor();
    await page.getByLabel("Kind").selectOption("");
    await receive([43, "second of 43"], [45, "of another chat"]);
    await page.getByText("second of 43").waitFor();
    holds((await rows.count()) === 2, "a search stays live, and keeps to what it asks for");
    await page.getByLabel("Chat id").fill("");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("of another chat").waitFor();
  });

  await step("an update's page tells what became of it", async () => {
    await page.getByText("hello there").click();
    const story = page.getByRole("region", { name: "Group orders" });
    await story.getByText("acked", { exact: true }).waitFor();
    for (const words of ["received from Telegram", "durable on disk", "delivered to orders-1, attempt 1", "acknowledged"]) {
      await story.getByText(words).first().waitFor();
    }
    await page.getByLabel("JSON").getByText('"hello there"').waitFor();
    await shot("update");
    const address = page.url();
    await page.keyboard.press("Escape");
    await page.getByRole("heading", { name: "Updates" }).waitFor();
    await page.goto(address);
    await page.reload();
    await story.getByText("acked", { exact: true }).waitFor();
  });

  await step("an unanswered message: found, explained, mended, replayed, settled", async () => {
    await receive([77, "/reject me"]);
    await go("#/dead-letters");
    const letter = page.getByRole("list", { name: "Dead letters" }).locator("li").first();
    await letter.getByText("no such order").waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await letter.getByText("attempt 1 at orders-1").waitFor();
    await letter.getByText('"/reject me"').waitFor();
    holds((await letter.locator("img").count()) === 0, "a reason is text");
    await shot("dead-letter");
    await page.keyboard.press("x");
    await page.getByRole("button", { name: "Replay 1 selected…" }).waitFor();
    await ask("mend the handler");
    await page.getByRole("button", { name: "Replay 1 selected…" }).click();
    const dialog = page.getByRole("dialog", { name: "Replay 1 dead letter?" });
    await dialog.getByText("leave the dead letters").waitFor();
    await shot("replay");
    await dialog.getByRole("button", { name: "Replay 1" }).click();
    await said("1 dead letter handed over again");
    await page.getByText("None. What a handler rejects").waitFor();
    await go("#/updates?chat=77");
    await page.getByText("/reject me").click();
    const story = page.getByRole("region", { name: "Group orders" });
    await story.getByText("acked", { exact: true }).waitFor();
    await story.getByText(/attempt \d+ \(replayed\)/).waitFor();
  });

  await step("a paused group's lag grows, on the chart, too, and goes when it is resumed", async () => {
    await go("#/group/default/orders");
    await page.getByRole("cell", { name: "orders-1" }).waitFor();
    await page.getByRole("button", { name: "Pause…" }).click();
    const dialog = page.getByRole("dialog", { name: "Pause orders?" });
    holds(await dialog.getByRole("button", { name: "Cancel" }).evaluate((it) => it === document.activeElement), "the harmless answer has the focus");
    await dialog.getByRole("button", { name: "Pause" }).click();
    await said("orders is paused");
    await page.getByText("Nothing is delivered until it is resumed").waitFor();
    await receive(...Array.from({ length: 7 }, (_, i) => [200 + i, `waits ${i}`]));
    await eventually("a lag of seven", async () => (await figure("Lag").innerText()) === "7");
    await page.getByRole("img", { name: /Lag over the last ten minutes: now 7, at most 7/ }).waitFor();
    await shot("group-paused");
    await page.keyboard.press("1");
    await eventually("seven on the overview", async () => (await cell("orders", "Lag").innerText()) === "7");
    await cell("orders", "State").getByText("paused").waitFor();
    await shot("overview");
    await page.getByRole("link", { name: "orders", exact: true }).press("Enter");
    await page.getByRole("button", { name: "Resume…" }).waitFor();
    await page.keyboard.press("p");
    await page.getByRole("dialog", { name: "Resume orders?" }).getByRole("button", { name: "Resume" }).click();
    await said("orders is resumed");
    await eventually("no lag", async () => (await figure("Lag").innerText()) === "0");
  });

  await step("a seek says what it would do before it does it", async () => {
    await page.keyboard.press("s");
    const dialog = page.getByRole("dialog", { name: "Seek orders" });
    await dialog.getByRole("button", { name: "Show what it would do" }).click();
    await dialog.getByText(/bring 14 updates/).waitFor();
    await shot("seek");
    await dialog.getByLabel("To a sequence").check();
    await dialog.getByRole("textbox", { name: "Sequence" }).fill("999999");
    await dialog.getByRole("button", { name: "Show what it would do" }).click();
    await dialog.locator(".notice.bad").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.keyboard.press("s");
    await dialog.getByRole("button", { name: "Show what it would do" }).click();
    await dialog.getByRole("button", { name: "Move the group" }).click();
    await said(/orders goes on at #\d+, with 14 updates/);
    await eventually("all are settled again", async () => (await figure("Lag").innerText()) === "0");
  }, /400 \(Bad Request\)/);

  await step("what there is not is said in words", async () => {
    await go("#/group/default/order");
    await page.locator("main").getByRole("alert").getByText(/orders/).waitFor();
    await go("#/nonsense");
    await page.getByText("There is no such page").waitFor();
  }, /404 \(Not Found\)/);

  await step("the keyboard goes everywhere, and the focus is visible and stays", async () => {
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).getByText("search updates").waitFor();
    await shot("help");
    await page.keyboard.press("Escape");
    await page.keyboard.press("2");
    await page.locator(".feed li").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("href"));
    const before = await focused();
    holds(before?.startsWith("#/update/"), `a row has the focus: ${before}`);
    await receive([300, "comes above the focus"]);
    await page.getByText("comes above the focus").waitFor();
    holds((await focused()) === before, "a refresh leaves the focus where it was");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    holds(outline === "solid", `the focus is visible: ${outline}`);
    await page.keyboard.press("Tab");
    holds((await focused()) !== before, "Tab goes on");
  });

  await step("a refresh moves nothing", async () => {
    await go("#/group/default/orders");
    const heading = page.getByRole("heading", { name: "Outstanding" });
    await heading.waitFor();
    const at = (await heading.boundingBox()).y;
    for (let i = 0; i < 3; i++) await page.waitForResponse((answer) => answer.url().includes("GetGroup"));
    holds((await heading.boundingBox()).y === at, "the headings stay where they are");
  });

  await step("dark and light follow the system", async () => {
    const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number)[0]);
    holds((await paper()) > 200, "light");
    await page.emulateMedia({ colorScheme: "dark" });
    holds((await paper()) < 60, "dark");
    await shot("group-dark");
    await page.emulateMedia({ colorScheme: "light" });
  });

  await step("at a phone's width nothing sticks out", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    for (const view of ["", "updates", "dead-letters", "group/default/orders"]) {
      await go(`#/${view}`);
      await page.locator("main h1, main h2").first().waitFor();
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      holds(width <= 360, `${view} is ${width} wide`);
      await shot(`phone-${view.split("/")[0] || "overview"}`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  await step("when the gateway is down the page says so, and recovers by itself", async () => {
    await go("#/");
    await cell("orders", "Lag").waitFor();
    await ask("kill the gateway");
    await page.getByText(/The gateway does not answer/).waitFor();
    await shot("down");
    await page.getByRole("link", { name: "orders", exact: true }).waitFor();
    await ask("start the gateway");
    await page.getByText("Live", { exact: true }).waitFor();
    await cell("orders", "State").getByText("1 consumer").waitFor();
  }, /ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|503/);

  holds((await page.title()) === "Overview · Switchboard", "no script of an update ever ran");
});
