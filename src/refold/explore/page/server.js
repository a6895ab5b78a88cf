// The source of the page's data: the server that sent the page.

import { UserError } from "./api.js";

async function checked(response) {
  if (response.ok) return response;
  let message = "";
  try {
    message = (await response.json()).error.message;
  } catch {
    message = `The server answered with status ${response.status}. Its log says why.`;
  }
  throw new UserError(message);
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new UserError("The server does not answer. Start `refold explore` again, then reload.");
  }
  return checked(response);
}

async function getJson(path) {
  return (await asked(path)).json();
}

async function getFloats(path) {
  return new Float32Array(await (await asked(path)).arrayBuffer());
}

async function postJson(path, content) {
  const headers = { "content-type": "application/json" };
  return asked(path, { method: "POST", headers, body: JSON.stringify(content) });
}

async function postBytes(path, body) {
  const headers = { "content-type": "application/octet-stream" };
  return (await asked(path, { method: "POST", headers, body })).json();
}

// A source of data answers what the page asks. Each failure is one sentence for the reader. There
// are two: this one, and embedded/atlas.js in a page that holds its data.
export class Server {
  async start() {
    const [info, places] = await Promise.all([getJson("/explore/atlas"), getFloats("/explore/points")]);
    return { info, places };
  }

  // Places on another map, which the server may have to compute first.
  async places(name, progress) {
    for (;;) {
      const response = await asked(`/explore/points?map=${name}`);
      if (response.status !== 202) return new Float32Array(await response.arrayBuffer());
      progress();
      await new Promise((done) => setTimeout(done, 300));
    }
  }

  // What the points can be colored by.
  fields() {
    return getJson("/explore/fields");
  }

  // Values of a field, which the server may have to compute first; null if they are not needed.
  async field(name, progress, current) {
    for (;;) {
      const response = await asked(`/explore/fields/${encodeURIComponent(name)}`);
      if (response.status !== 202) return new Float64Array(await response.arrayBuffer());
      if (!current()) return null;
      progress();
      await new Promise((done) => setTimeout(done, 150));
    }
  }

  // A sequence of the data, its reconstruction and its neighbors.
  sequence(row) {
    return getJson(`/explore/sequences/${row}`);
  }

  // Sequences whose ids begin with a text, as { row, id }; that of the text itself comes first.
  find(text) {
    return getJson(`/explore/ids?text=${encodeURIComponent(text)}`);
  }

  // The sequence at a place, { at, row }, or of a code, { code }.
  async unfold(body) {
    return (await postJson("/explore/unfold", body)).json();
  }

  // Sequences that the reader adds, with their codes and places.
  async place(content, name, on) {
    return (await postBytes(`/explore/place?map=${on}&name=${encodeURIComponent(name)}`, content)).sequences;
  }

  // The field of other clusters: so many of k-means, null for the default, or 0 for HDBSCAN.
  async cluster(number) {
    return (await postJson("/explore/clusters", { number })).json();
  }

  // A file about some sequences: "table", "codes" or "sequences".
  async table(what, rows) {
    return (await postJson(`/explore/tables/${what}`, { rows })).blob();
  }
}
