/** Small pictures that the map puts on its lines. */

const SHARP = 2; // pixels of a picture for one of the screen

function drawn(width, height, paint) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  paint(context);
  return [context.getImageData(0, 0, width, height), { pixelRatio: SHARP }];
}

/** A chevron that points along a line. */
export function arrow() {
  return drawn(24, 24, (context) => {
    context.lineJoin = context.lineCap = "round";
    for (const [colour, wide] of [["#000000", 9], ["#ffffff", 5]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.stroke(new Path2D("M8 5L16 12L8 19"));
    }
  });
}
