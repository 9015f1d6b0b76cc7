// All bots and groups at a glance.

import { now } from "./api.js";
import { spark } from "./chart.js";
import { h } from "./dom.js";
import { chip, figure, groupState, lag, loading, pages, table } from "./parts.js";
import { to } from "./routes.js";
import { age, ago, bytes, count, filter, int, millis, mode, plural, rate } from "./words.js";

const EVERY_MS = 2_000;
/** Beyond these the command line serves better than a page. */
const MOST_BOTS = 200;
const MOST_GROUPS = 400;
/** Lag over time is fetched for so many groups, and so often: a sample is taken every five seconds. */
const MOST_SPARKS = 12;
const SPARK_MS = 5_000;

export function overview(page) {
  let bots = null;
  let groups = null;
  const samples = new Map();

  async function load() {
    [bots, groups] = await Promise.all([
      pages(page, "ListBots", {}, "bots", MOST_BOTS),
      pages(page, "ListGroups", {}, "groups", MOST_GROUPS),
    ]);
    page.redraw();
    const stale = groups.all.slice(0, MOST_SPARKS).filter((g) => !(samples.get(id(g))?.at > now() - SPARK_MS));
    await Promise.all(stale.map(async (g) => {
      // One that was deleted meanwhile has none.
      const answer = await page.call("GetGroup", { bot: g.bot, group: g.name }).catch(() => null);
      const points = (answer?.group?.status?.samples ?? []).map((s) => [millis(s.time), int(s.lag)]);
      samples.set(id(g), { at: now(), points });
    }));
  }

  const draw = () => [
    h("h1", { class: "sr" }, "Overview"),
    h("section", { "aria-labelledby": "bots" },
      h("h2", { id: "bots" }, "Bots"),
      bots ? h("div", { class: "cards" }, bots.all.map(botCard)) : loading("the bots"),
      bots?.more && h("p", { class: "quiet" }, `The first ${MOST_BOTS}; the command line lists all.`)),
    h("section", { "aria-labelledby": "groups" },
      h("h2", { id: "groups" }, "Groups"),
      groups ? groupTable(groups.all, samples, bots?.all.length > 1) : loading("the groups"),
      groups?.more && h("p", { class: "quiet" }, `The first ${MOST_GROUPS}; the command line lists all.`)),
  ];

  return { title: "Overview", every: EVERY_MS, load, draw };
}

const id = (group) => `${group.bot}/${group.name}`;

function botCard(bot) {
  const journal = bot.journal ?? {};
  const used = int(journal.usedBytes);
  const most = int(journal.maxBytes);
  const part = most ? used / most : 0;
  const hook = bot.webhook;
  return h("article", { class: "card", key: bot.name, "aria-label": `Bot ${bot.name}` },
    h("h3", null, bot.name,
      bot.username && h("span", { class: "quiet" }, ` @${bot.username}`),
      " ", chip(mode(bot.mode)),
      " ", bot.connectedTime ? chip("connected", "good") : chip("not connected", "bad"),
      bot.intakePause && [" ", chip("intake paused", "bad")]),
    [
      bot.conflict,
      bot.lastError,
      bot.intakePause && [`No updates are taken: ${bot.intakePause.reason}. Telegram keeps them. Since `, ago(bot.intakePause.startTime), "."],
      hook?.lastErrorMessage && ["Telegram could not deliver to the webhook: ", hook.lastErrorMessage, " (", ago(hook.lastErrorTime), ")"],
    ].filter(Boolean).map((text) => h("p", { class: "notice bad" }, text)),
    h("dl", { class: "figures" },
      figure("Last update", ago(bot.lastUpdateTime, "none yet")),
      figure(bot.connectedTime ? "Connected" : "Connection", ago(bot.connectedTime, "none")),
      bot.pendingAtTelegram != null && figure("Waiting at Telegram", count(bot.pendingAtTelegram)),
      figure("Updates kept", h("a", { href: to("updates", { bot: bot.name }) }, count(journal.updateCount))),
      figure("Dead letters", h("a", { href: to("dead-letters", { bot: bot.name }) }, count(journal.deadLetterCount)), int(journal.deadLetterCount) ? "bad" : ""),
      int(journal.quarantinedCount) > 0 && figure("Unreadable", h("a", { href: to("quarantine", bot.name) }, count(journal.quarantinedCount)), "bad"),
      figure("Oldest kept", ago(journal.oldestTime))),
    h("div", { class: "meter" },
      h("span", null, `Journal: ${bytes(used)} of ${bytes(most)}`),
      h("div", { class: "bar", role: "meter", "aria-label": "Journal", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(part * 100) },
        h("div", { class: part > 0.8 ? "bad" : "", style: { width: `${Math.min(100, part * 100)}%` } }))));
}

function groupTable(groups, samples, several) {
  const columns = [["Group"], ["Gets", "wide"], ["Lag", "n"], ["10 min", "sparks"], ["Oldest", "n"], ["Out", "n"], ["In/s", "n"], ["Done/s", "n"], ["Failed/s", "n"], ["Dead", "n"], ["State", "all states"]];
  const rows = groups.map((group) => {
    const status = group.status ?? {};
    const rates = status.rates ?? {};
    const dead = int(status.deadLetterCount);
    return {
      key: id(group),
      cells: [
        h("a", { href: to("group", group.bot, group.name), "data-row": true }, several && h("span", { class: "quiet" }, `${group.bot} / `), group.name),
        filter(group),
        lag(status),
        spark([...(samples.get(id(group))?.points ?? []), [now(), int(status.lag)]], now()),
        age(status.oldestUnsettledTime),
        count(status.outstanding),
        rate(rates.arrivals),
        rate(rates.settled),
        h("span", { class: rates.failures ? "bad-text" : "" }, rate(rates.failures)),
        dead ? h("a", { class: "bad-text", href: to("dead-letters", { bot: group.bot, group: group.name }), "aria-label": plural(dead, "dead letter") }, count(dead)) : "0",
        h("span", { class: "chips" }, groupState(group)),
      ],
    };
  });
  return table("Groups", columns, rows, "There are no groups yet: a handler makes one when it subscribes.");
}
