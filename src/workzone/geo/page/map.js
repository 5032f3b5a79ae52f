/** The map: it shows events, says which are in view, and tells which is clicked. */

import { partsOf, states } from "./data.js";
import { CLOSE, collection, layers, sourceOf, styleOf, world } from "./layers.js";
import { arrow } from "./pictograms.js";

const CLICKABLE = [...states, "dots", "ends"]; // layers
const REACH = 6; // pixels around a click
const AROUND = 0.5; // of the view, on each side, in which lines are drawn beforehand

let map = null;
const filled = new Set(); // names of the sources that have something in them

function point({ event, state }, place = event.place) {
  const geometry = { type: "Point", coordinates: place };
  return { type: "Feature", geometry, properties: { id: event.id, state } };
}

/** Whether it runs along travel; a work may be for both directions. */
function isDirected(event) {
  return event.directed ?? true;
}

/** Those of some parts that are lines. */
function line(one, parts = partsOf(one.event)) {
  const found = point(one);
  found.geometry = { type: "MultiLineString", coordinates: parts.filter((part) => part.length > 1) };
  Object.assign(found.properties, { sure: one.sure, directed: isDirected(one.event) });
  return found;
}

/** A full circle where travel begins or all is at one place, an open one where a line ends. */
function ends(one) {
  return partsOf(one.event).flatMap((part) => {
    const single = part.length === 1;
    const found = (single ? part : [part[0], part.at(-1)]).map((place) => point(one, place));
    found.forEach(({ properties }, i) => {
      properties.begin = i === 0 && (single || isDirected(one.event));
    });
    return found;
  });
}

function hasLines({ geometry }) {
  return geometry.coordinates.length > 0;
}

/**
 * Put the map on the page; `place` (zoom, latitude, longitude) or all of `shown` is in view.
 * Gives whether this browser can.
 */
export function openMap({ place, shown, onMove, onOpen }) {
  try {
    map = new maplibregl.Map({
      container: "map",
      style: styleOf(dotsOf(shown)),
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      maxPitch: 0,
      ...(place ? { zoom: place[0], center: [place[2], place[1]] } : viewOfAll(shown)),
    });
  } catch {
    return false; // there is no WebGL
  }
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }));
  map.addControl(new maplibregl.ScaleControl(), "bottom-left");
  map.on("styleimagemissing", ({ id }) => {
    if (id === "arrow") map.addImage(id, ...arrow());
  });
  map.on("moveend", onMove);
  map.on("click", (click) => clicked(click, onOpen));
  map.on("mousemove", ({ point: at }) => {
    map.getCanvas().style.cursor = under(at).length ? "pointer" : "";
  });
  map.on("idle", () => {
    performance.clearMarks("drawn");
    performance.mark("drawn"); // all that is in view
  });
  map.once("idle", () => {
    for (const [name, features] of Object.entries(world())) fillSource(name, features);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  return true;
}

function viewOfAll(shown) {
  if (!shown.length) return { zoom: 1, center: [10, 30] };
  const bounds = new maplibregl.LngLatBounds();
  for (const { event } of shown) bounds.extend(event.place);
  return { bounds, fitBoundsOptions: { padding: 60, maxZoom: 15 } };
}

function isOnMap({ id }) {
  return map.getLayer(id);
}

function repaint() {
  for (const { id, paint = {} } of layers().filter(isOnMap)) {
    for (const [name, value] of Object.entries(paint)) map.setPaintProperty(id, name, value);
  }
}

function under({ x, y }) {
  const box = [[x - REACH, y - REACH], [x + REACH, y + REACH]];
  const ids = CLICKABLE.filter((id) => map.getLayer(id));
  return map.isStyleLoaded() ? map.queryRenderedFeatures(box, { layers: ids }) : [];
}

async function clicked({ point: at, lngLat }, onOpen) {
  const [found] = under(at);
  if (!found) return;
  const { id, cluster_id: cluster } = found.properties;
  if (cluster === undefined) onOpen(id);
  else map.easeTo({ center: lngLat, zoom: await map.getSource("dots").getClusterExpansionZoom(cluster) });
}

/** Whether some of an event's box is in view, or `around` it. */
export function viewTest({ around = false } = {}) {
  if (!map) return () => true;
  const bounds = map.getBounds();
  let [west, south, east, north] = bounds.toArray().flat();
  if (around) {
    const [aside, above] = [AROUND * (east - west), AROUND * (north - south)];
    [west, south, east, north] = [west - aside, south - above, east + aside, north + above];
  }
  return ({ box: [left, low, right, high] }) =>
    high >= south && low <= north && [0, 360, -360].some((turn) => right + turn >= west && left + turn <= east);
}

/** Zoom, latitude and longitude; null without a map. */
export function placeOfMap() {
  if (!map) return null;
  const { lng, lat } = map.getCenter();
  return [map.getZoom(), lat, lng];
}

function dotsOf(shown) {
  return collection(shown.map((one) => point(one)));
}

/** Put features into a source, unless none are where none were: each change is drawn anew. */
function fillSource(name, features) {
  if (!features.length && !filled.has(name)) return;
  filled[features.length ? "add" : "delete"](name);
  const source = map.getSource(name);
  if (source) source.setData(collection(features));
  else addSource(name, collection(features));
}

/** Add a source with its layers, each below those that are to lie above it. */
function addSource(name, data) {
  map.addSource(name, sourceOf(name, data));
  const all = layers();
  all.forEach((layer, i) => {
    if (layer.source === name) map.addLayer(layer, all.slice(i + 1).find(isOnMap)?.id);
  });
}

/** Show these, each an event with `state` and `sure` (0..1), as dots. */
export function showDots(shown) {
  if (map) whenReady(() => map.getSource("dots").setData(dotsOf(shown)));
}

/** Show those of them as lines that are in view or near it, where it is close enough. */
export function showLines(shown) {
  if (!map) return;
  const near = viewTest({ around: true });
  const drawn = map.getZoom() < CLOSE ? [] : shown.filter(({ event }) => near(event));
  whenReady(() => {
    fillSource("lines", drawn.map((one) => line(one)).filter(hasLines));
    fillSource("ends", drawn.flatMap(ends));
  });
}

/** Mark an event, and the works that permit it; null: none. */
export function mark(event) {
  const marked = event ? [event, ...(event.now ? event.works : [])] : [];
  const found = marked.map((one) => line({ event }, partsOf(one))).filter(hasLines);
  if (map) whenReady(() => fillSource("chosen", found));
}

/** Bring all of an event into view. */
export function goTo(event) {
  if (!map) return;
  const bounds = new maplibregl.LngLatBounds();
  for (const place of partsOf(event).flat()) bounds.extend(place);
  map.fitBounds(bounds, { padding: 80, maxZoom: 16 });
}

export function goToPlace([zoom, latitude, longitude]) {
  map?.jumpTo({ zoom, center: [longitude, latitude] });
}

function whenReady(change) {
  if (map.getSource("dots")) change();
  else map.once("styledata", change);
}
