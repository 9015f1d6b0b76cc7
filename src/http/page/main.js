// Starts the page: shows the view that the address names, keeps it fresh, and says when the gateway does not answer.

import { call, now } from "./api.js";
import { deadLetters } from "./dead-letters.js";
import * as dialog from "./dialog.js";
import { draw, h } from "./dom.js";
import { group } from "./group.js";
import { keyboard } from "./keyboard.js";
import { overview } from "./overview.js";
import { quarantine } from "./quarantine.js";
import { parse, to } from "./routes.js";
import { tokenForm } from "./token.js";
import { update } from "./update.js";
import { updates } from "./updates.js";
import { seconds } from "./words.js";

const VIEWS = { "": overview, group, updates, update, "dead-letters": deadLetters, quarantine };
const PAGES = [["Overview", to(), ["", "group", "quarantine"]], ["Updates", to("updates"), ["updates", "update"]], ["Dead letters", to("dead-letters"), ["dead-letters"]]];
/** While nothing answers: not so often that a starting gateway is in the way of many pages. */
const RETRY_MS = 2_000;

let view;
let name;
let leaving = new AbortController();
let timer;
let refreshing = false;
let again = false;
/** Set while the API asks for a token: `missing` or `wrong`. */
let asks = null;
/** Since when nothing answers, and when something did last. */
let downSince = null;
let heard = null;
let trouble = null;
/** Whether the view has been loaded once: until then there is nothing to draw below an error. */
let loaded = false;

const page = {
  call: (method, request, options = {}) => call(method, request, { signal: leaving.signal, ...options }),
  /** The same for what changes something: who goes elsewhere does not cancel it. */
  act: (method, request, options) => call(method, request, options),
  redraw,
  refresh,
  /** Replaces the address without a new entry in the history. */
  replace: (hash) => history.replaceState(null, "", hash),
  /** Goes there at once: what is typed next is meant for there. */
  go: (hash) => {
    history.pushState(null, "", hash);
    show();
  },
};

function show() {
  const route = parse(location.hash);
  const wanted = route.path[0] ?? "";
  const same = view?.moved?.(route);
  if (!same) {
    leaving.abort();
    leaving = new AbortController();
    name = wanted in VIEWS ? wanted : null;
    view = name === null ? lost(wanted) : VIEWS[name](page, route);
    trouble = null;
    loaded = false;
    document.getElementById("main").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  document.title = `${view.title} · Switchboard`;
  redraw();
  refresh();
}

const lost = (wanted) => ({
  title: "Not found",
  every: 60_000,
  load: async () => {},
  draw: () => [h("h1", null, "There is no such page"), h("p", null, `“${wanted}” is none of this gateway's. `, h("a", { href: "#/" }, "To the overview"))],
});

/** Loads the view's data now; a call while one is under way makes it run once more. */
async function refresh() {
  clearTimeout(timer);
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  const shown = view;
  const signal = leaving.signal;
  try {
    await shown.load();
    if (shown === view) {
      asks = downSince = trouble = null;
      loaded = true;
      heard = now();
    }
  } catch (error) {
    if (shown === view && !signal.aborted) failed(error);
  }
  refreshing = false;
  redraw();
  if (again || shown !== view) {
    again = false;
    refresh();
  } else if (!asks && !document.hidden) {
    timer = setTimeout(refresh, downSince ? RETRY_MS : view.every);
  }
}

function failed(error) {
  if (error.code === "UNAUTHENTICATED") {
    asks = asks ? "wrong" : "missing";
    downSince = null;
  } else if (error.code === "UNREACHABLE" || error.code === "UNAVAILABLE") {
    downSince ??= Date.now();
    trouble = error.code === "UNAVAILABLE" ? error : null;
  } else if (error.code) {
    downSince = null;
    heard = now();
    trouble = error;
  } else {
    // A fault of this page: said, and kept for whoever looks into the console.
    console.error(error);
    trouble = error;
  }
}

function redraw() {
  draw(document.getElementById("nav"), PAGES.map(([label, href, names]) =>
    h("a", { href, "aria-current": names.includes(name) ? "page" : null }, label)));
  draw(document.getElementById("status"), status());
  const main = document.getElementById("main");
  main.classList.toggle("stale", downSince !== null);
  if (asks) {
    draw(main, tokenForm(asks, () => { asks = "missing"; refresh(); }));
  } else {
    const said = trouble && downSince === null && h("p", { class: "notice bad", role: "alert", key: "trouble" }, trouble.message);
    draw(main, said && !loaded ? [h("h1", null, view.title), said] : [said, view.draw()]);
  }
}

function status() {
  if (asks) return [h("span", { class: "lamp off" }), "Locked"];
  if (downSince !== null) {
    const since = seconds(Date.now() - downSince);
    const why = trouble?.message ?? "The gateway does not answer";
    // Screen readers say it once, not every second.
    return h("span", { class: "down" }, h("span", { class: "lamp bad" }), why, h("span", { "aria-hidden": "true" }, ` (for ${since})`), ". Trying again.");
  }
  if (heard === null) return [h("span", { class: "lamp off" }), "Connecting"];
  return [h("span", { class: "lamp good" }), h("span", null, view.isPaused?.() ? "Feed paused" : "Live"), h("button", { type: "button", class: "plain", title: "Keyboard shortcuts", "aria-label": "Keyboard shortcuts", onclick: dialog.help }, "?")];
}

addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
keyboard(() => view, page);
// Relative times move on by themselves.
setInterval(() => document.hidden || redraw(), 1_000);
show();
