// Adds sequences that the user pastes, chooses or drops: encodes them and places them on the map.

import { $, makeButton, showText } from "./dom.js";
import { shortNumber } from "./numbers.js";

export class SequenceAdder {
  constructor(state, panel, showError) {
    Object.assign(this, { state, panel, showError, addedSequences: [] });
    const dialog = $("paste-dialog");
    $("paste-text").placeholder = exampleText(state.info);
    $("add").onclick = () => {
      $("paste-error").hidden = true;
      dialog.showModal();
      $("paste-text").focus();
    };
    // the dialog stays open after an error, which it shows
    const addFromDialog = async (content, name) => {
      const showPasteError = (error) => showText($("paste-error"), error.message);
      if (await this.addContent(content, name, showPasteError)) dialog.close();
    };
    $("paste-go").onclick = () => addFromDialog($("paste-text").value, "");
    $("paste-file").onchange = async () => {
      const [file] = $("paste-file").files;
      if (file) await addFromDialog(file, file.name);
      $("paste-file").value = "";
    };
    $("clear-pasted").onclick = () => {
      this.addedSequences = [];
      this.showList();
    };
    this.acceptDrops();
    addEventListener("paste", (event) => {
      const isTyping = ["INPUT", "TEXTAREA"].includes(event.target.tagName) || dialog.open;
      const text = event.clipboardData?.getData("text/plain");
      if (!isTyping && text?.trim()) this.addContent(text, "", this.showError);
    });
  }

  acceptDrops() {
    const hasContent = (event) =>
      [...(event.dataTransfer?.types ?? [])].some((type) => ["Files", "text/plain"].includes(type));
    const drop = $("drop");
    addEventListener("dragover", (event) => {
      if (!hasContent(event)) return;
      event.preventDefault();
      drop.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.hidden = true; // the pointer has left the page
    });
    addEventListener("drop", (event) => {
      drop.hidden = true;
      if (!hasContent(event)) return;
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) this.addContent(file, file.name, this.showError);
      else this.addContent(event.dataTransfer.getData("text/plain"), "", this.showError);
    });
  }

  // Adds the sequences of a text or a file; returns whether that worked.
  async addContent(content, name, onError) {
    showText($("busy"), "Encoding…");
    try {
      this.addedSequences = await this.state.source.encodeAdded(content, name, this.state.mapName);
      this.lastContent = [content, name];
      this.showList();
      this.panel.showAdded(this.addedSequences[0]);
      $("error").hidden = true;
      return true;
    } catch (error) {
      onError(error);
      return false;
    } finally {
      $("busy").hidden = true;
    }
  }

  // Places the added sequences on another map.
  async relocate() {
    if (this.addedSequences.length)
      this.addedSequences = await this.state.source.encodeAdded(...this.lastContent, this.state.mapName);
  }

  // Shows a button for each added sequence.
  showList() {
    $("pasted").hidden = !this.addedSequences.length;
    $("pasted-list").replaceChildren(
      ...this.addedSequences.map((sequence) => {
        const textContent = `${sequence.id} · ${sequence.length} steps · error ${shortNumber(sequence.error)}`;
        return makeButton(() => this.panel.showAdded(sequence), { textContent });
      }),
    );
    this.state.map.redraw();
  }
}

// A text that shows how sequences of the data look as JSON.
function exampleText(info) {
  if (info.layout === "characters") return '["a sequence", "another one"]';
  if (info.layout === "words") return '[["some", "words"], ["others"]]';
  if (info.layout === "tokens") return '[["a", "b"], ["b"]]';
  if (info.layout === "series") return "[[0.1, 0.5, 0.3], [0.2, 0.4]]";
  const values = info.columns.slice(0, 12).map((column) => (column.tokens ? '"a"' : "0.1"));
  const row = `[${values.join(", ")}]`;
  return `[[${row}, ${row}]]`;
}
