// The search field, which suggests ids. Enter shows the sequence with the id.

import { LatestRequest } from "./api.js";
import { $, showText } from "./dom.js";

export class Finder {
  // show(row) shows a sequence in the panel
  constructor(state, show, showError) {
    Object.assign(this, { state, show, showError, input: $("find") });
    const find = (text) => state.source.find(text);
    this.request = new LatestRequest(find, (matches) => this.suggest(matches), showError);
    this.input.addEventListener("input", (event) => {
      this.showReason("");
      if (event.inputType === "insertReplacementText") this.showMatch(); // the user chose a suggestion
      else if (this.input.value) this.request.ask({ body: this.input.value });
      else this.suggest([]);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.showMatch();
      if (event.key === "Escape") $("overlay").focus();
    });
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  suggest(matches) {
    $("find-ids").replaceChildren(...matches.map((match) => new Option("", match.id)));
  }

  // Shows the sequence with the typed id, or the only sequence whose id begins with the text.
  async showMatch() {
    const text = this.input.value.trim();
    if (!text) return;
    try {
      const matches = await this.state.source.find(text);
      const [first] = matches;
      const isExact = first?.id.toLowerCase() === text.toLowerCase();
      if (isExact || matches.length === 1) {
        this.reveal(first.row);
        this.input.value = "";
        $("overlay").focus({ preventScroll: true });
        await this.show(first.row);
        return;
      }
      const ids = matches.map((match) => match.id);
      const firstIds = ids.length > 3 ? [...ids.slice(0, 3), "…"] : ids;
      this.showReason(first ? `Several ids begin with ${text}: ${firstIds.join(", ")}` : `No id begins with ${text}.`);
    } catch (error) {
      this.showError(error);
    }
  }

  // Shows why no sequence is found; "" removes the reason.
  showReason(reason) {
    this.input.setAttribute("aria-invalid", String(Boolean(reason)));
    showText($("note"), reason);
  }

  // Moves the map to a point that is outside of the view.
  reveal(row) {
    const { map } = this.state;
    const [x, y] = map.places.subarray(2 * row, 2 * row + 2);
    const [right, down] = map.toPixels(x, y);
    if (right < 0 || down < 0 || right > map.width || down > map.height) map.setView({ ...map.view, x, y });
  }
}
