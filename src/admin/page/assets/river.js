// The river: a row with a picture of its pace for the server, each class, route, client and transfer.

import { KINDS, kind, most, rate } from "./format.js";
import { SPAN } from "./history.js";

// Transfers, and clients, that have a row. The other transfers are in the last one.
const SHOWN = 60;
// How long an order of rows stays, in milliseconds.
const CALM = 2000;
const still = matchMedia("(prefers-reduced-motion: reduce)");

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class River {
  #rows = new Map();
  #unshown = new Map(); #rest = { bytes: 0, listed: 0 };
  #seen; #select; #history; #colours = null; #ordered = 0; #said = 0; #drawn = 0; #round = 0;
  selected = null;

  constructor(history, select) {
    this.#history = history;
    this.#select = select;
    this.#seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const row = this.#rows.get(entry.target.dataset.key);
        if (row) row.isSeen = entry.isIntersecting;
      }
    }, { rootMargin: "120px" });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.#colours = null; });
  }

  // What a state has as rows: group, key, name, what is below it, and values.
  static *rowsOf(state) {
    const limits = state.limits ?? {};
    const set = (href) => limits[href]?.rate;
    const server = state.server;
    yield { group: "server", key: "server", name: "All responses",  bytes: server.bytes,
      set: limits["/v1/limits/server"]?.quota ?? set("/v1/limits/server"), held: most(server.held_by), transfers: server.transfers };
    for (const [name, row] of Object.entries(state.classes ?? {})) {
      yield { group: "classes", key: `class ${name}`, name, bytes: row.bytes, transfers: row.transfers,
        set: set(`/v1/limits/classes/${name}/total`), held: most(row.held_by) };
    }
    for (const [name, row] of Object.entries(state.routes ?? {})) {
      yield { group: "routes", key: `route ${name}`, name, bytes: row.bytes, transfers: row.transfers,
        set: set(`/v1/limits/routes/${encode(name)}/total`), held: most(row.held_by) };
    }
    for (const [name, row] of Object.entries(state.clients ?? {})) {
      yield { group: "clients", key: `client ${name}`, name, below: row.class, bytes: row.bytes, transfers: row.transfers,
        set: clientRate(limits, name, row.class), held: most(row.held_by) };
    }
    for (const [name, row] of Object.entries(state.transfers ?? {})) {
      yield { group: "transfers", key: `transfer ${name}`, name: `${row.method} ${row.target}`, below: row.client,
        bytes: row.bytes + (row.upload?.bytes ?? 0), set: row.rate_set, held: row.upload && row.held_by === "source" ? row.upload.held_by : row.held_by, length: row.length };
    }
  }

  // Notes what passed in transfers without a row: those that the server does not list, and listed ones that are not shown.
  #noteRest(state) {
    const before = this.#unshown, { rest } = state;
    this.#unshown = new Map();
    for (const [id, row] of Object.entries(state.transfers ?? {})) {
      const bytes = row.bytes + (row.upload?.bytes ?? 0);
      if (this.#rows.has(`transfer ${id}`)) continue;
      this.#unshown.set(id, bytes);
      if (before.has(id)) this.#rest.bytes += Math.max(0, bytes - before.get(id));
    }
    const listed = (rest?.bytes ?? 0) + (rest?.bytes_up ?? 0);
    // The sum of a view that began again is a new one.
    this.#rest.bytes += Math.max(0, listed - this.#rest.listed);
    this.#rest.listed = listed;
    this.#history.note("rest", this.#rest.bytes, null, KINDS.indexOf("nothing"));
  }

  // Notes a state at the tick that the history has begun.
  note(state) {
    for (const row of River.rowsOf(state)) this.#history.note(row.key, row.bytes, row.set, KINDS.indexOf(kind(row.held)));
    this.#noteRest(state);
    this.#history.sweep();
  }

  // Shows a state, as it is at this time.
  update(state, now) {
    const groups = new Map();
    this.#round += 1;
    for (const row of River.rowsOf(state)) {
      row.pace = this.#history.pace(row.key, now);
      if (!groups.has(row.group)) groups.set(row.group, []);
      groups.get(row.group).push(row);
    }
    const isDue = now - this.#ordered > CALM;
    if (isDue) this.#ordered = now;
    for (const section of document.querySelectorAll("#river .group")) {
      this.#group(section, groups.get(section.dataset.group) ?? [], isDue, state.rest, now);
    }
    for (const [key, row] of this.#rows) if (!this.#history.has(key) || row.shown !== this.#round) this.#remove(key, row);
    this.redraw(now);
    if (now - this.#said > 1000) { this.#said = now; this.#say(); }
  }

  redraw(now) {
    const mayDraw = !still.matches || now - this.#drawn > 1000;
    if (mayDraw && !document.hidden) {
      this.#drawn = now;
      requestAnimationFrame(() => this.#draw(performance.now()));
    }
  }

  #group(section, rows, isDue, left, now) {
    const list = section.querySelector("ul");
    const name = section.dataset.group;
    if (name === "classes") section.hidden = rows.length === 0;
    const empty = section.querySelector(".empty");
    if (empty) empty.hidden = rows.length > 0;
    const number = section.querySelector(".count");
    let shown = rows;
    if (name === "transfers" || name === "clients") {
      rows.sort((one, other) => other.pace - one.pace || (one.key < other.key ? -1 : 1));
      const all = rows.length + (left?.[name] ?? 0);
      // While rows are pointed at or focused, none of them moves.
      const isHeld = list.matches(":hover, :focus-within");
      const known = rows.filter((row) => this.#rows.has(row.key));
      shown = isDue && !isHeld || known.length < Math.min(rows.length, SHOWN) ? rows.slice(0, SHOWN) : known.slice(0, SHOWN);
      if (number) write(number, all > shown.length ? `the largest ${shown.length} of ${all}` : all || "");
      const others = all - shown.length;
      if (name === "transfers" && others > 0) {
        shown = [...shown, { group: name, key: "rest", name: others === 1 ? "1 other" : `${others} others`, below: "without a row", held: "nothing", pace: this.#history.pace("rest", now) }];
      }
    }
    const elements = shown.map((row) => this.#row(list, row));
    if (isDue && !list.matches(":hover, :focus-within")) {
      elements.forEach((row, at) => { if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null); });
    }
  }

  #row(list, row) {
    let kept = this.#rows.get(row.key);
    if (!kept) {
      const item = element("li", "row");
      item.dataset.key = row.key;
      const button = element("button", "name");
      button.type = "button";
      const name = element("span", "title"), below = element("span", "below");
      button.append(name, below);
      const canvas = element("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Pace of ${row.name}`);
      const tip = element("output", "tip");
      tip.hidden = true;
      const figure = element("div", "figure");
      figure.append(canvas, tip);
      const now = element("span", "now"), set = element("span", "set"), held = element("span", "held");
      const numbers = element("span", "numbers");
      numbers.append(now, set);
      item.append(button, figure, numbers, held);
      list.append(item);
      kept = { item, button, name, below, canvas, tip, now, set, held, isSeen: true, hover: null };
      button.addEventListener("click", () => this.#select(row.key));
      figure.addEventListener("click", () => this.#select(row.key));
      canvas.addEventListener("pointermove", (event) => { kept.hover = event.offsetX; this.#tip(row.key, kept); });
      canvas.addEventListener("pointerleave", () => { kept.hover = null; tip.hidden = true; });
      this.#rows.set(row.key, kept);
      this.#seen.observe(item);
    }
    kept.shown = this.#round;
    kept.row = row;
    write(kept.name, row.name);
    write(kept.below, row.below ?? (row.transfers === undefined ? "" : row.transfers === 1 ? "1 transfer" : `${row.transfers} transfers`));
    write(kept.now, rate(row.pace));
    write(kept.set, row.set ? `of ${rate(row.set)}` : "no rate set");
    write(kept.held, row.held === "nothing" ? "free" : row.held.replace(/_/g, " "));
    kept.held.dataset.kind = kind(row.held);
    if (this.selected === row.key) kept.item.setAttribute("aria-current", "true");
    else kept.item.removeAttribute("aria-current");
    return kept.item;
  }

  #remove(key, row) {
    this.#seen.unobserve(row.item);
    row.item.remove();
    this.#rows.delete(key);
  }

  #say() {
    for (const { canvas, row, isSeen } of this.#rows.values()) {
      if (isSeen) canvas.setAttribute("aria-label", `Pace of ${row.name}: ${rate(row.pace)}${row.set ? ` of ${rate(row.set)}` : ""}, held by ${row.held}`);
    }
  }

  paceOf(key, now = performance.now()) { return this.#history.pace(key, now); }

  colours() {
    if (!this.#colours) {
      const style = getComputedStyle(document.documentElement);
      const named = (name) => style.getPropertyValue(name).trim();
      this.#colours = { kinds: KINDS.map((name) => named(`--${name}`)), line: named("--line"), grid: named("--grid"), text: named("--soft") };
    }
    return this.#colours;
  }

  #draw(now) {
    for (const row of this.#rows.values()) if (row.isSeen) { this.paint(row.canvas, row.row.key, now, row.hover); if (row.hover !== null) this.#tip(row.row.key, row); }
  }

  // Paints the pace of a row; returns the pace at the top of the picture.
  paint(canvas, key, now, hover = null, least = 0) {
    const width = canvas.clientWidth, height = canvas.clientHeight, scale = devicePixelRatio || 1;
    if (width === 0) return 1;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d"), colours = this.colours();
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    let top = 1, set = 0;
    const points = [];
    this.#history.walk(key, (time, pace, rateSet, of) => {
      const x = width - (now - time) * width / SPAN;
      if (x >= -4) { points.push([x, pace, rateSet, of]); top = Math.max(top, pace); set = rateSet; }
    });
    // A rate far above what flows would press that flat: its line is then out of the picture.
    if (set > 0 && set < top * 4) top = Math.max(top, set);
    top = Math.max(top * 1.15, least);
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    context.beginPath();
    for (let second = 30; second < SPAN / 1000; second += 30) { const x = Math.round(width - second * 1000 * width / SPAN) + 0.5; context.moveTo(x, 0); context.lineTo(x, height); }
    context.stroke();
    const y = (pace) => height - pace * height / top;
    for (let at = 1; at < points.length; at += 1) {
      const [x, pace, , of] = points[at], left = points[at - 1][0];
      context.fillStyle = colours.kinds[of];
      // On whole pixels: no seams.
      const from = Math.floor(left);
      context.fillRect(from, y(pace), Math.max(Math.ceil(x) - from, 1), height - y(pace));
    }
    context.strokeStyle = colours.line;
    context.setLineDash([4, 3]);
    context.lineWidth = 1.25;
    context.beginPath();
    let isDown = false;
    for (const [x, , rateSet] of points) {
      if (rateSet > 0 && rateSet <= top) { if (isDown) context.lineTo(x, y(rateSet)); else context.moveTo(x, y(rateSet)); isDown = true; } else isDown = false;
    }
    context.stroke();
    context.setLineDash([]);
    if (hover !== null) {
      context.beginPath(); context.moveTo(hover + 0.5, 0); context.lineTo(hover + 0.5, height); context.stroke();
    }
    return top;
  }

  #tip(key, row) {
    const width = row.canvas.clientWidth, wanted = performance.now() - (width - row.hover) * SPAN / width;
    let best = null;
    this.#history.walk(key, (time, pace, set, of) => { if (!best || Math.abs(time - wanted) < Math.abs(best[0] - wanted)) best = [time, pace, set, of]; });
    row.tip.hidden = !best || Math.abs(best[0] - wanted) > 2000;
    if (row.tip.hidden) return;
    const ago = (performance.now() - best[0]) / 1000;
    row.tip.textContent = `${rate(best[1])}${best[2] ? ` of ${rate(best[2])}` : ""} · ${KINDS[best[3]] === "nothing" ? "free" : KINDS[best[3]]} · ${ago.toFixed(1)} s ago`;
    row.tip.classList.toggle("left", row.hover > width / 2);
  }
}

export const encode = (segment) => encodeURIComponent(segment).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
export const clientHref = (key) => `/v1/limits/clients/${encode(key).replace(/%3A/g, ":")}`;

function clientRate(limits, key, ofClass) {
  const own = limits[clientHref(key)];
  if (own) return own.rate;
  return limits[ofClass ? `/v1/limits/classes/${ofClass}/client` : "/v1/limits/client"]?.rate;
}

function write(into, text) {
  text = String(text);
  if (into.textContent !== text) into.textContent = text;
}
