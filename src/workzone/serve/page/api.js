/** What is asked of the service; addresses are relative to the page. */

/** Codes after which the same request may succeed: those of the service that say Retry-After. */
const RETRYABLE = new Set(["overloaded", "draining", "not-ready", "deadline", "worker-died"]);
const ATTEMPTS = 5;
const LONGEST_PAUSE = 30; // seconds

/** Why there is no answer. */
export class Problem extends Error {
  constructor(code, detail = "", pause = 2) {
    super(detail);
    this.code = code;
    this.pause = pause; // seconds until it is worth asking again
  }
}

let token = "";

export function useToken(value) {
  token = value.trim();
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable");
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreadable", `status ${response.status}`);
  }
  if (response.ok) return body;
  const pause = Number(response.headers.get("Retry-After") ?? NaN); // of a date: NaN
  const detail = body.detail ?? `status ${response.status}`;
  throw new Problem(body.code ?? "unreadable", detail, Number.isNaN(pause) ? undefined : pause);
}

/** The answer of something that may have to be asked again; `onWait(problem, seconds)` is told. */
async function patiently(request, signal, onWait) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await request();
    } catch (problem) {
      if (!RETRYABLE.has(problem.code) || attempt === ATTEMPTS) throw problem;
      const seconds = Math.min(LONGEST_PAUSE, problem.pause);
      onWait(problem, seconds);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      signal.throwIfAborted();
    }
  }
}

/** What the service says of its model; it is asked until it has one. */
export async function model(onWait) {
  for (;;) {
    try {
      return await ask("v1/model");
    } catch (problem) {
      if (problem.code !== "not-ready") throw problem;
      onWait();
      await new Promise((resolve) => setTimeout(resolve, 1000 * problem.pause));
    }
  }
}

/** The answer for one file, with `options` (explain, metadata). */
export async function predict(file, options, signal, onWait) {
  let data;
  try {
    data = await file.arrayBuffer(); // a folder, or a file that is gone, shows itself here
  } catch {
    throw new Problem("unreadable-file");
  }
  const form = () => {
    const body = new FormData();
    body.append("image", new Blob([data]), file.name);
    for (const [name, value] of Object.entries(options)) body.append(name, value);
    return body;
  };
  const request = () => ask("v1/predict", { method: "POST", body: form(), signal });
  return patiently(request, signal, onWait);
}
