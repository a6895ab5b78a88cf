// What mouse, touch and pen do on the map: decode, move, lasso, zoom and click.

// A pointer that moves less is a click.
const MAX_CLICK_PIXELS = 5;

export class Pointer {
  // actions: mode(), probe(x, y), click(x, y), hover(position), lasso(polygon, isDone), moved()
  constructor(map, actions) {
    Object.assign(this, { map, actions });
    this.pointers = new Map(); // positions of the pressed pointers, by id
    this.gesture = null; // what the pressed pointers do
    const canvas = map.overlay;
    canvas.onpointerdown = (event) => this.begin(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = (event) => this.end(event, true);
    canvas.onpointercancel = (event) => this.end(event, false);
    canvas.onpointerleave = () => actions.hover(null);
    canvas.oncontextmenu = (event) => event.preventDefault();
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  // Returns the position of an event in pixels of the map.
  at(event) {
    const box = this.map.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  begin(event) {
    const position = this.at(event);
    this.pointers.set(event.pointerId, position);
    this.map.overlay.setPointerCapture(event.pointerId);
    this.map.overlay.classList.add("by-pointer"); // without the focus ring, which is for keys
    this.map.overlay.focus({ preventScroll: true });
    if (this.pointers.size === 2) {
      this.gesture = { mode: "pinch" };
      this.actions.lasso(null, true);
      return;
    }
    const mode = event.button > 0 ? "pan" : event.shiftKey ? "lasso" : this.actions.mode();
    this.gesture = { mode, start: position, moved: false, path: [] };
    event.preventDefault();
  }

  move(event) {
    const position = this.at(event);
    const before = this.pointers.get(event.pointerId);
    const { gesture } = this;
    if (!before) this.actions.hover(position);
    else if (gesture?.mode === "pinch") this.pinch(event.pointerId, position);
    else {
      this.pointers.set(event.pointerId, position);
      if (gesture) this.drag(gesture, before, position);
    }
  }

  // Decodes, moves the map or extends the lasso, from one position to the next.
  drag(gesture, before, position) {
    const isDrag = Math.hypot(position[0] - gesture.start[0], position[1] - gesture.start[1]) > MAX_CLICK_PIXELS;
    if (!gesture.moved && !isDrag) return;
    gesture.moved = true;
    this.actions.hover(null);
    if (gesture.mode === "pan") {
      this.map.pan(position[0] - before[0], position[1] - before[1]);
      this.actions.moved();
    } else if (gesture.mode === "lasso") {
      if (!gesture.path.length) gesture.path.push(...this.map.toPlace(...gesture.start));
      gesture.path.push(...this.map.toPlace(...position));
      this.actions.lasso(gesture.path, false);
    } else {
      this.actions.probe(...position);
    }
  }

  // Moves and zooms the map by two fingers, of which one has moved.
  pinch(id, position) {
    const [first, second] = [...this.pointers.keys()];
    const fixed = this.pointers.get(id === first ? second : first);
    const before = this.pointers.get(id);
    const distance = (a, b) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const [oldMiddle, newMiddle] = [middle(before, fixed), middle(position, fixed)];
    this.map.pan(newMiddle[0] - oldMiddle[0], newMiddle[1] - oldMiddle[1]);
    this.map.zoomAt(newMiddle[0], newMiddle[1], distance(position, fixed) / distance(before, fixed));
    this.pointers.set(id, position);
    this.actions.moved();
  }

  // isReleased is false if the browser cancels the gesture.
  end(event, isReleased) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { gesture } = this;
    const isPinch = gesture?.mode === "pinch";
    if (!isPinch || !this.pointers.size) this.gesture = null;
    if (!gesture || isPinch) return;
    if (gesture.mode === "lasso") this.actions.lasso(gesture.moved && isReleased ? gesture.path : null, true);
    if (isReleased && !gesture.moved && event.button === 0) this.actions.click(...gesture.start);
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? 16 : 1; // some browsers count lines of text
    const amount = Math.max(-200, Math.min(200, event.deltaY * pixels));
    // pinches on a touchpad are wheel events with ctrlKey and small amounts
    this.map.zoomAt(...this.at(event), Math.exp(-amount * (event.ctrlKey ? 0.01 : 0.002)));
    this.actions.moved();
  }
}
