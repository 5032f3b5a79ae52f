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
  return { land: feature(land), borders: feature(borders) };
}

/** Where the map's data are: dots from the begin, the rest is filled later. */
export function sources(dots) {
  const none = collection([]);
  const found = {
    land: { type: "geojson", data: none, maxzoom: 7 },
    borders: { type: "geojson", data: none, maxzoom: 7 },
    streets: { type: "geojson", data: feature({ type: "MultiLineString", coordinates: streets }) },
    dots: { type: "geojson", data: dots, cluster: true, clusterMaxZoom: CLOSE - 1, clusterRadius: 45 },
    lines: { type: "geojson", data: none },
    ends: { type: "geojson", data: none },
    chosen: { type: "geojson", data: none },
  };
  if (tiles) found.tiles = { type: "raster", tiles: [tiles], tileSize: 256, maxzoom: 19 };
  return found;
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
      filter: ["!", many],
      paint: {
        "circle-radius": byState((state) => LOOKS[state].radius),
        "circle-color": byState((state) => colour(LOOKS[state].full ? state : "halo")),
        "circle-stroke-color": byState((state) => colour(LOOKS[state].full ? "halo" : state)),
        "circle-stroke-width": byState((state) => LOOKS[state].ring),
      },
    },
    {
      id: "clusters",
      type: "circle",
      source: "dots",
      maxzoom: CLOSE,
      filter: many,
      paint: {
        "circle-radius": ["interpolate", ["linear"], ["log10", ["get", "point_count"]], 0, 13, 4, 26],
        "circle-color": colour("cluster"),
        "circle-stroke-color": colour("halo"),
        "circle-stroke-width": 2,
      },
    },
    {
      id: "counts",
      type: "symbol",
      source: "dots",
      maxzoom: CLOSE,
      filter: many,
      layout: {
        "icon-image": ["concat", "count:", ["get", "point_count_abbreviated"]],
        "icon-allow-overlap": true,
      },
    },
  ];
}

/** All layers, in the colours that the page has now. */
export function layers() {
  return [...ground(), ...lines(), ...marks()];
}
