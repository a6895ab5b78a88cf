// What a page that only decodes does where one would add sequences: it says that this needs a server.

export class AddingHint {
  placed = [];

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

  relocate() {}
}
