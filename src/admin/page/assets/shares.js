// How a budget is shared: a map of what its children and their children take, and a line for each child.

import { kind, most, rate } from "./format.js";
import { clientHref } from "./river.js";

// Children that have a line, and those that have a place in the map.
const LINES = 30, PLACES = 60;

const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// The row whose children share the budget of a row or of a limit; null if nothing does.
export function budgetOf(key) {
  if (!key.startsWith("limit ")) return key === "rest" || key.startsWith("transfer ") ? null : key;
  const [what, name, part] = key.slice("limit /v1/limits/".length).split("/");
  if (what === "server") return "server";
  if (what === "clients") return `client ${decodeURIComponent(name)}`;
  if (what === "classes" && part === "total") return `class ${decodeURIComponent(name)}`;
  if (what === "routes" && part === "total") return `route ${decodeURIComponent(name)}`;
  return null;
}

// The limit of the budget with this key, if it has one.
function rateOf(key, state) {
  const [what, ...rest] = key.split(" "), name = rest.join(" ");
  const href = { server: "/v1/limits/server", class: `/v1/limits/classes/${name}/total`, client: clientHref(name) }[what];
  const limit = state.limits[href] ?? (what === "client" ? state.limits["/v1/limits/client"] : undefined);
  return limit?.quota ?? limit?.rate;
}

// The children of the budget with this key: key, name, what holds them, weight.
export function childrenOf(key, state) {
  const [what, ...rest] = key.split(" "), name = rest.join(" "), limits = state.limits;
  const transfers = (fits) => Object.entries(state.transfers).filter(([, row]) => fits(row)).map(([id, row]) => ({ key: `transfer ${id}`, name: `${row.method} ${row.target}`, held: row.held_by, weight: 1 }));
  const weight = (id, row) => (limits[clientHref(id)] ?? limits[row.class ? `/v1/limits/classes/${row.class}/client` : "/v1/limits/client"])?.weight ?? 1;
  const clients = (fits) => Object.entries(state.clients).filter(([, row]) => fits(row)).map(([id, row]) => ({ key: `client ${id}`, name: id, held: most(row.held_by), weight: weight(id, row) }));
  switch (what) {
    // As the server shares its limit: among classes and clients without one.
    case "server": {
      const classes = Object.entries(state.classes ?? {}).filter(([, row]) => row.transfers > 0);
      return [...classes.map(([id, row]) => ({ key: `class ${id}`, name: `class ${id}`, held: most(row.held_by), weight: limits[`/v1/limits/classes/${id}/total`]?.weight ?? 1 })), ...clients((row) => !row.class)];
    }
    case "class": return clients((row) => row.class === name);
    case "client": return transfers((row) => row.client === name);
    case "route": return transfers((row) => row.route === name);
    default: return [];
  }
}

export class Shares {
  #key; #river; #select; #state = null;
  #map = make("div", "map");
  #list = make("ul", "shares");

  constructor(key, river, select) {
    this.#key = key;
    this.#river = river;
    this.#select = select;
    this.#map.setAttribute("role", "img");
  }

  get elements() {
    return [make("h3", "", "Shares"), make("p", "note", "What each takes now, and in the map what each of its own takes, out of what is set. The mark is its share of what flows, by its weight. Who wants less keeps less, and the others divide the rest."), this.#map, this.#list];
  }

  update(state) {
    this.#state = state;
    const children = this.#paced(childrenOf(this.#key, state));
    const all = children.reduce((sum, child) => sum + child.pace, 0);
    this.#drawMap(children, all);
    this.#drawList(children, all);
  }

  // With their paces, the largest first.
  #paced(children) {
    for (const child of children) child.pace = this.#river.paceOf(child.key);
    return children.sort((one, other) => other.pace - one.pace || (one.key < other.key ? -1 : 1));
  }

  // Two rows: a place for each child as wide as what it takes of the limit, and below it those of its own children.
  #drawMap(children, all) {
    const limit = rateOf(this.#key, this.#state), whole = Math.max(limit ?? 0, all, 1);
    const places = [];
    for (const child of children.slice(0, PLACES)) {
      if (child.pace <= 0) continue;
      const below = this.#paced(childrenOf(child.key, this.#state)).filter((one) => one.pace > 0).slice(0, PLACES);
      const sum = Math.max(child.pace, below.reduce((so, one) => so + one.pace, 0));
      places.push({ of: child, width: child.pace / whole, below: below.map((one) => ({ of: one, width: one.pace / sum })) });
    }
    const fill = (box, wanted, each) => {
      while (box.children.length > wanted.length) box.lastChild.remove();
      wanted.forEach((place, at) => {
        let made = box.children[at];
        if (!made) { made = make("div", "place"); box.append(made); }
        made.style.width = `${100 * place.width}%`;
        made.title = `${place.of.name}: ${rate(place.of.pace)}`;
        each(made, place);
      });
    };
    const colour = (made, { of }) => { made.dataset.kind = kind(of.held); };
    fill(this.#map, places, (made, place) => {
      if (!made.firstChild) made.append(make("div", "child"), make("div", "below"));
      colour(made.firstChild, place);
      fill(made.lastChild, place.below, colour);
    });
    const said = `${children.length} share ${limit ? rate(limit) : "what flows"}: ${children.slice(0, 5).map((child) => `${child.name} ${rate(child.pace)}`).join(", ")}${limit && limit > all ? `, free ${rate(limit - all)}` : ""}`;
    if (this.#map.getAttribute("aria-label") !== said) this.#map.setAttribute("aria-label", said);
  }

  #drawList(children, all) {
    const weights = children.reduce((sum, child) => sum + child.weight, 0);
    const fair = (child) => all * child.weight / (weights || 1);
    const widest = Math.max(children[0]?.pace ?? 0, ...children.map(fair), 1), list = this.#list;
    const shown = children.slice(0, LINES);
    while (list.children.length > shown.length) list.lastChild.remove();
    shown.forEach((child, at) => {
      let item = list.children[at];
      if (!item) {
        item = make("li");
        const button = make("button", "name"), track = make("span", "track");
        button.type = "button";
        track.append(make("span", "fill"), make("span", "mark"));
        item.append(button, track, make("span", "numbers"));
        button.addEventListener("click", () => item.dataset.key && this.#select(item.dataset.key));
        list.append(item);
      }
      item.dataset.key = child.key;
      const [button, track, numbers] = item.children;
      if (button.textContent !== child.name) button.textContent = child.name;
      track.firstChild.style.width = `${100 * child.pace / widest}%`;
      track.firstChild.dataset.kind = kind(child.held);
      track.lastChild.style.left = `${100 * fair(child) / widest}%`;
      numbers.textContent = `${rate(child.pace)} · ${all ? Math.round(100 * child.pace / all) : 0} %${child.weight > 1 ? ` · weight ${child.weight}` : ""}`;
    });
  }
}
