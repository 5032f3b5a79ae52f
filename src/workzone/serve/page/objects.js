/** The objects that a model with masks found: outlines over the picture, and how many of each class. */

import { $, make } from "./dom.js";

/** Of Okabe & Ito (2008): told apart with any colour vision. */
const COLOURS = {
  cone: "#e69f00",
  barrier: "#d55e00",
  sign: "#f0e442",
  worker: "#56b4e9",
  vehicle: "#009e73",
  equipment: "#cc79a7",
};

function outline({ name, rings }, colour, className) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", rings.map((ring) => `M${ring.map((corner) => corner.join(" ")).join("L")}Z`).join(""));
  path.setAttribute("class", className);
  path.setAttribute("stroke", colour ?? COLOURS[name] ?? "#ffffff");
  return path;
}

/** In words, as "cone 4, sign 1"; empty: nothing was looked for. */
export function counts(objects) {
  if (!objects) return "";
  const names = [...new Set(objects.map(({ name }) => name))];
  const number = (name) => objects.filter((one) => one.name === name).length;
  return names.map((name) => `${name} ${number(name)}`).join(", ") || "none";
}

/** Draw the outlines and their legend; null: the model has no masks, or was not asked for them. */
export function draw(objects) {
  const found = objects ?? [];
  const under = found.map((one) => outline(one, "#000000", "under"));
  $("outlines").replaceChildren(...under, ...found.map((one) => outline(one, null, "")));
  const names = [...new Set(found.map(({ name }) => name))];
  const entries = names.map((name) => {
    const mark = make("span", { className: "mark" });
    mark.style.background = COLOURS[name] ?? "#ffffff";
    return make("li", {}, mark, name);
  });
  $("legend").replaceChildren(...entries);
}
