/** One picture and what was said of it. */

import { $, fill } from "./dom.js";
import { counts, draw } from "./objects.js";
import { decisionWords, megabytes, milliseconds, percent, problemWords, where } from "./words.js";

const LOOKED_AT = { image: "the picture alone", "image+metadata": "the picture and what is known of it" };

function blend() {
  const opacity = Number($("opacity").value);
  $("opacity-value").value = `${opacity} %`;
  $("layer").style.opacity = opacity / 100;
  $("place").toggleAttribute("hidden", !$("show-place").checked);
  $("outlines").toggleAttribute("hidden", !$("show-outlines").checked);
}

/** Have the slider and the box work; to be called once. */
export function prepare(onAgain) {
  $("opacity").addEventListener("input", blend);
  $("show-place").addEventListener("change", blend);
  $("show-outlines").addEventListener("change", blend);
  $("again").addEventListener("click", onAgain);
  const stack = $("stack");
  $("picture").addEventListener("error", () => stack.toggleAttribute("hidden", true));
  $("picture").addEventListener("load", () => stack.toggleAttribute("hidden", false));
}

function showEvidence(answer) {
  const layer = answer?.explanation?.layer;
  $("layer").hidden = !layer;
  if (layer) $("layer").src = `data:${layer.media_type};base64,${layer.data}`;
  else $("layer").removeAttribute("src");
  $("controls").hidden = !layer;
  draw(answer?.objects);
  $("outlines-control").hidden = $("legend").hidden = !answer?.objects?.length;
  for (const rectangle of $("place").children) {
    const [x0, y0, x1, y1] = answer?.box ?? [0, 0, 0, 0];
    const sides = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    for (const [name, value] of Object.entries(sides)) rectangle.setAttribute(name, value);
  }
  blend();
  if (!layer) $("place").toggleAttribute("hidden", true);
}

function showVerdict(item) {
  const { answer } = item;
  const meter = $("meter");
  $("decision").textContent = `${decisionWords(answer.decision)}, ${percent(answer.probability)}`;
  $("verdict").dataset.decision = answer.decision;
  meter.ariaValueNow = answer.probability;
  meter.ariaValueText = percent(answer.probability);
  meter.firstElementChild.style.width = `${100 * answer.probability}%`;
  const { queue, total } = answer.milliseconds;
  const time = `${milliseconds(total)} in the service, ${milliseconds(queue)} of it waiting; ${milliseconds(item.milliseconds)} in all`;
  fill($("facts"), [
    ["Strongest place", where(answer.box)],
    ["Objects", counts(answer.objects)],
    ["Looked at", LOOKED_AT[answer.inputs]],
    ["Time taken", time],
    ["File", `${item.file.name}, ${megabytes(item.file.size)}`],
    ["Model", answer.model],
    ["Version", `workzone ${answer.version}`],
  ]);
}

/** Show an item; null: nothing. */
export function show(item) {
  $("result").hidden = item === null;
  if (item === null) return;
  const { answer, problem, note, file, address } = item;
  $("result-title").textContent = file.name;
  if ($("picture").getAttribute("src") !== address) {
    $("picture").src = address;
    $("picture").alt = `The picture ${file.name}`;
  }
  $("wait").hidden = !note;
  $("wait").textContent = note ?? "";
  $("problem").hidden = !problem;
  if (problem) {
    $("problem-words").textContent = problemWords(problem.code);
    $("problem-detail").textContent = problem.message;
  }
  showEvidence(answer);
  $("verdict").hidden = !answer;
  if (answer) showVerdict(item);
}
