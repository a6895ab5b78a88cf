// An index of points in the plane: the nearest visible point, and the points in a polygon.

const MOST_CELLS = 512;

export class Grid {
  constructor(places) {
    this.places = places;
    const count = places.length / 2;
    let [left, low, right, high] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < count; i++) {
      left = Math.min(left, places[2 * i]);
      right = Math.max(right, places[2 * i]);
      low = Math.min(low, places[2 * i + 1]);
      high = Math.max(high, places[2 * i + 1]);
    }
    this.bounds = { left, right, low, high };
    this.side = Math.max(1, Math.min(MOST_CELLS, Math.ceil(Math.sqrt(count / 4))));
    this.cell = Math.max(right - left, high - low, 1e-9) / this.side;
    const cells = new Uint32Array(this.side * this.side + 1);
    const own = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      own[i] = this.column(places[2 * i]) + this.side * this.row(places[2 * i + 1]);
      cells[own[i] + 1]++;
    }
    for (let i = 1; i < cells.length; i++) cells[i] += cells[i - 1];
    this.begins = cells.slice();
    this.members = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.members[cells[own[i]]++] = i;
  }

  column(x) {
    return Math.max(0, Math.min(this.side - 1, Math.floor((x - this.bounds.left) / this.cell)));
  }

  row(y) {
    return Math.max(0, Math.min(this.side - 1, Math.floor((y - this.bounds.low) / this.cell)));
  }

  // The nearest point within a radius for which visible(i) holds, or -1.
  nearest(x, y, radius, visible) {
    const { places, side } = this;
    let best = -1;
    let least = radius * radius;
    for (let r = this.row(y - radius); r <= this.row(y + radius); r++) {
      for (let c = this.column(x - radius); c <= this.column(x + radius); c++) {
        for (let m = this.begins[c + side * r]; m < this.begins[c + side * r + 1]; m++) {
          const i = this.members[m];
          const distance = (places[2 * i] - x) ** 2 + (places[2 * i + 1] - y) ** 2;
          if (distance <= least && visible(i)) {
            least = distance;
            best = i;
          }
        }
      }
    }
    return best;
  }

  // The points for which visible(i) holds in a polygon, a flat array of places.
  within(polygon, visible) {
    let [left, low, right, high] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < polygon.length; i += 2) {
      left = Math.min(left, polygon[i]);
      right = Math.max(right, polygon[i]);
      low = Math.min(low, polygon[i + 1]);
      high = Math.max(high, polygon[i + 1]);
    }
    const found = [];
    for (let r = this.row(low); r <= this.row(high); r++) {
      for (let c = this.column(left); c <= this.column(right); c++) {
        const cell = c + this.side * r;
        for (let m = this.begins[cell]; m < this.begins[cell + 1]; m++) {
          const i = this.members[m];
          if (visible(i) && inside(polygon, this.places[2 * i], this.places[2 * i + 1])) {
            found.push(i);
          }
        }
      }
    }
    return found.sort((a, b) => a - b);
  }
}

function inside(polygon, x, y) {
  let odd = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [ax, ay, bx, by] = [polygon[i], polygon[i + 1], polygon[j], polygon[j + 1]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}
