// Points counted in the cells of a grid: their density, and points without a graphics card.

const VERTEX = `#version 300 es
out vec2 at;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  at = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec2 at;
uniform sampler2D image;
out vec4 result;
void main() { result = texture(image, at); }`;
const DENSITY_CELL = 3; // pixels
const SMOOTHINGS = 3; // of these box filters, which are close to a Gaussian
const LEAST_OPACITY = 0.06; // of a cell with few points, in the density

// Sums over cells: red, green and blue times the weight, and the weight.
function count(map, { cell, wide, high, left, top, share }) {
  const sums = new Float32Array(4 * wide * high);
  const { places, target, colors, view, unit } = map;
  const scale = unit / cell;
  const [x0, y0] = [map.width / 2 / cell - left - view.x * scale, map.height / 2 / cell - top + view.y * scale];
  for (let i = 0; i < map.count; i++) {
    const shown = colors[4 * i + 3];
    if (!shown) continue;
    let [x, y] = [places[2 * i], places[2 * i + 1]];
    if (share) {
      x += share * (target[2 * i] - x);
      y += share * (target[2 * i + 1] - y);
    }
    const column = Math.floor(x * scale + x0);
    const row = Math.floor(y0 - y * scale);
    if (column < 0 || row < 0 || column >= wide || row >= high) continue;
    const weight = shown / 255;
    const at = 4 * (row * wide + column);
    sums[at] += weight * colors[4 * i];
    sums[at + 1] += weight * colors[4 * i + 1];
    sums[at + 2] += weight * colors[4 * i + 2];
    sums[at + 3] += weight;
  }
  return sums;
}

// One box filter along rows (step 4) or columns (step 4 * wide); writes into to.
function box(from, to, lines, length, lineStep, step, radius) {
  const part = 1 / (2 * radius + 1);
  for (let line = 0; line < lines; line++) {
    for (let channel = 0; channel < 4; channel++) {
      const begin = line * lineStep + channel;
      let sum = 0;
      for (let i = 0; i < Math.min(radius, length); i++) sum += from[begin + i * step];
      for (let i = 0; i < length; i++) {
        if (i + radius < length) sum += from[begin + (i + radius) * step];
        to[begin + i * step] = sum * part;
        if (i >= radius) sum -= from[begin + (i - radius) * step];
      }
    }
  }
}

function smooth(sums, wide, high, radius) {
  const other = new Float32Array(sums.length);
  for (let k = 0; k < SMOOTHINGS; k++) {
    box(sums, other, high, wide, 4 * wide, 4, radius);
    box(other, sums, wide, high, 4, 4 * wide, radius);
  }
}

// The weight that gets the full color: that of the densest cells but a few.
function densest(sums) {
  const found = [];
  for (let i = 3; i < sums.length; i += 4 * 7) if (sums[i] > 1e-6) found.push(sums[i]);
  if (!found.length) return 1;
  found.sort((a, b) => a - b);
  return found[Math.floor(0.98 * (found.length - 1))];
}

export class CellRenderer {
  constructor(gl) {
    this.gl = gl;
    this.program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  }

  // How many sequences are where: smooth, with the mean color of the sequences.
  density(map, share) {
    const cell = DENSITY_CELL;
    const inView = Math.max(1, Math.min(map.count, (map.count * map.width * map.height) / (map.unit * map.unit)));
    const room = Math.max(0.5, Math.min(1.2, Math.min(map.width, map.height) / 700));
    const radius = Math.max(1, Math.min(9, Math.round((11 * room) / inView ** 0.17)));
    const margin = SMOOTHINGS * radius;
    const [columns, rows] = [Math.ceil(map.width / cell), Math.ceil(map.height / cell)];
    const [wide, high] = [columns + 2 * margin, rows + 2 * margin];
    const sums = count(map, { cell, wide, high, left: -margin, top: -margin, share });
    smooth(sums, wide, high, radius);
    // the height of a single point after the filters
    const single = 0.6 / ((2 * radius + 1) ** 2 * SMOOTHINGS);
    const full = Math.log1p(Math.max(densest(sums) / single, 1));
    const image = new Uint8Array(4 * columns * rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const from = 4 * ((row + margin) * wide + column + margin);
        const weight = sums[from + 3];
        const reached = Math.log1p(weight / single) / full;
        if (reached < 0.002) continue;
        const opacity = Math.min(0.96, LEAST_OPACITY * Math.min(1, weight / single) + (1 - LEAST_OPACITY) * reached ** 1.5);
        const to = 4 * (row * columns + column);
        for (let k = 0; k < 3; k++) image[to + k] = (sums[from + k] / weight) * opacity;
        image[to + 3] = 255 * opacity;
      }
    }
    this.draw(image, columns, rows, columns * cell / map.width, rows * cell / map.height, this.gl.LINEAR);
  }

  // The points themselves, a cell of one pixel or a disc each.
  points(map, share, opacity) {
    const cell = 1 / map.ratio;
    const [wide, high] = [map.canvas.width, map.canvas.height];
    let sums = count(map, { cell, wide, high, left: 0, top: 0, share });
    const size = map.pointSize * map.ratio;
    if (size >= 2) sums = discs(sums, wide, high, size);
    const image = new Uint8Array(4 * wide * high);
    const fainter = Math.log(1 - opacity);
    for (let at = 0; at < sums.length; at += 4) {
      const weight = sums[at + 3];
      if (!weight) continue;
      const shade = 1 - Math.exp(fainter * weight);
      image[at] = (sums[at] / weight) * shade;
      image[at + 1] = (sums[at + 1] / weight) * shade;
      image[at + 2] = (sums[at + 2] / weight) * shade;
      image[at + 3] = 255 * shade;
    }
    this.draw(image, wide, high, 1, 1, this.gl.NEAREST);
  }

  draw(image, wide, high, across, down, filter) {
    const { gl } = this;
    gl.useProgram(this.program);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, wide, high, 0, gl.RGBA, gl.UNSIGNED_BYTE, image);
    // the last cells may reach beyond the canvas
    const [w, h] = [Math.round(gl.drawingBufferWidth * across), Math.round(gl.drawingBufferHeight * down)];
    gl.viewport(0, gl.drawingBufferHeight - h, w, h);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

// Spreads each cell over a disc with soft edges.
function discs(sums, wide, high, size) {
  const found = new Float32Array(sums.length);
  const reach = Math.ceil(size / 2);
  const shape = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const inside = Math.min(1, size / 2 - Math.hypot(dx, dy) + 0.3);
      if (inside > 0) shape.push([dx, dy, inside]);
    }
  }
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      const from = 4 * (row * wide + column);
      if (!sums[from + 3]) continue;
      for (const [dx, dy, inside] of shape) {
        const [x, y] = [column + dx, row + dy];
        if (x < 0 || y < 0 || x >= wide || y >= high) continue;
        const to = 4 * (y * wide + x);
        for (let k = 0; k < 4; k++) found[to + k] += inside * sums[from + k];
      }
    }
  }
  return found;
}
