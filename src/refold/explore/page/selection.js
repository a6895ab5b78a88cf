// Selected sequences: their number, their look on the map, and files of them.

import { download } from "./api.js";
import { cssColor, drawPlace } from "./marks.js";

const $ = (id) => document.getElementById(id);
const TYPES = { table: "text/csv", codes: "text/csv", sequences: "application/json" };
const DIMMED = 50;

export class Selection {
  constructor(state, recolor, showError) {
    this.state = state;
    this.recolor = recolor;
    this.showError = showError;
    this.rows = [];
    $("clear-selection").addEventListener("click", () => this.set([]));
    $("save-map").addEventListener("click", () => this.saveMap());
    for (const button of document.querySelectorAll("[data-table]")) {
      button.addEventListener("click", () => this.save(button));
    }
  }

  set(rows) {
    this.rows = rows;
    $("selection").hidden = !rows.length;
    $("selected").textContent = `${rows.length.toLocaleString("en")} selected`;
    this.recolor();
  }

  // Points that are not selected step back.
  dim(colors) {
    if (!this.rows.length) return;
    const kept = new Uint8Array(colors.length / 4);
    for (const row of this.rows) kept[row] = 1;
    for (let i = 0; i < kept.length; i++) {
      if (!kept[i] && colors[4 * i + 3]) colors[4 * i + 3] = DIMMED;
    }
  }

  async save(button) {
    const what = button.dataset.table;
    button.disabled = true;
    try {
      const body = await this.state.source.table(what, this.rows);
      const end = TYPES[what] === "text/csv" ? "csv" : "json";
      download(body, `${this.state.info.model}-${what}.${end}`);
    } catch (error) {
      this.showError(error);
    }
    button.disabled = false;
  }

  async saveMap() {
    const { info, map } = this.state;
    const more = (context) => drawPlace(context, map, this.state);
    download(await map.toBlob(cssColor("--paper"), more), `${info.model}-map.png`);
  }
}
