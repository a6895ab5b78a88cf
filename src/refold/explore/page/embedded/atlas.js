// The source of the page's data in a page that works without a server: the page itself.

import { UserError } from "../api.js";
import { decodeAllBlocks } from "./arrays.js";
import { NeighborMap, PcaMap, WeightedCodes } from "./maps.js";
import { meanErrors, Model } from "./model.js";
import { nearest } from "./nearest.js";
import { TABLES } from "./tables.js";

const SMALL_STEPS = 160; // steps of a neighbor's small picture
const NEIGHBORS = 6;
const MATCHES = 12; // ids that a search suggests
const REASONS = 3; // values with large errors that are named

// It answers as the class Server does, except for what has to encode, or find clusters. An encoder
// would have to be written a second time, with latent optimization, and its weights would make up
// much of the file.
export class Atlas {
  about =
    "This page needs no server and sends nothing: it holds the data, in single precision, and the decoder. " +
    "Added sequences and other clusters need a server: run refold explore.";

  async start() {
    this.held = await decodeAllBlocks();
    const { about } = this.held;
    this.info = about.info;
    this.ids = about.info.ids;
    this.reach = about.reach;
    const weights = Object.entries(this.held).filter(([name]) => name.startsWith("weights/"));
    this.model = new Model(about.model, Object.fromEntries(weights.map(([name, array]) => [name.slice(8), array])));
    this.width = about.projection.mean.length;
    this.begins = new Float64Array(this.ids.length + 1);
    this.held.lengths.forEach((length, i) => (this.begins[i + 1] = this.begins[i] + length));
    this.similar = new WeightedCodes(about.projection, this.held.codes);
    this.maps = { pca: new PcaMap(about.projection, this.held["places/pca"], this.held.codes) };
    if (this.held["places/umap"]) this.maps.umap = new NeighborMap(this.held["places/umap"], this.held.codes, this.similar);
    return { info: this.info, places: this.maps.pca.places };
  }

  async places(name) {
    if (!this.maps[name]) throw new UserError("This page has no UMAP map. Export it again with --umap.");
    return this.maps[name].places;
  }

  codeOf(row) {
    return this.held.codes.subarray(row * this.width, (row + 1) * this.width);
  }

  // Values of a sequence (steps, columns) in the units of the data.
  valuesOf(row, most = Infinity) {
    const { columns, units } = this.model;
    const [mean, scale] = units.scales();
    const begin = this.begins[row];
    const steps = Math.min(most, this.begins[row + 1] - begin);
    const values = new Float64Array(steps * columns.length);
    columns.forEach(({ names }, i) => {
      const stored = this.held[`values/${i}`];
      for (let step = 0; step < steps; step++) {
        const one = stored[begin + step];
        // categories are followed by the unknown one and by missing values
        const value = names ? (one > names.length ? NaN : one) : one * scale[i] + mean[i];
        values[step * columns.length + i] = value;
      }
    });
    return values;
  }

  // The values of the fields of a sequence by their names.
  fieldsOf(row) {
    const found = this.info.fields.map(({ name, categories }, i) => {
      const value = this.held[`fields/${i}`][row];
      return [name, Number.isNaN(value) ? null : categories ? categories[value] : value];
    });
    return Object.fromEntries(found);
  }

  async fields() {
    return this.info.fields;
  }

  async field(name) {
    return this.held[`fields/${this.info.fields.findIndex((one) => one.name === name)}`];
  }

  async sequence(row) {
    const shown = this.compare(this.ids[row], this.valuesOf(row), this.codeOf(row));
    const others = this.similar.nearest(this.codeOf(row), NEIGHBORS + 1).filter((one) => one.row !== row);
    shown.row = row;
    shown.fields = this.fieldsOf(row);
    shown.neighbors = others.slice(0, NEIGHBORS).map((one) => ({
      ...one,
      id: this.ids[one.row],
      values: this.model.lists(this.valuesOf(one.row, SMALL_STEPS)),
    }));
    if (this.info.calibrated) {
      shown.p_value = shown.fields["anomaly p-value"];
      shown.anomaly = [...this.held.anomaly.subarray(2 * row, 2 * row + 2)];
    }
    return shown;
  }

  async find(text) {
    const start = text.toLowerCase();
    const matches = this.ids.map((id, row) => ({ row, id: String(id) }));
    return matches
      .filter(({ id }) => id.toLowerCase().startsWith(start))
      .sort((a, b) => (b.id === text) - (a.id === text) || a.id.length - b.id.length)
      .slice(0, MATCHES);
  }

  // A sequence and its reconstruction from a code, at the true length.
  compare(id, values, code) {
    const { model } = this;
    const length = values.length / model.columns.length;
    const back = model.decode(code, length);
    const entries = model.entries(values, back);
    return {
      id,
      code: [...code],
      length,
      own_length: model.lengthOf(code, model.about.longest),
      values: model.lists(values),
      back: model.lists(back),
      ...meanErrors(entries, model.columns.length),
      reasons: this.worst(entries),
    };
  }

  // The values with the largest errors, and their share of all.
  worst(entries) {
    const { columns } = this.info;
    const known = Float64Array.from(entries, (one) => (Number.isNaN(one) ? 0 : one));
    const total = known.reduce((a, b) => a + b, 0);
    const order = Array.from(known.keys()).sort((a, b) => known[b] - known[a]).slice(0, REASONS);
    return order.filter((k) => known[k] > 0).map((k) => {
      const step = Math.floor(k / columns.length);
      return { step, column: columns[k % columns.length].name, share: known[k] / total };
    });
  }

  async unfold({ at, code, row, on = "pca" }) {
    const { model } = this;
    const flat = this.maps[on];
    const whole = at ? flat.codeAt(at, row) : Float32Array.from(code);
    const [closest] = at ? nearest(flat.places, 2, at, 1) : this.similar.nearest(whole, 1);
    const length = model.lengthOf(whole);
    return {
      at: at ?? flat.placeOf(whole),
      code: [...whole],
      length,
      back: model.lists(model.decode(whole, length)),
      far: closest.distance > (this.reach[at ? on : "codes"] ?? Infinity),
      nearest: closest.row,
      id: this.ids[closest.row],
    };
  }

  async table(what, rows) {
    return new Blob([TABLES[what](this, rows)]);
  }
}
