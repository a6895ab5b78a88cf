// Mouse, touch and pen on the map: decode, move, lasso, zoom and click.

const CLICK = 5; // pixels

export class Pointer {
  // actions: mode(), probe(x, y), click(x, y), hover(x, y), lasso(polygon, done), moved()
  constructor(map, actions) {
    this.map = map;
    this.actions = actions;
    this.down = new Map();
    this.task = null;
    const canvas = map.overlay;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.end(event, true));
    canvas.addEventListener("pointercancel", (event) => this.end(event, false));
    canvas.addEventListener("pointerleave", () => actions.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  at(event) {
    const box = this.map.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  begin(event) {
    const place = this.at(event);
    this.down.set(event.pointerId, place);
    this.map.overlay.setPointerCapture(event.pointerId);
    this.map.overlay.classList.add("by-pointer"); // without the ring that keys need
    this.map.overlay.focus({ preventScroll: true });
    if (this.down.size === 2) {
      this.task = { mode: "pinch" };
      this.actions.lasso(null, true);
      return;
    }
    const mode = event.button > 0 ? "pan" : event.shiftKey ? "lasso" : this.actions.mode();
    this.task = { mode, start: place, moved: false, path: [] };
    event.preventDefault();
  }

  move(event) {
    const place = this.at(event);
    const before = this.down.get(event.pointerId);
    if (!before) {
      this.actions.hover(place);
      return;
    }
    if (this.task?.mode === "pinch") {
      this.pinch(event.pointerId, place);
      return;
    }
    this.down.set(event.pointerId, place);
    const task = this.task;
    if (!task) return;
    const far = Math.hypot(place[0] - task.start[0], place[1] - task.start[1]) > CLICK;
    if (!task.moved && !far) return;
    task.moved = true;
    this.actions.hover(null);
    if (task.mode === "pan") {
      this.map.pan(place[0] - before[0], place[1] - before[1]);
      this.actions.moved();
    } else if (task.mode === "lasso") {
      if (!task.path.length) task.path.push(...this.map.toPlace(...task.start));
      task.path.push(...this.map.toPlace(...place));
      this.actions.lasso(task.path, false);
    } else {
      this.actions.probe(...place);
    }
  }

  pinch(id, place) {
    const [first, second] = [...this.down.keys()];
    const still = this.down.get(id === first ? second : first);
    const before = this.down.get(id);
    const distance = (a, b) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const [old, now] = [middle(before, still), middle(place, still)];
    this.map.pan(now[0] - old[0], now[1] - old[1]);
    this.map.zoomAt(now[0], now[1], distance(place, still) / distance(before, still));
    this.down.set(id, place);
    this.actions.moved();
  }

  end(event, finished) {
    if (!this.down.delete(event.pointerId)) return;
    const task = this.task;
    if (!task || task.mode === "pinch") {
      if (!this.down.size) this.task = null;
      return;
    }
    this.task = null;
    if (task.mode === "lasso") this.actions.lasso(task.moved && finished ? task.path : null, true);
    if (finished && !task.moved && event.button === 0) this.actions.click(...task.start);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const amount = Math.max(-200, Math.min(200, event.deltaY * lines));
    this.map.zoomAt(...this.at(event), Math.exp(-amount * (event.ctrlKey ? 0.01 : 0.002)));
    this.actions.moved();
  }
}
