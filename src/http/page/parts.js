// What several views are made of.

import { h } from "./dom.js";
import { to } from "./routes.js";
import { count, plural } from "./words.js";

export const chip = (text, kind = "") => h("span", { class: `chip ${kind}` }, text);

/** `columns` are `[heading, class?]`; rows are arrays of cells, with a `key`. */
export function table(label, columns, rows, empty) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  return h("div", { class: "scroll" },
    h("table", { "aria-label": label },
      h("thead", null, h("tr", null, columns.map(([heading, kind]) => h("th", { scope: "col", class: kind }, heading)))),
      h("tbody", null, rows.map((row) =>
        h("tr", { key: row.key, class: row.class }, row.cells.map((cell, i) =>
          h("td", { class: columns[i][1], "data-label": columns[i][0] }, cell)))))));
}

/** One number of note, with what it is. */
export const figure = (label, value, kind = "") =>
  h("div", { class: `figure ${kind}` }, h("dt", null, label), h("dd", null, value));

export const loading = (what) => h("p", { class: "empty" }, `Loading ${what}…`);

/** Leads to an update. */
export const updateLink = (bot, sequence, label, row = false) =>
  h("a", { href: to("update", bot, String(sequence)), "data-row": row }, label ?? `#${sequence}`);

/** Which state a group is in, the worst first. */
export function groupState(group) {
  const status = group.status ?? {};
  const chips = [];
  if (group.pauseTime) chips.push(chip("paused", "warn"));
  const blocked = status.blockedKeys?.length ?? 0;
  if (blocked) chips.push(chip(plural(blocked, "blocked chat"), "bad"));
  const open = (status.consumers ?? []).filter((c) => c.state !== "CONSUMER_STATE_LOST").length;
  if (!open) chips.push(chip("no consumers", Number(status.lag ?? 0) ? "warn" : ""));
  else chips.push(chip(plural(open, "consumer"), "good"));
  if (group.ephemeral) chips.push(chip("ephemeral"));
  return chips;
}

export const lag = (status = {}) =>
  status.lagExact === true ? count(status.lag) : h("span", { title: "still being counted after a start or a seek" }, `${count(status.lag)}+`);

/** A select's options: `[value, label]`. */
export const select = (name, label, value, options, onchange) =>
  h("label", null, label, h("select", { name, value, onchange: (event) => onchange(event.target.value) },
    options.map(([option, text]) => h("option", { value: option, key: option }, text))));

/** Every page of a list, up to a bound: what is more is said, not fetched. */
export async function pages(page, method, request, field, most) {
  const all = [];
  let token = "";
  do {
    const answer = await page.call(method, { ...request, pageSize: Math.min(200, most), pageToken: token });
    all.push(...(answer[field] ?? []));
    token = answer.nextPageToken ?? "";
  } while (token && all.length < most);
  return { all, more: token !== "" };
}
