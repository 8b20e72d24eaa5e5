// The page: a document comes in, is shown, read, and taken away in other forms.

import { ask, engine, events, Trouble, useKey } from "./api.js";
import { controls, drawn, enable, group, on, show } from "./controls.js";
import { drawDownloads } from "./downloads.js";
import { showPage, tieTogether, useColours } from "./page_view.js";
import { duration, Progress } from "./progress.js";
import * as ranges from "./ranges.js";
import { drawThumb, walk } from "./thumbs.js";
import { currentLanguage, say, speak } from "./words.js";

const PICTURE_SIDE = 1400;
const find = (id) => document.getElementById(id);

let facts;
let file = null;
let pageCount = 0;
let pages = [];
let selected = null;
let picked = false;
let opening = null;
let reading = null;
let readWith = null;

// ---- the document ----

function emptyPage(index) {
  return { index, status: "idle", part: 0, raw: "", blocks: [], images: [], dimensions: null, image: "", attempt: 0 };
}

async function open(chosen) {
  stop();
  opening?.abort();
  clearTrouble();
  if (chosen.size > facts.max_bytes) {
    return trouble(new Trouble(say("The file is larger than the {0} MiB that are allowed.", Math.floor(facts.max_bytes / 2 ** 20))));
  }
  file = chosen;
  pages = [];
  selected = null;
  readWith = null;
  controls.pages = "";
  find("ds-thumbs").replaceChildren();
  find("ds-file-name").textContent = chosen.name;
  find("ds-file-name").hidden = false;
  find("ds-view").hidden = true;
  find("ds-downloads").hidden = true;
  await picture(null);
}

async function picture(wanted) {
  const aborter = (opening = new AbortController());
  useKey(controls.key);
  if (!pages.length) status(say("Opening the document …"), null);
  try {
    const response = await ask(
      "v1/pages",
      { file, pages: wanted && ranges.write(wanted, 0), dpi: controls.dpi, side: PICTURE_SIDE },
      aborter.signal,
    );
    for await (const [name, data] of events(response)) {
      if (aborter.signal.aborted) return;
      if (name === "document") {
        pageCount = data.page_count;
        for (const index of data.pages) pages[index] ??= emptyPage(index);
        find("ds-empty").hidden = true;
        find("ds-view").hidden = false;
        pick(pages[data.pages[0]], false);
      } else if (name === "page") {
        const page = pages[data.index];
        page.image = data.image ?? "";
        page.dimensions ??= data.dimensions;
        if (data.error && page.status === "idle") page.error = data.error;
        refresh(page);
      }
    }
    if (!reading) status("");
  } catch (error) {
    if (error.name === "AbortError") return;
    file = pages.length ? file : null;
    status("");
    trouble(error);
  } finally {
    showMore();
    ready();
  }
}

function showMore() {
  const missing = pageCount - pages.filter(Boolean).length;
  find("ds-more").hidden = !file || missing <= 0;
  find("ds-more").textContent = say("Show {0} more pages", Math.min(missing, 24));
}

// ---- reading ----

async function read() {
  if (reading || !file) return;
  clearTrouble();
  const chosen = ranges.parse(controls.pages);
  if (chosen === undefined) return trouble(new Trouble(say("Write pages as numbers and ranges, as in 1-3, 5.")));
  if (chosen?.some((index) => index >= pageCount)) {
    return trouble(new Trouble(say("The document has {0} pages.", pageCount)));
  }
  const mode = controls.mode;
  if (mode === "custom" && !controls.prompt) {
    return trouble(new Trouble(say("Write a prompt, or choose another way to read.")));
  }
  useKey(controls.key);
  const fields = { task: mode, prompt: mode === "custom" ? controls.prompt : "", crop: controls.crop, dpi: controls.dpi };
  const aborter = (reading = new AbortController());
  readWith = fields;
  picked = !controls.follow;
  for (const page of pages.filter(Boolean)) Object.assign(page, { ...emptyPage(page.index), image: page.image, dimensions: page.dimensions, error: undefined });
  find("ds-downloads").hidden = true;
  ready();
  let progress = null;
  let ticker = 0;
  const tick = () => {
    const { share, text } = progress.state(chosenPages());
    status(text, share);
  };
  const chosenPages = () => pages.filter((page) => page && page.status !== "idle");
  try {
    status(say("Waiting for the engine …"), null);
    const response = await ask(
      "v1/ocr",
      {
        ...fields, file, pages: chosen && ranges.write(chosen, 0), stream: true, stream_blocks: true,
        include_html: true, include_raw: true, include_image_base64: true,
      },
      aborter.signal,
    );
    for await (const [name, data] of events(response)) {
      if (name === "start") {
        progress = new Progress(data.pages.length);
        for (const index of data.pages) {
          pages[index] ??= emptyPage(index);
          pages[index].status = "waiting";
          refresh(pages[index]);
        }
        ticker = setInterval(tick, 1000);
      } else {
        take(name, data);
      }
      if (progress) tick();
    }
    const failed = chosenPages().filter((page) => page.error).length;
    const text = failed ? "Done: {0} pages in {1}, {2} could not be read" : "Done: {0} pages in {1}";
    status(say(text, progress.total, duration(progress.seconds), failed), 1);
  } catch (error) {
    const ended = chosenPages().filter((page) => page.status === "done").length;
    if (progress) status(say("Stopped: {0} of {1} pages done", ended, progress.total), ended / progress.total);
    else status("");
    if (error.name !== "AbortError") trouble(error);
    for (const page of chosenPages()) {
      if (page.status !== "done" && !page.error) page.status = "idle";
      refresh(page);
    }
  } finally {
    clearInterval(ticker);
    if (reading === aborter) reading = null;
    find("ds-downloads").hidden = !pages.some((page) => page?.status === "done");
    ready();
  }
}

/** Take one event of the stream. */
function take(name, data) {
  const page = pages[data.index];
  if (!page) return;
  if (name === "page.start") {
    const follow = !picked && selected?.status !== "reading";
    Object.assign(page, { status: "reading", dimensions: data.dimensions, rotation: data.rotation, attempt: data.attempt, raw: "", blocks: [], part: 0.01 });
    if (follow) pick(page, false);
  } else if (name === "page.delta") {
    page.raw += data.text;
  } else if (name === "page.block") {
    page.blocks = [...page.blocks, data.block];
    // Pages are read from top to bottom, columns apart: the lowest block so far says about how far it is.
    page.part = Math.min(0.97, Math.max(page.part, data.block.bottom_right_y / page.dimensions.height));
  } else if (name === "page.done") {
    Object.assign(page, { status: "done", part: 1, dimensions: data.dimensions, rotation: data.rotation ?? 0, raw: data.raw, blocks: data.blocks, images: data.images });
  } else if (name === "page.error") {
    Object.assign(page, { status: "failed", part: 1, error: data.error });
  }
  refresh(page);
}

function stop() {
  reading?.abort();
}

// ---- what is shown ----

function pick(page, byHand = true) {
  const before = selected;
  selected = page;
  if (byHand) picked = true;
  if (before && before !== page) refresh(before);
  refresh(page);
}

function refresh(page) {
  const chosen = ranges.parse(controls.pages);
  drawThumb(find("ds-thumbs"), page, { selected: page === selected, chosen: !chosen || chosen.includes(page.index), pick, toggle });
  if (page !== selected) return;
  const turned = page.rotation ? ` · ${say("Turned by {0}° to be read", page.rotation)}` : "";
  find("ds-page-title").textContent = say("Page {0} of {1}", page.index + 1, pageCount) + turned;
  showPage(page);
}

function refreshAll() {
  for (const page of pages.filter(Boolean)) refresh(page);
}

function toggle(page, on_) {
  const all = [...Array(pageCount).keys()];
  const chosen = new Set(ranges.parse(controls.pages) ?? all);
  if (on_) chosen.add(page.index);
  else chosen.delete(page.index);
  controls.pages = chosen.size === pageCount || !chosen.size ? "" : ranges.write(chosen);
  refreshAll();
}

function status(text, share = 0) {
  find("ds-progress").hidden = !text;
  find("ds-status").textContent = text;
  if (share === null) find("ds-bar").removeAttribute("value");
  else find("ds-bar").value = share;
}

function trouble(error) {
  find("ds-alert").textContent = error.message;
  find("ds-alert").hidden = false;
  if (error.code === "invalid_api_key") {
    show("key", true);
    document.querySelector("#dsocr-key input").focus();
  }
}

function clearTrouble() {
  find("ds-alert").hidden = true;
}

function ready() {
  show("prompt", controls.mode === "custom");
  show("stop", Boolean(reading));
  show("read", !reading);
  enable("read", Boolean(file) && !reading);
}

// ---- the page itself ----

async function lay() {
  const source = await (await fetch(new URL("workspace.html", import.meta.url))).text();
  const templates = new DOMParser().parseFromString(source, "text/html");
  for (const name of ["header", "source", "work"]) {
    const place = find(`dsocr-${name}`);
    place.replaceChildren(document.importNode(templates.getElementById(`t-${name}`).content, true));
  }
  for (const id of ["ds-engine", "ds-status", "ds-alert", "ds-thumbs", "ds-rendered", "ds-raw", "ds-legend", "ds-page-title", "ds-file-name", "ds-language", "ds-download-buttons", "ds-boxes", "ds-more"]) {
    find(id)?.classList.add("ds-own");
  }
}

function takeFiles() {
  const choose = (list) => list?.length && open(list[0]);
  find("ds-file").addEventListener("change", (event) => {
    choose(event.target.files);
    event.target.value = "";
  });
  find("ds-drop").addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      find("ds-file").click();
    }
  });
  find("ds-drop").tabIndex = 0;
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    find("ds-drop").classList.add("ds-over");
  });
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, () => find("ds-drop").classList.remove("ds-over"));
  }
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    choose(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => choose(event.clipboardData.files));
  for (const name of facts.examples) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", async () => {
      const blob = await (await fetch(new URL(`examples/${name}`, import.meta.url))).blob();
      await open(new File([blob], name, { type: blob.type }));
    });
    find("ds-examples").append(button);
  }
}

function choose(language) {
  speak(language);
  find("ds-language").textContent = language === "zh" ? "English" : "中文";
  find("ds-language").lang = language === "zh" ? "en" : "zh";
  drawDownloads(find("ds-download-buttons"), order, trouble);
  showEngine();
  showMore();
  refreshAll();
}

function order() {
  clearTrouble();
  useKey(controls.key);
  const done = pages.filter((page) => page?.status === "done");
  const current = done.includes(selected) ? selected : done[0];
  return { file, fields: { ...readWith, merge: controls.merge }, pages: done, current };
}

async function showEngine() {
  const found = await engine();
  find("ds-engine").textContent = found ? say("{0} engine", found.engine) : say("the engine is not ready yet");
  find("ds-engine").title = found?.model ?? "";
}

async function begin() {
  facts = await (await fetch(new URL("facts.json", import.meta.url))).json();
  await drawn();
  await lay();
  useColours(facts.colours);
  tieTogether();
  walk(find("ds-thumbs"));
  takeFiles();
  group("mode");
  show("key", facts.key_required);
  on("read", read);
  on("stop", stop);
  document.querySelector("#dsocr-mode").addEventListener("change", ready);
  document.querySelector("#dsocr-pages").addEventListener("input", () => refreshAll());
  document.addEventListener("keydown", (event) => event.key === "Escape" && stop());
  find("ds-more").addEventListener("click", () => {
    const missing = [...Array(pageCount).keys()].filter((index) => !pages[index]?.image).slice(0, 24);
    picture(missing);
  });
  find("ds-language").addEventListener("click", () => choose(currentLanguage() === "zh" ? "en" : "zh"));
  find("ds-theme").addEventListener("click", () => document.body.classList.toggle("dark"));
  choose(navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  ready();
  document.body.classList.add("ds-ready");
}

begin();
