// What a selection can become: a label in a column of the data, or the normal set of `detect`.

import { download } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Labels {
  // colorBy(name) colors the map; fieldsChanged() fills the menu of colors
  constructor(state, selection, { colorBy, fieldsChanged, showError }) {
    Object.assign(this, { state, selection, colorBy, fieldsChanged, showError });
    $("label-form").hidden = !state.source.label;
    $("normal").hidden = !state.source.normal;
    $("label-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const [name, value] = [$("label-column").value.trim(), $("label-value").value.trim()];
      this.ask($("label-go"), () => state.source.label(name, value, selection.rows));
    });
    $("normal").addEventListener("click", () => this.ask($("normal"), () => state.source.normal(selection.rows)));
    this.list();
  }

  async ask(button, send) {
    button.disabled = true;
    try {
      const field = await send();
      const { fields } = this.state.info;
      const at = fields.findIndex((one) => one.name === field.name);
      if (at < 0) fields.push(field);
      else fields[at] = field;
      this.fieldsChanged();
      this.list();
      await this.colorBy(field.name);
    } catch (error) {
      this.showError(error);
    }
    button.disabled = false;
  }

  list() {
    const given = this.state.info.fields.filter((one) => one.given);
    $("labels").hidden = !given.length;
    $("label-list").replaceChildren(
      ...given.map((field) => {
        const row = document.createElement("div");
        const name = document.createElement("span");
        name.textContent = field.name;
        row.append(name, ...(this.state.source.labelFiles ?? ["csv", "parquet"]).map((kind) => this.file(field, kind)));
        return row;
      }),
    );
  }

  file(field, kind) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind === "csv" ? "CSV" : "Parquet";
    button.setAttribute("aria-label", `Download ${field.name} as ${button.textContent}`);
    button.addEventListener("click", async () => {
      try {
        const body = await this.state.source.labels(field.name, kind);
        download(body, `${this.state.info.model}-${field.name}.${kind}`);
      } catch (error) {
        this.showError(error);
      }
    });
    return button;
  }
}
