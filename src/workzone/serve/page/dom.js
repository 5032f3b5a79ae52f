/** Elements, made and found; text is only ever set as text. */

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Fill a list of terms and what is said of them; nothing is said where that is empty. */
export function fill(list, facts) {
  list.replaceChildren(
    ...facts
      .filter(([, words]) => words)
      .map(([term, words]) => make("div", {}, make("dt", {}, term), make("dd", {}, words))),
  );
}
