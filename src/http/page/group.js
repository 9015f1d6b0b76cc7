// One group: its lag over time, who works in it, and what holds it up.

import { now } from "./api.js";
import { chart } from "./chart.js";
import * as dialog from "./dialog.js";
import { h } from "./dom.js";
import { chip, figure, groupState, lag, loading, table, updateLink } from "./parts.js";
import { to } from "./routes.js";
import { seek } from "./seek.js";
import { age, ago, bytes, consumerState, count, failure, filter, int, millis, ordering, rate, span, updateState } from "./words.js";

const EVERY_MS = 2_000;
const MOST_OUTSTANDING = 50;
const SHARDS = 1024;

export function group(page, { path: [, bot = "", name = ""] }) {
  let group = null;
  let outstanding = null;
  const self = { bot, group: name };

  async function load() {
    const [answer, out] = await Promise.all([
      page.call("GetGroup", self),
      page.call("ListOutstanding", { ...self, pageSize: MOST_OUTSTANDING }),
    ]);
    group = answer.group;
    outstanding = out;
  }

  async function pauseOrResume() {
    if (!group) return;
    const paused = group.pauseTime;
    const sure = await dialog.confirm(paused
      ? { title: `Resume ${name}?`, text: "Its consumers get updates again at once.", action: "Resume" }
      : { title: `Pause ${name}?`, text: "Its consumers get nothing new until it is resumed, over restarts, too. What is out can still be settled. Updates wait in the journal.", action: "Pause" });
    if (!sure) return;
    await acted(paused ? "ResumeGroup" : "PauseGroup", self, paused ? `${name} is resumed` : `${name} is paused`);
  }

  async function acted(method, request, words) {
    try {
      group = (await page.act(method, request)).group ?? group;
      dialog.say(words);
    } catch (error) {
      dialog.say(error.message, "bad");
    }
    page.refresh();
  }

  async function seekGroup() {
    if (await seek(page, self)) page.refresh();
  }

  const draw = () => {
    if (!group) return [h("h1", null, name), loading("the group")];
    const status = group.status ?? {};
    const rates = status.rates ?? {};
    const dead = int(status.deadLetterCount);
    const samples = status.samples ?? [];
    return [
      h("div", { class: "heading" },
        h("div", null,
          h("h1", null, name, h("span", { class: "quiet" }, ` of ${group.bot}`)),
          h("p", null, h("span", { class: "chips" }, groupState(group)), " Gets ", h("strong", null, filter(group)), `; one at a time by ${ordering(group.ordering)}.`)),
        h("div", { class: "buttons" },
          !group.ephemeral && h("button", { type: "button", class: group.pauseTime ? "primary" : "", onclick: pauseOrResume }, group.pauseTime ? "Resume…" : "Pause…"),
          h("button", { type: "button", onclick: seekGroup }, "Seek…"))),
      group.pauseTime && h("p", { class: "notice warn", key: "paused" }, "Paused ", ago(group.pauseTime), ". Nothing is delivered until it is resumed."),
      h("dl", { class: "figures wide" },
        figure("Lag", lag(status), int(status.lag) ? "strong" : ""),
        figure("Oldest unsettled", status.oldestUnsettledTime ? updateLink(group.bot, status.oldestUnsettledSequence, age(status.oldestUnsettledTime)) : "—"),
        figure("Outstanding", count(status.outstanding)),
        figure("Waiting after a failure", count(status.backingOff)),
        int(status.replaying) > 0 && figure("Being replayed", count(status.replaying)),
        figure("Arriving /s", rate(rates.arrivals)),
        figure("Settled /s", rate(rates.settled)),
        figure("Failing /s", rate(rates.failures), rates.failures ? "bad" : ""),
        figure("Dead letters", h("a", { href: to("dead-letters", { bot: group.bot, group: name }) }, count(dead)), dead ? "bad" : "")),
      h("div", { class: "charts" },
        chart({ title: "Lag", unit: "", end: now(), points: [...samples.map((s) => [millis(s.time), int(s.lag)]), [now(), int(status.lag)]] }),
        chart({ title: "Settled per second", unit: "/s", end: now(), points: speeds(samples) })),
      h("h2", null, "Consumers"), consumers(status.consumers ?? []),
      h("h2", null, "Blocked chats"), blocked(group.bot, status.blockedKeys ?? []),
      h("h2", null, "Outstanding"), out(group.bot, outstanding),
      h("details", null, h("summary", null, "Settings"), settings(group)),
    ];
  };

  return { title: name, every: EVERY_MS, load, draw, back: to(), keys: { p: pauseOrResume, s: seekGroup } };
}

/** What was settled between two samples; a restart begins anew. */
function speeds(samples) {
  return samples.slice(1).map((sample, i) => {
    const [from, till] = [millis(samples[i].time), millis(sample.time)];
    const settled = Math.max(0, int(sample.settledTotal) - int(samples[i].settledTotal));
    return [till, Math.round((settled * 10_000) / Math.max(1, till - from)) / 10];
  });
}

const STATES = { OPEN: "good", DRAINING: "warn", LEAVING: "warn", LOST: "bad", SUSPECT: "bad" };

function consumers(all) {
  const rows = all.map((c) => ({
    key: c.consumerId,
    cells: [
      c.consumerId,
      chip(consumerState(c.state), STATES[c.state?.replace("CONSUMER_STATE_", "")]),
      h("span", { class: "shards" }, shardMap(c.shards ?? []), ` ${count(c.shardCount)}`),
      `${count(c.outstanding)} of ${count(c.maxOutstanding)}`,
      `${bytes(c.outstandingBytes)} of ${bytes(c.maxOutstandingBytes)}`,
      span(c.leaseDuration),
      ago(c.connectTime),
    ],
  }));
  return table("Consumers", [["Consumer"], ["State", "state"], ["Shards", "wide"], ["Outstanding", "n"], ["Bytes out", "n"], ["Lease", "n"], ["Connected", "n"]], rows,
    "Nobody is subscribed: updates wait until a handler comes.");
}

function shardMap(ranges) {
  const first = (range) => range.first ?? 0;
  return h("svg", { class: "map", viewBox: `0 0 ${SHARDS} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ranges.map((range) => h("rect", { x: first(range), y: 0, width: (range.last ?? 0) - first(range) + 1, height: 10 })));
}

function blocked(bot, keys) {
  const rows = keys.map((key) => ({
    key: key.orderingKey,
    cells: [
      h("a", { href: to("updates", { bot, key: key.orderingKey }) }, key.orderingKey),
      updateLink(bot, key.sequence, null, true),
      count(key.failures),
      key.nextAttemptTime ? ago(key.nextAttemptTime) : "is out",
      count(key.waiting),
      h("span", { class: "clip", title: key.lastReason }, key.lastReason || "—"),
    ],
  }));
  return table("Blocked chats", [["Key"], ["Update"], ["Failures", "n"], ["Next attempt", "n"], ["Behind it", "n"], ["Reason", "wide"]], rows,
    "None: no failing update holds up the ones behind it.");
}

function out(bot, answer) {
  const rows = (answer?.deliveries ?? []).map((d) => ({
    key: `${d.sequence}`,
    cells: [
      updateLink(bot, d.sequence, null, true),
      d.orderingKey,
      d.kind,
      chip(updateState(d.state), d.state === "UPDATE_STATE_BACKING_OFF" ? "warn" : ""),
      count(d.attempt),
      d.consumerId || "—",
      d.leaseDeadline ? ["lease ends ", ago(d.leaseDeadline)] : d.nextAttemptTime ? ["again ", ago(d.nextAttemptTime)] : "—",
      h("span", { class: "clip" }, d.lastFailure ? failure(d.lastFailure) : "—"),
    ],
  }));
  return [
    table("Outstanding", [["Update"], ["Key"], ["Kind"], ["State"], ["Attempt", "n"], ["Consumer"], ["Until"], ["Last failure", "wide"]], rows, "None."),
    answer?.nextPageToken && h("p", { class: "quiet" }, `The first ${MOST_OUTSTANDING}.`),
  ];
}

function settings(group) {
  const s = group.settings ?? {};
  const ages = Object.entries(s.maxAge ?? {}).map(([kind, age]) => `${kind} ${span(age)}`).join(", ");
  return h("dl", { class: "figures wide" },
    figure("Dead letter after", `${count(s.maxFailures)} failures over ${span(s.minFailureSpan)}`),
    figure("Wait after a failure", `${span(s.backoffInitial)} to ${span(s.backoffMax)}`),
    figure("Grace for lost consumers", span(s.memberGrace)),
    figure("Longest lease", span(s.maxLease)),
    figure("Expires unsettled after", span(s.maxUnsettledAge)),
    ages && figure("Expires by kind", ages),
    figure("Created", ago(group.createTime)),
    figure("Starts at", `#${group.startSequence ?? 0}`),
    figure("Generation", count(group.generation)));
}
