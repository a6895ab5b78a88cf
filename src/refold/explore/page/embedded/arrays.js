// Arrays that the page holds as text: base64 of compressed bytes.

const TYPES = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array };

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  return Uint8Array.from({ length: raw.length }, (_, i) => raw.charCodeAt(i));
}

async function inflated(text) {
  const packed = new Blob([fromBase64(text)]).stream();
  return new Uint8Array(await new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
}

// The first bytes of all numbers lie before the second ones, and so on, which compresses better.
function joined(planes, size) {
  if (size === 1) return planes.buffer;
  const count = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let k = 0; k < size; k++) {
    for (let i = 0, at = k * count; i < count; i++) bytes[i * size + k] = planes[at + i];
  }
  return bytes.buffer;
}

// The content of the element with a name, which is then removed: an array, or JSON.
export async function decodeBlock(element) {
  const { type } = element.dataset;
  const bytes = await inflated(element.textContent);
  element.remove();
  if (type === "json") return JSON.parse(new TextDecoder().decode(bytes));
  return new TYPES[type](joined(bytes, TYPES[type].BYTES_PER_ELEMENT));
}

// All that the page holds, by name.
export async function decodeAllBlocks() {
  const found = {};
  for (const element of document.querySelectorAll("script[data-name]")) {
    found[element.dataset.name] = await decodeBlock(element);
  }
  return found;
}
