// The source of data in an exported page: the page itself, which holds the data and decodes.

import { UserError } from "../api.js";
import { decodeAllBlocks } from "./arrays.js";
import { EffectWeightedCodes, NeighborMap, PcaMap, nearest } from "./maps.js";
import { meanErrors, Model } from "./model.js";
import { TABLES } from "./tables.js";

// The same limits as in _atlas.py: steps of a neighbor in its small picture,
const MAX_THUMBNAIL_STEPS = 160;
// neighbors of a sequence,
const NUM_NEIGHBORS = 6;
// ids that a search suggests,
const MAX_SUGGESTED_IDS = 12;
// and largest errors of a sequence that the page names.
const MAX_REASONS = 3;

// It has the methods of the class Server, except for adding sequences and finding clusters. These need an
// encoder: again in JavaScript, and with weights that would make up much of the file.
export class Atlas {
  about =
    "This page needs no server and sends nothing: it holds the data, in single precision, and the decoder. " +
    "Added sequences and other clusters need a server: run refold explore.";

  async start() {
    this.blocks = await decodeAllBlocks();
    const { about } = this.blocks;
    Object.assign(this, { info: about.info, ids: about.info.ids, farDistances: about.far_distances });
    const weights = Object.entries(this.blocks).filter(([name]) => name.startsWith("weights/"));
    this.model = new Model(about.model, Object.fromEntries(weights.map(([name, array]) => [name.slice(8), array])));
    this.width = about.projection.mean.length;
    this.offsets = new Float64Array(this.ids.length + 1);
    this.blocks.lengths.forEach((length, i) => (this.offsets[i + 1] = this.offsets[i] + length));
    this.weightedCodes = new EffectWeightedCodes(about.projection, this.blocks.codes);
    this.maps = { pca: new PcaMap(about.projection, this.blocks["places/pca"], this.blocks.codes) };
    if (this.blocks["places/umap"])
      this.maps.umap = new NeighborMap(this.blocks["places/umap"], this.blocks.codes, this.weightedCodes);
    return { info: this.info, places: this.maps.pca.places };
  }

  async places(name) {
    if (!this.maps[name]) throw new UserError("This page has no UMAP map. Export it again with --umap.");
    return this.maps[name].places;
  }

  codeOf(row) {
    return this.blocks.codes.subarray(row * this.width, (row + 1) * this.width);
  }

  // Returns the values of a sequence (steps, columns) in the units of the data.
  valuesOf(row, maxSteps = Infinity) {
    const { columns, errorScaler } = this.model;
    const [shift, scale] = errorScaler.shiftAndScale();
    const begin = this.offsets[row];
    const steps = Math.min(maxSteps, this.offsets[row + 1] - begin);
    const values = new Float64Array(steps * columns.length);
    columns.forEach(({ names }, i) => {
      const stored = this.blocks[`values/${i}`];
      for (let step = 0; step < steps; step++) {
        const number = stored[begin + step];
        // names.length is the index of an unknown category, and the next index is a missing value
        const category = number > names?.length ? NaN : number;
        values[step * columns.length + i] = names ? category : number * scale[i] + shift[i];
      }
    });
    return values;
  }

  // Returns the values of the fields of a sequence, by name.
  fieldsOf(row) {
    const entries = this.info.fields.map(({ name, categories }, i) => {
      const value = this.blocks[`fields/${i}`][row];
      return [name, Number.isNaN(value) ? null : categories ? categories[value] : value];
    });
    return Object.fromEntries(entries);
  }

  async fields() {
    return this.info.fields;
  }

  async field(name) {
    return this.blocks[`fields/${this.info.fields.findIndex((field) => field.name === name)}`];
  }

  async sequence(row) {
    const answer = this.compare(this.ids[row], this.valuesOf(row), this.codeOf(row));
    const neighbors = this.weightedCodes.nearest(this.codeOf(row), NUM_NEIGHBORS + 1).filter((hit) => hit.row !== row);
    answer.row = row;
    answer.fields = this.fieldsOf(row);
    answer.neighbors = neighbors.slice(0, NUM_NEIGHBORS).map((hit) => ({
      ...hit,
      id: this.ids[hit.row],
      values: this.model.toLists(this.valuesOf(hit.row, MAX_THUMBNAIL_STEPS)),
    }));
    if (this.info.calibrated) {
      answer.p_value = answer.fields["anomaly p-value"];
      answer.anomaly = [...this.blocks.anomaly.subarray(2 * row, 2 * row + 2)];
    }
    return answer;
  }

  async find(text) {
    const prefix = text.toLowerCase();
    const matches = this.ids.map((id, row) => ({ row, id: String(id) }));
    return matches
      .filter(({ id }) => id.toLowerCase().startsWith(prefix))
      .sort((a, b) => (b.id === text) - (a.id === text) || a.id.length - b.id.length)
      .slice(0, MAX_SUGGESTED_IDS);
  }

  // Returns a sequence, `back` (its reconstruction from a code, at the true length), their errors, and
  // `own_length` (the length that the code alone decodes to).
  compare(id, values, code) {
    const { model } = this;
    const length = values.length / model.columns.length;
    const back = model.decode(code, length);
    const valueErrors = model.valueErrors(values, back);
    return {
      id,
      code: [...code],
      length,
      own_length: model.lengthOf(code, model.description.max_predicted_length),
      values: model.toLists(values),
      back: model.toLists(back),
      ...meanErrors(valueErrors, model.columns.length),
      reasons: this.largestErrors(valueErrors),
    };
  }

  // Returns step, column and share of the largest of the errors (steps, columns).
  largestErrors(valueErrors) {
    const { columns } = this.info;
    const errors = Float64Array.from(valueErrors, (error) => (Number.isNaN(error) ? 0 : error));
    const total = errors.reduce((a, b) => a + b, 0);
    const order = Array.from(errors.keys())
      .sort((a, b) => errors[b] - errors[a])
      .slice(0, MAX_REASONS);
    const toReason = (k) => ({
      step: Math.floor(k / columns.length),
      column: columns[k % columns.length].name,
      share: errors[k] / total,
    });
    return order.filter((k) => errors[k] > 0).map(toReason);
  }

  // Decodes a place `at` on a map, with the other components of a row; or a code.
  async unfold({ at, code, row, on = "pca" }) {
    const { model } = this;
    const codeMap = this.maps[on];
    const fullCode = at ? codeMap.codeAt(at, row) : Float32Array.from(code);
    const [closest] = at ? nearest(codeMap.places, 2, at, 1) : this.weightedCodes.nearest(fullCode, 1);
    const length = model.lengthOf(fullCode);
    return {
      at: at ?? codeMap.placeOf(fullCode),
      code: [...fullCode],
      length,
      back: model.toLists(model.decode(fullCode, length)),
      far: closest.distance > (this.farDistances[at ? on : "codes"] ?? Infinity),
      nearest: closest.row,
      id: this.ids[closest.row],
    };
  }

  async table(tableName, rows) {
    return new Blob([TABLES[tableName](this, rows)]);
  }
}
