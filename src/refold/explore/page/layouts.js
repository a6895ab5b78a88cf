// The maps of the same codes, PCA and UMAP, and the way from one to the other.

import { UserError } from "./api.js";
import { RadioGroup } from "./choices.js";

const $ = (id) => document.getElementById(id);

export class MapSwitch {
  // changed() is called when the points have arrived at their places on another map
  constructor(state, places, showError, changed) {
    Object.assign(this, { state, showError, changed, known: { pca: places }, wanted: "pca", moving: false });
    this.choices = new RadioGroup($("maps"), "map", (name) => this.choose(name));
    $("maps").hidden = (state.info.maps ?? []).length < 2;
    this.choices.mark("pca");
  }

  // Shows a map, which may have to be computed first; returns whether it is shown.
  async choose(name) {
    const { state } = this;
    this.wanted = name;
    this.choices.mark(name);
    const note = $("note");
    note.hidden = true;
    if (name === state.layout) return true;
    try {
      this.known[name] ??= await this.computed(name);
    } catch (error) {
      if (this.wanted === name) {
        this.wanted = state.layout;
        this.choices.mark(state.layout);
        if (!(error instanceof UserError)) return this.showError(error);
        note.textContent = error.message; // at the switch, such as a package that is missing
        note.hidden = false;
      }
    }
    if (this.wanted !== name || !this.known[name]) return false;
    note.hidden = true;
    state.layout = name;
    state.centers = null;
    await new Promise((done) => state.map.morph(this.known[name], done));
    if (state.layout === name) await this.changed();
    return state.layout === name;
  }

  async computed(name) {
    const note = $("note");
    const begin = performance.now();
    const say = () => {
      if (this.wanted !== name) return;
      const seconds = Math.round((performance.now() - begin) / 1000);
      note.textContent = `${name.toUpperCase()} is computed, for ${seconds} s so far`;
      note.hidden = false;
    };
    try {
      return await this.state.source.places(name, say);
    } finally {
      if (this.wanted === name) note.hidden = true;
    }
  }
}
