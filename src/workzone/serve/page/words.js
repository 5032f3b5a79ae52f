/** Numbers, decisions and problems in words. */

const DECISIONS = { roadwork: "Road work", none: "No road work", unsure: "Unsure" };

const PROBLEMS = {
  unreachable: "The service cannot be reached. Does it run, and is the connection up?",
  unreadable: "What came back is no answer of this service. Is there a proxy in between?",
  "unreadable-file": "This file cannot be read. Folders cannot be dropped: choose the pictures in it.",
  unauthorised: "The service needs a token, or another than this.",
  overloaded: "The service is busy.",
  draining: "The service is about to stop.",
  "not-ready": "The service is still loading its model.",
  deadline: "The service took too long.",
  "worker-died": "The process that judged this picture ended; it is being replaced.",
  "slow-body": "The picture took too long to arrive.",
  "body-too-large": "The file is too large.",
  "too-many-pixels": "The picture has too many pixels.",
  "unsupported-format": "This is no picture that the service takes: send JPEG, PNG, WebP or BMP.",
  "image-unusable": "This picture cannot be used.",
  metadata: "What is known of the picture cannot be used.",
  internal: "The service made a mistake.",
  "model-failed": "The model failed on this picture.",
};

export function decisionWords(decision) {
  return DECISIONS[decision] ?? decision;
}

export function problemWords(code) {
  return PROBLEMS[code] ?? "The service refused this picture.";
}

/** A probability as per cent; it never reads as certain, nor as the other decision. */
export function percent(probability) {
  if (probability < 0.001) return "below 0.1\u00a0%";
  if (probability > 0.999) return "above 99.9\u00a0%";
  const text = (100 * probability).toFixed(1);
  return probability > 0.5 && Number(text) === 50 ? "just above 50\u00a0%" : `${text}\u00a0%`;
}

export function milliseconds(value) {
  return value < 1000 ? `${Math.round(value)}\u00a0ms` : `${(value / 1000).toFixed(1)}\u00a0s`;
}

export function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)}\u00a0KB` : `${+(bytes / 1e6).toFixed(1)}\u00a0MB`;
}

/** Where a box (x0, y0, x1, y1 in fractions of the picture) lies, as "at the top left". */
export function where([x0, y0, x1, y1]) {
  const third = (start, end, names) =>
    end - start >= 0.9 ? "" : names[Math.min(2, Math.floor(((start + end) / 2) * 3))];
  const across = third(x0, x1, ["left", "middle", "right"]);
  const down = third(y0, y1, ["top", "middle", "bottom"]);
  if (!across && !down) return "in the whole picture";
  if (!across) return down === "middle" ? "across the middle" : `along the ${down}`;
  if (!down) return across === "middle" ? "in the middle" : `along the ${across}`;
  if (across === "middle" && down === "middle") return "in the centre";
  if (down === "middle") return `on the ${across}`;
  return across === "middle" ? `at the ${down}` : `at the ${down} ${across}`;
}
