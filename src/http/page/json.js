// An update's JSON for reading: indented and coloured, but otherwise as it came. It is not parsed, since that would
// change large numbers and drop repeated names.

import { h } from "./dom.js";

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;
/** Beyond this much it is shown without colours: so many elements would make the page slow. */
const MAX_COLOURED = 200_000;

/** Tokens as lines: `[indent, [class, text]...]`. */
function lines(text) {
  const out = [[0]];
  let depth = 0;
  const tokens = text.match(TOKEN) ?? [];
  tokens.forEach((token, i) => {
    const line = out[out.length - 1];
    const next = tokens[i + 1];
    if (token === "{" || token === "[") {
      line.push(["", token]);
      if (next !== "}" && next !== "]") out.push([++depth]);
    } else if (token === "}" || token === "]") {
      if (tokens[i - 1] === "{" || tokens[i - 1] === "[") line.push(["", token]);
      else out.push([(depth = Math.max(0, depth - 1)), ["", token]]);
    } else if (token === ",") {
      line.push(["", token]);
      out.push([depth]);
    } else if (token === ":") {
      line.push(["", ": "]);
    } else {
      const kind = token[0] !== '"' ? "j-other" : next === ":" ? "j-name" : "j-text";
      line.push([kind, token]);
    }
  });
  return out;
}

export function pretty(text) {
  const indented = lines(text);
  if (text.length > MAX_COLOURED) {
    const plain = indented.map(([indent, ...parts]) => "  ".repeat(Math.min(indent, 40)) + parts.map(([, t]) => t).join(""));
    return h("pre", { class: "json", tabindex: "0", "aria-label": "JSON" }, plain.join("\n"));
  }
  const coloured = indented.map(([indent, ...parts], i) => [
    (i ? "\n" : "") + "  ".repeat(Math.min(indent, 40)),
    parts.map(([kind, part]) => (kind ? h("span", { class: kind }, part) : part)),
  ]);
  return h("pre", { class: "json", tabindex: "0", "aria-label": "JSON" }, coloured);
}

/** What an update says, in one line: who, and what. */
export function gist(kind, json) {
  let payload;
  try {
    payload = JSON.parse(json)[kind];
  } catch {
    return { who: "", what: "" };
  }
  if (payload === null || typeof payload !== "object") return { who: "", what: "" };
  const from = payload.from ?? payload.user ?? payload.sender_chat ?? {};
  const chat = payload.chat ?? payload.message?.chat ?? {};
  const person = from.username ? `@${from.username}` : [from.first_name, from.last_name].filter(Boolean).join(" ");
  const place = chat.title ?? "";
  const what = payload.text ?? payload.caption ?? payload.data ?? payload.query ?? payload.question ?? payload.message?.text;
  const about = Object.keys(payload).filter((name) => !ROUTINE.has(name));
  return {
    who: [person, place].filter((part) => typeof part === "string" && part).join(" · ").slice(0, 80),
    what: typeof what === "string" ? what.slice(0, 300) : about.slice(0, 4).join(", ").slice(0, 300),
    quoted: typeof what === "string",
  };
}

/** What says little about a payload. */
const ROUTINE = new Set(["message_id", "date", "chat", "from", "id", "chat_instance", "update_id"]);
