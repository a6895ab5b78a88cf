// A source of data: the server that sent the page.

import { UserError } from "./api.js";

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new UserError("The server does not answer. Start `refold explore` again, then reload.");
  }
  if (response.ok) return response;
  const content = await response.json().catch(() => null);
  const statusMessage = `The server answered with status ${response.status}. Its log says why.`;
  throw new UserError(content?.error?.message ?? statusMessage);
}

// Requests a path again while the server computes (status 202), and calls onProgress() each time.
// Returns the bytes of the answer, or null if isNeeded() becomes false.
async function poll(path, milliseconds, onProgress, isNeeded = () => true) {
  for (;;) {
    const response = await request(path);
    if (response.status !== 202) return response.arrayBuffer();
    if (!isNeeded()) return null;
    onProgress();
    await new Promise((onDone) => setTimeout(onDone, milliseconds));
  }
}

async function getJson(path) {
  return (await request(path)).json();
}

function post(path, body, contentType) {
  return request(path, { method: "POST", headers: { "content-type": contentType }, body });
}

function postJson(path, content) {
  return post(path, JSON.stringify(content), "application/json");
}

// There are two sources of data with the same methods: this one, and embedded/atlas.js in an
// exported page. Their errors are UserErrors.
export class Server {
  async start() {
    const [info, response] = await Promise.all([getJson("/explore/atlas"), request("/explore/points")]);
    return { info, places: new Float32Array(await response.arrayBuffer()) };
  }

  // Returns the places on a map. While the server computes them, onProgress() is called.
  async places(name, onProgress) {
    return new Float32Array(await poll(`/explore/points?map=${name}`, 300, onProgress));
  }

  // Returns the descriptions of the fields that the points can be colored by.
  fields() {
    return getJson("/explore/fields");
  }

  // Returns the values of a field, or null if isNeeded() becomes false while the server computes them.
  async field(name, onProgress, isNeeded) {
    const bytes = await poll(`/explore/fields/${encodeURIComponent(name)}`, 150, onProgress, isNeeded);
    return bytes && new Float64Array(bytes);
  }

  // Returns a sequence of the data, its reconstruction and its neighbors.
  sequence(row) {
    return getJson(`/explore/sequences/${row}`);
  }

  // Returns the sequences whose ids begin with a text, as { row, id }; an id equal to the text is first.
  find(text) {
    return getJson(`/explore/ids?text=${encodeURIComponent(text)}`);
  }

  // Decodes a place, { at, row }, or a code, { code }.
  async unfold(body) {
    return (await postJson("/explore/unfold", body)).json();
  }

  // Encodes added sequences, and returns them with their codes and places.
  async encodeAdded(content, fileName, mapName) {
    const path = `/explore/added?map=${mapName}&name=${encodeURIComponent(fileName)}`;
    return (await (await post(path, content, "application/octet-stream")).json()).sequences;
  }

  // Finds other clusters, and returns their field. 0 clusters: HDBSCAN; null: the default of k-means.
  async cluster(numClusters) {
    return (await postJson("/explore/clusters", { number: numClusters })).json();
  }

  // Returns a file about sequences: "table", "codes" or "sequences".
  async table(tableName, rows) {
    return (await postJson(`/explore/tables/${tableName}`, { rows })).blob();
  }
}
