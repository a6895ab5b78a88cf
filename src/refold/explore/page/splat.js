// Images that the processor computes from sums of points in the cells of a grid: the density of the
// points, and points without a graphics card. WebGL only shows the images.

// A triangle that covers the view, with the image upside down, because its rows begin at the top.
const VERTEX_SHADER = `#version 300 es
out vec2 at;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  at = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;
const FRAGMENT_SHADER = `#version 300 es
precision mediump float;
in vec2 at;
uniform sampler2D image;
out vec4 result;
void main() { result = texture(image, at); }`;
// Width of a cell of the density. Smaller cells are slower and look the same after smoothing.
const DENSITY_CELL_PIXELS = 3;
// Three box filters are close to a Gaussian filter, and much faster.
const NUM_BOX_FILTERS = 3;
// Opacity of a cell with a single point in the density, so that it stays visible.
const MIN_OPACITY = 0.06;

// Returns sums over the points of each cell (rows, columns, 4): weighted red, green, blue, and the weight.
function sumCells(map, { cell, numColumns, numRows, left, top, share }) {
  const sums = new Float32Array(4 * numColumns * numRows);
  const { places, target, colors, view, unit } = map;
  const scale = unit / cell;
  const [x0, y0] = [map.width / 2 / cell - left - view.x * scale, map.height / 2 / cell - top + view.y * scale];
  for (let i = 0; i < map.count; i++) {
    const opacity = colors[4 * i + 3];
    if (!opacity) continue;
    let [x, y] = [places[2 * i], places[2 * i + 1]];
    if (share) {
      x += share * (target[2 * i] - x);
      y += share * (target[2 * i + 1] - y);
    }
    const column = Math.floor(x * scale + x0);
    const row = Math.floor(y0 - y * scale);
    if (column < 0 || row < 0 || column >= numColumns || row >= numRows) continue;
    const weight = opacity / 255;
    const index = 4 * (row * numColumns + column);
    sums[index] += weight * colors[4 * i];
    sums[index + 1] += weight * colors[4 * i + 1];
    sums[index + 2] += weight * colors[4 * i + 2];
    sums[index + 3] += weight;
  }
  return sums;
}

// Writes moving averages of `input` to `output`, along lines of cells. The lines are rows (stride 4)
// or columns (stride 4 * numColumns).
function filterBox(input, output, numLines, length, lineStride, stride, radius) {
  const factor = 1 / (2 * radius + 1);
  for (let line = 0; line < numLines; line++) {
    for (let channel = 0; channel < 4; channel++) {
      const begin = line * lineStride + channel;
      let sum = 0;
      for (let i = 0; i < Math.min(radius, length); i++) sum += input[begin + i * stride];
      for (let i = 0; i < length; i++) {
        if (i + radius < length) sum += input[begin + (i + radius) * stride];
        output[begin + i * stride] = sum * factor;
        if (i >= radius) sum -= input[begin + (i - radius) * stride];
      }
    }
  }
}

// Smooths the sums in place.
function smoothCells(sums, numColumns, numRows, radius) {
  const buffer = new Float32Array(sums.length);
  for (let k = 0; k < NUM_BOX_FILTERS; k++) {
    filterBox(sums, buffer, numRows, numColumns, 4 * numColumns, 4, radius);
    filterBox(buffer, sums, numColumns, numRows, 4, 4 * numColumns, radius);
  }
}

// Returns the weight that gets the full color: the 98th percentile of a sample of the cells with points.
function fullColorWeight(sums) {
  const weights = [];
  for (let i = 3; i < sums.length; i += 4 * 7) if (sums[i] > 1e-6) weights.push(sums[i]);
  if (!weights.length) return 1;
  weights.sort((a, b) => a - b);
  return weights[Math.floor(0.98 * (weights.length - 1))];
}

// Returns a WebGL program. Each attribute gets its index in the list of names.
export function linkProgram(gl, vertexShader, fragmentShader, attributeNames = []) {
  const program = gl.createProgram();
  [vertexShader, fragmentShader].forEach((source, i) => {
    const shader = gl.createShader(i ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  });
  attributeNames.forEach((name, i) => gl.bindAttribLocation(program, i, name));
  gl.linkProgram(program);
  return program;
}

export class CellRenderer {
  constructor(gl) {
    this.gl = gl;
    this.program = linkProgram(gl, VERTEX_SHADER, FRAGMENT_SHADER);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  }

  // Draws the density of the points, smoothed, in the mean color of the points.
  density(map, share) {
    const cell = DENSITY_CELL_PIXELS;
    const numInView = Math.max(1, Math.min(map.count, (map.count * map.width * map.height) / (map.unit * map.unit)));
    // with more points in the view, the density shows more detail
    const sizeFactor = Math.max(0.5, Math.min(1.2, Math.min(map.width, map.height) / 700));
    const radius = Math.max(1, Math.min(9, Math.round((11 * sizeFactor) / numInView ** 0.17)));
    const margin = NUM_BOX_FILTERS * radius; // cells outside of the view, whose points are smoothed into it
    const [columns, rows] = [Math.ceil(map.width / cell), Math.ceil(map.height / cell)];
    const [numColumns, numRows] = [columns + 2 * margin, rows + 2 * margin];
    const sums = sumCells(map, { cell, numColumns, numRows, left: -margin, top: -margin, share });
    smoothCells(sums, numColumns, numRows, radius);
    // the weight of a single point after the filters, roughly
    const singlePoint = 0.6 / ((2 * radius + 1) ** 2 * NUM_BOX_FILTERS);
    const maxLog = Math.log1p(Math.max(fullColorWeight(sums) / singlePoint, 1));
    const image = new Uint8Array(4 * columns * rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const from = 4 * ((row + margin) * numColumns + column + margin);
        const weight = sums[from + 3];
        const relative = Math.log1p(weight / singlePoint) / maxLog;
        if (relative < 0.002) continue;
        const minOpacity = MIN_OPACITY * Math.min(1, weight / singlePoint);
        const opacity = Math.min(0.96, minOpacity + (1 - MIN_OPACITY) * relative ** 1.5);
        const to = 4 * (row * columns + column);
        for (let k = 0; k < 3; k++) image[to + k] = (sums[from + k] / weight) * opacity;
        image[to + 3] = 255 * opacity;
      }
    }
    this.draw(image, columns, rows, (columns * cell) / map.width, (rows * cell) / map.height, this.gl.LINEAR);
  }

  // Draws the points, each as a pixel or as a disc.
  points(map, share, opacity) {
    const cell = 1 / map.ratio;
    const [numColumns, numRows] = [map.canvas.width, map.canvas.height];
    let sums = sumCells(map, { cell, numColumns, numRows, left: 0, top: 0, share });
    const diameter = map.pointSize * map.ratio;
    if (diameter >= 2) sums = spreadOverDiscs(sums, numColumns, numRows, diameter);
    const image = new Uint8Array(4 * numColumns * numRows);
    // n points of the same opacity let (1 - opacity) ** n of the background through
    const logTransparency = Math.log(1 - opacity);
    for (let index = 0; index < sums.length; index += 4) {
      const weight = sums[index + 3];
      if (!weight) continue;
      const shade = 1 - Math.exp(logTransparency * weight);
      for (let k = 0; k < 3; k++) image[index + k] = (sums[index + k] / weight) * shade;
      image[index + 3] = 255 * shade;
    }
    this.draw(image, numColumns, numRows, 1, 1, this.gl.NEAREST);
  }

  draw(image, numColumns, numRows, widthShare, heightShare, filter) {
    const { gl } = this;
    gl.useProgram(this.program);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, numColumns, numRows, 0, gl.RGBA, gl.UNSIGNED_BYTE, image);
    // cells at the right and the bottom may be partly outside of the canvas
    const [w, h] = [Math.round(gl.drawingBufferWidth * widthShare), Math.round(gl.drawingBufferHeight * heightShare)];
    gl.viewport(0, gl.drawingBufferHeight - h, w, h);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

// Returns the sums with each cell spread over a disc with soft edges.
function spreadOverDiscs(sums, numColumns, numRows, diameter) {
  const result = new Float32Array(sums.length);
  const radius = Math.ceil(diameter / 2);
  const disc = [];
  for (let dy = -radius; dy <= radius; dy++) {
    for (let dx = -radius; dx <= radius; dx++) {
      const coverage = Math.min(1, diameter / 2 - Math.hypot(dx, dy) + 0.3);
      if (coverage > 0) disc.push([dx, dy, coverage]);
    }
  }
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < numColumns; column++) {
      const from = 4 * (row * numColumns + column);
      if (!sums[from + 3]) continue;
      for (const [dx, dy, coverage] of disc) {
        const [x, y] = [column + dx, row + dy];
        if (x < 0 || y < 0 || x >= numColumns || y >= numRows) continue;
        const to = 4 * (y * numColumns + x);
        for (let k = 0; k < 4; k++) result[to + k] += coverage * sums[from + k];
      }
    }
  }
  return result;
}
