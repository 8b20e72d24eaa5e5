// Files of what was read. The service makes them of the document and of what the model wrote.

import { ask } from "./api.js";
import { say } from "./words.js";

const FORMATS = [
  ["markdown", "Markdown", ".md"],
  ["html", "Web page", ".html"],
  ["zip", "All as ZIP", ".zip"],
  ["pdf", "Searchable PDF", ".pdf"],
  ["layout_pdf", "PDF with boxes", "_layouts.pdf"],
  ["png", "This page with boxes", "_layout.png"],
  ["xlsx", "Tables for Excel", "_tables.xlsx"],
  ["csv", "Tables as CSV", "_tables.csv"],
  ["json", "JSON", ".json"],
];

/** Draw the buttons; `order` gives what is to be exported, `trouble` is told what went wrong. */
export function drawDownloads(area, order, trouble) {
  area.replaceChildren(
    ...FORMATS.map(([format, text, ending]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.format = format;
      button.textContent = say(text);
      button.addEventListener("click", async () => {
        button.disabled = true;
        button.setAttribute("aria-busy", "true");
        try {
          const { file, fields, pages, current } = order();
          const written = (format === "png" ? [current] : pages).map(({ index, raw }) => ({ index, raw }));
          const response = await ask("v1/exports", {
            ...fields, file, format, written: JSON.stringify(written),
          });
          save(await response.blob(), stemOf(file.name) + (format === "png" && pages.length > 1 ? `_${current.index + 1}` : "") + ending);
        } catch (error) {
          trouble(error);
        } finally {
          button.disabled = false;
          button.removeAttribute("aria-busy");
        }
      });
      return button;
    }),
  );
}

const stemOf = (name) => name.replace(/\.[^.]*$/, "") || "document";

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
