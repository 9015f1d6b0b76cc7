// A number over the last ten minutes, as a line with its area.

import { h } from "./dom.js";
import { clock, count } from "./words.js";

const WIDTH = 640;
const HEIGHT = 150;
const LEFT = 46;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 22;
const SPAN_MS = 600_000;

/** A round number at or above, so that the scale does not change with every sample. */
export function ceiling(value) {
  if (value <= 4) return 4;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * size).find((step) => step >= value);
}

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `points` are `[ms, value]`, oldest first; `end` is the right edge. */
export function chart({ title, points, end, unit }) {
  const inside = points.filter(([time]) => time > end - SPAN_MS);
  const most = Math.max(0, ...inside.map(([, value]) => value));
  const top = ceiling(most);
  const x = (time) => LEFT + (WIDTH - LEFT - RIGHT) * (1 - (end - time) / SPAN_MS);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const at = inside.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`);
  const last = inside.at(-1);
  const words = last
    ? `${title} over the last ten minutes: now ${count(last[1])}, at most ${count(most)}${unit}`
    : `${title}: no samples yet`;
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", null, title, h("span", { class: "quiet" }, last ? ` now ${count(last[1])}${unit}, at most ${count(most)}` : " no samples yet")),
    h(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
      [0, 0.5, 1].map((part) => [
        h("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(top * part), y2: y(top * part) }),
        h("text", { class: "tick", x: LEFT - 6, y: y(top * part) + 4, "text-anchor": "end" }, short.format(top * part)),
      ]),
      [10, 8, 6, 4, 2, 0].map((minutes) =>
        h("text", {
          class: [8, 4, 2].includes(minutes) ? "tick minor" : "tick",
          x: x(end - minutes * 60_000),
          y: HEIGHT - 6,
          "text-anchor": minutes === 10 ? "start" : minutes ? "middle" : "end",
        }, minutes ? `−${minutes} min` : "now")),
      inside.length > 1 && [
        h("path", { class: "area", d: `M${at[0].split(",")[0]},${y(0)} L${at.join(" L")} L${at.at(-1).split(",")[0]},${y(0)} Z` }),
        h("polyline", { class: "curve", points: at.join(" ") }),
      ],
      last && h("circle", { class: "dot", cx: x(last[0]), cy: y(last[1]), r: 3 }),
    ),
    h("p", { class: "sr" }, words, last ? `, at ${clock(last[0])}` : ""),
  );
}

/** The same as a few dozen pixels, for a table. */
export function spark(points, end) {
  const inside = points.filter(([time]) => time > end - SPAN_MS);
  const top = ceiling(Math.max(0, ...inside.map(([, value]) => value)));
  const at = inside.map(([time, value]) => `${(120 * (1 - (end - time) / SPAN_MS)).toFixed(1)},${(22 - 20 * (value / top)).toFixed(1)}`);
  return h("svg", { class: "spark", viewBox: "0 0 120 24", "aria-hidden": "true" },
    inside.length > 1 && h("polyline", { class: "curve", points: at.join(" ") }));
}
