// A source of data: the server that sent the page.

import { UserError } from "./api.js";

async function checkResponse(response) {
  if (response.ok) return response;
  let message = "";
  try {
    message = (await response.json()).error.message;
  } catch {
    message = `The server answered with status ${response.status}. Its log says why.`;
  }
  throw new UserError(message);
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new UserError("The server does not answer. Start `refold explore` again, then reload.");
  }
  return checkResponse(response);
}

async function getJson(path) {
  return (await request(path)).json();
}

async function getFloats(path) {
  return new Float32Array(await (await request(path)).arrayBuffer());
}

async function postJson(path, content) {
  const headers = { "content-type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(content) });
}

async function postBytes(path, body) {
  const headers = { "content-type": "application/octet-stream" };
  return (await request(path, { method: "POST", headers, body })).json();
}

// There are two sources of data with the same methods: this one, and embedded/atlas.js in an
// exported page. Their errors are UserErrors.
export class Server {
  async start() {
    const [info, places] = await Promise.all([getJson("/explore/atlas"), getFloats("/explore/points")]);
    return { info, places };
  }

  // Returns the places on a map. While the server computes them, onProgress() is called.
  async places(name, onProgress) {
    for (;;) {
      const response = await request(`/explore/points?map=${name}`);
      if (response.status !== 202) return new Float32Array(await response.arrayBuffer());
      onProgress();
      await new Promise((done) => setTimeout(done, 300));
    }
  }

  // Returns the descriptions of the fields that the points can be colored by.
  fields() {
    return getJson("/explore/fields");
  }

  // Returns the values of a field, or null if isNeeded() becomes false while the server computes
  // them.
  async field(name, onProgress, isNeeded) {
    for (;;) {
      const response = await request(`/explore/fields/${encodeURIComponent(name)}`);
      if (response.status !== 202) return new Float64Array(await response.arrayBuffer());
      if (!isNeeded()) return null;
      onProgress();
      await new Promise((done) => setTimeout(done, 150));
    }
  }

  // Returns a sequence of the data, its reconstruction and its neighbors.
  sequence(row) {
    return getJson(`/explore/sequences/${row}`);
  }

  // Returns sequences whose ids begin with a text, as { row, id }. An id that is equal to the text
  // comes first.
  find(text) {
    return getJson(`/explore/ids?text=${encodeURIComponent(text)}`);
  }

  // Decodes a place, { at, row }, or a code, { code }.
  async unfold(body) {
    return (await postJson("/explore/unfold", body)).json();
  }

  // Encodes added sequences, and returns them with their codes and places.
  async place(content, name, mapName) {
    return (await postBytes(`/explore/place?map=${mapName}&name=${encodeURIComponent(name)}`, content)).sequences;
  }

  // Finds other clusters, and returns their field. number: of k-means; null is the default, 0 is
  // HDBSCAN.
  async cluster(number) {
    return (await postJson("/explore/clusters", { number })).json();
  }

  // Returns a file about sequences: "table", "codes" or "sequences".
  async table(tableName, rows) {
    return (await postJson(`/explore/tables/${tableName}`, { rows })).blob();
  }
}
