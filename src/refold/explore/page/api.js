// Requests to the server. Each failure becomes one sentence for the reader.

export class Failure extends Error {}

async function checked(response) {
  if (response.ok) return response;
  let message = "";
  try {
    message = (await response.json()).error.message;
  } catch {
    message = `The server answered with status ${response.status}. Its log says why.`;
  }
  throw new Failure(message);
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Failure("The server does not answer. Start `refold explore` again, then reload.");
  }
  return checked(response);
}

export async function getJson(path) {
  return (await asked(path)).json();
}

export async function getFloats(path) {
  return new Float32Array(await (await asked(path)).arrayBuffer());
}

export async function postJson(path, content) {
  const headers = { "content-type": "application/json" };
  return asked(path, { method: "POST", headers, body: JSON.stringify(content) });
}

export async function postBytes(path, body) {
  const headers = { "content-type": "application/octet-stream" };
  return (await asked(path, { method: "POST", headers, body })).json();
}

// Values of a field, which the server may have to compute first.
export async function getField(name, progress, current) {
  for (;;) {
    const response = await asked(`/explore/fields/${encodeURIComponent(name)}`);
    if (response.status !== 202) return new Float32Array(await response.arrayBuffer());
    if (!current()) return null;
    progress((await response.json()).done);
    await new Promise((done) => setTimeout(done, 150));
  }
}

// One request at a time; of those that come meanwhile, the latest is sent next.
export class Latest {
  constructor(answered, failed) {
    this.answered = answered;
    this.failed = failed;
    this.waiting = null;
    this.busy = false;
  }

  // Browsers report moves of a pointer once per frame, so there is at most one request per frame.
  ask(content) {
    this.waiting = content;
    this.send();
  }

  cancel() {
    this.waiting = null;
  }

  async send() {
    const content = this.waiting;
    if (content === null || this.busy) return;
    this.waiting = null;
    this.busy = true;
    try {
      const found = await (await postJson("/explore/unfold", content.body)).json();
      if (!content.current || content.current()) this.answered(found, content);
    } catch (error) {
      this.failed(error);
    }
    this.busy = false;
    this.send();
  }
}

export function download(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
