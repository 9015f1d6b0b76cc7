// Addresses within the page: `#/group/<bot>/<group>`, `#/updates?chat=42`, …

/** `#/a/b%2Fc?x=1` → `{path: ["a", "b/c"], query: URLSearchParams}`. */
export function parse(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query ?? "") };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The way back: `to("group", bot, name)`; a last object becomes the query, without what is empty. */
export function to(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null && value !== ""));
  const path = parts.map(encodeURIComponent).join("/");
  return `#/${path}${search.size ? `?${search}` : ""}`;
}
