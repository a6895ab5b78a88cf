// The map: points, drawn with WebGL 2, and marks on a second canvas above the points.

import { UserError } from "./api.js";
import { toPng } from "./dom.js";
import { Grid } from "./grid.js";
import { CellRenderer, linkProgram } from "./splat.js";

// `next` has the places on the map that the points move to, and `share` is the share of the way.
const VERTEX_SHADER = `#version 300 es
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
// Each point is a disc with soft edges.
const FRAGMENT_SHADER = `#version 300 es
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
// Half of the smaller side of the canvas at zoom 1. Most coordinates of places are from -1 to 1.
const HALF_WIDTH = 1.2;
// Duration of the movement from one map to another.
const MORPH_MILLISECONDS = 700;
// Without a graphics card, WebGL would draw more points too slowly.
const MAX_SOFTWARE_POINTS = 30000;
// Names of renderers without a graphics card.
const SOFTWARE_RENDERER = /swiftshader|llvmpipe|software|basic render/i;

export class PointMap {
  constructor(points, overlay, drawMarks) {
    this.canvas = points;
    this.overlay = overlay;
    this.context = overlay.getContext("2d");
    this.drawMarks = drawMarks;
    this.view = { x: 0, y: 0, zoom: 1 };
    this.look = "points";
    this.count = 0;
    this.share = 0; // share of the way to the places on another map
    this.frame = 0; // id of the requested animation frame
    this.start();
    // by default, a lost context is not restored
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
    const program = linkProgram(gl, VERTEX_SHADER, FRAGMENT_SHADER, ["place", "color", "next"]);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new UserError("The graphics driver refused the map. Update it, or use another browser.");
    }
    this.program = program;
    this.splat = new CellRenderer(gl);
    const debugInfo = gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = gl.getParameter(debugInfo ? debugInfo.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    this.isSoftware = SOFTWARE_RENDERER.test(renderer ?? "");
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

  // Moves the points to other places, then calls onDone().
  morph(places, onDone) {
    const finish = () => {
      this.setPoints(places);
      onDone();
    };
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return finish();
    this.target = places;
    this.fillBuffer(2, places);
    const startTime = performance.now();
    const frame = (now) => {
      const progress = Math.max(0, Math.min(1, (now - startTime) / MORPH_MILLISECONDS));
      this.share = progress * progress * (3 - 2 * progress); // slow at both ends
      if (progress < 1 && this.target === places) {
        this.draw();
        requestAnimationFrame(frame);
        return;
      }
      this.share = 0;
      if (this.target === places) finish(); // otherwise, the points are on the way to a third map
    };
    return requestAnimationFrame(frame);
  }

  // Whether WebGL draws each point, from buffers on the graphics card.
  get drawsByPoint() {
    return this.look === "points" && !(this.isSoftware && this.count > MAX_SOFTWARE_POINTS);
  }

  setLook(look) {
    this.look = look;
    this.upload();
  }

  // Copies an array to the buffer of an attribute: 0 is `place`, 1 is `color`, 2 is `next`.
  fillBuffer(index, array) {
    const { gl } = this;
    if (!this.drawsByPoint) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[index]);
    gl.bufferData(gl.ARRAY_BUFFER, array, index === 1 ? gl.DYNAMIC_DRAW : gl.STATIC_DRAW);
    gl.enableVertexAttribArray(index);
    if (index === 1) gl.vertexAttribPointer(index, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    else gl.vertexAttribPointer(index, 2, gl.FLOAT, false, 0, 0);
  }

  upload() {
    this.fillBuffer(0, this.places);
    this.fillBuffer(2, this.target);
    this.setColors(this.colors);
  }

  // colors: for each point, bytes of red, green, blue and opacity; 0 hides a point.
  setColors(colors) {
    this.colors = colors;
    this.fillBuffer(1, colors);
    this.refresh();
  }

  isShown = (i) => this.colors[4 * i + 3] > 0;

  resize() {
    const { clientWidth: width, clientHeight: height } = this.overlay;
    if (!width || !height) return;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2); // more pixels are slow and look the same
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
    return (this.view.zoom * Math.min(this.width, this.height)) / (2 * HALF_WIDTH);
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
    // the data stays near the view
    const limit = (value) => Math.max(-3, Math.min(3, value));
    this.view = { x: limit(view.x), y: limit(view.y), zoom };
    this.refresh();
  }

  pan(dx, dy) {
    const { x, y, zoom } = this.view;
    this.setView({ x: x - dx / this.unit, y: y + dy / this.unit, zoom });
  }

  // Zooms such that the place under a pixel stays there.
  zoomAt(px, py, factor) {
    const before = this.toPlace(px, py);
    this.setView({ ...this.view, zoom: this.view.zoom * factor });
    const after = this.toPlace(px, py);
    const { x, y, zoom } = this.view;
    this.setView({ x: x + before[0] - after[0], y: y + before[1] - after[1], zoom });
  }

  // Returns the nearest visible point within a number of pixels, or -1.
  nearest(px, py, maxPixels) {
    if (!this.grid) return -1;
    const [x, y] = this.toPlace(px, py);
    return this.grid.nearest(x, y, maxPixels / this.unit, this.isShown);
  }

  // Diameter of a point in pixels: small if there are many points, and larger with zoom.
  get pointSize() {
    const crowding = Math.sqrt(this.count || 1);
    const base = Math.max(1.6, Math.min(9, 260 / crowding));
    return Math.min(16, base * Math.max(1, this.view.zoom ** 0.35));
  }

  // Draws the marks in the next frame, and the points only if they have changed: a million are slow.
  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.isStale) this.drawPoints();
      this.drawOverlay();
    });
  }

  // Draws the points and the marks in the next frame.
  refresh() {
    this.isStale = true;
    this.redraw();
  }

  draw() {
    this.drawPoints();
    this.drawOverlay();
  }

  drawPoints() {
    const { gl, uniforms, view, ratio } = this;
    this.isStale = false;
    if (!this.width) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.count) return;
    const size = this.pointSize;
    // points are transparent, so that dense places are darker: the more transparent, the more they overlap
    const overlap = (this.count * size * size) / (this.width * this.height * view.zoom ** 2);
    const opacity = Math.max(0.12, Math.min(0.85, 0.9 / Math.sqrt(1 + overlap)));
    if (this.look === "density") this.splat.density(this, this.share);
    else if (!this.drawsByPoint) this.splat.points(this, this.share, opacity);
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
    if (!this.share) this.drawMarks(this.context, this); // not while the points move
    this.moved?.();
  }

  // Returns a picture of both canvases on a background.
  toPng(background, drawMore) {
    this.draw(); // the browser clears a WebGL canvas after each frame
    return toPng([this.canvas, this.overlay], background, (context) => {
      context.scale(this.ratio, this.ratio);
      drawMore(context);
    });
  }
}
