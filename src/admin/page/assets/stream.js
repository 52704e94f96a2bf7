// The stream of the server: server-sent events over fetch, since an EventSource cannot send a token.

const RETRY = 1000;

// Makes the next state of `target`, by a merge patch (RFC 7396).
export function merge(target, patch) {
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null) delete target[key];
    else if (typeof value !== "object" || Array.isArray(value)) target[key] = value;
    else {
      const old = target[key];
      target[key] = merge(old && typeof old === "object" && !Array.isArray(old) ? old : Object.create(null), value);
    }
  }
  return target;
}

// Splits text into events; what is no whole event yet stays.
export class Events {
  #text = "";
  push(text, then) {
    this.#text += text;
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end < 0) return;
      const event = { kind: "message", data: "", id: null };
      for (const line of this.#text.slice(0, end).split("\n")) {
        if (line.startsWith("event: ")) event.kind = line.slice(7);
        else if (line.startsWith("id: ")) event.id = line.slice(4);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      this.#text = this.#text.slice(end + 2);
      if (event.data) then(event);
    }
  }
}

export class Stream {
  #api; #told; #last = null; #abort = null; #stopped = false; #quietUntil = null;
  state = null;

  // `told` is called with `live` for all that comes while there is a state, `lost` and why if an answer says so, and `sign-in`.
  constructor(api, told) { this.#api = api; this.#told = told; }

  // If a state has come since the last call: when the samples ended that were not sent since nothing had changed, on the clock of
  // `at`. Else null. Where it is not known it is -Infinity. What moved since the last call did so after it.
  news() {
    const quietUntil = this.#quietUntil;
    this.#quietUntil = null;
    return quietUntil;
  }

  stop() { this.#stopped = true; this.#abort?.abort(); }

  async run() {
    while (!this.#stopped) {
      let why = null;
      try {
        await this.#once();
      } catch (error) {
        if (error.status === 401) { this.#told("sign-in"); return; }
        // Whoever refuses, the server or a proxy before it, says why.
        if (error.status > 0) why = error.message;
      }
      if (this.#stopped) return;
      this.#told("lost", why);
      await new Promise((then) => setTimeout(then, RETRY * (0.8 + Math.random() * 0.4)));
    }
  }

  async #once() {
    this.#abort = new AbortController();
    const fields = this.#last ? { "Last-Event-ID": this.#last } : {};
    // Heartbeats come every five seconds: a longer silence is a connection that is dead, before its answer too.
    let silence = 0;
    const watch = () => { clearTimeout(silence); silence = setTimeout(() => this.#abort.abort(), 15000); };
    try {
      watch();
      const answer = await this.#api.fetch("v1/live", { headers: fields, signal: this.#abort.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const events = new Events();
      for (;;) {
        watch();
        const { value, done } = await reader.read();
        if (done) return;
        events.push(value, (event) => this.#take(event));
        if (this.#abort.signal.aborted) return;
        // Of a stream that resumed nothing comes but heartbeats until something changes.
        if (this.state) this.#told("live");
      }
    } finally {
      clearTimeout(silence);
      this.#abort.abort();
    }
  }

  #take(event) {
    // The states that nobody has asked for were no quiet time.
    const came = (quietUntil) => { this.#quietUntil = Math.min(this.#quietUntil ?? Infinity, quietUntil); };
    switch (event.kind) {
      case "full": this.state = JSON.parse(event.data); came(-Infinity); break;
      case "change":
        // After a gap: with no id to resume after, the whole state comes.
        if (!this.state) { this.#abort.abort(); return; }
        merge(this.state, JSON.parse(event.data));
        came(this.state.at - this.state.elapsed);
        break;
      // What was missed is not known: if this is the answer's first event, the whole state comes next.
      case "sluicegate.gap": this.#last = this.state = null; return;
      case "sluicegate.pause": this.#last = null; this.#abort.abort(); return;
      default: return;
    }
    if (event.id) this.#last = event.id;
  }
}
