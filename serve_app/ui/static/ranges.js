// Pages as people write them, from 1, and as the service counts them, from 0.

/** The page numbers from 0 that a text means, null for all, or undefined where it means nothing. */
export function parse(text) {
  if (!text.trim() || text.trim().toLowerCase() === "all" || text.trim() === "全部") return null;
  const chosen = new Set();
  for (const piece of text.split(/[,，;\s]+/).filter(Boolean)) {
    const match = /^(\d{1,6})(?:[-–~](\d{1,6}))?$/.exec(piece);
    if (!match) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (first < 1 || last < first || last - first > 5000) return undefined;
    for (let page = first; page <= last; page++) chosen.add(page - 1);
  }
  return [...chosen];
}

/** Page numbers as ranges, shifted by an offset: 1 for people, 0 for the service. */
export function write(pages, offset = 1) {
  const sorted = [...pages].sort((one, other) => one - other);
  const pieces = [];
  for (let at = 0; at < sorted.length; ) {
    let end = at;
    while (sorted[end + 1] === sorted[end] + 1) end++;
    const [first, last] = [sorted[at] + offset, sorted[end] + offset];
    pieces.push(first === last ? `${first}` : `${first}-${last}`);
    at = end + 1;
  }
  return pieces.join(",");
}
