// What Telegram sent and could not be read as an update.

import { h } from "./dom.js";
import { loading } from "./parts.js";
import { to } from "./routes.js";
import { ago, bytes } from "./words.js";

const EVERY_MS = 5_000;
const PAGE = 20;

export function quarantine(page, { path: [, bot = ""] }) {
  let answer = null;
  const load = async () => {
    answer = await page.call("ListQuarantined", { bot, pageSize: PAGE });
  };
  const draw = () => [
    h("h1", null, "Unreadable ", h("span", { class: "quiet" }, `of ${bot}`)),
    h("p", null, "What Telegram sent and could not be read as an update. It was passed so that it blocks nothing; no group gets it."),
    !answer ? loading("it") : !answer.elements?.length ? h("p", { class: "empty" }, "There is nothing.")
      : answer.elements.map((element) => h("section", { class: "story", key: String(element.number) },
        h("p", null, ago(element.receiveTime), `, ${bytes(element.sizeBytes)}: `, h("strong", null, element.reason)),
        h("pre", { class: "json", tabindex: "0" }, readable(element.content)))),
    answer?.nextPageToken && h("p", { class: "quiet" }, `The newest ${PAGE}.`),
  ];
  return { title: "Unreadable", every: EVERY_MS, load, draw, back: to() };
}

function readable(base64) {
  const bytes = Uint8Array.from(atob(base64 ?? ""), (c) => c.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}
