// Shortcuts. They rest while somebody types or a dialog is open.

import * as dialog from "./dialog.js";
import { to } from "./routes.js";

/** The rows that `j` and `k` go through. */
const rows = () => [...document.querySelectorAll("main [data-row]")];

function step(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement.closest?.("[data-row]"));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

export function keyboard(view, page) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || dialog.isOpen()) return;
    const typing = event.target.closest?.("input, select, textarea");
    if (typing) {
      if (event.key === "Escape") document.activeElement.blur();
      return;
    }
    const act = {
      "?": dialog.help,
      1: () => page.go(to()),
      2: () => page.go(to("updates")),
      3: () => page.go(to("dead-letters")),
      "/": () => {
        const search = () => document.querySelector("main [name=text]");
        if (search()) return search().focus();
        page.go(to("updates"));
        search()?.focus();
      },
      j: () => step(1),
      k: () => step(-1),
      Escape: () => view().back && page.go(view().back),
      ...view().keys,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
