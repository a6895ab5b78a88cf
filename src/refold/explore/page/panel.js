// The panel: the sequence at hand, its neighbors, the way from A to B, and the latent dimensions.

import { download, LatestRequest } from "./api.js";
import { writeAddress } from "./address.js";
import { fieldText, shortNumber } from "./numbers.js";
import { Picture, thumbnail } from "./plot.js";

const $ = (id) => document.getElementById(id);
const FIRST_SLIDERS = 12;
const PLAY_SECONDS = 4;

export class Panel {
  constructor(state, showError) {
    this.state = state;
    this.showError = showError;
    this.picture = new Picture($("picture"), state.info);
    const unfold = (body) => state.source.unfold(body);
    this.latest = new LatestRequest(unfold, (found, asked) => this.unfolded(found, asked), showError);
    $("save-picture").hidden = !this.picture.numeric.length;
    this.neighborRows = [];
    this.anchor = -1;
    this.turn = 0;
    this.share = 0;
    this.playing = 0;
    this.makeSliders(FIRST_SLIDERS);
    $("previous").addEventListener("click", () => this.step(-1));
    $("next").addEventListener("click", () => this.step(1));
    $("keep").addEventListener("change", () => this.state.kind !== "row" && this.state.at && this.probe(this.state.at));
    $("save-picture").addEventListener("click", () => this.save());
    $("play").addEventListener("click", () => this.play());
    $("share").addEventListener("input", () => {
      this.stop();
      this.travel(Number($("share").value));
    });
    $("forget-ends").addEventListener("click", () => {
      this.stop();
      this.state.ends = [null, null];
      this.showEnds();
      writeAddress(this.state);
    });
    for (const button of document.querySelectorAll("[data-end]")) {
      button.addEventListener("click", () => this.setEnd(Number(button.dataset.end)));
    }
  }

  redraw() {
    if (this.picture.shown) this.picture.draw(this.picture.shown);
    if (this.neighbors) this.showNeighbors(this.neighbors);
  }

  // A sequence of the data.
  async showRow(row) {
    const turn = ++this.turn;
    const { state } = this;
    this.stop();
    this.latest.cancel();
    Object.assign(state, { untouched: false, kind: "row", row, at: state.map.places.slice(2 * row, 2 * row + 2) });
    state.placeMark();
    try {
      const found = await state.source.sequence(row);
      if (turn !== this.turn) return;
      this.anchor = row;
      $("keep-name").parentElement.hidden = state.layout !== "pca";
      $("keep-name").textContent = `Stay near ${found.id}`;
      this.show(found, `Sequence ${found.id}`);
      this.describeRow(found);
      this.neighborRows = found.neighbors.map((one) => one.row);
      this.showNeighbors(found.neighbors);
      this.setSliders();
      state.map.redraw();
      writeAddress(state);
    } catch (error) {
      this.showError(error);
    }
  }

  // A place of the map, decoded at once.
  probe(at) {
    this.stop();
    this.decode("at", { at: [...at].map((one) => Math.max(-50, Math.min(50, one))) });
  }

  // What a page without an address begins with.
  begin() {
    this.decode("at", { at: [...this.state.map.places.subarray(0, 2)] });
    this.state.untouched = true;
  }

  showCode(code, from = "") {
    this.decode("code", { code: [...code] }, from);
  }

  decode(kind, body, from = "") {
    const { state } = this;
    state.untouched = false;
    this.turn++;
    state.kind = kind;
    if (kind === "at") {
      state.at = body.at;
      if ($("keep").checked && this.anchor >= 0 && state.layout === "pca") body.row = this.anchor;
      state.placeMark(); // the map itself stays as it is, which would be slow to draw
    }
    body.on = state.layout;
    const turn = this.turn;
    // answers on the way are shown, too, unless the reader went on to a sequence
    const current = () => state.kind === kind && turn <= this.turn;
    this.latest.ask({ body, current, from, kind });
  }

  unfolded(found, asked) {
    const { state } = this;
    if (asked.body.on !== state.layout) return; // the reader has changed the map meanwhile
    this.show(found, asked.kind === "at" ? "A place on the map" : asked.from === "travel" ? "Between A and B" : "A code");
    if (asked.kind === "code") state.at = found.at;
    const steps = `${found.length} ${found.length === 1 ? "step" : "steps"}`;
    $("facts").textContent = `${steps} · nearest: ${found.id}`;
    $("reasons").hidden = true;
    if (this.neighborRows.length) {
      this.neighborRows = [];
      $("neighbors-section").hidden = true;
      state.map.redraw();
    }
    $("far").hidden = !found.far;
    if (asked.from !== "slider") this.setSliders();
    state.placeMark();
    writeAddress(state);
  }

  show(found, name) {
    this.state.code = found.code;
    $("name").textContent = name;
    $("hint").hidden = !this.state.untouched;
    $("actions").hidden = false;
    $("far").hidden = true;
    this.picture.draw(found);
  }

  describeRow(found) {
    const facts = [`${found.length} steps`, `error ${shortNumber(found.error)}`];
    if (found.p_value !== undefined) facts.push(`p-value ${shortNumber(found.p_value)}`);
    for (const [name, value] of Object.entries(found.fields)) {
      if (value !== null && !["length", "error", "anomaly p-value"].includes(name)) {
        const field = this.state.info.fields.find((one) => one.name === name);
        facts.push(`${name} ${typeof value === "number" ? fieldText(field, value) : value}`);
      }
    }
    $("facts").textContent = facts.join(" · ");
    const said = [];
    const percent = (share) => `${shortNumber(100 * share)} %`;
    const { alpha, num_normal } = this.state.info;
    const rare = found.p_value <= alpha;
    if (found.p_value !== undefined) {
      const needed = Math.ceil(1 / alpha - 1e-9) - 1;
      const verdict = num_normal < needed ? `which ${num_normal} normal sequences cannot decide at alpha ${percent(alpha)} (at least ${needed} can)`
        : `${rare ? "anomalous" : "not anomalous"} at alpha ${percent(alpha)}`;
      said.push(
        `p = ${percent(found.p_value)}, ${verdict}. ` +
          "p is the share of normal sequences with such a score or a higher one, not adjusted for multiple tests.",
      );
    }
    const [error, distance] = found.anomaly ?? [0, 0];
    if (distance > error && rare) {
      said.push(`Its code is ${shortNumber(distance)} times as far from the training data as usual, so the combination of values is unusual.`);
    } else if (error && rare) {
      said.push(`Its error is ${shortNumber(error)} times that of training sequences.`);
    }
    const where = (one) => `step ${one.step + 1}${this.state.info.columns.length > 1 ? ` of ${one.column}` : ""} (${percent(one.share)})`;
    if (found.reasons?.length) said.push(`Largest parts of the error: ${found.reasons.map(where).join(", ")}.`);
    if (found.own_length !== undefined && found.own_length !== found.length) {
      said.push(`Decoded alone, the code gives ${found.own_length} steps.`);
    }
    $("reasons").textContent = said.join(" ");
    $("reasons").hidden = !said.length;
  }

  // A sequence that was added, which is no row of the data.
  showAdded(found) {
    this.turn++;
    this.stop();
    this.latest.cancel();
    Object.assign(this.state, { untouched: false, kind: "added", at: found.at });
    this.show(found, `Added: ${found.id}`);
    this.describeRow({ ...found, fields: {} });
    this.neighborRows = [];
    $("neighbors-section").hidden = true;
    this.setSliders();
    this.state.placeMark();
    this.state.map.redraw();
  }

  // Finds what is shown on another map.
  async relocate() {
    const { state } = this;
    const { layout, map, source } = state;
    const placeOf = (row) => map.places.slice(2 * row, 2 * row + 2);
    $("keep-name").parentElement.hidden = this.anchor < 0 || layout !== "pca";
    if (state.kind === "row") state.at = placeOf(state.row);
    else if (state.code) this.showCode(state.code);
    for (const end of state.ends) {
      if (!end) continue;
      end.at = end.row >= 0 ? placeOf(end.row) : (await source.unfold({ code: end.code, on: layout })).at;
    }
    state.placeMark();
    map.redraw();
  }

  showNeighbors(neighbors) {
    this.neighbors = neighbors;
    $("neighbors-section").hidden = !neighbors.length;
    $("neighbors").replaceChildren(
      ...neighbors.map((one) => {
        const button = document.createElement("button");
        button.type = "button";
        const name = document.createElement("span");
        name.textContent = `${one.id}`;
        button.append(thumbnail(one.values, this.state.info), name);
        button.title = `Sequence ${one.id}, at a distance of ${shortNumber(one.distance)}`;
        button.addEventListener("click", () => this.showRow(one.row));
        return button;
      }),
    );
  }

  step(by) {
    const { count } = this.state.info;
    const from = this.anchor < 0 ? (by > 0 ? -1 : 0) : this.anchor;
    for (let k = 1; k <= count; k++) {
      const row = (((from + by * k) % count) + count) % count;
      if (this.state.map.isShown(row)) return this.showRow(row);
    }
    return undefined;
  }

  save() {
    const name = $("name").textContent.replaceAll(/[^\w.-]+/g, "-").toLowerCase();
    this.picture.toBlob().then((blob) => download(blob, `${name}.png`)).catch(this.showError);
  }

  // The way between two codes.
  setEnd(i) {
    const { state } = this;
    if (!state.code || !state.at) return;
    const row = state.kind === "row" ? state.row : -1;
    const label = row >= 0 ? $("name").textContent.replace("Sequence ", "") : "a place";
    state.ends[i] = { code: [...state.code], at: [...state.at], label, row };
    this.showEnds();
    writeAddress(state);
  }

  // Ends at sequences, or null, from the address of the page.
  async setEnds(rows) {
    const { state } = this;
    const asked = rows.map(async (row, i) => {
      if (row === null || state.ends[i]?.row === row) return;
      const { code, id } = await state.source.sequence(row);
      const at = [...state.map.places.slice(2 * row, 2 * row + 2)];
      state.ends[i] = { code, at, label: `${id}`, row };
    });
    try {
      await Promise.all(asked);
      if (state.ends.some(Boolean)) this.showEnds();
    } catch (error) {
      this.showError(error);
    }
  }

  showEnds() {
    const [a, b] = this.state.ends;
    $("between").hidden = !(a || b);
    const ready = Boolean(a && b);
    $("play").disabled = $("share").disabled = !ready;
    $("ends").textContent = ready ? `${a.label} to ${b.label}` : `Set ${a ? "B" : "A"}, too`;
    this.state.map.redraw();
  }

  travel(share) {
    const [a, b] = this.state.ends;
    if (!a || !b) return;
    this.share = share;
    this.showCode(a.code.map((one, i) => one + (b.code[i] - one) * share), "travel");
  }

  play() {
    if (this.playing) {
      this.stop();
      return;
    }
    const [a, b] = this.state.ends;
    if (!a || !b) return;
    $("play").textContent = "Pause";
    $("play").setAttribute("aria-pressed", "true");
    let [before, forth] = [performance.now(), true];
    if (this.share >= 1) this.share = 0;
    const frame = (now) => {
      const step = Math.min(0.1, (now - before) / 1000) / PLAY_SECONDS;
      before = now;
      let share = this.share + (forth ? step : -step);
      if (share >= 1 || share <= 0) forth = share <= 0;
      share = Math.max(0, Math.min(1, share));
      $("share").value = share;
      this.travel(share);
      this.playing = requestAnimationFrame(frame);
    };
    this.playing = requestAnimationFrame(frame);
  }

  stop() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    $("play").textContent = "Play";
    $("play").setAttribute("aria-pressed", "false");
  }

  // Sliders of latent dimensions, those with the largest effect first.
  makeSliders(most) {
    const { low, high, mean, effect } = this.state.info.dimensions;
    const order = effect.map((_, i) => i).sort((i, k) => effect[k] - effect[i]);
    this.sliders = order.slice(0, most).map((i) => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      const wide = Math.max(high[i] - low[i], 1e-6);
      Object.assign(input, {
        type: "range", min: low[i] - 0.25 * wide, max: high[i] + 0.25 * wide, step: wide / 500, value: mean[i],
      });
      const name = document.createElement("span");
      name.textContent = i + 1;
      const said = document.createElement("output");
      label.append(name, input, said);
      input.setAttribute("aria-label", `Latent dimension ${i + 1}`);
      input.addEventListener("input", () => {
        this.stop();
        const code = [...(this.state.code ?? mean)];
        code[i] = Number(input.value);
        this.state.code = code;
        said.textContent = shortNumber(code[i]);
        this.showCode(code, "slider");
      });
      return { i, input, said, label };
    });
    $("sliders").replaceChildren(...this.sliders.map((one) => one.label));
    $("more-sliders").hidden = order.length <= most;
    $("more-sliders").onclick = () => {
      this.makeSliders(order.length);
      this.setSliders();
    };
    $("sliders-section").ontoggle = () => this.setSliders();
  }

  setSliders() {
    if (!$("sliders-section").open) return;
    const code = this.state.code ?? this.state.info.dimensions.mean;
    for (const { i, input, said } of this.sliders) {
      input.value = code[i];
      said.textContent = shortNumber(code[i]);
    }
  }
}
