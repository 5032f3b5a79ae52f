/** One event: what is known of it, its pictures, and what became of it. */

import { $, fill, make } from "./dom.js";
import { compares, eventOf, historyOf, isNewest, pictures, stateOn } from "./data.js";
import { factsOf, workItem } from "./finding.js";
import { draw } from "./objects.js";
import { swatch } from "./swatch.js";
import {
  changeWords,
  headingWords,
  metreWords,
  stateWords,
  sureWords,
  timeWords,
  titleWords,
} from "./words.js";

let album = []; // names of the pictures of the event that is shown
let page = 0;

function showPicture() {
  const name = album[page];
  const { address, objects } = pictures[name];
  $("picture").src = address;
  $("picture").alt = `Frame ${name}`;
  $("picture-name").textContent = album.length > 1 ? `${name} (${page + 1} of ${album.length})` : name;
  draw(objects);
  $("legend").hidden = !objects.length;
  $("before").hidden = $("after").hidden = album.length < 2;
  $("before").disabled = page === 0;
  $("after").disabled = page === album.length - 1;
}

function showPictures(event) {
  album = event.images.filter((name) => Object.hasOwn(pictures, name));
  page = 0;
  $("pictures").hidden = !album.length;
  if (album.length) showPicture();
}

function change({ time, what, other }) {
  const when = make("time", { dateTime: new Date(1000 * time).toISOString() }, timeWords(time));
  const item = make("li", {}, make("span", { className: "quiet" }, when), ` ${changeWords(what)}`);
  if (other === null) return item;
  if (!eventOf(other)) item.append(` ${other}`);
  else {
    const button = make("button", { type: "button" }, other);
    button.dataset.event = other;
    item.append(" ", button);
  }
  return item;
}

function showFinding(event) {
  $("event-title").textContent = titleWords(event);
  $("event-state").replaceChildren(swatch(event.state), stateWords(event.state));
  fill($("facts"), factsOf(event));
  $("history-title").hidden = !event.works.length;
  $("history-title").textContent = event.now ? "Permitted by" : "Permitted";
  $("history").replaceChildren(...event.works.map(workItem));
}

/** Show an event as it was on a day. */
export function showEvent(event, day) {
  if (compares) {
    showFinding(event);
    return;
  }
  const state = stateOn(event, day);
  const sure = isNewest(day) && state !== "gone" ? `, ${sureWords(event.confidence)} sure` : "";
  $("event-title").textContent = titleWords(event);
  $("event-state").replaceChildren(
    ...(state ? [swatch(state), `${stateWords(state)}${sure}`] : ["Not yet seen on this day"]),
  );
  const hidden = event.images.filter((name) => !Object.hasOwn(pictures, name));
  fill($("facts"), [
    ["Event", event.road ? event.id : ""],
    ["First seen", timeWords(event.first_seen)],
    ["Last seen", timeWords(event.last_seen)],
    ["Last passed", timeWords(event.last_passed)],
    ["Gone since", event.gone_since && timeWords(event.gone_since)],
    ["Drives", `${event.sightings} of ${event.passes} that passed saw it`],
    ["Length", metreWords(event.length_m, event.error_m)],
    ["Travel towards", headingWords(event.heading)],
    ["Begins at", `${event.place[1].toFixed(5)}, ${event.place[0].toFixed(5)} (latitude, longitude)`],
    ["Objects", event.classes.join(", ")],
    [album.length ? "Other frames" : "Frames that show it", hidden.join(", ")],
  ]);
  const changes = historyOf(event);
  $("history-title").hidden = !changes.length;
  $("history").replaceChildren(...changes.map(change));
}

/** Open an event anew: its first picture is shown. */
export function openEvent(event, day) {
  if (!compares) showPictures(event);
  showEvent(event, day);
}

/** Have pictures be turned, and events that are named in a history be opened. */
export function prepareDetail(onOpen) {
  for (const [id, step] of [["before", -1], ["after", 1]]) {
    $(id).addEventListener("click", () => {
      page += step;
      showPicture();
    });
  }
  $("history").addEventListener("click", ({ target }) => {
    if (target.dataset.event) onOpen(target.dataset.event);
  });
}
