// Takes the place of SequenceAdder in an exported page: says that adding sequences needs a server.

export class AddingHint {
  addedSequences = [];

  constructor() {
    const dialog = document.getElementById("adding-hint");
    const show = () => dialog.open || dialog.showModal();
    document.getElementById("add").addEventListener("click", show);
    // without this, the browser would open a dropped file in place of the page
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      show();
    });
  }

  relocate() {} // there are no added sequences to move
}
