/** Several pictures as a table, on the page and as a file. */

import { $, make } from "./dom.js";
import { decisionWords, milliseconds, percent, problemWords } from "./words.js";

const OF_ANSWERS = [
  "probability", "decision", "view", "view_weight", "inputs", "engine", "precision", "reason", "unlike",
];
const COLUMNS = ["id", ...OF_ANSWERS, "x0", "y0", "x1", "y1", "model", "version", "error", "code"];

/** Show the row of an item, a new one at the end. */
export function update(item, selected, onSelect) {
  if (!item.row) {
    const picture = make("img", { src: item.address, alt: "", width: 64, height: 36, loading: "lazy" });
    picture.addEventListener("error", () => picture.remove());
    const button = make("button", { type: "button" }, picture, item.file.name);
    button.addEventListener("click", () => onSelect(item));
    item.button = button;
    item.row = make("tr", {}, make("th", { scope: "row" }, button), make("td"), make("td"), make("td"));
    $("rows").append(item.row);
  }
  const { answer, problem, note } = item;
  const [, decision, probability, time] = item.row.children;
  item.button.ariaCurrent = item === selected ? "true" : null;
  item.row.dataset.decision = answer?.decision ?? (problem ? "problem" : "");
  if (answer) {
    decision.textContent = decisionWords(answer.decision);
    probability.textContent = percent(answer.probability);
    time.textContent = milliseconds(answer.milliseconds.total);
  } else {
    decision.textContent = note ?? problemWords(problem.code);
  }
  decision.colSpan = answer ? 1 : 3;
  probability.hidden = time.hidden = !answer;
}

/** How many there are, and what of them is road work. */
export function summary(items) {
  const count = (wanted) => items.filter(wanted).length;
  const parts = [`${items.length} pictures`, `${count((i) => i.answer?.decision === "roadwork")} with road work`];
  const failed = count((item) => item.problem);
  const open = count((item) => item.note);
  if (failed) parts.push(`${failed} without an answer`);
  if (open) parts.push(`${open} to come`);
  return parts.join(", ");
}

/** A value for CSV; a text that a spreadsheet would take for a formula is none any more. */
function cell(value) {
  if (typeof value !== "string") return String(value ?? "");
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The table as CSV, with the columns of `workzone predict -o` and what went wrong. */
export function csv(items) {
  const rows = items.map(({ file, answer, problem }) => {
    const [x0, y0, x1, y1] = answer?.box ?? [];
    const error = problem && [problemWords(problem.code), problem.message].filter(Boolean).join(" ");
    const row = { ...answer, id: file.name, x0, y0, x1, y1, error, code: problem?.code };
    return COLUMNS.map((name) => cell(row[name])).join(",");
  });
  return [COLUMNS.join(","), ...rows, ""].join("\r\n");
}
