/** Land and borders, from the arcs of a topology whose places are steps on a grid. */

const POLAR = -85; // degrees; the ring of Antarctica runs along the pole, and not across the date line

/** A line that crosses the date line goes on beyond 180 degrees. */
function unbroken(places) {
  let turn = 0;
  return places.map(([x, y], i) => {
    const step = i ? x - places[i - 1][0] : 0;
    if (Math.abs(step) > 180 && y > POLAR) turn -= 360 * Math.sign(step);
    return [x + turn, y];
  });
}

/** The world as GeoJSON: `land` as polygons, `borders` as lines. */
export function worldOf({ scale, translate, arcs, land }) {
  const lines = arcs.map((steps) => {
    const found = [];
    let [x, y] = [0, 0];
    for (let i = 0; i < steps.length; i += 2) {
      x += steps[i];
      y += steps[i + 1];
      found.push([x * scale[0] + translate[0], y * scale[1] + translate[1]]);
    }
    return found;
  });
  // A negative number is the arc ~number, from its end; arcs of a ring share their ends.
  const arc = (number) => (number < 0 ? [...lines[~number]].reverse() : lines[number]);
  const ring = (numbers) => numbers.flatMap((number, i) => (i ? arc(number).slice(1) : arc(number)));
  return {
    land: { type: "MultiPolygon", coordinates: land.map((rings) => rings.map((numbers) => unbroken(ring(numbers)))) },
    borders: { type: "MultiLineString", coordinates: lines.map(unbroken) },
  };
}
