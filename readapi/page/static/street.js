// The button that starts and stops the small market, in development.

import { Refused } from "./session.js";
import { write } from "./symbols.js";

const SECONDS = 600;

export class Street {
  constructor({ form, select, button, announcer }, session) {
    Object.assign(this, { form, select, button, announcer, session });
    this.isRunning = false;
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.press();
    });
  }

  async press() {
    this.button.disabled = true;
    try {
      if (this.isRunning) await this.session.read("/debug/market", { method: "DELETE" });
      else await this.start();
      write(this.announcer, this.isRunning ? "The small market stops." : "The small market starts.");
    } catch (error) {
      write(this.announcer, error instanceof Refused ? error.message : "The exchange did not answer.");
    }
    this.button.disabled = false;
    await this.look();
  }

  start() {
    const body = JSON.stringify({ percent: Number(this.select.value), seconds: SECONDS });
    return this.session.read("/debug/market", { method: "POST", body });
  }

  /** What runs now; the button says what a press will do. */
  async look() {
    let market;
    try {
      market = await this.session.read("/debug/market");
    } catch {
      return; // The health says what is wrong.
    }
    this.isRunning = market.percent !== null;
    this.select.disabled = this.isRunning;
    this.button.classList.toggle("running", this.isRunning);
    const left = Math.ceil((market.seconds_left ?? 0) / 60);
    write(this.button, this.isRunning ? `Stop the market (${left} min left)` : "Start a small market");
  }
}
