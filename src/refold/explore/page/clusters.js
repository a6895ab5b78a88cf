// The choice of the clusters that color the map: k-means, with a number of clusters, or HDBSCAN.

import { $, RadioGroup } from "./dom.js";

export class ClusterChoice {
  // replace(field) replaces the field with the same name, and shows it
  constructor(state, replace, showError) {
    Object.assign(this, { state, replace, showError });
    this.choices = new RadioGroup($("clusters"), "method", (method) => this.choose(method));
    $("cluster-number").addEventListener("change", () => this.request(this.readNumber()));
  }

  // Shows the choice if the map is colored by clusters, and the source can find others.
  show() {
    const { field, source } = this.state;
    $("clusters").hidden = !field?.clusters || !source.cluster;
    if ($("clusters").hidden) return;
    const { number, most: maxClusters } = field.clusters; // number: 0 is HDBSCAN, null is not chosen yet
    const input = $("cluster-number");
    this.choices.mark(number === 0 ? "hdbscan" : "kmeans");
    input.parentElement.hidden = number === 0;
    input.max = maxClusters;
    input.value = number || "";
  }

  // Finds the clusters of an address: a number of clusters of k-means, or 0 for HDBSCAN.
  async restore(name, numClusters) {
    const { info, source } = this.state;
    const index = info.fields.findIndex((field) => field.name === name);
    const clusters = info.fields[index]?.clusters;
    if (!clusters || !source.cluster || numClusters === undefined || numClusters === clusters.number) return;
    try {
      info.fields[index] = await source.cluster(numClusters);
    } catch (error) {
      this.showError(error);
    }
  }

  choose(method) {
    const isHdbscan = method === "hdbscan";
    return isHdbscan === (this.state.field.clusters.number === 0) ? null : this.request(isHdbscan ? 0 : null);
  }

  // Returns the number that the user typed, within its limits, or null.
  readNumber() {
    const input = $("cluster-number");
    const typed = Math.round(Number(input.value));
    if (!typed) return null;
    input.value = Math.max(1, Math.min(this.state.field.clusters.most, typed));
    return Number(input.value);
  }

  async request(numClusters) {
    try {
      await this.replace(await this.state.source.cluster(numClusters));
    } catch (error) {
      this.show();
      this.showError(error);
    }
  }
}
