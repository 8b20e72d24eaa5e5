// Gradio's controls, as the page reads and sets them.

const part = (id, selector) => document.querySelector(`#dsocr-${id} ${selector}`);

export const controls = {
  get mode() {
    return part("mode", "input:checked")?.value ?? "markdown";
  },
  get prompt() {
    return part("prompt", "textarea").value.trim();
  },
  get pages() {
    return part("pages", "textarea, #dsocr-pages input").value;
  },
  set pages(text) {
    const field = part("pages", "textarea, #dsocr-pages input");
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  },
  get crop() {
    return part("crop", "input").checked;
  },
  // What is in the closed drawer may not be on the page yet: then it is as it was delivered.
  get dpi() {
    return Number(part("dpi", "input[type=number]")?.value ?? 144);
  },
  get merge() {
    return part("merge", "input")?.checked ?? false;
  },
  get follow() {
    return part("follow", "input")?.checked ?? true;
  },
  get key() {
    return part("key", "input")?.value ?? "";
  },
};

/** Resolve once Gradio has drawn the controls. */
export function drawn() {
  const there = () => document.querySelector("#dsocr-work") && part("key", "input") && part("mode", "input");
  return new Promise((resolve) => {
    if (there()) return resolve();
    const observer = new MutationObserver(() => {
      if (there()) {
        observer.disconnect();
        resolve();
      }
    });
    observer.observe(document.documentElement, { childList: true, subtree: true });
  });
}

/** Make one group of Gradio's radio buttons, each of which has a name of its own: arrow keys then move in it. */
export function group(id) {
  for (const button of document.querySelectorAll(`#dsocr-${id} input[type=radio]`)) button.name = `dsocr-${id}`;
}

export function show(id, shown) {
  document.querySelector(`#dsocr-${id}`)?.classList.toggle("ds-off", !shown);
}

export function enable(id, enabled) {
  const button = document.querySelector(`button#dsocr-${id}`) ?? part(id, "button");
  if (button) button.disabled = !enabled;
}

export function on(id, action) {
  (document.querySelector(`button#dsocr-${id}`) ?? part(id, "button")).addEventListener("click", action);
}
