// What was selected: the picture with the limit's line to drag, the chain of a transfer, or the shares of a budget.

import { api } from "./api.js";
import { bytes, duration, kind, rate, typed } from "./format.js";
import { clientHref, encode } from "./river.js";
import { Shares, budgetOf } from "./shares.js";

const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// How long an upload was held, by what.
const waits = (of) => Object.entries(of ?? {}).map(([by, ms]) => `, ${duration(ms)} by ${by.replace(/_/g, " ")}`).join("");

// The limits that a row is under, the nearest first: words and addresses.
export function limitsOf(key, state) {
  const [what, ...rest] = key.split(" "), name = rest.join(" ");
  const of = (href, word) => (state.limits[href] ? [{ href, word }] : []);
  switch (what) {
    case "server": return [...of("/v1/limits/server", "all responses"), ...of("/v1/limits/client", "each client"), ...of("/v1/limits/connection", "each connection"), ...of("/v1/limits/uploads/server", "all uploads")];
    case "class": return [...of(`/v1/limits/classes/${name}/total`, "all of the class"), ...of(`/v1/limits/classes/${name}/client`, "each client in it")];
    case "route": return ["total", "response", "client", "upload-total"].flatMap((part) => of(`/v1/limits/routes/${encode(name)}/${part}`, { total: "all of the route", response: "each response", client: "each client", "upload-total": "all uploads" }[part]));
    case "client": return [{ href: clientHref(name), word: "this client" }];
    case "limit": return [{ href: name, word: "this limit" }];
    default: return [];
  }
}

export class Detail {
  #panel = document.getElementById("detail");
  #river; #edit; #close; #key = null; #parts = null; #asked = 0; #top = 1; #connection = null;
  mayChange = true;
  state = null;

  constructor(river, { edit, close }) { this.#river = river; this.#edit = edit; this.#close = close; }

  get key() { return this.#key; }

  show(key, state, isTaken = true) {
    this.#key = key;
    this.#river.selected = key;
    this.#connection = null;
    this.#asked = 0;
    this.#panel.hidden = key === null;
    document.querySelector(".columns").classList.toggle("split", key !== null);
    if (key === null) return;
    this.#build(key, state);
    this.update(state, performance.now());
    if (isTaken) this.#panel.focus({ preventScroll: false });
  }

  #build(key, state) {
    const head = make("div", "head"), title = make("h2", "", this.#name(key, state)), shut = make("button", "shut", "Close");
    shut.type = "button";
    shut.addEventListener("click", () => this.hide());
    head.append(title, shut);
    const parts = { title, figure: null, limits: new Map(), chain: null, shares: null };
    this.#panel.replaceChildren(head);
    if (!key.startsWith("limit ")) {
      const figure = make("div", "big"), canvas = make("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "Pace over the last two minutes");
      figure.append(canvas);
      Object.assign(parts, { figure, canvas });
      this.#panel.append(figure);
    }
    const limits = limitsOf(key, state);
    if (limits.length) {
      const list = make("div", "limits");
      limits.forEach(({ href, word }, at) => list.append(this.#editor(parts, href, word, at === 0 && parts.figure)));
      this.#panel.append(list);
    }
    if (key.startsWith("transfer ")) {
      parts.chain = make("ol", "chain");
      const close = make("button", "danger", "Close the connection…");
      close.type = "button";
      close.addEventListener("click", () => this.#close(Number(key.slice(9).split(".")[0]), title.textContent));
      parts.closing = close;
      this.#panel.append(make("h3", "", "Its way"), parts.chain, close);
    } else if (budgetOf(key)) {
      parts.shares = new Shares(budgetOf(key), this.#river, (chosen) => this.show(chosen, this.state));
      this.#panel.append(...parts.shares.elements);
    }
    this.#parts = parts;
  }

  #editor(parts, href, word, line) {
    const form = make("form", "editor"), label = make("label", "", word), input = make("input");
    input.id = `rate-${parts.limits.size}`;
    input.autocomplete = "off";
    input.spellcheck = false;
    input.setAttribute("aria-describedby", `${input.id}-hint`);
    label.htmlFor = input.id;
    const hint = make("span", "hint");
    hint.id = `${input.id}-hint`;
    const set = make("button", "", "Set"), reset = make("button", "", "Reset");
    set.type = "submit";
    reset.type = "button";
    const field = { input, hint, set, reset, isEdited: false };
    form.addEventListener("submit", (event) => { 
      event.preventDefault();
      input.blur();
      // What nobody typed is not sent: it would be set by hand from then on.
      if (field.isEdited) this.#edit("PATCH", href, { rate: input.value.trim() });
      field.isEdited = false;
    });
    // What is typed stays until it is sent or given up.
    input.addEventListener("input", () => { field.isEdited = true; });
    input.addEventListener("keydown", (event) => { if (event.key === "Escape") { field.isEdited = false; input.blur(); } });
    reset.addEventListener("click", () => { field.isEdited = false; this.#edit("DELETE", href); });
    form.append(label, input, set, reset, hint);
    parts.limits.set(href, field);
    if (line) this.#handle(parts, href, word);
    return form;
  }

  // The line of a limit: dragged by pointer, or moved by keys.
  #handle(parts, href, word) {
    const handle = make("div", "handle");
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-orientation", "vertical");
    handle.setAttribute("aria-label", `Rate of ${word}`);
    handle.setAttribute("aria-valuemin", "1");
    let timer = 0;
    const moved = (value) => {
      parts.dragged = Math.max(1, Math.round(value));
      this.#place(parts, parts.dragged);
    };
    const done = () => {
      if (parts.dragged) this.#edit("PATCH", href, { rate: parts.dragged });
      parts.dragged = null;
      parts.isDragging = false;
    };
    const value = (event) => {
      const box = parts.canvas.getBoundingClientRect();
      return this.#top * (1 - Math.min(1.5, Math.max(-3, (event.clientY - box.top) / box.height)));
    };
    handle.addEventListener("pointerdown", (event) => {
      if (!this.mayChange) return;
      handle.setPointerCapture(event.pointerId);
      parts.isDragging = true;
      event.preventDefault();
      handle.focus();
    });
    handle.addEventListener("pointermove", (event) => { if (parts.isDragging) moved(value(event)); });
    handle.addEventListener("pointerup", () => { if (parts.isDragging) done(); });
    handle.addEventListener("pointercancel", () => { parts.dragged = null; parts.isDragging = false; });
    handle.addEventListener("keydown", (event) => {
      const factor = { ArrowUp: 1.05, ArrowRight: 1.05, ArrowDown: 1 / 1.05, ArrowLeft: 1 / 1.05, PageUp: 2, PageDown: 0.5 }[event.key];
      if (event.key === "Escape") { clearTimeout(timer); parts.dragged = null; return; }
      if (!factor || !this.mayChange) return;
      event.preventDefault();
      moved((parts.dragged ?? parts.shown ?? this.#top / 2) * factor);
      clearTimeout(timer);
      timer = setTimeout(done, 400);
    });
    const flag = make("span", "flag");
    handle.append(flag);
    parts.figure.append(handle);
    Object.assign(parts, { handle, flag });
  }

  #place(parts, value) {
    const at = value ? Math.min(1, Math.max(0, 1 - value / this.#top)) : 0;
    parts.handle.style.top = `${at * parts.canvas.clientHeight}px`;
    parts.handle.classList.toggle("off", !value);
    const text = value ? rate(value) : "no rate set: drag down to set one";
    if (parts.flag.textContent !== text) parts.flag.textContent = text;
    parts.handle.setAttribute("aria-valuenow", String(Math.round(value || this.#top)));
    parts.handle.setAttribute("aria-valuemax", String(Math.round(Math.max(this.#top, value || 0) * 2)));
    parts.handle.setAttribute("aria-valuetext", value ? rate(value) : "off");
  }

  hide() {
    const key = this.#key;
    this.show(null);
    document.querySelector(`#river .row[data-key="${CSS.escape(key ?? "")}"] button`)?.focus();
  }

  #name(key, state) {
    const [what, ...rest] = key.split(" ");
    if (what === "server") return "All responses";
    if (what === "rest") return "Transfers without a row";
    if (what === "transfer") { const row = state.transfers[rest.join(" ")]; return row ? `${row.method} ${row.target}` : "Transfer"; }
    if (what === "limit") return `Limit ${rest.join(" ").replace("/v1/limits/", "")}`;
    return `${what[0].toUpperCase()}${what.slice(1)} ${rest.join(" ")}`;
  }

  update(state, now) {
    this.state = state;
    if (this.#key === null) return;
    const parts = this.#parts;
    if (parts.canvas) {
      const own = state.limits[[...parts.limits.keys()][0]]?.rate;
      if (!parts.isDragging) this.#top = this.#river.paint(parts.canvas, this.#key, now, null, 1024);
      else this.#river.paint(parts.canvas, this.#key, now, null, this.#top);
      parts.shown = own;
      if (parts.handle) {
        parts.handle.setAttribute("aria-disabled", String(!this.mayChange));
        this.#place(parts, parts.dragged ?? own);
      }
    }
    for (const [href, { input, hint, set, reset, isEdited }] of parts.limits) {
      const limit = state.limits[href];
      if (document.activeElement !== input && !isEdited) input.value = limit ? limit.rates?.join(", ") ?? typed(limit.rate) : "as each";
      const from = limit?.source?.rate?.from;
      const said = `${limit ? rate(limit.quota ?? limit.rate) : "what each client has"}${limit?.quota ? ", the share of a quota" : ""}${from ? `, from ${from}` : ""}${limit?.burst ? `, burst ${bytes(limit.burst)}` : ""}`;
      if (hint.textContent !== said) hint.textContent = said;
      set.disabled = reset.disabled = input.disabled = !this.mayChange;
    }
    if (parts.shares) parts.shares.update(state);
    if (parts.chain) this.#chain(state, now);
  }

  // The stages of a transfer, from its source to the socket, and what each holds.
  async #chain(state, now) {
    const id = this.#key.slice(9), row = state.transfers[id];
    this.#parts.closing.disabled = !row || !this.mayChange;
    if (!row) { this.#parts.title.textContent = `${this.#parts.title.textContent.replace(/ \(ended\)$/, "")} (ended)`; return; }
    if (now - this.#asked > 500) {
      this.#asked = now;
      const key = this.#key;
      try {
        const told = await api.get(`v1/connections/${row.connection}`);
        if (this.#key === key) this.#connection = told;
      } catch { /* It has just ended. */ }
    }
    if (this.#key === `transfer ${id}`) this.#stages(state, row, id);
  }

  #stages(state, row, id) {
    const told = this.#connection, more = told?.transfers.find((one) => `${told.id}.${one.number}` === id);
    const next = more?.next_send_ms === null || more?.next_send_ms === undefined ? "" : `, next bytes in ${more.next_send_is_estimate ? "about " : ""}${duration(more.next_send_ms)}`;
    const limits = state.limits, own = limits[clientHref(row.client)];
    const budget = (held, word, limit) => ({ held, word, text: limit?.rate || limit?.quota ? rate(limit.quota ?? limit.rate) : "no rate set", href: limit?.href });
    const inClass = row.class ? [budget("class_client", "Client in its class", own ?? limits[`/v1/limits/classes/${row.class}/client`]), budget("class", `Class ${row.class}`, limits[`/v1/limits/classes/${row.class}/total`])]
      : [budget("client", `Client ${row.client}`, own ?? limits["/v1/limits/client"])];
    const route = (part) => limits[`/v1/limits/routes/${encode(row.route ?? "")}/${part}`];
    const stages = [
      { held: "source", word: "Source", text: `${row.route ?? "no route"}${row.status ? `, status ${row.status}` : ", no answer yet"}` },
      ...(more?.filters?.length ? [{ held: "", word: "Filters", text: more.filters.join(", ") }] : []),
      { held: "pace", word: "Rate", text: row.rate_set ? `${rate(row.rate_set)}${more?.rate_set_by ? `, set by the ${more.rate_set_by}` : ""}` : "no rate set", href: route("response")?.href },
      ...inClass, budget("server", "Server", limits["/v1/limits/server"]),
      ...(row.route ? [budget("route_client", "Client on the route", route("client")), budget("route", "Route", route("total"))] : []),
      { held: "connection_rate", word: "Sink", text: told ? `${bytes(told.buffered)} wait for the socket` : "…", href: limits["/v1/limits/connection"]?.href },
      { held: "reader", word: "Socket", text: `${bytes(row.bytes)}${row.length ? ` of ${bytes(row.length)}` : ""} sent${told ? `, to ${told.peer} over ${told.protocol ?? "nothing yet"}` : ""}` },
    ];
    if (row.upload) stages.unshift({ held: "", word: "Upload", text: `${bytes(row.upload.bytes)}${row.upload.length ? ` of ${bytes(row.upload.length)}` : ""} read, held by ${row.upload.held_by.replace(/_/g, " ")}${waits(more?.upload?.waited_ms)}` });
    const list = this.#parts.chain;
    while (list.children.length > stages.length) list.lastChild.remove();
    stages.forEach((stage, at) => {
      let item = list.children[at];
      if (!item) { item = make("li"); item.append(make("strong"), make("span", "what"), make("span", "holds"), make("span", "waited")); list.append(item); }
      const holds = stage.held !== "" && stage.held === row.held_by && row.held_by !== "nothing";
      const [word, what, held, waited] = item.children;
      if (word.textContent !== stage.word) word.textContent = stage.word;
      if (what.textContent !== stage.text) what.textContent = stage.text;
      const text = holds ? `holds it${next}` : "";
      if (held.textContent !== text) held.textContent = text;
      // How long it held the transfer so far, whatever holds it now.
      const so = stage.held && more?.waited_ms?.[stage.held] ? `held it ${duration(more.waited_ms[stage.held])} in all` : "";
      if (waited.textContent !== so) waited.textContent = so;
      item.classList.toggle("holding", holds);
      if (holds) item.dataset.kind = kind(stage.held); else delete item.dataset.kind;
    });
  }
}
