// What the walks share: the browser, Telegram's side, and looking at what is visible.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { BROWSER, PAGE, TELEGRAM, SHOTS } = process.env;
const PATIENCE_MS = 20_000;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const PAGE_URL = PAGE;

/** Has something done that only the test's other half can do. */
export async function ask(what) {
  console.log(`ask: ${what}`);
  const { value } = await answers.next();
  if (value !== "done") throw new Error(`${what}: ${value}`);
}

let messageId = 0;

/** Messages reach Telegram: `[chat, text]`. */
export async function receive(...messages) {
  const updates = messages.map(([chat, text]) => JSON.stringify({
    message: {
      message_id: ++messageId,
      date: 1_700_000_000,
      from: { id: chat, is_bot: false, first_name: `Person ${chat}` },
      chat: { id: chat, type: "private", first_name: `Person ${chat}` },
      text,
    },
  }));
  const answer = await fetch(TELEGRAM, { method: "POST", body: updates.join("\n") });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Walks with a page; `steps(page, step, shot)`. Whatever the page's console complains of fails the walk. */
export async function walk(name, steps) {
  mkdirSync(SHOTS, { recursive: true });
  const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  let expected = null;
  page.on("console", (message) => {
    const bad = ["error", "warning"].includes(message.type());
    if (bad && !expected?.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("dialog", (dialog) => complaints.push(`a script asked: ${dialog.message()}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== PAGE) complaints.push(`it asked elsewhere: ${request.url()}`);
  });
  const shot = (part) => page.screenshot({ path: join(SHOTS, `${name}-${part}.png`) });
  const step = async (what, action, complains = null) => {
    console.log(what);
    expected = complains;
    await action();
  };
  try {
    await steps(page, step, shot);
    if (complaints.length) throw new Error(`the console says:\n${complaints.join("\n")}`);
  } catch (error) {
    await shot("failed").catch(() => {});
    console.log(`${error.stack}\nat ${page.url()}:\n${await page.locator("body").innerText().catch(() => "no page")}`);
    process.exitCode = 1;
  }
  await browser.close();
  process.stdin.destroy();
}

export function holds(condition, what) {
  if (!condition) throw new Error(`it does not hold: ${what}`);
}

/** Waits until it holds, looking again and again at what is there. */
export async function eventually(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  let last;
  while (Date.now() < end) {
    last = await condition().catch((error) => error);
    if (last === true) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited for: ${what}; at the end: ${last}`);
}
