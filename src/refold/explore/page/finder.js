// The field that finds a sequence by its id: it suggests ids, and Enter shows the sequence.

import { LatestRequest } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Finder {
  // show(row) shows a sequence
  constructor(state, show, showError) {
    Object.assign(this, { state, show, showError, input: $("find") });
    const find = (text) => state.source.find(text);
    this.latest = new LatestRequest(find, (matches) => this.suggest(matches), showError);
    this.input.addEventListener("input", (event) => {
      this.deny("");
      if (event.inputType === "insertReplacementText") this.go(); // one of the suggestions
      else if (this.input.value) this.latest.ask({ body: this.input.value });
      else this.suggest([]);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.go();
      if (event.key === "Escape") $("overlay").focus();
    });
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  suggest(matches) {
    $("find-ids").replaceChildren(...matches.map((one) => new Option("", one.id)));
  }

  // Shows the sequence of the id, or of the only one that begins with what was typed.
  async go() {
    const text = this.input.value.trim();
    if (!text) return;
    try {
      const matches = await this.state.source.find(text);
      const [first] = matches;
      const isWhole = first?.id.toLowerCase() === text.toLowerCase();
      if (isWhole || matches.length === 1) {
        this.reveal(first.row);
        this.input.value = "";
        $("overlay").focus({ preventScroll: true });
        await this.show(first.row);
        return;
      }
      const some = matches.slice(0, 3).map((one) => one.id).join(", ");
      const more = matches.length > 3 ? ", …" : "";
      this.deny(first ? `Several ids begin with ${text}: ${some}${more}` : `No id begins with ${text}.`);
    } catch (error) {
      this.showError(error);
    }
  }

  // Says why there is no sequence to show; nothing with "".
  deny(reason) {
    this.input.setAttribute("aria-invalid", String(Boolean(reason)));
    $("note").textContent = reason;
    $("note").hidden = !reason;
  }

  // Moves the map if the point is outside of the view.
  reveal(row) {
    const { map } = this.state;
    const [x, y] = map.places.subarray(2 * row, 2 * row + 2);
    const [right, down] = map.toPixels(x, y);
    if (right < 0 || down < 0 || right > map.width || down > map.height) map.setView({ ...map.view, x, y });
  }
}
