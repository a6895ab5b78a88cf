// Takes the place of SequenceAdder in an exported page: says that adding sequences needs a server.

import { $ } from "../dom.js";

export class AddingHint {
  addedSequences = [];

  constructor() {
    const show = () => $("adding-hint").open || $("adding-hint").showModal();
    $("add").onclick = show;
    // without this, the browser would open a dropped file in place of the page
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      show();
    });
  }

  relocate() {} // there are no added sequences to move
}
