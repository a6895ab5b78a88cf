// The nearest vectors, by their distances to all of them.

// Rows of (count, width) vectors, the `most` nearest to a query, with their distances.
export function nearest(vectors, width, query, most) {
  const found = [];
  let worst = Infinity;
  for (let row = 0, begin = 0; begin < vectors.length; row++, begin += width) {
    let distance = 0;
    for (let i = 0; i < width; i++) {
      const away = vectors[begin + i] - query[i];
      distance += away * away;
      if (distance >= worst) break; // it can only grow
    }
    if (distance >= worst) continue;
    let place = found.length;
    while (place > 0 && found[place - 1].distance > distance) place--;
    found.splice(place, 0, { row, distance });
    if (found.length > most) found.pop();
    if (found.length === most) worst = found.at(-1).distance;
  }
  return found.map(({ row, distance }) => ({ row, distance: Math.sqrt(distance) }));
}
