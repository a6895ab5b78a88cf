// The map: points by WebGL 2, and marks on a second canvas above them.

import { UserError } from "./api.js";
import { Grid } from "./grid.js";
import { CellRenderer } from "./splat.js";

const VERTEX = `#version 300 es
in vec2 place;
in vec4 color;
in vec2 next;
uniform float share;
uniform vec2 center;
uniform vec2 scale;
uniform float size;
out vec4 shade;
void main() {
  gl_Position = vec4((mix(place, next, share) - center) * scale, 0.0, 1.0);
  gl_PointSize = color.a > 0.0 ? size : 0.0;
  if (color.a == 0.0) gl_Position.x = 9.0;
  shade = color;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 shade;
uniform float size;
uniform float opacity;
out vec4 result;
void main() {
  float edge = length(gl_PointCoord - 0.5) * size;
  float alpha = clamp(size * 0.5 - edge, 0.0, 1.0) * opacity * shade.a;
  if (alpha <= 0.0) discard;
  result = vec4(shade.rgb * alpha, alpha);
}`;
// Half of the smaller side of the canvas, in units of the map at zoom 1.
const REACH = 1.2;
const MORPH = 700; // milliseconds from one map to another
// Above this number of points, a renderer without a graphics card does not draw them one by one.
const MANY = 30000;
const SOFTWARE = /swiftshader|llvmpipe|software|basic render/i;

export class PointMap {
  constructor(points, overlay, drawMarks) {
    this.canvas = points;
    this.overlay = overlay;
    this.context = overlay.getContext("2d");
    this.drawMarks = drawMarks;
    this.view = { x: 0, y: 0, zoom: 1 };
    this.look = "points";
    this.count = 0;
    this.share = 0; // of the way to the places of another map
    this.frame = 0;
    this.start();
    points.addEventListener("webglcontextlost", (event) => event.preventDefault());
    points.addEventListener("webglcontextrestored", () => {
      this.start();
      if (this.places) this.upload();
    });
    new ResizeObserver(() => this.resize()).observe(overlay);
    this.resize();
  }

  start() {
    const gl = this.canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    if (!gl) {
      throw new UserError(
        "The map needs WebGL 2. Turn on hardware acceleration in the settings of the browser, " +
          "or use a current Firefox, Chrome, Edge or Safari.",
      );
    }
    this.gl = gl;
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "place");
    gl.bindAttribLocation(program, 1, "color");
    gl.bindAttribLocation(program, 2, "next");
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new UserError("The graphics driver refused the map. Update it, or use another browser.");
    }
    this.program = program;
    this.splat = new CellRenderer(gl);
    const named = gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    this.software = SOFTWARE.test(renderer ?? "");
    this.uniforms = {};
    for (const name of ["center", "scale", "size", "opacity", "share"]) {
      this.uniforms[name] = gl.getUniformLocation(program, name);
    }
    this.buffers = [gl.createBuffer(), gl.createBuffer(), gl.createBuffer()];
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  setPoints(places) {
    this.places = this.target = places;
    this.count = places.length / 2;
    this.colors ??= new Uint8Array(4 * this.count).fill(255);
    this.grid = new Grid(places);
    this.upload();
  }

  // Moves the points to other places, then calls done().
  morph(places, done) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.setPoints(places);
      done();
      return;
    }
    this.target = places;
    this.fill(2, places);
    const began = performance.now();
    const frame = (now) => {
      const part = Math.max(0, Math.min(1, (now - began) / MORPH));
      this.share = part * part * (3 - 2 * part);
      if (part < 1 && this.target === places) {
        this.draw();
        requestAnimationFrame(frame);
        return;
      }
      this.share = 0;
      if (this.target !== places) return;
      this.setPoints(places);
      done();
    };
    requestAnimationFrame(frame);
  }

  // Whether the points are drawn one by one, for which they are on the graphics card.
  get byPoint() {
    return this.look === "points" && !(this.software && this.count > MANY);
  }

  setLook(look) {
    this.look = look;
    this.upload();
  }

  fill(index, places) {
    const { gl } = this;
    if (!this.byPoint) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[index]);
    gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, 2, gl.FLOAT, false, 0, 0);
  }

  upload() {
    this.fill(0, this.places);
    this.fill(2, this.target);
    this.setColors(this.colors);
  }

  // Colors as bytes, red, green, blue and whether the point is shown.
  setColors(colors) {
    const { gl } = this;
    this.colors = colors;
    if (this.byPoint) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[1]);
      gl.bufferData(gl.ARRAY_BUFFER, colors, gl.DYNAMIC_DRAW);
      gl.enableVertexAttribArray(1);
      gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    }
    this.refresh();
  }

  isShown = (i) => this.colors[4 * i + 3] > 0;

  resize() {
    const { clientWidth: width, clientHeight: height } = this.overlay;
    if (!width || !height) return;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.width = width;
    this.height = height;
    this.draw();
  }

  // Pixels per unit of the map.
  get unit() {
    return (this.view.zoom * Math.min(this.width, this.height)) / (2 * REACH);
  }

  toPixels(x, y) {
    const { unit, view } = this;
    return [(x - view.x) * unit + this.width / 2, this.height / 2 - (y - view.y) * unit];
  }

  toPlace(px, py) {
    const { unit, view } = this;
    return [(px - this.width / 2) / unit + view.x, (this.height / 2 - py) / unit + view.y];
  }

  setView(view) {
    const zoom = Math.max(0.2, Math.min(500, view.zoom));
    const limit = (value) => Math.max(-3, Math.min(3, value));
    this.view = { x: limit(view.x), y: limit(view.y), zoom };
    this.refresh();
  }

  pan(dx, dy) {
    const { x, y, zoom } = this.view;
    this.setView({ x: x - dx / this.unit, y: y + dy / this.unit, zoom });
  }

  zoomAt(px, py, factor) {
    const before = this.toPlace(px, py);
    this.setView({ ...this.view, zoom: this.view.zoom * factor });
    const after = this.toPlace(px, py);
    const { x, y, zoom } = this.view;
    this.setView({ x: x + before[0] - after[0], y: y + before[1] - after[1], zoom });
  }

  nearest(px, py, pixels) {
    if (!this.grid) return -1;
    const [x, y] = this.toPlace(px, py);
    return this.grid.nearest(x, y, pixels / this.unit, this.isShown);
  }

  get pointSize() {
    const crowd = Math.sqrt(this.count || 1);
    const base = Math.max(1.6, Math.min(9, 260 / crowd));
    return Math.min(16, base * Math.max(1, this.view.zoom ** 0.35));
  }

  // The marks in the next frame; the points stay as they are, which a million would be slow to draw.
  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.stale) this.drawPoints();
      this.drawOverlay();
    });
  }

  // The points and the marks in the next frame.
  refresh() {
    this.stale = true;
    this.redraw();
  }

  draw() {
    this.drawPoints();
    this.drawOverlay();
  }

  drawPoints() {
    const { gl, uniforms, view, ratio } = this;
    this.stale = false;
    if (!this.width) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.count) return;
    const size = this.pointSize;
    // overlapping points add up, so that dense places are darker
    const covered = (this.count * size * size) / (this.width * this.height * view.zoom ** 2);
    const opacity = Math.max(0.12, Math.min(0.85, 0.9 / Math.sqrt(1 + covered)));
    if (this.look === "density") this.splat.density(this, this.share);
    else if (!this.byPoint) this.splat.points(this, this.share, opacity);
    else {
      gl.useProgram(this.program);
      gl.uniform2f(uniforms.center, view.x, view.y);
      gl.uniform2f(uniforms.scale, (2 * this.unit) / this.width, (2 * this.unit) / this.height);
      gl.uniform1f(uniforms.size, size * ratio);
      gl.uniform1f(uniforms.opacity, opacity);
      gl.uniform1f(uniforms.share, this.share);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }
  }

  drawOverlay() {
    const { ratio } = this;
    if (!this.width) return;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    if (!this.share) this.drawMarks(this.context, this); // their places move, too
    this.moved?.();
  }

  // A picture of both canvases on a background.
  async toBlob(background, drawMore) {
    this.draw();
    const canvas = document.createElement("canvas");
    canvas.width = this.canvas.width;
    canvas.height = this.canvas.height;
    const context = canvas.getContext("2d");
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.canvas, 0, 0);
    context.drawImage(this.overlay, 0, 0);
    context.scale(this.ratio, this.ratio);
    drawMore(context);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
}
