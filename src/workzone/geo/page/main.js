/** The page: which events are shown, on which day, and which of them is open. */

import {
  attribution,
  classes,
  compares,
  dayBegin,
  dayCount,
  dayOf,
  eventOf,
  events,
  isNewest,
  newest,
  planned,
  stateOn,
  states,
} from "./data.js";
import { openEvent, prepareDetail, showEvent } from "./detail.js";
import { $, make } from "./dom.js";
import { focusOn, prepareList, showList } from "./list.js";
import { goTo, goToPlace, mark, openMap, placeOfMap, showDots, showLines, viewTest } from "./map.js";
import { copyLink, hashOf, viewOf } from "./share.js";
import { swatch } from "./swatch.js";
import { countWords, dateWords, stateWords, timeWords } from "./words.js";

const AT_FIRST = states.filter((state) => state !== "gone"); // what is shown
const UNKNOWN = "unknown"; // in place of its classes, of an event of which none are known
const OBJECTS = classes.length ? [...classes, UNKNOWN] : []; // what can be ticked
const PAST = 0.8; // as sure as that events are drawn on days of which that is not known
const GONE = 0.5; // and those that are gone
const NOBODY = 0; // and works by which nobody drove

let shown = []; // events that pass the filters, each with its state and how sure that is
let open = null;
let drawing = 0;

function day() {
  return Number($("day").value);
}

/** What is ticked within an element. */
function ticked(id) {
  return [...$(id).querySelectorAll("input:checked")].map(({ value }) => value);
}

function tick(id, wanted) {
  for (const box of $(id).querySelectorAll("input")) box.checked = wanted.has(box.value);
}

/** Events by what they were on the chosen day. */
function found() {
  const today = isNewest(day());
  const on = day();
  const surely = (event, state) => {
    if (compares) return event.passes ? PAST : NOBODY;
    return state === "gone" ? GONE : today ? event.confidence : PAST;
  };
  const there = [];
  for (const event of events) {
    const state = stateOn(event, on);
    if (state) there.push({ event, state, sure: surely(event, state) });
  }
  return there;
}

/** A test of events: whether one of its objects is ticked. */
function objectTest() {
  const wanted = new Set(ticked("objects"));
  if (wanted.size === OBJECTS.length) return () => true;
  return (event) => (event.classes.length ? event.classes : [UNKNOWN]).some((name) => wanted.has(name));
}

function filter() {
  const wanted = new Set(ticked("states"));
  const hasObjects = objectTest();
  const least = isNewest(day()) ? Number($("sure").value) / 100 : 0;
  const all = found();
  shown = all.filter(
    ({ event, state }) =>
      wanted.has(state) && (state === "gone" || event.confidence >= least) && hasObjects(event),
  );
  for (const state of states) {
    $(`count-${state}`).textContent = all.filter((one) => one.state === state).length.toLocaleString("en");
  }
}

function label() {
  const today = isNewest(day());
  $("sure-value").textContent = `${$("sure").value}\u00a0%`;
  $("sure").disabled = !today;
  $("past").hidden = today;
  const date = dateWords(dayBegin(day()));
  $("day-value").textContent = today ? `${date}, the newest` : date;
  $("day").ariaValueText = $("day-value").textContent;
}

function showView() {
  const inView = viewTest();
  const visible = shown.filter(({ event }) => inView(event));
  showLines(shown);
  showList(visible, isNewest(day()));
  const all = visible.length === shown.length ? "" : `, ${visible.length.toLocaleString("en")} in view`;
  $("count").textContent = `${countWords(shown.length, compares ? "finding" : "work zone")}${all}`;
  remember();
}

function refresh() {
  filter();
  label();
  showDots(shown);
  showView();
  if (open) showEvent(open, day());
}

/** Refresh once for all that changes before the next frame. */
function refreshSoon() {
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(refresh);
}

function remember() {
  const chosen = ticked("states");
  const objects = ticked("objects");
  const same = chosen.length === AT_FIRST.length && AT_FIRST.every((state) => chosen.includes(state));
  const hash = hashOf({
    place: placeOfMap(),
    day: isNewest(day()) ? null : dateWords(dayBegin(day())),
    shown: same ? null : chosen,
    objects: objects.length === OBJECTS.length ? null : objects,
    sure: Number($("sure").value),
    event: open?.id,
  });
  history.replaceState(null, "", hash);
}

function openById(id, { go = true } = {}) {
  open = eventOf(id);
  if (!open) return;
  openEvent(open, day());
  $("overview").hidden = true;
  $("event").hidden = false;
  mark(open);
  if (go) goTo(open);
  $("event-title").focus();
  $("panel").scrollTop = 0;
  remember();
}

function close() {
  const id = open.id;
  open = null;
  mark(null);
  $("event").hidden = true;
  $("overview").hidden = false;
  focusOn(id);
  remember();
}

/** Set the filters as a view says; gives its place and event. */
function apply(view) {
  tick("states", view.shown ?? new Set(AT_FIRST));
  tick("objects", view.objects ?? new Set(OBJECTS));
  $("sure").value = compares ? 0 : view.sure;
  $("day").value = view.day ? dayOf(view.day) : dayCount - 1;
}

function visit(view) {
  if (view.place) goToPlace(view.place);
  if (view.event && !eventOf(view.event)) {
    $("said").textContent = `There is no ${compares ? "finding" : "event"} ${view.event} on this map.`;
  } else if (view.event) openById(view.event, { go: !view.place });
  else if (open) close();
}

function prepare() {
  $("day").max = dayCount - 1;
  $("days").hidden = dayCount < 2;
  $("sureness").hidden = compares;
  for (const state of states) {
    const box = make("input", { type: "checkbox", value: state });
    const count = make("span", { id: `count-${state}`, className: "quiet" });
    $("states").append(make("label", {}, box, swatch(state), stateWords(state), " ", count));
  }
  $("objects").hidden = !OBJECTS.length;
  for (const name of OBJECTS) {
    const box = make("input", { type: "checkbox", value: name });
    $("objects").append(make("label", {}, box, name === UNKNOWN ? "not known" : name));
  }
  for (const id of ["states", "objects", "sure", "day"]) $(id).addEventListener("input", refreshSoon);
  prepareList(openById);
  prepareDetail(openById);
  $("back").addEventListener("click", close);
  $("look").addEventListener("click", () => goTo(open));
  $("share").addEventListener("click", async () => {
    $("said").textContent = await copyLink();
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && open) close();
  });
  addEventListener("hashchange", () => {
    const view = viewOf(location.hash);
    apply(view);
    refresh();
    visit(view);
  });
}

function sayWhatThisIs() {
  $("heading").textContent = $("panel").ariaLabel = "Seen against permitted";
  $("list").ariaLabel = "Findings in view, the gravest first";
  $("states-legend").textContent = "Verdict";
  if (planned) $("newest").textContent += `. ${countWords(planned, "work")} still to begin`;
}

function start() {
  $("attribution").textContent = [attribution, "Outlines: Natural Earth"].filter(Boolean).join(" · ");
  if (!events.length) {
    $("newest").textContent = compares
      ? "No work zones were seen, and no works are permitted now."
      : "There are no work zones on this map yet.";
  } else {
    $("newest").textContent = `As of ${timeWords(newest)}, when the newest frame was taken`;
    $("choose").hidden = false;
  }
  if (compares) sayWhatThisIs();
  const view = viewOf(location.hash);
  prepare();
  apply(view);
  filter();
  if (!openMap({ place: view.place, shown, onMove: showView, onOpen: openById })) {
    $("no-map").textContent = "This browser draws no map, as it has no WebGL. The list has all that is shown.";
    $("no-map").hidden = false;
    performance.mark("drawn");
  }
  label();
  showView();
  visit(view);
}

start();
