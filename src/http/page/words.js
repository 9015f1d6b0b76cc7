// Numbers, times and the API's values in words.

import { now } from "./api.js";
import { h } from "./dom.js";

const NUMBER = new Intl.NumberFormat("en");

/** 64-bit numbers come as text, and zero not at all. */
export const int = (value) => Number(value ?? 0);

export const count = (value) => NUMBER.format(int(value));

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${int(value) === 1 ? one : many}`;

export function rate(value) {
  const number = value ?? 0;
  if (number === 0) return "0";
  if (number < 0.1) return "<0.1";
  return number < 10 ? number.toFixed(1) : count(Math.round(number));
}

export function bytes(value) {
  let number = int(value);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (number < 1024) return `${number < 10 && unit !== "B" ? number.toFixed(1) : Math.round(number)} ${unit}`;
    number /= 1024;
  }
  return `${number.toFixed(1)} TiB`;
}

/** `90_000` → `1 min 30 s`. */
export function duration(ms) {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000 && ms % 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  return parts.slice(first, first + 2).filter(([number]) => number > 0).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

/** The same in whole seconds: what moves on by itself should not flicker. */
export const seconds = (ms) => (ms < 1_000 ? "0 s" : duration(Math.floor(ms / 1_000) * 1_000));

/** The API's `300s`. */
export const span = (text) => (text ? duration(parseFloat(text) * 1_000) : "—");

export const millis = (time) => (time ? Date.parse(time) : null);

const EXACT = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  fractionalSecondDigits: 3, timeZoneName: "short",
});
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const isTime = (ms) => Number.isFinite(ms);

export const exactly = (ms) => (isTime(ms) ? EXACT.format(ms) : "");

/** `14:03:22`; with the day if it is not today. */
export function clock(time) {
  const ms = typeof time === "number" ? time : millis(time);
  if (!isTime(ms)) return "";
  const today = new Date(now()).toDateString() === new Date(ms).toDateString();
  return today ? CLOCK.format(ms) : `${DAY.format(ms)} ${CLOCK.format(ms)}`;
}

/** Only the largest unit. */
const largest = (text) => text.split(" ").slice(0, 2).join(" ");

export function relative(ms) {
  const away = now() - ms;
  if (Math.abs(away) < 1_000) return "just now";
  const text = largest(seconds(Math.abs(away)));
  return away > 0 ? `${text} ago` : `in ${text}`;
}

/** A time, relative, with the exact one at hand. */
export function ago(time, absent = "—") {
  const ms = millis(time);
  if (!isTime(ms)) return absent;
  return h("time", { datetime: time, title: exactly(ms) }, relative(ms));
}

/** How old it is: `3 min`. */
export function age(time, absent = "—") {
  const ms = millis(time);
  if (!isTime(ms)) return absent;
  return h("time", { datetime: time, title: exactly(ms) }, largest(seconds(Math.max(0, now() - ms))));
}

const or = (values) => values.slice(0, 6).join(", ") + (values.length > 6 ? ` and ${values.length - 6} more` : "");

/** A filter in plain words. */
export function filter(group) {
  const f = group.filter ?? {};
  const parts = [];
  if (f.kinds?.length) parts.push(or(f.kinds));
  if (f.chatTypes?.length) parts.push(`in ${or(f.chatTypes)} chats`);
  if (f.chatIds?.length) parts.push(f.chatIds.length === 1 ? `of chat ${f.chatIds[0]}` : `of chats ${or(f.chatIds)}`);
  const starts = [];
  if (f.commands?.length) starts.push(`commands ${or(f.commands.map((command) => `/${command}`))}`);
  if (f.callbackDataPrefixes?.length) starts.push(`callback data ${or(f.callbackDataPrefixes.map((p) => `${p}…`))}`);
  if (starts.length) parts.push(starts.join(" or "));
  if (!parts.length) return group.fallback ? "what no other group's filter matches" : "everything";
  return parts.join("; ") + (group.fallback ? "; of what no other group's filter matches" : "");
}

const lower = (prefix) => (value) => (value ?? "").replace(prefix, "").toLowerCase().replaceAll("_", " ");

export const consumerState = lower("CONSUMER_STATE_");
export const updateState = lower("UPDATE_STATE_");
export const ordering = (value) => lower("ORDERING_")(value).replace("unspecified", "") || "chat";
export const cause = (value) => ({ DEAD_LETTER_CAUSE_REJECTED: "rejected", DEAD_LETTER_CAUSE_FAILED: "failed too often" })[value] ?? "—";
export const mode = (value) => ({ INTAKE_MODE_POLLING: "polling", INTAKE_MODE_WEBHOOK: "webhook" })[value] ?? "not connected yet";

/** How a delivery ended, as the end of a sentence. */
export const outcome = (value) => ({
  ATTEMPT_OUTCOME_OUTSTANDING: "is out",
  ATTEMPT_OUTCOME_ACKED: "acknowledged",
  ATTEMPT_OUTCOME_NACKED: "failed",
  ATTEMPT_OUTCOME_RELEASED: "given back untried",
  ATTEMPT_OUTCOME_EXPIRED: "lease ran out without a word",
  ATTEMPT_OUTCOME_LOST: "the consumer's stream was lost",
  ATTEMPT_OUTCOME_REJECTED: "rejected",
  ATTEMPT_OUTCOME_REVOKED: "taken back by a seek or purge",
})[value] ?? "ended";

/** A failure in the handler's words, else in ours. */
export const failure = (f) => f?.reason || ({
  FAILURE_KIND_NACKED: "failed, without a reason given",
  FAILURE_KIND_EXPIRED: "lease ran out without a word",
  FAILURE_KIND_LOST: "the consumer's stream was lost",
  FAILURE_KIND_REJECTED: "rejected, without a reason given",
})[f?.kind] || "—";
