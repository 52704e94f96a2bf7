// The last two minutes of each row: bytes so far, what was set, and what held it, at the ticks of one clock.

export const TICKS = 600;
export const SPAN = 120_000;
// A pace is over this much time: a few chunks of a paced response.
const WINDOW = 1000;
// Without a frame for so long nothing moves, since a frame comes only if something changed. Where samples are rarer it is
// twice the time between the last two.
const STILL = 2000;

export class History {
  times = new Float64Array(TICKS);
  tick = 0;
  still = STILL;
  rows = new Map();

  // Takes note that samples are so far apart, in milliseconds.
  apart(elapsed) { this.still = Math.max(STILL, 2 * elapsed); }

  // Begins the next tick, which is not before the last one.
  step(time) {
    const last = this.times[this.tick % TICKS];
    this.tick += 1;
    this.times[this.tick % TICKS] = Math.max(time, last);
  }

  // Begins a tick at which all is as it was, if the last one is long before.
  repeat(time) {
    if (this.tick === 0 || time - this.times[this.tick % TICKS] < 50) return;
    const before = this.tick % TICKS;
    this.step(time);
    const at = this.tick % TICKS;
    for (const row of this.rows.values()) {
      for (const values of [row.bytes, row.set, row.kind]) values[at] = values[before];
      row.last = this.tick;
    }
  }

  has(key) { return this.rows.has(key); }

  // Notes a row at this tick.
  note(key, bytes, set, kind) {
    let row = this.rows.get(key);
    if (!row) {
      row = { bytes: new Float64Array(TICKS), set: new Float32Array(TICKS), kind: new Uint8Array(TICKS), first: this.tick, last: this.tick };
      this.rows.set(key, row);
    }
    const at = this.tick % TICKS;
    row.bytes[at] = bytes;
    row.set[at] = set ?? 0;
    row.kind[at] = kind;
    row.last = this.tick;
  }

  // Forgets rows that were not noted at this tick.
  sweep() {
    for (const [key, row] of this.rows) if (row.last !== this.tick) this.rows.delete(key);
  }

  // The pace of a row at `now`, in bytes per second. Where no frame came for a while nothing changed, and nothing moved.
  pace(key, now) {
    const row = this.rows.get(key);
    if (!row || now - this.times[this.tick % TICKS] > this.still) return 0;
    let from = this.tick;
    const oldest = Math.max(row.first, this.tick - TICKS + 1);
    while (from > oldest && this.times[this.tick % TICKS] - this.times[from % TICKS] < WINDOW) from -= 1;
    return this.#between(row, from, this.tick);
  }

  #between(row, from, to) {
    const elapsed = this.times[to % TICKS] - this.times[from % TICKS];
    return elapsed > 0 ? Math.max(0, row.bytes[to % TICKS] - row.bytes[from % TICKS]) * 1000 / elapsed : 0;
  }

  // Calls `each` with time, pace, what was set and what held it, for each tick that there is, the oldest first.
  walk(key, each) {
    const row = this.rows.get(key);
    if (!row) return;
    const oldest = Math.max(row.first, this.tick - TICKS + 1);
    let from = oldest;
    for (let at = oldest + 1; at <= this.tick; at += 1) {
      while (from < at - 1 && this.times[at % TICKS] - this.times[(from + 1) % TICKS] >= WINDOW) from += 1;
      each(this.times[at % TICKS], this.#between(row, from, at), row.set[at % TICKS], row.kind[at % TICKS]);
    }
  }
}
