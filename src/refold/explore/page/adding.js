// Sequences that the reader pastes, chooses or drops, and where they land.

import { shortNumber } from "./numbers.js";

const $ = (id) => document.getElementById(id);

export class Adding {
  constructor(state, panel, showError) {
    this.state = state;
    this.panel = panel;
    this.showError = showError;
    this.placed = [];
    const dialog = $("paste-dialog");
    $("paste-text").placeholder = example(state.info);
    $("add").addEventListener("click", () => {
      $("paste-error").hidden = true;
      dialog.showModal();
      $("paste-text").focus();
    });
    $("paste-go").addEventListener("click", () => this.paste());
    $("paste-file").addEventListener("change", async () => {
      const [file] = $("paste-file").files;
      if (file && (await this.read(file, file.name, (error) => this.refuse(error)))) dialog.close();
      $("paste-file").value = "";
    });
    $("clear-pasted").addEventListener("click", () => {
      this.placed = [];
      this.list();
    });
    this.acceptDrops();
    addEventListener("paste", (event) => {
      const busy = ["INPUT", "TEXTAREA"].includes(event.target.tagName) || dialog.open;
      const text = event.clipboardData?.getData("text/plain");
      if (!busy && text?.trim()) this.read(text, "", this.showError);
    });
  }

  acceptDrops() {
    const files = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => ["Files", "text/plain"].includes(type));
    const drop = $("drop");
    addEventListener("dragover", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      drop.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.hidden = true;
    });
    addEventListener("drop", (event) => {
      drop.hidden = true;
      if (!files(event)) return;
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) this.read(file, file.name, this.showError);
      else this.read(event.dataTransfer.getData("text/plain"), "", this.showError);
    });
  }

  refuse(error) {
    $("paste-error").textContent = error.message;
    $("paste-error").hidden = false;
  }

  async paste() {
    const done = await this.read($("paste-text").value, "", (error) => this.refuse(error));
    if (done) $("paste-dialog").close();
  }

  async read(content, name, failed) {
    const busy = $("busy");
    busy.textContent = "Encoding…";
    busy.hidden = false;
    const say = (share) => (busy.textContent = `Encoding: ${Math.round(100 * share)} %`);
    try {
      this.placed = await this.state.source.place(content, name, this.state.layout, say);
      this.last = [content, name];
      this.list();
      this.panel.showAdded(this.placed[0]);
      $("error").hidden = true;
      return true;
    } catch (error) {
      failed(error);
      return false;
    } finally {
      busy.hidden = true;
    }
  }

  // The places on another map.
  async relocate() {
    if (this.placed.length) this.placed = await this.state.source.place(...this.last, this.state.layout);
  }

  list() {
    $("pasted").hidden = !this.placed.length;
    $("pasted-list").replaceChildren(
      ...this.placed.map((one) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${one.id} · ${one.length} steps · error ${shortNumber(one.error)}`;
        button.addEventListener("click", () => this.panel.showAdded(one));
        return button;
      }),
    );
    this.state.map.redraw();
  }
}

function example(info) {
  if (info.layout === "characters") return '["a sequence", "another one"]';
  if (info.layout === "words") return '[["some", "words"], ["others"]]';
  if (info.layout === "tokens") return '[["a", "b"], ["b"]]';
  if (info.layout === "series") return "[[0.1, 0.5, 0.3], [0.2, 0.4]]";
  const row = `[${info.columns.map((column) => (column.tokens ? '"a"' : "0.1")).slice(0, 12).join(", ")}]`;
  return `[[${row}, ${row}]]`;
}
