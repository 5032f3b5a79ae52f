/** What is shown as the address after its #, so that a link leads to it. */

/** A view as text: place, day, filters, event; what is as at first is left out. */
export function hashOf({ place, day, shown, objects, sure, event }) {
  const parts = new URLSearchParams();
  if (place) parts.set("map", place.map((number) => +number.toFixed(5)).join("/"));
  if (day) parts.set("day", day);
  if (shown) parts.set("states", [...shown].join("."));
  if (objects) parts.set("objects", [...objects].join("."));
  if (sure) parts.set("sure", sure);
  if (event) parts.set("event", event);
  return `#${parts}`;
}

function namesOf(text) {
  return text === null ? null : new Set(text.split("."));
}

/** The same from an address; what makes no sense is left out. */
export function viewOf(hash) {
  const parts = new URLSearchParams(hash.slice(1));
  const place = (parts.get("map") ?? "").split("/").map(Number);
  const [zoom, latitude, longitude] = place;
  const sane = place.length === 3 && zoom >= 0 && zoom <= 24 && Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
  const sure = Number(parts.get("sure"));
  return {
    place: sane ? place : null,
    day: parts.get("day"),
    shown: namesOf(parts.get("states")),
    objects: namesOf(parts.get("objects")),
    sure: sure >= 0 && sure <= 100 ? sure : 0,
    event: parts.get("event"),
  };
}

/** Copy the address; gives words that say whether that went well. */
export async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    return "The link is copied.";
  } catch {
    return "This browser lets no page copy: take the address from its address bar.";
  }
}
