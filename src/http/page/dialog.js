// Dialogs, and what is said after an action.

import { draw, h } from "./dom.js";

/**
 * Opens a dialog. `content(dialog)` gives its children and is asked again after `dialog.redraw()`; the promise is what
 * `dialog.close(value)` was given, or undefined after Escape.
 */
export function open(label, content) {
  return new Promise((resolve) => {
    const element = document.createElement("dialog");
    element.setAttribute("aria-label", label);
    let result;
    const dialog = {
      element,
      redraw: () => draw(element, content(dialog)),
      close: (value) => {
        result = value;
        element.close();
      },
    };
    element.addEventListener("click", (event) => {
      if (event.target === element) element.close();
    });
    element.addEventListener("close", () => {
      element.remove();
      resolve(result);
    });
    document.body.append(element);
    dialog.redraw();
    element.showModal();
  });
}

export const isOpen = () => document.querySelector("dialog[open]") !== null;

/** Asks before something is done: true if it should be. The harmless answer has the focus. */
export const confirm = ({ title, text, action, danger }) =>
  open(title, (dialog) => [
    h("h2", null, title),
    [text].flat().map((line) => h("p", null, line)),
    h("div", { class: "buttons" },
      h("button", { type: "button", autofocus: true, onclick: () => dialog.close(false) }, "Cancel"),
      h("button", { type: "button", class: danger ? "danger" : "primary", onclick: () => dialog.close(true) }, action)),
  ]);

let clearing;

/** Says it where everybody sees it and screen readers say it. */
export function say(text, kind = "good") {
  const place = document.getElementById("said");
  draw(place, h("p", { class: `said ${kind}`, key: `${Math.random()}` }, text));
  clearTimeout(clearing);
  clearing = setTimeout(() => draw(place), kind === "bad" ? 15_000 : 6_000);
}

const KEYS = [
  ["?", "this help"],
  ["1", "overview"],
  ["2", "updates"],
  ["3", "dead letters"],
  ["/", "search updates"],
  ["j  k", "next, previous row"],
  ["Enter", "open the row"],
  ["x", "select the row (dead letters)"],
  ["p", "pause or resume the feed; pause or resume the group"],
  ["s", "seek (on a group's page)"],
  ["Esc", "close a dialog; back from a detail"],
];

export const help = () =>
  open("Keyboard", (dialog) => [
    h("h2", null, "Keyboard"),
    h("dl", { class: "keys" }, KEYS.map(([key, does]) => [
      h("dt", null, key.split("  ").map((name) => [h("kbd", null, name), " "])),
      h("dd", null, does),
    ])),
    h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Close")),
  ]);
