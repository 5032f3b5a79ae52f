/** The events that came with the page, and what they were on a day; or the findings of a comparison. */

import { $ } from "./dom.js";

const given = JSON.parse($("data").textContent);
const DAY = 86_400; // seconds
const MILLIONTH = 1e-6; // degrees

/** Of the newest frame, seconds since 1970; null: there are no events. */
export const newest = given.newest;
export const { pictures, tiles, attribution, planned } = given;

/** Whether this is a page of findings: events and works by verdict, instead of events by state. */
export const compares = given.compares ?? false;

/** What an event can be, the gravest first. */
export const states = given.states;

/** Names of the objects that were seen in any of the events. */
export const classes = given.classes ?? [];

function named(columns, row) {
  const found = {};
  for (let column = 0; column < columns.length; column += 1) found[columns[column]] = row[column];
  return found;
}

const works = compares ? given.works.map((row) => named(given.work_columns, row)) : [];

/** What a finding has that an event has, and its works. */
function findingOf(event) {
  event.works = event.works.map((number) => works[number]);
  event.parts ??= event.works[0].parts;
  event.line = event.parts[0];
}

/** The box around lines of steps, without a list of their places: there may be very many. */
function boxOf(lines) {
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const steps of lines) {
    let [x, y] = [0, 0];
    for (let i = 0; i < steps.length; i += 2) {
      x += steps[i];
      y += steps[i + 1];
      if (x < west) west = x;
      if (x > east) east = x;
      if (y < south) south = y;
      if (y > north) north = y;
    }
  }
  return [west * MILLIONTH, south * MILLIONTH, east * MILLIONTH, north * MILLIONTH];
}

/** All events; `place` is where an event begins, `box` its west, south, east and north. */
export const events = given.rows.map((row) => {
  const event = named(given.columns, row);
  event.state = states[event.state];
  if (compares) findingOf(event);
  else {
    event.road = given.roads[event.road] ?? null;
    event.classes = event.classes.map((number) => classes[number]);
  }
  event.place = [event.line[0] * MILLIONTH, event.line[1] * MILLIONTH];
  event.box = boxOf(event.parts ?? [event.line]);
  return event;
});

const byId = new Map(events.map((event) => [event.id, event]));

export function eventOf(id) {
  return byId.get(id) ?? null;
}

/** Places in degrees, of steps in millionths. */
export function placesOf(steps) {
  const found = [];
  let [x, y] = [0, 0];
  for (let i = 0; i < steps.length; i += 2) {
    x += steps[i];
    y += steps[i + 1];
    found.push([x * MILLIONTH, y * MILLIONTH]);
  }
  return found;
}

/** The lines that an event is made of, as places; a work can have several, and be a single place. */
export function partsOf(event) {
  return (event.parts ?? [event.line]).map(placesOf);
}

/** Roads that were given, as lines of places. */
export const streets = given.streets.map(placesOf);

/** What became of an event, in order of time. */
export function historyOf(event) {
  return event.history.map(([time, what, other]) => ({ time, what: given.changes[what], other }));
}

const first = Math.floor(events.reduce((least, event) => Math.min(least, event.first_seen), newest ?? 0) / DAY);

/** How many days there are, the first with an event and the newest among them. */
export const dayCount = compares ? 1 : events.length ? Math.floor(newest / DAY) - first + 1 : 0;

/** The begin of a day by its number, seconds since 1970. */
export function dayBegin(day) {
  return (first + day) * DAY;
}

export function isNewest(day) {
  return day >= dayCount - 1;
}

/** The day's number of a date such as 2026-06-01; the newest where that is none of them. */
export function dayOf(date) {
  const day = Date.parse(`${date}T00:00:00Z`) / 1000 / DAY - first;
  return Number.isInteger(day) && day >= 0 && day < dayCount ? day : dayCount - 1;
}

/** What an event was at the end of a day; null: nobody had seen it. */
export function stateOn(event, day) {
  if (isNewest(day)) return event.state;
  const end = dayBegin(day + 1);
  const history = historyOf(event);
  const [begin] = history; // of what split from another, that: it was a part of it before
  if (event.first_seen >= end || (begin?.what === "split" && begin.time >= end)) return null;
  if (event.gone_since !== null && event.gone_since < end) return "gone";
  let state = "suspected";
  for (const { time, what } of history) {
    if (time < end && states.includes(what)) state = what;
  }
  return state;
}
