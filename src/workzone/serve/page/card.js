/** The model card's Markdown as elements: headings, paragraphs, lists, tables, code, links. */

import { make } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*(.+?)\*\*|\*(.+?)\*|\[([^\]]*)\]\(([^)\s]*)\)/g;

/** Text with code, bold, emphasis and links; those that lead into a repository stay text. */
function inline(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [, code, bold, emphasis, label, address] = match;
    if (code) parts.push(make("code", {}, code));
    else if (bold) parts.push(make("strong", {}, ...inline(bold)));
    else if (emphasis) parts.push(make("em", {}, ...inline(emphasis)));
    else if (/^https?:/.test(address)) parts.push(make("a", { href: address, rel: "noreferrer" }, label));
    else parts.push(...inline(label));
  }
  return [...parts, text.slice(end)];
}

function table(lines) {
  const rows = lines.map((line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim()));
  const cells = (row, tag) =>
    make("tr", {}, ...row.map((cell) => make(cell ? tag : "td", {}, ...inline(cell))));
  const head = make("thead", {}, cells(rows[0], "th"));
  const body = make("tbody", {}, ...rows.slice(2).map((row) => cells(row, "td")));
  const scroll = make("div", { className: "scroll", tabIndex: 0, role: "group" }, make("table", {}, head, body));
  scroll.ariaLabel = `Table: ${rows[0].filter(Boolean).join(", ")}`;
  return scroll;
}

function block(lines) {
  if (lines[0].startsWith("|")) return table(lines);
  if (lines[0].startsWith("- ")) {
    const items = lines.join("\n").slice(2).split("\n- ");
    return make("ul", {}, ...items.map((item) => make("li", {}, ...inline(item.replace(/\s+/g, " ")))));
  }
  const heading = lines[0].match(/^(#+) (.*)/);
  if (heading) return make(heading[1].length === 1 ? "h3" : "h4", {}, ...inline(heading[2]));
  return make("p", {}, ...inline(lines.join(" ")));
}

/** Elements of a card. */
export function card(markdown) {
  const found = [];
  for (const [number, part] of markdown.split(/^```.*\n/m).entries()) {
    if (number % 2) {
      found.push(make("pre", { tabIndex: 0 }, make("code", {}, part.trimEnd())));
      continue;
    }
    const blocks = part.split(/\n{2,}/).map((text) => text.trim()).filter(Boolean);
    found.push(...blocks.map((text) => block(text.split("\n"))));
  }
  return found;
}
