// Moves a group to another position: first says what it would do, then asks.

import * as dialog from "./dialog.js";
import { h } from "./dom.js";
import { now } from "./api.js";
import { count, plural } from "./words.js";

const TARGETS = [
  ["earliest", "To the earliest update that is kept"],
  ["time", "To the first update received at or after a time"],
  ["sequence", "To a sequence"],
  ["latest", "After the newest update: skip everything"],
];

/** For an input of local time, an hour ago. */
function hourAgo() {
  const local = new Date(now() - 3_600_000);
  local.setMinutes(local.getMinutes() - local.getTimezoneOffset());
  return local.toISOString().slice(0, 19);
}

/** True if the group was moved. */
export function seek(page, self) {
  let target = "earliest";
  let time = hourAgo();
  let sequence = "1";
  let preview = null;
  let trouble = null;
  let busy = false;

  const request = () => ({
    ...self,
    ...{
      earliest: { earliest: true },
      latest: { latest: true },
      time: { time: new Date(time).toISOString() },
      sequence: { sequence },
    }[target],
  });

  const changed = (dialogue, change) => {
    change();
    preview = trouble = null;
    dialogue.redraw();
  };

  async function look(dialogue) {
    await attempt(dialogue, async () => {
      preview = await page.call("SeekGroup", { ...request(), dryRun: true });
    });
  }

  async function move(dialogue) {
    await attempt(dialogue, async () => {
      const done = await page.act("SeekGroup", request());
      dialog.say(`${self.group} goes on at #${done.sequence ?? 0}, with ${plural(done.updates, "update")}`);
      dialogue.close(true);
    });
  }

  async function attempt(dialogue, action) {
    busy = true;
    trouble = null;
    dialogue.redraw();
    try {
      await action();
    } catch (error) {
      trouble = error.code ? error.message : "That is no time or sequence.";
    }
    busy = false;
    dialogue.redraw();
  }

  return dialog.open(`Seek ${self.group}`, (dialogue) =>
    h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        if (!busy) (preview ? move : look)(dialogue);
      },
    },
    h("h2", null, `Seek ${self.group}`),
    h("p", null, "From the new position on, everything that the group's filter matches is delivered (again); everything before counts as settled. Deliveries that are out are revoked."),
    h("fieldset", null, h("legend", null, "Where to"), TARGETS.map(([value, label]) =>
      h("label", { class: "choice", key: value },
        h("input", { type: "radio", name: "target", value, checked: target === value, onchange: () => changed(dialogue, () => (target = value)) }),
        label))),
    target === "time" && h("label", { key: "time" }, "Time (of this machine)", h("input", { type: "datetime-local", step: 1, value: time, required: true, oninput: (event) => changed(dialogue, () => (time = event.target.value)) })),
    target === "sequence" && h("label", { key: "sequence" }, "Sequence", h("input", { inputmode: "numeric", pattern: "[0-9]+", value: sequence, required: true, oninput: (event) => changed(dialogue, () => (sequence = event.target.value)) })),
    h("div", { class: "preview", "aria-live": "polite" },
      trouble && h("p", { class: "notice bad" }, trouble),
      preview && [
        h("p", null, "It would go on at ", h("strong", null, `#${preview.sequence ?? 0}`), " and bring ", h("strong", null, plural(preview.updates, "update")), `, ${count(preview.redelivered)} of them again.`),
        Number(preview.skipped ?? 0) > 0 && h("p", { class: "notice warn" }, `${plural(preview.skipped, "unsettled update")} would be passed over and not be delivered.`),
      ],
      !trouble && !preview && h("p", { class: "quiet" }, "Nothing is changed before you have seen what it would do.")),
    h("div", { class: "buttons" },
      h("button", { type: "button", onclick: () => dialogue.close(false) }, "Cancel"),
      preview
        ? h("button", { key: "move", class: "danger", disabled: busy }, "Move the group")
        : h("button", { key: "look", class: "primary", disabled: busy }, "Show what it would do"))));
}
