// What a selection can become: a label in a column of the data, or the normal set of `detect`.

import { download } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Labels {
  // replace(field) shows a field, and adds it or puts it in the place of the one with its name
  constructor(state, selection, replace, showError) {
    Object.assign(this, { state, selection, replace, showError });
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
      const shown = this.replace(field);
      this.list();
      await shown;
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
