/** A finding of a comparison: what is known of it beside its verdict. */

import { make } from "./dom.js";
import { countWords, dateWords, sureWords, timeWords } from "./words.js";

function passWords({ passes }) {
  return passes ? `${countWords(passes, "drive")} went by` : "nobody drove by";
}

/** In short, for the list. */
export function besideWords(finding) {
  if (finding.now === null) return passWords(finding);
  if (finding.days_over !== null) return `by ${countWords(finding.days_over, "day")}`;
  const first = dateWords(finding.first_seen);
  return finding.now === "gone" ? `from ${first} to ${dateWords(finding.last_seen)}` : `since ${first}`;
}

function nowWords({ now, confidence }) {
  return now === "gone" ? "gone" : `${now}, ${sureWords(confidence)} sure`;
}

/** Terms and what is said of them; empty where that is nothing. */
export function factsOf(finding) {
  const seen = finding.now !== null;
  const [longitude, latitude] = finding.place;
  return [
    ["Over the end date by", finding.days_over === null ? "" : countWords(finding.days_over, "day")],
    ["Work zone", seen ? finding.id : ""],
    ["State", seen ? nowWords(finding) : ""],
    ["First seen", seen ? timeWords(finding.first_seen) : ""],
    ["Last seen", seen ? timeWords(finding.last_seen) : ""],
    ["Drives", seen ? `${finding.sightings} of ${finding.passes} that passed saw it` : ""],
    ["While it was permitted", seen ? "" : passWords(finding)],
    ["Begins at", `${latitude.toFixed(5)}, ${longitude.toFixed(5)} (latitude, longitude)`],
  ];
}

function momentWords(seconds, otherwise) {
  return seconds === null ? otherwise : timeWords(seconds);
}

/** A work, which strangers name, as an entry of a list. */
export function workItem({ id, road, start, end, source }) {
  const span = `${momentWords(start, "begin not told")} to ${momentWords(end, "end not told")}`;
  const name = make("strong", {}, road ? `${id}, ${road}` : id);
  const said = [span, source].filter(Boolean).map((text) => make("span", { className: "quiet" }, text));
  return make("li", {}, name, ...said);
}
