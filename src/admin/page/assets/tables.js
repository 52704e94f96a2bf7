// The tables below the river: limits, event streams, alerts, and changes by hand.

import { bytes, count, rate, typed } from "./format.js";

const cell = (text, className) => {
  const made = document.createElement("td");
  made.textContent = text;
  if (className) made.className = className;
  return made;
};

// Has `body` a row for each of `items`, made once and filled again; `[key, item]`, in order.
function keep(body, items, make, fill) {
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]));
  items.forEach(([key, item], at) => {
    let row = known.get(key);
    known.delete(key);
    if (!row) { row = make(key); row.dataset.key = key; }
    fill(row, item);
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
  for (const row of known.values()) row.remove();
}

const write = (into, text) => { text = String(text); if (into.textContent !== text) into.textContent = text; };

// What a limit is called.
export function nameOf(limit) {
  const of = { server: "server", client: "each client", connection_rate: "each connection", upload_server: "uploads", upload_client: "uploads of each client" }[limit.kind];
  if (limit.client) return `client ${limit.client}${limit.kind.startsWith("upload") ? ", uploads" : ""}`;
  if (limit.class) return `class ${limit.class}: ${{ class: "all", class_client: "each client", upload_class: "uploads", upload_class_client: "uploads of each client" }[limit.kind] ?? limit.kind}`;
  if (limit.route) return `route ${limit.route}: ${{ pace: "each response", route: "all", route_client: "each client", upload: "each upload", upload_route: "uploads", upload_route_client: "uploads of each client" }[limit.kind] ?? limit.kind}`;
  return of ?? limit.kind;
}

const from = (limit) => {
  const said = [...new Set(["rate", "burst", "weight", "report_only"].map((value) => limit.source?.[value]).filter(Boolean).map((source) => (source.line ? `${source.from}:${source.line}` : source.from)))].filter((word) => word !== "default");
  return said.join("+") || "–";
};

export class Limits {
  #body = document.querySelector("#limits tbody");
  #all = document.getElementById("all-limits");
  #leftOut = document.querySelector("#limits .left-out");
  #select; #before = new Map();
  constructor(select) { this.#select = select; }

  update(state) {
    const now = state.at;
    const isUsed = (limit) => limit.rate || limit.quota || limit.burst || limit.schedule || limit.own || ["server", "client"].includes(limit.kind);
    const items = Object.entries(state.limits).filter(([, limit]) => this.#all.checked || isUsed(limit));
    keep(this.#body, items, (href) => {
      const row = document.createElement("tr"), head = document.createElement("th"), button = document.createElement("button");
      head.scope = "row";
      button.type = "button";
      button.className = "name";
      button.addEventListener("click", () => this.#select(`limit ${href}`));
      head.append(button);
      row.append(head, ...["", "", "", "", "", ""].map((text) => cell(text, "number")));
      return row;
    }, (row, limit) => {
      const [head, set, burst, weight, pace, waits, source] = row.children;
      write(head.firstChild, nameOf(limit));
      write(set, `${limit.rates ? limit.rates.join(", ") : typed(limit.quota ?? limit.rate)}${limit.quota ? " (quota)" : ""}${limit.report_only ? " (reports)" : ""}${limit.schedule ? " (schedule)" : ""}`);
      write(burst, limit.burst ? bytes(limit.burst) : "–");
      write(weight, limit.weight ?? "–");
      write(waits, limit.waits === undefined ? "–" : count(limit.waits));
      write(source, from(limit));
      const before = this.#before.get(limit.href);
      if (limit.bytes === undefined) write(pace, "–");
      else if (!before || now - before[0] >= 1000) {
        write(pace, before ? rate((limit.bytes - before[1]) * 1000 / (now - before[0])) : "–");
        this.#before.set(limit.href, [now, limit.bytes]);
      }
    });
    const leftOut = state.limits_left_out ?? 0;
    this.#leftOut.hidden = leftOut === 0;
    write(this.#leftOut, leftOut === 0 ? "" : `${count(leftOut)} more limits are not listed here: GET /v1/limits and /v1/limits/clients have all.`);
    if (this.#before.size > 2 * items.length + 100) this.#before.clear();
  }
}

// The shares of a fleet's limit: this server's and the others'.
export class Quota {
  #section = document.getElementById("quota");
  update({ quota }) {
    this.#section.hidden = !quota;
    if (!quota) return;
    write(this.#section.querySelector(".count"), `${quota.resource}: this server, ${quota.client}, may send ${rate(quota.share)}${quota.connected ? "" : "; the quota server does not answer it"}`);
    const trouble = this.#section.querySelector(".trouble");
    trouble.hidden = !quota.trouble && !quota.clients_left_out;
    write(trouble, quota.trouble ? `The others' shares are not known: ${quota.trouble}` : `${count(quota.clients_left_out)} more servers are not listed here: sluicegate quota clients has all.`);
    const items = Object.entries(quota.clients).sort(([one, a], [other, b]) => b.share - a.share || (one < other ? -1 : 1));
    const all = items.reduce((sum, [, of]) => sum + of.share, 0);
    keep(this.#section.querySelector("tbody"), items, (client) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = client;
      row.append(head, ...Array.from({ length: 5 }, () => cell("", "number")));
      return row;
    }, (row, of) => {
      const values = [rate(of.share), `${all ? Math.round(100 * of.share / all) : 0} %`, rate(of.fair), of.wants === undefined ? "all there is" : rate(of.wants), of.weight];
      values.forEach((value, at) => write(row.children[at + 1], value));
      row.classList.toggle("own", row.dataset.key === quota.client);
    });
  }
}

export class Streams {
  #section = document.getElementById("streams");
  update(state) {
    const items = Object.entries(state.streams ?? {});
    this.#section.hidden = items.length === 0;
    keep(this.#section.querySelector("tbody"), items, (route) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = route;
      row.append(head, ...Array.from({ length: 9 }, () => cell("", "number")));
      return row;
    }, (row, of) => {
      const lost = of.dropped + of.expired, p99 = of.p99_us;
      const values = [of.streams, of.subscribers, of.suspended, of.away, of.queued].map(count);
      values.push(`${of.saturation / 10} %`, count(of.published), count(lost), p99 === undefined ? "–" : `< ${p99 >= 1000 ? `${p99 / 1000} ms` : `${p99} µs`}`);
      values.forEach((value, at) => write(row.children[at + 1], value));
      row.children[8].classList.toggle("bad", lost > 0);
      row.children[3].classList.toggle("bad", of.suspended > 0);
    });
  }
}

export class Alerts {
  #section = document.getElementById("alerts");
  update(state) {
    const items = Object.entries(state.alerts ?? {});
    this.#section.hidden = items.length === 0;
    keep(this.#section.querySelector("ul"), items, () => {
      const item = document.createElement("li");
      item.append(document.createElement("strong"), document.createElement("span"), document.createElement("span"));
      return item;
    }, (item, alert) => {
      const [name, severity, text] = item.children;
      write(name, item.dataset.key.replace(/^Sluicegate/, "").replace(/([a-z])([A-Z])/g, "$1 $2"));
      write(severity, alert.severity);
      write(text, alert.text);
      severity.className = "severity";
      item.dataset.severity = alert.severity;
    });
  }
}

export class Changes {
  #section = document.getElementById("changes");
  #undo;
  constructor(undo) { this.#undo = undo; }

  show({ changes, read_only: readOnly }) {
    this.#section.querySelector(".empty").hidden = changes.length > 0;
    keep(this.#section.querySelector("ul"), changes.map((change) => [String(change.id), change]), () => {
      const item = document.createElement("li");
      item.append(document.createElement("time"), document.createElement("span"), document.createElement("span"));
      return item;
    }, (item, change) => {
      const [time, text, by] = item.children;
      time.dateTime = change.at;
      write(time, new Date(change.at).toLocaleTimeString());
      const where = decodeURIComponent(change.href.replace(/^\/v1\/(limits\/)?/, ""));
      write(text, change.what === "close" ? `closed ${where}` : `${change.what === "set" ? "set" : "reset"} ${where}: ${differences(change)}`);
      write(by, `by ${change.by}${change.saved ? ", saved" : ""}`);
      let button = item.querySelector("button");
      if (change.undo && !button) {
        button = document.createElement("button");
        button.type = "button";
        button.textContent = "Undo";
        button.setAttribute("aria-label", `Undo change ${change.id}: ${where}`);
        button.addEventListener("click", () => this.#undo(change));
        item.append(button);
      }
      if (button) button.disabled = readOnly;
    });
  }
}

function differences({ before = {}, after = {} }) {
  const said = (key, value) => (key === "rate" ? (typeof value === "number" ? typed(value) : value) : key === "burst" ? bytes(value) : String(value));
  const changed = Object.keys(after).filter((key) => before[key] !== after[key]);
  return changed.map((key) => `${key.replace("_", " ")} ${said(key, before[key])} → ${said(key, after[key])}`).join(", ") || "the same values";
}
