// The live feed, newest first, with search.

import { now } from "./api.js";
import { h } from "./dom.js";
import { gist } from "./json.js";
import { chip, loading, select } from "./parts.js";
import { to } from "./routes.js";
import { bytes, clock, exactly, millis, relative } from "./words.js";

const EVERY_MS = 1_000;
const PAGE = 50;
/** More rows make the page slow; who looks further back searches. */
const MOST_ROWS = 500;
/** Each call looks through a bounded number of updates. A search goes on for so long, then asks whether to. */
const SEARCH_MS = 20_000;
/** Larger ones are not fetched for their one line in the feed. */
const MOST_GIST_BYTES = 65_536;
/** Updates that come in together may be stored in another order than they were received in. */
const OVERLAP_MS = 10_000;

// A form's own `contains` must not be hidden by a field of that name.
const FIELDS = ["chat", "user", "kind", "update", "key", "text"];
export const KINDS = [
  "message", "edited_message", "channel_post", "edited_channel_post", "business_connection", "business_message",
  "edited_business_message", "deleted_business_messages", "message_reaction", "message_reaction_count", "inline_query",
  "chosen_inline_result", "callback_query", "shipping_query", "pre_checkout_query", "purchased_paid_media", "poll",
  "poll_answer", "my_chat_member", "chat_member", "chat_join_request", "chat_boost", "removed_chat_boost", "unknown",
];

const wantedOf = (query) => Object.fromEntries(["bot", ...FIELDS].map((field) => [field, query.get(field) ?? ""]));

export function updates(page, { query }) {
  let wanted = wantedOf(query);
  let bots = [];
  let rows = null;
  /** Where the search goes on towards older ones; empty at the end. */
  let older = "";
  /** When it was looked last, by the gateway's clock. */
  let since = null;
  let paused = false;
  let searching = false;
  /** Came while the top of the feed was out of sight. */
  let held = [];
  const gists = new Map();

  const selection = () => ({
    ...(wanted.chat && { chatId: wanted.chat }),
    ...(wanted.user && { userId: wanted.user }),
    ...(wanted.update && { updateId: wanted.update }),
    ...(wanted.key && { orderingKey: wanted.key }),
    ...(wanted.kind && { kinds: [wanted.kind] }),
  });

  const request = (more) => ({ bot: wanted.bot, pageSize: PAGE, selection: selection(), contains: wanted.text, ...more });

  async function load() {
    if (!bots.length) {
      bots = (await page.call("ListBots", { pageSize: 200 })).bots ?? [];
      wanted.bot ||= bots[0]?.name ?? "";
    }
    if (rows === null) await begin();
    else if (!paused) await newer();
    await fetchGists();
  }

  async function begin() {
    const mine = wanted;
    since = now();
    const first = await page.call("ListUpdates", request());
    if (mine !== wanted) return;
    rows = first.updates ?? [];
    older = first.nextPageToken ?? "";
    page.redraw();
    if (rows.length < PAGE && older) await goOn();
  }

  /** Goes on towards older ones until a page is full. */
  async function goOn() {
    const mine = wanted;
    const before = rows.length;
    const end = now() + SEARCH_MS;
    searching = true;
    page.redraw();
    try {
      while (searching && older && rows.length < before + PAGE && now() < end) {
        const answer = await page.call("ListUpdates", request({ pageToken: older }));
        if (mine !== wanted || !searching) return;
        rows = merged(rows, answer.updates ?? []);
        older = answer.nextPageToken ?? "";
        page.redraw();
      }
    } finally {
      if (mine === wanted) searching = false;
    }
    await fetchGists();
    page.redraw();
  }

  /** What has come since the last look. Looks no further back, however much is kept. */
  async function newer() {
    const mine = wanted;
    const began = now();
    const startTime = new Date(since - OVERLAP_MS).toISOString();
    const answer = await page.call("ListUpdates", request({ selection: { ...selection(), startTime } }));
    if (mine !== wanted || paused) return;
    since = began;
    const known = new Set([...rows, ...held].map((row) => row.sequence));
    const fresh = (answer.updates ?? []).filter((row) => !known.has(row.sequence));
    if (fresh.length === PAGE && answer.nextPageToken) {
      // More came than a page holds: what lies between is reached by going on from here.
      rows = [];
      held = [];
      older = "";
      await begin();
    } else if (fresh.length) {
      held = merged(held, fresh);
      if (scrollY < 200) showHeld();
    }
  }

  function showHeld() {
    rows = merged(held, rows).slice(0, MOST_ROWS);
    if (rows.length === MOST_ROWS) older = "";
    held = [];
  }

  async function fetchGists() {
    const missing = rows.filter((row) => !gists.has(row.sequence) && Number(row.sizeBytes ?? 0) <= MOST_GIST_BYTES).slice(0, PAGE);
    if (!missing.length) return;
    const sequences = missing.map((row) => row.sequence);
    const answer = await page.call("ListUpdates", { bot: wanted.bot, pageSize: PAGE, view: "VIEW_FULL", selection: { sequences } });
    for (const row of answer.updates ?? []) gists.set(row.sequence, gist(row.update?.kind, row.update?.json));
    // One that is gone meanwhile is not asked for again.
    for (const sequence of sequences) if (!gists.has(sequence)) gists.set(sequence, { who: "", what: "" });
    if (gists.size > 4 * MOST_ROWS) {
      const shown = new Set(rows.map((row) => row.sequence));
      for (const sequence of gists.keys()) if (!shown.has(sequence)) gists.delete(sequence);
    }
  }

  function moved(route) {
    if (route.path[0] !== "updates") return false;
    search(wantedOf(route.query), false);
    return true;
  }

  function search(next, address = true) {
    wanted = { ...next, bot: next.bot || bots[0]?.name || "" };
    rows = null;
    held = [];
    older = "";
    paused = false;
    searching = false;
    if (address) page.replace(to("updates", wanted));
    page.refresh();
    page.redraw();
  }

  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    search(Object.fromEntries(["bot", ...FIELDS].map((field) => [field, (form.get(field) ?? wanted[field] ?? "").trim()])));
  };

  const toggle = () => {
    paused = !paused;
    if (!paused) page.refresh();
    page.redraw();
  };

  const field = (name, label, props = {}) => h("label", null, label, h("input", { name, value: wanted[name], autocomplete: "off", spellcheck: "false", ...props }));
  const id = { inputmode: "numeric", pattern: "-?[0-9]+", title: "a number" };
  const filtered = () => FIELDS.some((name) => wanted[name]);

  const draw = () => [
    h("div", { class: "heading" },
      h("h1", null, "Updates"),
      h("div", { class: "buttons" }, h("button", { type: "button", "aria-pressed": paused ? "true" : "false", onclick: toggle }, paused ? "Resume feed" : "Pause feed"))),
    h("form", { class: "search", role: "search", "aria-label": "Search updates", onsubmit: submit },
      bots.length > 1 && select("bot", "Bot", wanted.bot, bots.map((bot) => [bot.name, bot.name]), (bot) => search({ ...wanted, bot })),
      field("text", "Text contained", { type: "search" }),
      field("chat", "Chat id", id),
      field("user", "User id", id),
      select("kind", "Kind", wanted.kind, [["", "any"], ...KINDS.map((kind) => [kind, kind])], (kind) => search({ ...wanted, kind })),
      field("update", "Update id", id),
      wanted.key && field("key", "Key"),
      h("div", { class: "buttons" },
        h("button", { class: "primary" }, "Search"),
        h("button", { type: "button", disabled: !filtered(), onclick: () => search({ bot: wanted.bot }) }, "Clear"))),
    held.length > 0 && h("button", { class: "held primary", type: "button", key: "held", onclick: () => { showHeld(); scrollTo(0, 0); page.redraw(); } }, `${held.length} new`),
    rows === null ? loading("updates") : [
      rows.length
        ? h("ol", { class: "feed", "aria-label": "Updates, newest first" }, rows.map((row) => feedRow(wanted.bot, row, gists.get(row.sequence))))
        : h("p", { class: "empty" }, searching ? "Looking…" : !filtered() ? "No updates are kept yet. New ones appear here at once." : older ? "Nothing found up to here." : "Nothing that is kept matches. New ones appear here at once."),
      h("p", { class: "more" },
        searching ? ["Looking further back… ", h("button", { type: "button", key: "stop", onclick: () => { searching = false; page.redraw(); } }, "Stop")] : older
          ? h("button", { type: "button", disabled: rows.length >= MOST_ROWS, onclick: () => goOn().catch((error) => console.error(error)) }, rows.length >= MOST_ROWS ? "Search to see older ones" : "Older")
          : rows.length > 0 && h("span", { class: "quiet" }, rows.length >= MOST_ROWS ? "Search to see older ones." : "That is all that is kept.")),
    ],
  ];

  return { title: "Updates", every: EVERY_MS, load, draw, moved, isPaused: () => paused, keys: { p: toggle } };
}

/** Both lists in one, newest first, each update once. */
function merged(a, b) {
  const all = new Map([...a, ...b].map((row) => [row.sequence, row]));
  return [...all.values()].sort((x, y) => Number(y.sequence) - Number(x.sequence));
}

function feedRow(bot, row, said) {
  const update = row.update ?? {};
  const ms = millis(update.receivedTime);
  return h("li", { key: row.sequence },
    h("a", { href: to("update", bot, row.sequence), "data-row": true },
      h("time", { datetime: update.receivedTime, title: `${exactly(ms)} (${relative(ms)})` }, clock(ms)),
      h("span", { class: "kind" }, chip(update.kind)),
      h("span", { class: "who" }, said?.who || row.orderingKey),
      h("span", { class: said?.quoted ? "what" : "what quiet" }, said ? said.what : Number(row.sizeBytes ?? 0) > MOST_GIST_BYTES ? bytes(row.sizeBytes) : "…"),
      h("span", { class: "id" }, update.updateId)));
}
