// The pages of the document in small: which are chosen, and what became of each.

import { say } from "./words.js";

const STATES = { idle: "not read", waiting: "waiting", reading: "being read", done: "done", failed: "failed" };

/** Draw one page's entry anew, or for the first time. */
export function drawThumb(list, page, { selected, chosen, pick, toggle }) {
  let item = list.querySelector(`[data-page="${page.index}"]`);
  if (!item) {
    item = document.createElement("li");
    item.dataset.page = page.index;
    const button = document.createElement("button");
    button.type = "button";
    const picture = document.createElement("img");
    picture.alt = "";
    picture.loading = "lazy";
    const bar = document.createElement("span");
    bar.className = "ds-thumb-bar";
    button.append(picture, bar);
    button.addEventListener("click", () => pick(page));
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => toggle(page, box.checked));
    const number = document.createElement("span");
    number.textContent = page.index + 1;
    label.append(box, number);
    item.append(button, label);
    list.append(item);
  }
  const [button, label] = item.children;
  if (page.image && button.firstChild.getAttribute("src") !== page.image) button.firstChild.src = page.image;
  button.setAttribute("aria-label", say("Page {0}, {1}", page.index + 1, say(STATES[page.status])));
  button.setAttribute("aria-current", selected ? "page" : "false");
  button.style.setProperty("--ds-part", page.part);
  item.dataset.state = page.error ? "failed" : page.status;
  label.firstChild.checked = chosen;
  label.firstChild.setAttribute("aria-label", say("read page {0}", page.index + 1));
}

/** Let the arrow keys move along the pages. */
export function walk(list) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
    const next = step && event.target.closest("li")?.[step]?.querySelector("button");
    if (!next || event.target.localName !== "button") return;
    event.preventDefault();
    next.focus();
    next.click();
  });
}
