/** A state or verdict as a bit of line, drawn as on the map: by colour, and by dashes without it. */

/** Of each its dashes, in widths of the line, its width, and its dot further out. */
export const LOOKS = {
  present: { dashes: [], width: 6, full: true, radius: 6, ring: 2 },
  suspected: { dashes: [2, 1], width: 6, full: false, radius: 6, ring: 3 },
  gone: { dashes: [1, 1], width: 4, full: false, radius: 4, ring: 2 },
  over_end_date: { dashes: [], width: 6, full: true, radius: 7, ring: 2 },
  seen_not_permitted: { dashes: [2, 1], width: 6, full: false, radius: 6, ring: 4 },
  permitted_not_seen: { dashes: [1, 1], width: 5, full: false, radius: 5, ring: 2 },
  permitted_and_seen: { dashes: [3, 0.7, 0.7, 0.7], width: 5, full: true, radius: 4, ring: 1 },
};

export function swatch(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 32 16");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", "M1 8H31");
  const { dashes, width } = LOOKS[state];
  line.style.stroke = `var(--${state})`;
  line.setAttribute("stroke-width", width);
  line.setAttribute("stroke-dasharray", dashes.map((part) => part * width).join(" "));
  svg.append(line);
  return svg;
}
