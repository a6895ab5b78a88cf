// A group of buttons of which one is chosen, by a click or by arrow keys.

export class RadioGroup {
  // onChoose(value) is called with the data-<name> attribute of the chosen button
  constructor(container, name, onChoose) {
    this.name = name;
    this.buttons = [...container.querySelectorAll(`[data-${name}]`)];
    for (const button of this.buttons) {
      button.addEventListener("click", () => onChoose(button.dataset[name]));
      button.addEventListener("keydown", (event) => {
        const direction = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!direction) return;
        const { length } = this.buttons;
        const next = this.buttons[(this.buttons.indexOf(button) + direction + length) % length];
        next.focus();
        onChoose(next.dataset[name]);
        event.stopPropagation();
        event.preventDefault();
      });
    }
  }

  // Marks the button with a value as the chosen one.
  mark(value) {
    for (const button of this.buttons) {
      const isChosen = button.dataset[this.name] === value;
      button.setAttribute("aria-checked", String(isChosen));
      button.tabIndex = isChosen ? 0 : -1;
    }
  }
}
