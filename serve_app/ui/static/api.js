// The HTTP interface of the service that this page belongs to.

import { say } from "./words.js";

const ROOT = new URL("../../", import.meta.url);

/** What went wrong, as a sentence for people. */
export class Trouble extends Error {
  constructor(message, code = "") {
    super(message);
    this.code = code;
  }
}

let key = "";
export const useKey = (value) => (key = value.trim());

export async function ask(path, fields, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined && value !== "") form.append(name, value);
  }
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { method: "POST", body: form, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(say("The service can't be reached. Is it running?"));
  }
  if (!response.ok) throw await troubleOf(response);
  return response;
}

async function troubleOf(response) {
  const reply = await response.json().catch(() => null);
  if (response.status === 401) {
    return new Trouble(say("This service wants an API key: enter it on the left."), "invalid_api_key");
  }
  return new Trouble(reply?.error?.message ?? `${response.status} ${response.statusText}`, reply?.error?.code);
}

/** The events of a reply, as [name, data] pairs. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  let ended = false;
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) break;
      held += value;
      let end;
      while ((end = held.indexOf("\n\n")) >= 0) {
        const lines = held.slice(0, end).split("\n");
        held = held.slice(end + 2);
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
        const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
        if (!name) continue;
        const parsed = JSON.parse(data);
        if (name === "error") throw new Trouble(parsed.error.message, parsed.error.code);
        ended ||= name === "done";
        yield [name, parsed];
      }
    }
  } catch (error) {
    if (error instanceof Trouble || error.name === "AbortError") throw error;
    throw new Trouble(say("The service broke off. Try again."));
  } finally {
    reader.cancel().catch(() => {});
  }
  if (!ended) throw new Trouble(say("The service broke off. Try again."));
}

/** Which engine runs, or null where none is ready. */
export async function engine() {
  try {
    const response = await fetch(new URL("readyz", ROOT));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
