// How far a reading is, and how long it will still take.

import { say } from "./words.js";

export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 90 ? say("{0} s", whole) : say("{0} min", Math.round(whole / 60));
}

export class Progress {
  constructor(total) {
    this.total = total;
    this.began = performance.now();
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  /** The text and the share done, of pages each of which is done to a part of it. */
  state(pages) {
    const ended = pages.filter((page) => page.status === "done" || page.error).length;
    const share = pages.reduce((sum, page) => sum + page.part, 0) / this.total;
    const text = say("Reading: {0} of {1} pages done", ended, this.total);
    if (share <= 0) return { share: null, text: say("Waiting for the engine …") };
    if (share < 0.05 || this.seconds < 1) return { share, text };
    const left = (this.seconds * (1 - share)) / share;
    return { share, text: `${text} · ${say("about {0} left", duration(left))}` };
  }
}
