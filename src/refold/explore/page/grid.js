// An index of points in the plane: finds the nearest point, and the points in a polygon.

// More cells would take much memory.
const MAX_CELLS_PER_SIDE = 512;

export class Grid {
  constructor(places) {
    this.places = places;
    const count = places.length / 2;
    const { left, low, right, high } = (this.bounds = boundsOf(places));
    this.cellsPerSide = Math.max(1, Math.min(MAX_CELLS_PER_SIDE, Math.ceil(Math.sqrt(count / 4))));
    // about four points in a cell, if they are spread evenly
    this.cellSize = Math.max(right - left, high - low, 1e-9) / this.cellsPerSide;
    const starts = new Uint32Array(this.cellsPerSide * this.cellsPerSide + 1);
    const cellOf = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      cellOf[i] = this.column(places[2 * i]) + this.cellsPerSide * this.row(places[2 * i + 1]);
      starts[cellOf[i] + 1]++;
    }
    // counts become the first position of each cell in `members`
    for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
    this.cellStarts = starts.slice();
    this.members = new Uint32Array(count);
    // `starts` moves on with each member, and `cellStarts` stays
    for (let i = 0; i < count; i++) this.members[starts[cellOf[i]]++] = i;
  }

  column(x) {
    return Math.max(0, Math.min(this.cellsPerSide - 1, Math.floor((x - this.bounds.left) / this.cellSize)));
  }

  row(y) {
    return Math.max(0, Math.min(this.cellsPerSide - 1, Math.floor((y - this.bounds.low) / this.cellSize)));
  }

  // Returns the nearest visible point within a radius, or -1.
  nearest(x, y, radius, isVisible) {
    const { places } = this;
    let best = -1;
    let minSquared = radius * radius; // squared distance of the best point
    const area = { left: x - radius, low: y - radius, right: x + radius, high: y + radius };
    this.visitCells(area, (i) => {
      const squared = (places[2 * i] - x) ** 2 + (places[2 * i + 1] - y) ** 2;
      if (squared > minSquared || !isVisible(i)) return;
      minSquared = squared;
      best = i;
    });
    return best;
  }

  // Returns the visible points in a polygon, an array of coordinates x, y, x, y, ...
  findInPolygon(polygon, isVisible) {
    const rows = [];
    this.visitCells(boundsOf(polygon), (i) => {
      if (isVisible(i) && isInPolygon(polygon, this.places[2 * i], this.places[2 * i + 1])) rows.push(i);
    });
    return rows.sort((a, b) => a - b);
  }

  // Calls visit(i) for each point in the cells that an area touches.
  visitCells({ left, low, right, high }, visit) {
    for (let r = this.row(low); r <= this.row(high); r++) {
      for (let c = this.column(left); c <= this.column(right); c++) {
        const cell = c + this.cellsPerSide * r;
        for (let m = this.cellStarts[cell]; m < this.cellStarts[cell + 1]; m++) visit(this.members[m]);
      }
    }
  }
}

// Returns the smallest rectangle with all points of an array of coordinates x, y, x, y, ...
function boundsOf(coordinates) {
  let [left, low, right, high] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < coordinates.length; i += 2) {
    left = Math.min(left, coordinates[i]);
    right = Math.max(right, coordinates[i]);
    low = Math.min(low, coordinates[i + 1]);
    high = Math.max(high, coordinates[i + 1]);
  }
  return { left, low, right, high };
}

// Whether a ray from the point crosses the edges of the polygon an odd number of times.
function isInPolygon(polygon, x, y) {
  let isInside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [ax, ay, bx, by] = [polygon[i], polygon[i + 1], polygon[j], polygon[j + 1]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) isInside = !isInside;
  }
  return isInside;
}
