// What groups gave up: why, after which attempts, and the way back.

import * as dialog from "./dialog.js";
import { h } from "./dom.js";
import { pretty } from "./json.js";
import { chip, loading, select, updateLink } from "./parts.js";
import { to } from "./routes.js";
import { KINDS } from "./updates.js";
import { ago, cause, clock, count, exactly, failure, millis, plural } from "./words.js";

const EVERY_MS = 3_000;
const PAGE = 50;
const MOST_ROWS = 500;
/** Replaying many takes its time. */
const ACTION_TIMEOUT_MS = 600_000;

const FIELDS = ["bot", "group", "chat", "kind"];
const wantedOf = (query) => Object.fromEntries(FIELDS.map((field) => [field, query.get(field) ?? ""]));

export function deadLetters(page, { query }) {
  let wanted = wantedOf(query);
  let bots = [];
  let groups = [];
  let rows = null;
  let older = "";
  let asked = PAGE;
  let busy = false;
  const chosen = new Set();
  const opened = new Map();

  const selection = () => ({ ...(wanted.chat && { chatId: wanted.chat }), ...(wanted.kind && { kinds: [wanted.kind] }) });
  const isAll = () => !wanted.chat && !wanted.kind;

  async function load() {
    if (!bots.length) {
      bots = (await page.call("ListBots", { pageSize: 200 })).bots ?? [];
      wanted.bot ||= bots[0]?.name ?? "";
    }
    const mine = wanted;
    const [list, dead] = await Promise.all([
      page.call("ListGroups", { bot: wanted.bot, pageSize: 1000 }),
      page.call("ListDeadLetters", { bot: wanted.bot, group: wanted.group, selection: selection(), pageSize: asked }),
    ]);
    if (mine !== wanted) return;
    groups = list.groups ?? [];
    rows = dead.deadLetters ?? [];
    older = dead.nextPageToken ?? "";
    const there = new Set(rows.map(id));
    for (const one of chosen) if (!there.has(one)) chosen.delete(one);
  }

  async function toggle(row) {
    const key = id(row);
    if (opened.has(key)) {
      opened.delete(key);
    } else {
      opened.set(key, null);
      try {
        const answer = await page.call("ListDeadLetters", { bot: wanted.bot, group: row.group, selection: { sequences: [row.update.sequence] }, view: "VIEW_FULL" });
        opened.set(key, pretty(answer.deadLetters?.[0]?.update?.update?.json ?? ""));
      } catch (error) {
        opened.delete(key);
        dialog.say(error.message, "bad");
      }
    }
    page.redraw();
  }

  const choose = (row, on) => {
    if (on) chosen.add(id(row));
    else chosen.delete(id(row));
    page.redraw();
  };

  /** By group, as the API wants it. */
  const chosenRequests = () => {
    const byGroup = Map.groupBy(rows.filter((row) => chosen.has(id(row))), (row) => row.group);
    return [...byGroup].map(([group, all]) => ({ bot: wanted.bot, group, selection: { sequences: all.map((row) => row.update.sequence) } }));
  };

  const allRequests = () => {
    const names = wanted.group ? [wanted.group] : groups.filter((group) => Number(group.status?.deadLetterCount ?? 0)).map((group) => group.name);
    return names.map((group) => ({ bot: wanted.bot, group, selection: isAll() ? { all: true } : selection() }));
  };

  /** First counts, then asks, then does it. */
  async function act(method, requests, verb, past, danger) {
    if (busy || !requests.length) return;
    busy = true;
    page.redraw();
    try {
      const total = await sum(method, requests, true);
      const where = requests.map((request) => request.group).join(", ");
      const sure = total > 0 && (await dialog.confirm({
        title: `${verb} ${plural(total, "dead letter")}?`,
        text: danger ? `They are removed from ${where} for good. This cannot be undone.` : `They are handed to ${where} again, each before the pending updates of its chat, and leave the dead letters.`,
        action: `${verb} ${count(total)}`,
        danger,
      }));
      if (sure) dialog.say(`${plural(await sum(method, requests, false), "dead letter")} ${past}`);
      else if (!total) dialog.say("There is nothing that matches", "bad");
    } catch (error) {
      dialog.say(error.message, "bad");
    }
    busy = false;
    page.refresh();
    page.redraw();
  }

  async function sum(method, requests, dryRun) {
    let total = 0;
    for (const request of requests) {
      const answer = await page.act(method, { ...request, dryRun }, { timeoutMs: ACTION_TIMEOUT_MS });
      const last = Array.isArray(answer) ? answer.at(-1) : answer;
      total += Number((Array.isArray(answer) ? (dryRun ? last?.total : last?.replayed) : last?.purged) ?? 0);
    }
    return total;
  }

  const replay = (requests) => act("ReplayDeadLetters", requests, "Replay", "handed over again", false);
  const purge = (requests) => act("PurgeDeadLetters", requests, "Purge", "purged", true);

  function search(next, address = true) {
    wanted = { ...next, bot: next.bot || bots[0]?.name || "" };
    rows = null;
    asked = PAGE;
    chosen.clear();
    if (address) page.replace(to("dead-letters", wanted));
    page.refresh();
    page.redraw();
  }

  function moved(route) {
    if (route.path[0] !== "dead-letters") return false;
    search(wantedOf(route.query), false);
    return true;
  }

  const chooseFocused = () => {
    const key = document.activeElement.closest?.("[data-row]")?.closest("li")?.dataset.id;
    const row = rows?.find((one) => id(one) === key);
    if (row) choose(row, !chosen.has(key));
  };

  const submit = (event) => {
    event.preventDefault();
    search({ ...wanted, chat: new FormData(event.target).get("chat").trim() });
  };

  const draw = () => [
    h("div", { class: "heading" },
      h("h1", null, "Dead letters"),
      h("div", { class: "buttons" },
        h("button", { type: "button", disabled: busy || !chosen.size, onclick: () => replay(chosenRequests()) }, chosen.size ? `Replay ${count(chosen.size)} selected…` : "Replay selected…"),
        h("button", { type: "button", disabled: busy || !rows?.length, onclick: () => replay(allRequests()) }, isAll() ? "Replay all…" : "Replay all that match…"),
        h("button", { type: "button", class: "danger", disabled: busy || !rows?.length, onclick: () => purge(chosen.size ? chosenRequests() : allRequests()) }, chosen.size ? `Purge ${count(chosen.size)} selected…` : isAll() ? "Purge all…" : "Purge all that match…"))),
    h("form", { class: "search", role: "search", "aria-label": "Filter dead letters", onsubmit: submit },
      bots.length > 1 && select("bot", "Bot", wanted.bot, bots.map((bot) => [bot.name, bot.name]), (bot) => search({ bot, group: "", chat: "", kind: "" })),
      select("group", "Group", wanted.group, [["", "all"], ...groupNames().map((name) => [name, name])], (group) => search({ ...wanted, group })),
      h("label", null, "Chat id", h("input", { name: "chat", value: wanted.chat, inputmode: "numeric", pattern: "-?[0-9]+", autocomplete: "off" })),
      select("kind", "Kind", wanted.kind, [["", "any"], ...KINDS.map((kind) => [kind, kind])], (kind) => search({ ...wanted, kind })),
      h("div", { class: "buttons" }, h("button", null, "Filter"), h("button", { type: "button", disabled: isAll() && !wanted.group, onclick: () => search({ bot: wanted.bot, group: "", chat: "", kind: "" }) }, "Clear"))),
    rows === null ? loading("dead letters")
      : rows.length ? h("ol", { class: "dead", "aria-label": "Dead letters" }, rows.map(drawRow))
      : h("p", { class: "empty" }, isAll() && !wanted.group ? "None. What a handler rejects, or what fails too often, is kept here." : "None that match."),
    older && h("p", { class: "more" }, asked < MOST_ROWS
      ? h("button", { type: "button", onclick: () => { asked += PAGE; page.refresh(); } }, "More")
      : h("span", { class: "quiet" }, `The first ${count(rows?.length)}. Filter to see others.`)),
  ];

  const groupNames = () => [...new Set([...groups.map((group) => group.name), wanted.group])].filter(Boolean).sort();

  function drawRow(row) {
    const update = row.update ?? {};
    const key = id(row);
    const isOpen = opened.has(key);
    return h("li", { key, "data-id": key, class: chosen.has(key) ? "chosen" : "" },
      h("div", { class: "summary" },
        h("input", { type: "checkbox", "aria-label": `Select update ${update.update?.updateId}`, checked: chosen.has(key), onchange: (event) => choose(row, event.target.checked) }),
        h("button", { type: "button", class: "plain row", "data-row": true, "aria-expanded": isOpen ? "true" : "false", onclick: () => toggle(row) },
          h("span", { class: "kind" }, chip(update.update?.kind)),
          h("span", { class: "who" }, row.group, h("span", { class: "quiet" }, ` ${update.orderingKey}`)),
          h("span", { class: "what" }, failure(row.history?.at(-1)?.failure)),
          h("span", { class: "why" }, chip(cause(row.cause), "bad"), h("span", { class: "quiet" }, ` ${plural(row.attempts, "attempt")}, `, ago(row.deadTime)))),
        h("button", { type: "button", disabled: busy, "aria-label": `Replay update ${update.update?.updateId}`, onclick: () => replay([{ bot: wanted.bot, group: row.group, selection: { sequences: [update.sequence] } }]) }, "Replay…")),
      isOpen && h("div", { class: "inside" },
        h("p", null, "Update ", updateLink(wanted.bot, update.sequence, `${update.update?.updateId} (#${update.sequence})`),
          ", first delivered ", ago(row.firstDeliveredTime), `, ${plural(row.failures, "failure")}. `),
        h("ol", { class: "steps" }, (row.history ?? []).map((attempt, i) =>
          h("li", { class: "bad", key: `${i}` }, h("time", { title: exactly(millis(attempt.failure?.time)) }, clock(attempt.failure?.time)),
            h("span", null, `attempt ${attempt.attempt} at `, h("strong", null, attempt.consumerId || "a consumer"), ": ", h("q", null, failure(attempt.failure)))))),
        opened.get(key) ?? loading("its JSON")));
  }

  return { title: "Dead letters", every: EVERY_MS, load, draw, moved, keys: { x: chooseFocused } };
}

const id = (row) => `${row.group}/${row.update?.sequence}`;
