/** The page: pictures in, answers beside them. */

import { model, predict, Problem, useToken } from "./api.js";
import { card } from "./card.js";
import { $, fill } from "./dom.js";
import * as picture from "./picture.js";
import * as table from "./table.js";
import { decisionWords, megabytes, percent, problemWords, where } from "./words.js";

const AT_A_TIME = 4;
const SHOWN = ["explain", "masks"]; // what is asked for of a picture that is looked at
const PAUSE = 5; // seconds until a service that was not there is looked for again

let about = null;
let items = [];
let selected = null;
let asking = 0;
let news = []; // judged since the last announcement
let queue = [];
let stop = new AbortController();

function refresh(item) {
  if (item === selected) picture.show(item);
  if (items.length > 1) {
    for (const one of items) if (one === item || !one.row) table.update(one, selected, select);
    $("count").textContent = table.summary(items);
  }
  $("several").hidden = items.length < 2;
}

function sentence({ file, answer, problem }) {
  if (problem) return `${file.name}: ${problemWords(problem.code)}`;
  const place = answer.decision === "roadwork" ? `, strongest ${where(answer.box)}` : "";
  return `${file.name}: ${decisionWords(answer.decision)}, ${percent(answer.probability)}${place}.`;
}

function announce() {
  if (asking || queue.length || !news.length) return;
  $("said").textContent = news.length === 1 ? sentence(news[0]) : `${table.summary(items)}.`;
  news = [];
}

async function judge(item) {
  const { signal } = stop;
  const begin = performance.now();
  const shown = item === selected;
  const options = Object.fromEntries(SHOWN.map((name) => [name, shown && about.options.includes(name)]));
  if (Object.keys(item.metadata).length) options.metadata = JSON.stringify(item.metadata);
  const most = about.limits.body_bytes;
  item.problem = null;
  item.note = "Looking …";
  refresh(item);
  try {
    if (item.file.size > most) {
      const detail = `It has ${megabytes(item.file.size)}, ${megabytes(most)} are taken: send a smaller one.`;
      throw new Problem("body-too-large", detail);
    }
    item.answer = await predict(item.file, options, signal, (problem, seconds) => {
      item.note = `${problemWords(problem.code)} Asking again in ${seconds} s.`;
      refresh(item);
      if (item === selected) $("said").textContent = item.note;
    });
    item.milliseconds = performance.now() - begin;
  } catch (problem) {
    if (signal.aborted) return;
    item.answer = null;
    item.problem = problem instanceof Problem ? problem : new Problem("unreadable", String(problem));
    if (problem.code === "unauthorised") askForToken();
  }
  if (signal.aborted) return;
  item.note = null;
  news.push(item);
  refresh(item);
  if (!options.explain) explain(item);
}

/** Ask for the evidence of a picture that is looked at, where it was judged without. */
function explain(item) {
  const missing = item.answer && !item.answer.explanation && !item.note;
  if (missing && item === selected && about.options.includes("explain")) enqueue(item);
}

async function pump() {
  if (about === null || asking >= AT_A_TIME || !queue.length) return;
  asking += 1;
  const { signal } = stop;
  const following = judge(queue.shift());
  pump();
  await following;
  if (signal.aborted) return; // counted anew
  asking -= 1;
  announce();
  pump();
}

function enqueue(item) {
  item.note = "Waiting …";
  queue.push(item);
  refresh(item);
  pump();
}

function metadata() {
  const found = {};
  if (!about?.takes_metadata) return found;
  for (const { name, value } of $("metadata-fields").querySelectorAll("input")) {
    const text = value.trim();
    const number = Number(text.replace(",", "."));
    if (text) found[name] = name.endsWith("itude") && !Number.isNaN(number) ? number : text;
  }
  return found;
}

function add(files) {
  const added = [...files].map((file) => ({
    file,
    address: URL.createObjectURL(file),
    metadata: metadata(),
    answer: null,
    problem: null,
    note: "Waiting …",
  }));
  if (!added.length) return;
  items.push(...added);
  choose(added[0]);
  added.forEach(enqueue);
  if (matchMedia("(max-width: 50rem)").matches) $("result").scrollIntoView();
}

function choose(item) {
  const before = selected;
  selected = item;
  picture.show(item);
  if (before?.row) table.update(before, selected, select);
  if (item?.row) table.update(item, selected, select);
}

function select(item) {
  choose(item);
  $("result-title").focus();
  explain(item);
}

function clear() {
  stop.abort();
  stop = new AbortController();
  for (const { address } of items) URL.revokeObjectURL(address);
  [items, queue, news, asking] = [[], [], [], 0];
  $("rows").replaceChildren();
  choose(null);
  $("several").hidden = true;
  $("said").textContent = "All pictures are gone from this page.";
  $("files").focus();
}

function download() {
  const address = URL.createObjectURL(new Blob(["\ufeff", table.csv(items)], { type: "text/csv" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: "workzone.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function askForToken() {
  if (!$("token-form").hidden) return;
  $("token-form").hidden = false;
  $("token").focus();
}

function showModel() {
  const { limits, takes_metadata: takes } = about;
  $("state").textContent = `Model ${about.model}, workzone ${about.version}`;
  $("limits").textContent = `JPEG, PNG, WebP or BMP, at most ${megabytes(limits.body_bytes)} and ${limits.pixels / 1e6} megapixels each.`;
  $("metadata-fields").disabled = !takes;
  $("metadata-note").textContent = takes
    ? "Goes with the pictures that are chosen next. Leave empty what you do not know."
    : "This model looks at the picture alone: what is known of it would change nothing.";
  fill($("about-facts"), [
    ["Model", `${about.model} (${about.identity})`],
    ["Version", `workzone ${about.version}`],
    ["Computed by", `${about.engine}, ${about.precision}, on ${about.device}`],
    ["Backbone", about.backbone],
    ["Licence", about.backbone_licence],
  ]);
  $("card").replaceChildren(...card(about.card));
  $("about").hidden = false;
}

async function load() {
  try {
    about = await model(() => {
      $("state").textContent = "The service is loading its model …";
    });
  } catch (problem) {
    $("state").textContent = problemWords(problem.code);
    if (problem.code === "unauthorised") askForToken();
    else setTimeout(load, 1000 * PAUSE);
    return;
  }
  showModel();
  pump();
}

picture.prepare(() => enqueue(selected));
$("files").addEventListener("change", ({ target }) => {
  add(target.files);
  target.value = ""; // the same file may be chosen again
});
$("examples").addEventListener("click", async ({ target }) => {
  const name = target.closest("button")?.dataset.example;
  if (!name) return;
  try {
    const response = await fetch(`page/examples/${name}`);
    add([new File([await response.blob()], name, { type: "image/jpeg" })]);
  } catch {
    $("state").textContent = problemWords("unreachable");
  }
});
document.addEventListener("paste", (event) => {
  const { files } = event.clipboardData;
  if (!files.length) return;
  event.preventDefault();
  add(files);
});
document.addEventListener("dragstart", (event) => {
  if (event.target.tagName === "IMG") event.preventDefault(); // it is here already
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
$("download").addEventListener("click", download);
$("clear").addEventListener("click", clear);
$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  useToken($("token").value);
  $("token").value = "";
  $("token-form").hidden = true;
  await load();
  items.filter(({ problem }) => problem?.code === "unauthorised").forEach(enqueue);
});
load();
