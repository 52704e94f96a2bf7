// Numbers and words for people.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  let unit = 0;
  while (Math.abs(n) >= 1024 && unit < UNITS.length - 1) { n /= 1024; unit += 1; }
  const digits = unit === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
  return `${n.toFixed(digits)} ${UNITS[unit]}`;
}

export const rate = (n) => (n === null || n === undefined ? "off" : `${bytes(n)}/s`);

// As limits are typed, and exactly: `1.5m`, `60k`, `500B`.
export function typed(n) {
  if (n === null || n === undefined) return "off";
  for (const [letter, size] of [["g", 2 ** 30], ["m", 2 ** 20], ["k", 1024]]) {
    const short = Number((n / size).toFixed(2));
    if (n >= size && short * size === n) return `${short}${letter}`;
  }
  return `${Math.round(n)}B`;
}

export const count = (n) => (n ?? 0).toLocaleString("en");

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 120) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

// Each word of `held_by` has a kind, and each kind a colour in style.css.
export const KINDS = ["nothing", "pace", "client", "class", "route", "server", "source", "reader"];
export const SAID = {
  nothing: "nothing holds it", pace: "its own pace", client: "a client's limit", class: "a class's limit",
  route: "a route's limit", server: "the server's limit", source: "the source", reader: "the reader",
};

export function kind(word) {
  const own = word.replace(/^upload_/, "").replace(/^upload$/, "pace").replace("connection_rate", "pace");
  if (own.endsWith("client")) return "client";
  return KINDS.includes(own) ? own : own === "tcp" ? "route" : "server";
}

// The kind that holds most of a row's transfers.
export function most(heldBy) {
  let best = "nothing", number = 0;
  for (const [word, transfers] of Object.entries(heldBy ?? {})) {
    if (transfers > number && word !== "nothing") { best = word; number = transfers; }
  }
  return best;
}
