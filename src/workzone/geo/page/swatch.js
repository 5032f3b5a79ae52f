/** A state as a bit of line, drawn as on the map: by colour, and by dashes without it. */

export const DASHES = { present: [], suspected: [2, 1], gone: [1, 1] }; // in widths of the line
const WIDTHS = { present: 6, suspected: 6, gone: 4 };

export function swatch(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 32 16");
  svg.setAttribute("class", `swatch ${state}`);
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", "M1 8H31");
  line.setAttribute("stroke-width", WIDTHS[state]);
  line.setAttribute("stroke-dasharray", DASHES[state].map((part) => part * WIDTHS[state]).join(" "));
  svg.append(line);
  return svg;
}
