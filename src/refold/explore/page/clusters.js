// The choice of the clusters that color the map: HDBSCAN, or as many of k-means as the reader says.

import { Choices } from "./choices.js";

const $ = (id) => document.getElementById(id);
const FIRST = 8; // clusters of k-means, where HDBSCAN found fewer than two

export class Clusters {
  // replace(field) shows another field in the place of the one with its name
  constructor(state, replace, showError) {
    Object.assign(this, { state, replace, showError });
    this.choices = new Choices($("clusters"), "method", (method) => this.choose(method));
    $("cluster-number").addEventListener("change", () => this.ask(this.number()));
  }

  // Shows the choice if the map is colored by clusters that can be found again.
  show() {
    const { field, source } = this.state;
    const hidden = !field?.clusters || !source.cluster;
    $("clusters").hidden = hidden;
    if (hidden) return;
    const { number, most } = field.clusters;
    const input = $("cluster-number");
    this.choices.mark(number ? "kmeans" : "hdbscan");
    input.parentElement.hidden = !number;
    input.max = most;
    if (number) input.value = number;
  }

  // Finds the clusters that an address names: so many of k-means, or 0 for HDBSCAN.
  async restore(name, number) {
    const { info, source } = this.state;
    const at = info.fields.findIndex((one) => one.name === name);
    const known = info.fields[at]?.clusters;
    if (!known || !source.cluster || number === undefined || number === (known.number ?? 0)) return;
    try {
      info.fields[at] = await source.cluster(number || null);
    } catch (error) {
      this.showError(error);
    }
  }

  choose(method) {
    const { clusters, categories, noise } = this.state.field;
    if (method === "hdbscan") return clusters.number && this.ask(null);
    if (clusters.number) return null;
    const found = (categories?.length ?? 0) - (noise == null ? 0 : 1);
    $("cluster-number").value ||= found > 1 ? found : FIRST;
    return this.ask(this.number());
  }

  // The number that the reader typed, within its limits.
  number() {
    const input = $("cluster-number");
    const typed = Math.round(Number(input.value)) || FIRST;
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
