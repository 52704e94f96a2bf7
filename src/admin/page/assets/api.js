// Requests to the server, below the page's own address. The token is here, and nowhere else.

let token = null;

export class Failed extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

export const api = {
  set token(value) { token = value; },
  get hasToken() { return token !== null; },

  async fetch(path, options = {}) {
    const headers = new Headers(options.headers);
    if (token !== null) headers.set("Authorization", `Bearer ${token}`);
    let answer;
    try {
      answer = await fetch(path, { ...options, headers, credentials: "omit", cache: "no-store", redirect: "error" });
    } catch (error) {
      throw new Failed(0, "The server does not answer.");
    }
    if (answer.ok) return answer;
    let text = `${answer.status} ${answer.statusText}`;
    try {
      const problem = await answer.json();
      text = problem.detail ?? problem.title ?? text;
    } catch { /* It is no problem document. */ }
    throw new Failed(answer.status, text);
  },

  async get(path) { return (await this.fetch(path)).json(); },

  // Sends a change; `href` as the server has it, from its root.
  async change(method, href, content) {
    const options = { method };
    if (content !== undefined) {
      options.headers = { "Content-Type": "application/json" };
      options.body = JSON.stringify(content);
    }
    return this.fetch(href.replace(/^\//, ""), options);
  },
};
