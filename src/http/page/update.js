// One update: what became of it in every group, step by step, and its JSON.

import * as dialog from "./dialog.js";
import { h } from "./dom.js";
import { pretty } from "./json.js";
import { chip, figure, loading } from "./parts.js";
import { to } from "./routes.js";
import { ago, bytes, clock, duration, exactly, millis, outcome, updateState } from "./words.js";

const EVERY_MS = 2_000;

export function update(page, { path: [, bot = "", ...id] }) {
  let answer = null;
  /** The JSON never changes: it is laid out once. */
  let json = null;
  let of = null;
  const request = id[0] === "id" ? { bot, updateId: id[1] } : { bot, sequence: id[0] };

  async function load() {
    answer = await page.call("GetUpdate", request);
    if (of !== answer.update?.sequence) {
      of = answer.update?.sequence;
      json = pretty(answer.update?.update?.json ?? "");
    }
  }

  async function replay(timeline) {
    const dead = isDead(timeline.state);
    const sure = await dialog.confirm({
      title: `Replay to ${timeline.group}?`,
      text: `The update is handed to ${timeline.group} again, before the pending ones of its chat.` + (dead ? " It leaves the dead letters." : ""),
      action: "Replay",
    });
    if (!sure) return;
    try {
      const method = dead ? "ReplayDeadLetters" : "ReplayUpdates";
      const progress = await page.act(method, { bot, group: timeline.group, selection: { sequences: [answer.update.sequence] } });
      const replayed = Number(progress.at(-1)?.replayed ?? 0);
      dialog.say(replayed ? `Handed to ${timeline.group} again` : `${timeline.group} is not done with it, or it is gone: nothing was replayed`, replayed ? "good" : "bad");
    } catch (error) {
      dialog.say(error.message, "bad");
    }
    page.refresh();
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(answer.update.update.json);
      dialog.say("Copied as Telegram sent it");
    } catch {
      dialog.say("The browser does not let this page copy; select the text instead", "bad");
    }
  }

  const draw = () => {
    if (!answer) return [h("h1", null, "Update"), loading("the update")];
    const stored = answer.update ?? {};
    const it = stored.update ?? {};
    const timelines = [...(answer.timelines ?? [])].sort((a, b) => rank(a.state) - rank(b.state));
    return [
      h("div", { class: "heading" },
        h("h1", null, `Update ${it.updateId ?? ""} `, chip(it.kind)),
        h("div", { class: "buttons" }, h("a", { class: "button", href: to("updates", { bot, key: stored.orderingKey }) }, "All of this key"))),
      h("dl", { class: "figures wide" },
        figure("Sequence", `#${stored.sequence}`),
        figure("Key", stored.orderingKey),
        it.chatId != null && figure("Chat", h("a", { href: to("updates", { bot, chat: it.chatId }) }, it.chatId)),
        it.threadId != null && figure("Topic", it.threadId),
        it.userId != null && figure("User", h("a", { href: to("updates", { bot, user: it.userId }) }, it.userId)),
        figure("Received", ago(it.receivedTime)),
        figure("Size", bytes(stored.sizeBytes))),
      h("h2", null, "What became of it"),
      timelines.length === 0 && h("p", { class: "empty" }, "There are no groups: nobody asked for it yet."),
      h("div", { class: "timelines" }, timelines.map((timeline) => story(bot, stored, timeline, () => replay(timeline)))),
      h("div", { class: "heading" }, h("h2", null, "JSON, as Telegram sent it"), h("div", { class: "buttons" }, h("button", { type: "button", onclick: copy }, "Copy"))),
      json,
    ];
  };

  return { title: `Update ${id.at(-1) ?? ""}`, every: EVERY_MS, load, draw, back: to("updates", { bot }) };
}

const name = (state) => (state ?? "").replace("UPDATE_STATE_", "");
const isDead = (state) => ["REJECTED", "DEAD_LETTERED"].includes(name(state));
const DONE = ["ACKED", "SETTLED", "EXPIRED", "PURGED", "REJECTED", "DEAD_LETTERED"];
const KIND = { ACKED: "good", SETTLED: "good", OUTSTANDING: "good", PENDING: "", BLOCKED: "bad", BACKING_OFF: "warn", REJECTED: "bad", DEAD_LETTERED: "bad", EXPIRED: "bad", PURGED: "warn" };

/** What waits or went wrong first, what was never the group's last. */
const rank = (state) => (["NOT_MATCHED", "BEFORE_START"].includes(name(state)) ? 2 : ["ACKED", "SETTLED"].includes(name(state)) ? 1 : 0);

/** One group's part: `[ms, kind, words]` in order. */
function story(bot, stored, timeline, replay) {
  const state = name(timeline.state);
  const foreign = rank(timeline.state) === 2;
  return h("section", { class: `story ${foreign ? "foreign" : ""}`, key: timeline.group, "aria-label": `Group ${timeline.group}` },
    h("header", null,
      h("h3", null, h("a", { href: to("group", bot, timeline.group) }, timeline.group), " ", chip(updateState(timeline.state), KIND[state])),
      DONE.includes(state) && h("button", { type: "button", onclick: replay }, "Replay…")),
    timeline.explanation && h("p", { class: KIND[state] === "bad" ? "notice bad" : "notice" }, timeline.explanation),
    !foreign && h("ol", { class: "steps" }, steps(bot, stored, timeline).map(([time, kind, words], i, all) =>
      h("li", { class: kind, key: `${i}` },
        h("time", { title: exactly(time) }, clock(time)),
        h("span", null, words, i > 0 && time && all[i - 1][0] && time - all[i - 1][0] > 0 && h("span", { class: "quiet" }, ` +${duration(time - all[i - 1][0])}`))))));
}

function steps(bot, stored, timeline) {
  const all = [
    [millis(stored.update?.receivedTime), "", "received from Telegram"],
    [millis(stored.commitTime), "", "durable on disk"],
  ];
  for (const attempt of timeline.attempts ?? []) {
    const ended = attempt.outcome !== "ATTEMPT_OUTCOME_OUTSTANDING";
    const again = attempt.replayed ? " (replayed)" : "";
    all.push([millis(attempt.deliverTime), "", [`delivered to `, h("strong", null, attempt.consumerId || "a consumer"), `, attempt ${attempt.attempt}${again}`]]);
    if (ended) {
      const good = attempt.outcome === "ATTEMPT_OUTCOME_ACKED";
      all.push([millis(attempt.endTime), good ? "good" : "bad", [outcome(attempt.outcome), attempt.reason && [": ", h("q", null, attempt.reason)]]]);
    } else {
      all.push([null, "now", ["is out", attempt.leaseDeadline && ["; its lease ends ", ago(attempt.leaseDeadline)]]]);
    }
  }
  const state = name(timeline.state);
  if (timeline.nextAttemptTime) all.push([null, "now", ["is delivered again ", ago(timeline.nextAttemptTime)]]);
  if (state === "BLOCKED") {
    const before = String(timeline.blockedBySequence ?? "");
    all.push([null, "now", ["waits for ", h("a", { href: to("update", bot, before) }, `#${before}`), " of the same key"]]);
  }
  if (state === "PENDING") all.push([null, "now", ["waits to be delivered", timeline.ownerConsumerId && [" to ", h("strong", null, timeline.ownerConsumerId)]]]);
  if (timeline.settleTime) all.push([millis(timeline.settleTime), KIND[state] === "good" ? "good" : "bad", END[state] ?? "settled"]);
  return all;
}

const END = {
  ACKED: "settled: handled",
  SETTLED: "settled",
  REJECTED: "put among the dead letters: rejected",
  DEAD_LETTERED: "put among the dead letters: it failed too often",
  EXPIRED: "expired: it got too old",
  PURGED: "removed by an operator",
};
