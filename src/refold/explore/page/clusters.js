// The choice of the clusters that color the map: k-means, with a number of clusters, or HDBSCAN.

import { RadioGroup } from "./choices.js";

const $ = (id) => document.getElementById(id);

export class ClusterChoice {
  // replace(field) shows another field in the place of the one with its name
  constructor(state, replace, showError) {
    Object.assign(this, { state, replace, showError });
    this.choices = new RadioGroup($("clusters"), "method", (method) => this.choose(method));
    $("cluster-number").addEventListener("change", () => this.ask(this.number()));
  }

  // Shows the choice if the map is colored by clusters that can be found again.
  show() {
    const { field, source } = this.state;
    const hidden = !field?.clusters || !source.cluster;
    $("clusters").hidden = hidden;
    if (hidden) return;
    const { number, most } = field.clusters; // 0 of HDBSCAN; null until a number is chosen
    const input = $("cluster-number");
    this.choices.mark(number === 0 ? "hdbscan" : "kmeans");
    input.parentElement.hidden = number === 0;
    input.max = most;
    input.value = number || "";
  }

  // Finds the clusters that an address names: so many of k-means, or 0 for HDBSCAN.
  async restore(name, number) {
    const { info, source } = this.state;
    const at = info.fields.findIndex((one) => one.name === name);
    const known = info.fields[at]?.clusters;
    if (!known || !source.cluster || number === undefined || number === known.number) return;
    try {
      info.fields[at] = await source.cluster(number);
    } catch (error) {
      this.showError(error);
    }
  }

  choose(method) {
    const dense = method === "hdbscan";
    return dense === (this.state.field.clusters.number === 0) ? null : this.ask(dense ? 0 : null);
  }

  // The number that the reader typed, within its limits; null if there is none.
  number() {
    const input = $("cluster-number");
    const typed = Math.round(Number(input.value));
    if (!typed) return null;
    input.value = Math.max(1, Math.min(this.state.field.clusters.most, typed));
    return Number(input.value);
  }

  async ask(number) {
    try {
      await this.replace(await this.state.source.cluster(number));
    } catch (error) {
      this.show();
      this.showError(error);
    }
  }
}
