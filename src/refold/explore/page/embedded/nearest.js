// Search for the nearest vectors, by the distances to all vectors.

// Returns { row, distance } of the k vectors (count, width) that are nearest to a query.
export function nearest(vectors, width, query, k) {
  const hits = [];
  let worst = Infinity;
  for (let row = 0, begin = 0; begin < vectors.length; row++, begin += width) {
    let distance = 0;
    for (let i = 0; i < width; i++) {
      const difference = vectors[begin + i] - query[i];
      distance += difference * difference;
      if (distance >= worst) break; // the sum can only grow
    }
    if (distance >= worst) continue;
    let position = hits.length;
    while (position > 0 && hits[position - 1].distance > distance) position--;
    hits.splice(position, 0, { row, distance });
    if (hits.length > k) hits.pop();
    if (hits.length === k) worst = hits.at(-1).distance;
  }
  return hits.map(({ row, distance }) => ({ row, distance: Math.sqrt(distance) }));
}
