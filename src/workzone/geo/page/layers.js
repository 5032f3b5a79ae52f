/** What the map draws, from below: the ground, streets, and events as dots, numbers and lines. */

import { $ } from "./dom.js";
import { states, streets, tiles } from "./data.js";
import { LOOKS } from "./swatch.js";
import { worldOf } from "./world.js";

/** From this zoom on, events are lines; further out they are dots, and numbers where many are near. */
export const CLOSE = 12;
const ROADS_FROM = 9; // outlines of countries are too coarse from here on

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function feature(geometry, properties = {}) {
  return { type: "Feature", geometry, properties };
}

export function collection(features) {
  return { type: "FeatureCollection", features };
}

/** Land and borders, by the names of their sources; they are slow to draw, and come after events. */
export function world() {
  const { land, borders } = worldOf(JSON.parse($("world").textContent));
  return { land: [feature(land)], borders: [feature(borders)] };
}

const SETTINGS = {
  land: { maxzoom: 7 },
  borders: { maxzoom: 7 },
  dots: { cluster: true, clusterMaxZoom: CLOSE - 1, clusterRadius: 45 },
};

/** A source of features by its name, which layers go by. */
export function sourceOf(name, data) {
  return { type: "geojson", data, ...SETTINGS[name] };
}

/** What the map starts with; all else comes when there is something to draw, as each source and layer costs time. */
export function styleOf(dots) {
  const sources = { dots: sourceOf("dots", dots) };
  if (streets.length) sources.streets = sourceOf("streets", feature({ type: "MultiLineString", coordinates: streets }));
  if (tiles) sources.tiles = { type: "raster", tiles: [tiles], tileSize: 256, maxzoom: 19 };
  return { version: 8, sources, layers: layers().filter(({ source }) => !source || source in sources) };
}

/** `low` for an event that is unlikely to be there, `high` for one that surely is. */
function bySureness(low, high) {
  return ["interpolate", ["linear"], ["get", "sure"], 0, low, 1, high];
}

function width(wider) {
  const at = (low, high) => ["+", bySureness(low, high), wider];
  return ["interpolate", ["linear"], ["zoom"], CLOSE, at(3, 6), 17, at(6, 12)];
}

function ground() {
  const fading = ["interpolate", ["linear"], ["zoom"], ROADS_FROM - 1, 1, ROADS_FROM + 1, 0];
  const sea = ["interpolate", ["linear"], ["zoom"], ROADS_FROM - 1, colour("sea"), ROADS_FROM + 1, colour("land")];
  const wide = ["interpolate", ["exponential", 1.5], ["zoom"], ROADS_FROM, 0.5, 18, 14];
  return [
    { id: "sea", type: "background", paint: { "background-color": sea } },
    { id: "land", type: "fill", source: "land", paint: { "fill-color": colour("land"), "fill-opacity": fading } },
    {
      id: "borders",
      type: "line",
      source: "borders",
      paint: { "line-color": colour("border"), "line-width": 1, "line-opacity": fading },
    },
    ...(tiles ? [{ id: "tiles", type: "raster", source: "tiles", paint: { "raster-saturation": -0.4 } }] : []),
    {
      id: "streets",
      type: "line",
      source: "streets",
      minzoom: ROADS_FROM,
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": colour("street"), "line-width": wide },
    },
  ];
}

/** What each state has, as an expression of the map; `value` gives it. */
function byState(value) {
  return ["match", ["get", "state"], ...states.slice(1).flatMap((state) => [state, value(state)]), value(states[0])];
}

function lines() {
  const line = (id, source, paint, filter) => ({
    id,
    type: "line",
    source,
    minzoom: source === "chosen" ? 0 : CLOSE,
    layout: { "line-join": "round", "line-cap": source === "chosen" ? "round" : "butt" },
    paint,
    ...(filter ? { filter: ["==", ["get", "state"], filter] } : {}),
  });
  const one = (state) =>
    line(
      state,
      "lines",
      {
        "line-color": colour(state),
        "line-width": width(0),
        "line-opacity": bySureness(0.55, 1),
        ...(LOOKS[state].dashes.length ? { "line-dasharray": LOOKS[state].dashes } : {}),
      },
      state,
    );
  return [
    line("chosen", "chosen", { "line-color": colour("accent"), "line-width": 22, "line-opacity": 0.45 }),
    line("halo", "lines", { "line-color": colour("halo"), "line-width": width(4), "line-opacity": 0.9 }),
    ...states.toReversed().map(one), // the gravest lies on top
  ];
}

function marks() {
  const own = byState(colour);
  const many = ["has", "point_count"];
  const size = ["interpolate", ["linear"], ["log10", ["get", "point_count"]], 0, 13, 4, 26];
  const dot = (several, single) => ["case", many, several, byState(single)];
  return [
    {
      id: "arrows",
      type: "symbol",
      source: "lines",
      minzoom: 14,
      filter: ["get", "directed"],
      layout: {
        "symbol-placement": "line",
        "symbol-spacing": 90,
        "icon-image": "arrow",
        "icon-allow-overlap": true,
      },
    },
    {
      id: "ends",
      type: "circle",
      source: "ends",
      minzoom: 14,
      paint: {
        "circle-radius": 6,
        "circle-color": ["case", ["get", "begin"], own, colour("halo")],
        "circle-stroke-color": ["case", ["get", "begin"], colour("halo"), own],
        "circle-stroke-width": 2.5,
      },
    },
    {
      id: "dots",
      type: "circle",
      source: "dots",
      maxzoom: 14,
      layout: { "circle-sort-key": ["to-number", many] },
      paint: {
        "circle-radius": dot(size, (state) => LOOKS[state].radius),
        "circle-color": dot(colour("cluster"), (state) => colour(LOOKS[state].full ? state : "halo")),
        "circle-stroke-color": dot(colour("halo"), (state) => colour(LOOKS[state].full ? "halo" : state)),
        "circle-stroke-width": dot(2, (state) => LOOKS[state].ring),
      },
    },
    {
      id: "counts",
      type: "symbol",
      source: "dots",
      maxzoom: CLOSE,
      filter: many,
      layout: {
        "text-field": ["to-string", ["get", "point_count_abbreviated"]],
        "text-font": ["semibold", "system-ui"], // the map reads the weight from the first name
        "text-size": 12,
        "text-allow-overlap": true,
      },
      paint: { "text-color": "#ffffff" },
    },
  ];
}

/** All layers, in the colours that the page has now. */
export function layers() {
  return [...ground(), ...lines(), ...marks()];
}
