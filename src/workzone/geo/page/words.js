/** States, verdicts, times and changes in words. */

const STATE_WORDS = {
  over_end_date: "over its end date",
  seen_not_permitted: "seen and not permitted",
  permitted_not_seen: "permitted and not seen",
  permitted_and_seen: "permitted and seen",
};

const CHANGE_WORDS = {
  suspected: "First seen, not yet sure",
  present: "Sure that it is there",
  gone: "Gone",
  moved: "An end moved",
  merged: "Merged with",
  split: "Split from",
};

export function stateWords(state) {
  return STATE_WORDS[state] ?? state;
}

export function changeWords(what) {
  return CHANGE_WORDS[what] ?? what;
}

/** How sure, as per cent; it never reads as certain. */
export function sureWords(confidence) {
  if (confidence > 0.99) return "above 99\u00a0%";
  return confidence < 0.01 ? "below 1\u00a0%" : `${Math.round(100 * confidence)}\u00a0%`;
}

/** Seconds since 1970 as "2026-06-01". */
export function dateWords(seconds) {
  return new Date(1000 * seconds).toISOString().slice(0, 10);
}

/** Seconds since 1970 as "2026-06-01 12:00 UTC". */
export function timeWords(seconds) {
  return `${dateWords(seconds)} ${new Date(1000 * seconds).toISOString().slice(11, 16)} UTC`;
}

export function metreWords(length, error) {
  return `${length.toLocaleString("en")}\u00a0m, either end ±\u00a0${error}\u00a0m`;
}

/** A heading as "82° (east)". */
export function headingWords(degrees) {
  const names = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
  return degrees === null ? "" : `${degrees}° (${names[Math.round(degrees / 45) % 8]})`;
}

export function titleWords(event) {
  return event.road ?? (event.now === null ? `Work ${event.works[0].id}` : `Work zone ${event.id}`);
}

export function countWords(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
