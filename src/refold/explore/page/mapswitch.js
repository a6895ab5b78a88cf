// The switch between the maps of the same codes, PCA and UMAP.

import { UserError } from "./api.js";
import { $, RadioGroup, showText } from "./dom.js";

export class MapSwitch {
  // onChange() is called when the points have arrived at their places on another map
  constructor(state, places, showError, onChange) {
    Object.assign(this, { state, showError, onChange, placesByMap: { pca: places }, chosen: "pca" });
    this.choices = new RadioGroup($("maps"), "map", (name) => this.choose(name));
    $("maps").hidden = (state.info.maps ?? []).length < 2;
    this.choices.mark("pca");
  }

  // Shows a map, which may be computed first. Returns false if the user chose another map meanwhile.
  async choose(name) {
    const { state } = this;
    this.chosen = name;
    this.choices.mark(name);
    showText($("note"), "");
    if (name === state.mapName) return true;
    try {
      this.placesByMap[name] ??= await this.computePlaces(name);
    } catch (error) {
      if (this.chosen === name) {
        // back to the map that is shown
        this.chosen = state.mapName;
        this.choices.mark(state.mapName);
        if (!(error instanceof UserError)) return this.showError(error);
        showText($("note"), error.message); // next to the switch
      }
    }
    if (this.chosen !== name || !this.placesByMap[name]) return false;
    showText($("note"), "");
    state.mapName = name;
    state.centers = null;
    await new Promise((done) => state.map.morph(this.placesByMap[name], done));
    if (state.mapName === name) await this.onChange();
    return state.mapName === name;
  }

  // Returns the places of a map, and shows for how long they have been computed.
  async computePlaces(name) {
    const startTime = performance.now();
    const showProgress = () => {
      if (this.chosen !== name) return;
      const seconds = Math.round((performance.now() - startTime) / 1000);
      showText($("note"), `${name.toUpperCase()} is computed, for ${seconds} s so far`);
    };
    try {
      return await this.state.source.places(name, showProgress);
    } finally {
      if (this.chosen === name) showText($("note"), "");
    }
  }
}
