// The page's picture with its blocks, and the text beside it: pointing at one shows the other.

import { safe } from "./safe_html.js";
import { say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);

let colours = {};
export const useColours = (given) => (colours = given);

let shown = null;
let drawnBlocks = [];

const colourOf = (block) => colours[block.type] ?? "#2662c8";

/** Show a page, or what has become of it since; blocks already shown stay where they are. */
export function showPage(page) {
  if (shown !== page) {
    shown = page;
    drawnBlocks = [];
    find("ds-boxes").replaceChildren();
    find("ds-rendered").replaceChildren();
    find("ds-raw").textContent = "";
    const picture = find("ds-picture");
    if (page.image) picture.src = page.image;
    else picture.removeAttribute("src");
    picture.alt = say("Page {0}", page.index + 1);
  } else if (page.image && find("ds-picture").getAttribute("src") !== page.image) {
    find("ds-picture").src = page.image;
  }
  const { width, height } = page.dimensions ?? { width: 3, height: 4 };
  find("ds-page").style.aspectRatio = `${width} / ${height}`;
  find("ds-boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
  showBlocks(page);
  showRaw(page);
}

function showBlocks(page) {
  const same = drawnBlocks.every((block, number) => block === page.blocks[number]);
  if (!same) {
    find("ds-boxes").replaceChildren();
    find("ds-rendered").replaceChildren();
    drawnBlocks = [];
  }
  const rendered = find("ds-rendered");
  rendered.querySelector(".ds-note")?.remove();
  for (const [number, block] of page.blocks.entries()) {
    if (number < drawnBlocks.length) continue;
    if (isPlaced(block, page)) find("ds-boxes").append(boxOf(block, number, page));
    rendered.append(textOf(block, number, page));
    drawnBlocks.push(block);
  }
  const note = noteOf(page);
  if (note) {
    const line = document.createElement("p");
    line.className = `ds-note${page.error ? " ds-error" : ""}`;
    line.textContent = note;
    rendered.append(line);
  }
  showLegend(page);
}

function noteOf(page) {
  if (page.error) return page.error.message;
  if (page.status === "idle" && !page.blocks.length) return say("This page has not been read.");
  if (page.status === "done" && !page.blocks.length) return say("Nothing was found on this page.");
  return "";
}

// A block that the model gave no place comes with the whole page as its box.
function isPlaced(block, page) {
  const { width, height } = page.dimensions;
  return block.top_left_x > 0 || block.top_left_y > 0 || block.bottom_right_x < width || block.bottom_right_y < height;
}

function boxOf(block, number, page) {
  const box = document.createElementNS(SVG, "rect");
  box.setAttribute("x", block.top_left_x);
  box.setAttribute("y", block.top_left_y);
  box.setAttribute("width", block.bottom_right_x - block.top_left_x);
  box.setAttribute("height", block.bottom_right_y - block.top_left_y);
  box.setAttribute("stroke", colourOf(block));
  box.setAttribute("fill", colourOf(block));
  box.setAttribute("tabindex", "0");
  box.setAttribute("role", "button");
  box.setAttribute("aria-label", `${number + 1} ${say(block.type)}: ${block.content.slice(0, 80)}`);
  box.dataset.block = number;
  const title = document.createElementNS(SVG, "title");
  title.textContent = `${number + 1} ${block.label || block.type}`;
  box.append(title);
  return box;
}

function textOf(block, number, page) {
  const part = document.createElement("section");
  part.className = `ds-block ds-${block.type}`;
  part.style.setProperty("--ds-colour", colourOf(block));
  part.dataset.block = number;
  part.tabIndex = -1;
  const figure = page.images?.find((image) => image.id === block.image_id);
  if (figure?.image_base64?.startsWith("data:image/png;base64,")) {
    const picture = document.createElement("img");
    picture.src = figure.image_base64;
    picture.alt = say("image");
    part.append(picture);
  } else if (block.type === "image") {
    part.append(cutOf(block, page));
  }
  part.append(safe(block.html ?? ""));
  return part;
}

// While the page is being read its figures are shown from the picture beside it.
function cutOf(block, page) {
  const canvas = document.createElement("canvas");
  const { width, height } = page.dimensions;
  const picture = new Image();
  picture.onload = () => {
    const across = picture.naturalWidth / width;
    const down = picture.naturalHeight / height;
    canvas.width = Math.max(1, (block.bottom_right_x - block.top_left_x) * across);
    canvas.height = Math.max(1, (block.bottom_right_y - block.top_left_y) * down);
    canvas.getContext("2d").drawImage(
      picture, block.top_left_x * across, block.top_left_y * down, canvas.width, canvas.height,
      0, 0, canvas.width, canvas.height,
    );
  };
  if (page.image) picture.src = page.image;
  return canvas;
}

function showLegend(page) {
  const types = [...new Set(page.blocks.filter((block) => isPlaced(block, page)).map((block) => block.type))];
  find("ds-legend").replaceChildren(
    ...types.map((type) => {
      const item = document.createElement("li");
      item.style.setProperty("--ds-colour", colours[type]);
      item.textContent = say(type);
      return item;
    }),
  );
}

function showRaw(page) {
  const pane = find("ds-raw");
  const held = pane.textContent;
  if (page.raw === held) return;
  const atEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 30;
  if (page.raw.startsWith(held)) pane.append(page.raw.slice(held.length));
  else pane.textContent = page.raw;
  if (page.status === "reading" && atEnd) pane.scrollTop = pane.scrollHeight;
}

function mark(number, from) {
  for (const old of document.querySelectorAll(".ds-marked")) old.classList.remove("ds-marked");
  if (number === undefined) return;
  for (const part of document.querySelectorAll(`[data-block="${number}"]`)) {
    part.classList.add("ds-marked");
    if (from && !from.contains(part)) scrollWithin(part);
  }
}

// Only the pane scrolls, never the whole page under the reader's hand.
function scrollWithin(part) {
  const pane = part.closest(".ds-rendered");
  if (!pane) return;
  const [inner, outer] = [part.getBoundingClientRect(), pane.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    pane.scrollTop += inner.top - outer.top - 12;
  }
}

/** Let pointing, focus, clicks and arrow keys tie boxes and text together. */
export function tieTogether() {
  let held;
  for (const area of [find("ds-boxes"), find("ds-rendered")]) {
    const numberOf = (event) => event.target.closest?.("[data-block]")?.dataset.block;
    area.addEventListener("pointerover", (event) => mark(numberOf(event) ?? held, area));
    area.addEventListener("pointerleave", () => mark(held));
    area.addEventListener("focusin", (event) => mark(numberOf(event) ?? held, area));
    area.addEventListener("click", (event) => {
      const number = numberOf(event);
      held = held === number ? undefined : number;
      mark(number, area);
    });
    area.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      const block = event.target.closest?.("rect[data-block]");
      if (!step || !block) return;
      event.preventDefault();
      (step > 0 ? block.nextElementSibling : block.previousElementSibling)?.focus();
    });
  }
}
