// The key of the page and its calls. In development anybody may have the viewer's key; elsewhere
// the page asks for the admin key and keeps it in this tab.

const KEPT = "exchange-key";
const CALL_SECONDS_MAX = 5;

export class Refused extends Error {}

export class Session {
  constructor(door) {
    this.door = door;
    this.key = "";
    this.isDevelopment = false;
  }

  /** Resolves when there is a key that the exchange takes. */
  async open() {
    for (;;) {
      if (await this.opened()) return;
      await pause(1000);
    }
  }

  async opened() {
    let answer;
    try {
      answer = await this.fetch("/debug/viewer-key", {}, "");
    } catch {
      return false; // The exchange is not there yet.
    }
    if (answer.ok) {
      this.key = (await answer.json()).viewer_key;
      this.isDevelopment = true;
      return true;
    }
    if (answer.status !== 404) return false;
    return this.entered();
  }

  async entered() {
    this.key = sessionStorage.getItem(KEPT) ?? "";
    let wrong = "";
    for (;;) {
      if (!this.key) this.key = await this.ask(wrong);
      try {
        const answer = await this.fetch("/admin/health");
        if (answer.ok) {
          sessionStorage.setItem(KEPT, this.key);
          return true;
        }
        if (answer.status !== 401) return false;
      } catch {
        return false;
      }
      sessionStorage.removeItem(KEPT);
      this.key = "";
      wrong = "The exchange does not know this key.";
    }
  }

  ask(wrong) {
    const { dialog, form, input, text } = this.door;
    text.textContent = wrong;
    input.value = "";
    dialog.addEventListener("cancel", stay);
    if (!dialog.open) dialog.showModal();
    return new Promise((resolve) => {
      form.addEventListener(
        "submit",
        () => {
          dialog.removeEventListener("cancel", stay);
          resolve(input.value.trim());
        },
        { once: true },
      );
    });
  }

  fetch(path, options = {}, key = this.key) {
    const headers = { ...(options.headers ?? {}) };
    if (key) headers.authorization = `Bearer ${key}`;
    const signal = AbortSignal.timeout(CALL_SECONDS_MAX * 1000);
    return fetch(path, { ...options, headers, signal, cache: "no-cache" });
  }

  /** The content of an answer; throws `Refused` with the detail of a problem, and what `fetch`
   * throws when there is no answer. */
  async read(path, options = {}) {
    const answer = await this.fetch(path, options);
    if (answer.status === 204) return null;
    const content = await answer.json();
    if (!answer.ok) throw new Refused(content.detail ?? content.title ?? `${answer.status}`);
    return content;
  }
}

const stay = (event) => event.preventDefault();

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
