// Draws trees of elements, changing only what differs, so that focus, scrolling and selection survive a refresh.
//
// Data becomes text nodes and attributes, never markup.

const SVG = new Set(["svg", "g", "path", "line", "rect", "text", "circle", "polyline"]);

/** An element to be drawn: `h("td", {class: "n"}, "12")`. Children that are null or false are left out. */
export function h(tag, props, ...children) {
  const flat = children.flat(Infinity).filter((child) => child != null && child !== false && child !== true);
  return { tag, props: props ?? {}, key: props?.key ?? null, children: flat.map(asNode) };
}

function asNode(child) {
  return typeof child === "object" ? child : { tag: "#text", text: String(child), key: null };
}

/** Makes these the children of `parent`. */
export function draw(parent, ...children) {
  drawChildren(parent, h("", null, ...children).children);
}

function drawChildren(parent, wanted) {
  const keyed = new Map();
  const loose = [];
  for (const node of parent.childNodes) {
    if (node.drawn?.key != null) keyed.set(node.drawn.key, node);
    else loose.push(node);
  }
  let next = 0;
  const nodes = wanted.map((item) => {
    const found = item.key != null ? keyed.get(item.key) : loose[next++];
    if (found?.drawn?.tag !== item.tag) return create(item);
    keyed.delete(item.key);
    return update(found, item);
  });
  // What goes is taken out first: then what stays need not be moved, which would cost it its focus.
  const staying = new Set(nodes);
  for (const node of [...parent.childNodes]) if (!staying.has(node)) node.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

function create(item) {
  if (item.tag === "#text") {
    const node = document.createTextNode(item.text);
    node.drawn = item;
    return node;
  }
  const node = SVG.has(item.tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", item.tag)
    : document.createElement(item.tag);
  node.drawn = { props: {}, children: [], tag: item.tag };
  return update(node, item);
}

function update(node, item) {
  if (item.tag === "#text") {
    if (node.drawn.text !== item.text) node.data = item.text;
  } else {
    const before = node.drawn.props;
    for (const name in before) if (!(name in item.props)) set(node, name, null, before[name]);
    for (const name in item.props) {
      if (before[name] !== item.props[name]) set(node, name, item.props[name], before[name]);
    }
    drawChildren(node, item.children);
    // A select's value holds only once its options are there.
    if (item.tag === "select" && before.value !== item.props.value) node.value = item.props.value;
  }
  node.drawn = item;
  return node;
}

function set(node, name, value, before) {
  if (name === "key") return;
  if (name.startsWith("on")) {
    if (before == null) node.addEventListener(name.slice(2), (event) => node.drawn.props[name]?.(event));
  } else if (name === "value" && node.tagName === "OPTION") {
    // Unlike its property this holds before the option has its text.
    node.setAttribute(name, value);
  } else if (name === "value" || name === "checked" || name === "disabled" || name === "open") {
    if (node[name] !== value) node[name] = value ?? (name === "value" ? "" : false);
  } else if (name === "style") {
    for (const property in value) node.style.setProperty(property, value[property]);
  } else if (value == null || value === false) {
    node.removeAttribute(name);
  } else if (name === "href" && !/^#/.test(value)) {
    throw new Error("links stay on the page");
  } else {
    node.setAttribute(name, value === true ? "" : value);
  }
}
