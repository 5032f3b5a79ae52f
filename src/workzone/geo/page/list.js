/** The events in view as a list that arrow keys go through. */

import { compares, states } from "./data.js";
import { $, make } from "./dom.js";
import { besideWords } from "./finding.js";
import { countWords, dateWords, stateWords, sureWords, titleWords } from "./words.js";
import { swatch } from "./swatch.js";

const MOST = 100;
let current = null; // the id of the one that Tab leads to

function words({ event, state }, newestDay) {
  if (compares) return `${stateWords(state)}, ${besideWords(event)}`;
  const sure = newestDay && state !== "gone" ? `, ${sureWords(event.confidence)}` : "";
  const until = state === "gone" && event.gone_since ? ` until ${dateWords(event.gone_since)}` : "";
  return `${stateWords(state)}${sure}, since ${dateWords(event.first_seen)}${until}`;
}

function entry(one, newestDay) {
  const { event, state } = one;
  const text = make(
    "span",
    {},
    make("strong", {}, titleWords(event)),
    make("span", { className: "quiet" }, words(one, newestDay)),
  );
  const button = make("button", { type: "button", tabIndex: -1 }, swatch(state), text);
  button.dataset.event = event.id;
  return make("li", {}, button);
}

/** Show them, the surest first, findings as they came; each is an event with its state. */
export function showList(found, newestDay) {
  const surer = (a, b) => b.event.confidence - a.event.confidence || (a.event.id < b.event.id ? -1 : 1);
  const ranked = compares
    ? found
    : found.toSorted((a, b) => states.indexOf(a.state) - states.indexOf(b.state) || surer(a, b));
  const focused = $("list").contains(document.activeElement);
  $("list").replaceChildren(...ranked.slice(0, MOST).map((one) => entry(one, newestDay)));
  $("list").hidden = !found.length;
  const left = found.length - MOST;
  $("more").textContent = left > 0 ? `And ${countWords(left, "other")}: zoom in to see them here.` : "";
  const button = buttonOf(current) ?? $("list").querySelector("button");
  if (button) button.tabIndex = 0;
  if (button && focused) button.focus();
}

function buttonOf(id) {
  return [...$("list").querySelectorAll("button")].find((one) => one.dataset.event === id);
}

function settle(button, { focus }) {
  for (const one of $("list").querySelectorAll("button")) one.tabIndex = one === button ? 0 : -1;
  current = button.dataset.event;
  if (focus) button.focus();
}

/** Lead the keyboard to an event in the list, or to its first. */
export function focusOn(id) {
  const button = buttonOf(id) ?? $("list").querySelector("button");
  if (button) settle(button, { focus: true });
}

/** Have arrow keys, Home and End go through the list, and tell which is opened. */
export function prepareList(onOpen) {
  $("list").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    settle(button, { focus: false });
    onOpen(button.dataset.event);
  });
  $("list").addEventListener("keydown", (pressed) => {
    const buttons = [...$("list").querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[pressed.key];
    if (to === undefined || at < 0) return;
    pressed.preventDefault();
    settle(buttons[Math.max(0, Math.min(buttons.length - 1, to))], { focus: true });
  });
}
