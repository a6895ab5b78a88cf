// The switch between the maps of the same codes, PCA and UMAP.

import { UserError } from "./api.js";
import { RadioGroup } from "./choices.js";

const $ = (id) => document.getElementById(id);

export class MapSwitch {
  // onChange() is called when the points have arrived at their places on another map
  constructor(state, places, showError, onChange) {
    Object.assign(this, { state, showError, onChange, placesByMap: { pca: places }, chosen: "pca", moving: false });
    this.choices = new RadioGroup($("maps"), "map", (name) => this.choose(name));
    $("maps").hidden = (state.info.maps ?? []).length < 2;
    this.choices.mark("pca");
  }

  // Shows a map, which may be computed first. Returns whether it is shown, and not another one
  // chosen meanwhile.
  async choose(name) {
    const { state } = this;
    this.chosen = name;
    this.choices.mark(name);
    const note = $("note");
    note.hidden = true;
    if (name === state.layout) return true;
    try {
      this.placesByMap[name] ??= await this.computePlaces(name);
    } catch (error) {
      if (this.chosen === name) {
        // back to the map that is shown
        this.chosen = state.layout;
        this.choices.mark(state.layout);
        if (!(error instanceof UserError)) return this.showError(error);
        note.textContent = error.message; // next to the switch
        note.hidden = false;
      }
    }
    if (this.chosen !== name || !this.placesByMap[name]) return false;
    note.hidden = true;
    state.layout = name;
    state.centers = null;
    await new Promise((done) => state.map.morph(this.placesByMap[name], done));
    if (state.layout === name) await this.onChange();
    return state.layout === name;
  }

  // Returns the places of a map, and shows for how long they have been computed.
  async computePlaces(name) {
    const note = $("note");
    const startTime = performance.now();
    const showProgress = () => {
      if (this.chosen !== name) return;
      const seconds = Math.round((performance.now() - startTime) / 1000);
      note.textContent = `${name.toUpperCase()} is computed, for ${seconds} s so far`;
      note.hidden = false;
    };
    try {
      return await this.state.source.places(name, showProgress);
    } finally {
      if (this.chosen === name) note.hidden = true;
    }
  }
}
