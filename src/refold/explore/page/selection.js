// The selected sequences: their number, their colors on the map, and their files.

import { download } from "./api.js";
import { $, cssColor } from "./dom.js";
import { drawPlace } from "./marks.js";

// Opacity of points that are not selected, from 0 to 255.
const DIMMED_OPACITY = 50;

export class Selection {
  constructor(state, updateColors, showError) {
    Object.assign(this, { state, updateColors, showError, rows: [] });
    $("clear-selection").onclick = () => this.set([]);
    $("save-map").onclick = () => this.saveMap();
    for (const button of document.querySelectorAll("[data-table]")) button.onclick = () => this.save(button);
  }

  set(rows) {
    this.rows = rows;
    $("selection").hidden = !rows.length;
    $("selected").textContent = `${rows.length.toLocaleString("en")} selected`;
    this.updateColors();
  }

  // Makes points that are not selected transparent.
  dim(colors) {
    if (!this.rows.length) return;
    const isSelected = new Uint8Array(colors.length / 4);
    for (const row of this.rows) isSelected[row] = 1;
    for (let i = 0; i < isSelected.length; i++) {
      if (!isSelected[i] && colors[4 * i + 3]) colors[4 * i + 3] = DIMMED_OPACITY;
    }
  }

  async save(button) {
    const tableName = button.dataset.table;
    button.disabled = true;
    try {
      const body = await this.state.source.table(tableName, this.rows);
      download(body, `${this.state.info.model}-${tableName}.${tableName === "sequences" ? "json" : "csv"}`);
    } catch (error) {
      this.showError(error);
    }
    button.disabled = false;
  }

  async saveMap() {
    const { info, map } = this.state;
    const drawMore = (context) => drawPlace(context, map, this.state);
    download(await map.toPng(cssColor("--paper"), drawMore), `${info.model}-map.png`);
  }
}
