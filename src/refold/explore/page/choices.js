// A row of buttons of which one is chosen, for the pointer and for arrow keys.

export class RadioGroup {
  constructor(box, name, chosen) {
    this.name = name;
    this.buttons = [...box.querySelectorAll(`[data-${name}]`)];
    for (const button of this.buttons) {
      button.addEventListener("click", () => chosen(button.dataset[name]));
      button.addEventListener("keydown", (event) => {
        const direction = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!direction) return;
        const { length } = this.buttons;
        const next = this.buttons[(this.buttons.indexOf(button) + direction + length) % length];
        next.focus();
        chosen(next.dataset[name]);
        event.stopPropagation();
        event.preventDefault();
      });
    }
  }

  mark(value) {
    for (const button of this.buttons) {
      const chosen = button.dataset[this.name] === value;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
  }
}
