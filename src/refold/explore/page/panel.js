// The panel: the current sequence, its neighbors, the path from A to B, and the latent dimensions.

import { download, LatestRequest } from "./api.js";
import { writeAddress } from "./address.js";
import { $, makeButton, makeElement, showText } from "./dom.js";
import { fieldText, shortNumber } from "./numbers.js";
import { Picture, thumbnail } from "./plot.js";

// Sliders that are shown before a click on "Show all".
const INITIAL_SLIDERS = 12;
// Duration of the path from A to B.
const PLAY_SECONDS = 4;

export class Panel {
  constructor(state, showError) {
    Object.assign(this, { state, showError });
    this.picture = new Picture($("picture"), state.info);
    const unfold = (body) => state.source.unfold(body);
    this.request = new LatestRequest(unfold, (sequence, request) => this.showDecoded(sequence, request), showError);
    $("save-picture").hidden = !this.picture.numeric.length;
    this.neighborRows = [];
    this.anchor = -1; // row of the last clicked sequence, near which places may stay
    this.version = 0; // counts what the panel shows, to drop late answers
    this.share = 0; // share of the path from A to B
    this.playing = 0; // id of the requested animation frame while the path plays
    this.makeSliders(INITIAL_SLIDERS);
    $("previous").onclick = () => this.step(-1);
    $("next").onclick = () => this.step(1);
    $("keep").onchange = () => state.kind !== "row" && state.at && this.probe(state.at);
    $("save-picture").onclick = () => this.save();
    $("play").onclick = () => this.play();
    $("share").oninput = () => {
      this.stop();
      this.showBetween(Number($("share").value));
    };
    $("forget-ends").onclick = () => {
      this.stop();
      state.ends = [null, null];
      this.showEnds();
      writeAddress(state);
    };
    for (const button of document.querySelectorAll("[data-end]")) {
      button.onclick = () => this.setEnd(Number(button.dataset.end));
    }
  }

  redraw() {
    if (this.picture.current) this.picture.draw(this.picture.current);
    if (this.neighbors) this.showNeighbors(this.neighbors);
  }

  // Shows a sequence of the data.
  async showRow(row) {
    const version = ++this.version;
    const { state } = this;
    this.stop();
    this.request.cancel();
    Object.assign(state, { untouched: false, kind: "row", row, at: state.map.places.slice(2 * row, 2 * row + 2) });
    state.placeMark();
    try {
      const sequence = await state.source.sequence(row);
      if (version !== this.version) return;
      this.anchor = row;
      $("keep-name").parentElement.hidden = state.mapName !== "pca";
      $("keep-name").textContent = `Stay near ${sequence.id}`;
      this.show(sequence, `Sequence ${sequence.id}`);
      this.describeRow(sequence);
      this.neighborRows = sequence.neighbors.map((neighbor) => neighbor.row);
      this.showNeighbors(sequence.neighbors);
      this.setSliders();
      state.map.redraw();
      writeAddress(state);
    } catch (error) {
      this.showError(error);
    }
  }

  // Decodes a place on the map.
  probe(at) {
    this.stop();
    this.decode("at", { at: [...at].map((x) => Math.max(-50, Math.min(50, x))) });
  }

  // Decodes the place of the first sequence, when the page begins without an address.
  begin() {
    this.decode("at", { at: [...this.state.map.places.subarray(0, 2)] });
    this.state.untouched = true;
  }

  showCode(code, from = "") {
    this.decode("code", { code: [...code] }, from);
  }

  // Requests a sequence at a place (kind "at") or of a code; `from` says which control asks.
  decode(kind, body, from = "") {
    const { state } = this;
    state.untouched = false;
    this.version++;
    state.kind = kind;
    if (kind === "at") {
      state.at = body.at;
      if ($("keep").checked && this.anchor >= 0 && state.mapName === "pca") body.row = this.anchor;
      state.placeMark(); // without the map, which would be slow to draw
    }
    body.on = state.mapName;
    const version = this.version;
    // during a drag, late answers are shown, too, unless the user has chosen a sequence meanwhile
    const isNeeded = () => state.kind === kind && version <= this.version;
    this.request.ask({ body, isNeeded, from, kind });
  }

  showDecoded(sequence, request) {
    const { state } = this;
    if (request.body.on !== state.mapName) return; // the user has changed the map meanwhile
    const codeTitle = request.from === "travel" ? "Between A and B" : "A code";
    this.show(sequence, request.kind === "at" ? "A place on the map" : codeTitle);
    if (request.kind === "code") state.at = sequence.at;
    const steps = `${sequence.length} ${sequence.length === 1 ? "step" : "steps"}`;
    $("facts").textContent = `${steps} · nearest: ${sequence.id}`;
    $("reasons").hidden = true;
    if (this.neighborRows.length) this.hideNeighbors();
    $("far").hidden = !sequence.far;
    if (request.from !== "slider") this.setSliders();
    state.placeMark();
    writeAddress(state);
  }

  show(sequence, name) {
    this.state.code = sequence.code;
    $("name").textContent = name;
    $("hint").hidden = !this.state.untouched;
    $("actions").hidden = false;
    $("far").hidden = true;
    this.picture.draw(sequence);
  }

  // Shows length, error, p-value and fields of a sequence, and sentences that explain them.
  describeRow(sequence) {
    const phrases = [`${sequence.length} steps`, `error ${shortNumber(sequence.error)}`];
    if (sequence.p_value !== undefined) phrases.push(`p-value ${shortNumber(sequence.p_value)}`);
    for (const [name, value] of Object.entries(sequence.fields)) {
      if (value !== null && !["length", "error", "anomaly p-value"].includes(name)) {
        const field = this.state.info.fields.find((candidate) => candidate.name === name);
        phrases.push(`${name} ${typeof value === "number" ? fieldText(field, value) : value}`);
      }
    }
    $("facts").textContent = phrases.join(" · ");
    const sentences = [];
    const percent = (share) => `${shortNumber(100 * share)} %`;
    const { alpha, num_normal } = this.state.info;
    const isAnomalous = sequence.p_value <= alpha;
    if (sequence.p_value !== undefined) {
      // with n normal sequences, the smallest p-value is 1 / (n + 1)
      const minNormal = Math.ceil(1 / alpha - 1e-9) - 1;
      const verdict =
        num_normal < minNormal
          ? `which ${num_normal} normal sequences cannot decide at alpha ${percent(alpha)} (at least ${minNormal} can)`
          : `${isAnomalous ? "anomalous" : "not anomalous"} at alpha ${percent(alpha)}`;
      sentences.push(
        `p = ${percent(sequence.p_value)}, ${verdict}. ` +
          "p is the share of normal sequences with such a score or a higher one, not adjusted for multiple tests.",
      );
    }
    const [error, distance] = sequence.anomaly ?? [0, 0];
    if (distance > error && isAnomalous) {
      sentences.push(
        `Its code is ${shortNumber(distance)} times as far from the training data as usual, so the combination of values is unusual.`,
      );
    } else if (error && isAnomalous) {
      sentences.push(`Its error is ${shortNumber(error)} times that of training sequences.`);
    }
    const reasonText = ({ step, column, share }) =>
      `step ${step + 1}${this.state.info.columns.length > 1 ? ` of ${column}` : ""} (${percent(share)})`;
    if (sequence.reasons?.length)
      sentences.push(`Largest parts of the error: ${sequence.reasons.map(reasonText).join(", ")}.`);
    if (sequence.own_length !== undefined && sequence.own_length !== sequence.length) {
      sentences.push(`Decoded alone, the code gives ${sequence.own_length} steps.`);
    }
    showText($("reasons"), sentences.join(" "));
  }

  // Shows a sequence that the user has added.
  showAdded(sequence) {
    this.version++;
    this.stop();
    this.request.cancel();
    Object.assign(this.state, { untouched: false, kind: "added", at: sequence.at });
    this.show(sequence, `Added: ${sequence.id}`);
    this.describeRow({ ...sequence, fields: {} });
    this.hideNeighbors();
    this.setSliders();
    this.state.placeMark();
  }

  // Moves what the panel shows, and the ends of the path, to the places on another map.
  async relocate() {
    const { state } = this;
    const { mapName, map, source } = state;
    const placeOf = (row) => map.places.slice(2 * row, 2 * row + 2);
    $("keep-name").parentElement.hidden = this.anchor < 0 || mapName !== "pca";
    if (state.kind === "row") state.at = placeOf(state.row);
    else if (state.code) this.showCode(state.code);
    for (const end of state.ends) {
      if (!end) continue;
      end.at = end.row >= 0 ? placeOf(end.row) : (await source.unfold({ code: end.code, on: mapName })).at;
    }
    state.placeMark();
    map.redraw();
  }

  showNeighbors(neighbors) {
    this.neighbors = neighbors;
    $("neighbors-section").hidden = !neighbors.length;
    $("neighbors").replaceChildren(
      ...neighbors.map((neighbor) => {
        const title = `Sequence ${neighbor.id}, at a distance of ${shortNumber(neighbor.distance)}`;
        const button = makeButton(() => this.showRow(neighbor.row), { title });
        button.append(thumbnail(neighbor.values, this.state.info), makeElement("span", { textContent: neighbor.id }));
        return button;
      }),
    );
  }

  hideNeighbors() {
    this.neighborRows = [];
    $("neighbors-section").hidden = true;
    this.state.map.redraw();
  }

  // Shows the next visible sequence, or the previous one with direction -1.
  step(direction) {
    const { count } = this.state.info;
    const from = this.anchor < 0 ? (direction > 0 ? -1 : 0) : this.anchor;
    for (let k = 1; k <= count; k++) {
      const row = (((from + direction * k) % count) + count) % count;
      if (this.state.map.isShown(row)) return this.showRow(row);
    }
    return undefined;
  }

  save() {
    const name = $("name")
      .textContent.toLowerCase()
      .replaceAll(/[^\w.-]+/g, "-");
    const picture = this.picture.toPng();
    picture.then((blob) => download(blob, `${name}.png`)).catch(this.showError);
  }

  // Makes the current code the end A (0) or B (1) of the path.
  setEnd(i) {
    const { state } = this;
    if (!state.code || !state.at) return;
    const row = state.kind === "row" ? state.row : -1;
    const label = row >= 0 ? $("name").textContent.replace("Sequence ", "") : "a place";
    state.ends[i] = { code: [...state.code], at: [...state.at], label, row };
    this.showEnds();
    writeAddress(state);
  }

  // Sets the ends to rows of sequences, or null, of the address.
  async setEnds(rows) {
    const { state } = this;
    const requests = rows.map(async (row, i) => {
      if (row === null || state.ends[i]?.row === row) return;
      const { code, id } = await state.source.sequence(row);
      const at = Array.from(state.map.places.slice(2 * row, 2 * row + 2));
      state.ends[i] = { code, at, label: `${id}`, row };
    });
    try {
      await Promise.all(requests);
      if (state.ends.some(Boolean)) this.showEnds();
    } catch (error) {
      this.showError(error);
    }
  }

  showEnds() {
    const [a, b] = this.state.ends;
    $("between").hidden = !(a || b);
    $("play").disabled = $("share").disabled = !(a && b);
    $("ends").textContent = a && b ? `${a.label} to ${b.label}` : `Set ${a ? "B" : "A"}, too`;
    this.state.map.redraw();
  }

  // Shows the code at a share of the path from A to B.
  showBetween(share) {
    const [a, b] = this.state.ends;
    if (!a || !b) return;
    this.share = share;
    const code = a.code.map((value, i) => value + (b.code[i] - value) * share);
    this.showCode(code, "travel");
  }

  // Plays the path from A to B, and back; or pauses.
  play() {
    const [a, b] = this.state.ends;
    if (this.playing || !a || !b) {
      this.stop();
      return;
    }
    this.labelPlayButton("Pause", true);
    let [before, isForward] = [performance.now(), true];
    if (this.share >= 1) this.share = 0;
    const frame = (now) => {
      // at most 0.1 s, so that the path does not jump after a pause of the browser
      const step = Math.min(0.1, (now - before) / 1000) / PLAY_SECONDS;
      before = now;
      let share = this.share + (isForward ? step : -step);
      if (share >= 1 || share <= 0) isForward = share <= 0; // back at the ends
      share = Math.max(0, Math.min(1, share));
      $("share").value = share;
      this.showBetween(share);
      this.playing = requestAnimationFrame(frame);
    };
    this.playing = requestAnimationFrame(frame);
  }

  stop() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.labelPlayButton("Play", false);
  }

  labelPlayButton(label, isPressed) {
    $("play").textContent = label;
    $("play").setAttribute("aria-pressed", String(isPressed));
  }

  // Makes sliders of the latent dimensions with the largest effects.
  makeSliders(count) {
    const { low, high, mean, effect } = this.state.info.dimensions;
    const order = effect.map((_, i) => i).sort((i, k) => effect[k] - effect[i]);
    this.sliders = order.slice(0, count).map((i) => {
      const range = Math.max(high[i] - low[i], 1e-6);
      const [min, max] = [low[i] - 0.25 * range, high[i] + 0.25 * range];
      const input = makeElement("input", { type: "range", min, max, step: range / 500, value: mean[i] });
      const [label, output] = [makeElement("label"), makeElement("output")];
      label.append(makeElement("span", { textContent: i + 1 }), input, output);
      input.setAttribute("aria-label", `Latent dimension ${i + 1}`);
      input.oninput = () => {
        this.stop();
        const code = [...(this.state.code ?? mean)];
        code[i] = Number(input.value);
        this.state.code = code;
        output.textContent = shortNumber(code[i]);
        this.showCode(code, "slider");
      };
      return { i, input, output, label };
    });
    $("sliders").replaceChildren(...this.sliders.map((slider) => slider.label));
    $("more-sliders").hidden = order.length <= count;
    $("more-sliders").onclick = () => {
      this.makeSliders(order.length);
      this.setSliders();
    };
    $("sliders-section").ontoggle = () => this.setSliders();
  }

  setSliders() {
    if (!$("sliders-section").open) return;
    const code = this.state.code ?? this.state.info.dimensions.mean;
    for (const { i, input, output } of this.sliders) {
      input.value = code[i];
      output.textContent = shortNumber(code[i]);
    }
  }
}
