// The page: signs in, follows the stream, and passes each state to its parts.

import { Failed, api } from "./api.js";
import { Detail } from "./detail.js";
import { KINDS, SAID, bytes, count, rate } from "./format.js";
import { History } from "./history.js";
import { River } from "./river.js";
import { Stream } from "./stream.js";
import { Alerts, Changes, Limits, Quota, Streams } from "./tables.js";

const TICK = 200;
const $ = (id) => document.getElementById(id);

const history = new History();
const river = new River(history, (key) => select(key));
const detail = new Detail(river, { edit, close });
const limits = new Limits((key) => select(key));
const streams = new Streams();
const quota = new Quota();
const alerts = new Alerts();
const changes = new Changes(undo);
let stream = null;
let isLive = false;
let mayChange = true;

for (const kind of KINDS) {
  const item = document.createElement("li");
  item.dataset.kind = kind;
  item.textContent = SAID[kind];
  $("legend").append(item);
}

function select(key) {
  if (stream?.state) detail.show(detail.key === key ? null : key, stream.state);
}

function told(what, why) {
  if (what === "sign-in") return signIn(api.hasToken ? "This token is not the listener's." : "");
  if (what === "lost") { isLive = false; offset = Infinity; status(`${why ? `refused: ${String(why).replace(/\.$/, "")}` : "the server does not answer"}; trying again`, "lost"); return; }
  if (what === "live" && !isLive) {
    isLive = true;
    linked(stream.state.server);
    show("main");
    listChanges();
  }
}

function linked(server) {
  if (server.draining) status("live: the server drains", "lost");
  else if (server.shedding) status("live: the server sheds load", "lost");
  else status("live", "live");
}

function status(text, kind) {
  if ($("link").textContent === text) return;
  $("link").textContent = text;
  $("link").dataset.kind = kind;
}

function show(what) {
  $("main").hidden = what !== "main";
  $("sign-in").hidden = what !== "sign-in";
  $("totals").hidden = what !== "main";
  $("sign-out").hidden = what !== "main" || !api.hasToken;
}

function signIn(wrong) {
  isLive = false;
  api.token = null;
  status("signed out", "out");
  show("sign-in");
  $("sign-in-wrong").textContent = wrong;
  $("token").value = "";
  $("token").focus();
}

function follow() {
  stream?.stop();
  stream = new Stream(api, told);
  stream.run();
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  api.token = $("token").value.trim();
  $("token").value = "";
  status("connecting", "");
  follow();
});
$("sign-out").addEventListener("click", () => { stream?.stop(); stream = null; detail.show(null); signIn(""); });

// A limit is changed. What the server says goes to the toast, and what it did comes by the stream.
async function edit(method, href, content) {
  try {
    await api.change(method, href, content);
    toast(method === "DELETE" ? "Reset." : "Set.");
  } catch (error) {
    failed(error);
  }
  listChanges();
}

async function undo({ undo: { method, href, content } }) { await edit(method, href, content); }

async function close(id, name) {
  const dialog = $("confirm"), yes = dialog.querySelector("[value=yes]");
  $("confirm-title").textContent = "Close the connection?";
  $("confirm-text").textContent = `${name}, connection ${id}, is reset: its client can take nothing that was under way for complete.`;
  yes.textContent = "Close it";
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((then) => dialog.addEventListener("close", then, { once: true }));
  if (dialog.returnValue === "yes") { await edit("DELETE", `/v1/connections/${id}`); }
}

async function listChanges() {
  try {
    const list = await api.get("v1/changes");
    mayChange = !list.read_only;
    detail.mayChange = mayChange;
    $("access").hidden = mayChange;
    changes.show(list);
  } catch { /* The stream says what is wrong. */ }
}

function failed(error) {
  toast(error instanceof Failed ? error.message : String(error), true);
}

let toastTimer = 0;
function toast(text, isBad = false) {
  const box = $("toast");
  box.textContent = text;
  box.classList.toggle("bad", isBad);
  box.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.classList.remove("shown"); box.textContent = ""; }, isBad ? 8000 : 2500);
}

// When states were sampled, on this page's clock: the least delay of a frame so far is taken for none.
let offset = Infinity;
function sampledAt(state, now) {
  offset = Math.min(offset + 0.05, now - state.at);
  return state.at + offset;
}

let listed = 0;
setInterval(() => {
  const state = stream?.state;
  if (!state || !isLive) return;
  const now = performance.now();
  const quietUntil = stream.news();
  if (quietUntil !== null) {
    const time = sampledAt(state, now), quiet = time - (state.at - quietUntil);
    history.repeat(quiet - 1000);
    history.repeat(quiet);
    history.step(time);
    history.apart(state.elapsed);
    step(state, now);
  } else {
    river.update(state, now);
  }
  detail.update(state, now);
  if (now - listed > 5000 && !document.hidden) { listed = now; listChanges(); }
}, TICK);

function step(state, now) {
  history.note("in", state.server.bytes_up, 0, 0);
  river.note(state);
  river.update(state, now);
  limits.update(state);
  streams.update(state);
  quota.update(state);
  alerts.update(state);
  const server = state.server;
  const write = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
  write("total-out", rate(history.pace("server", now)));
  write("total-in", rate(history.pace("in", now)));
  write("total-transfers", count(server.transfers));
  write("total-connections", count(server.connections));
  write("total-held", bytes(server.held_bytes));
  if (isLive) linked(server);
}

follow();
