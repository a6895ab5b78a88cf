// Reads the blocks of data that the page holds as text: base64 of compressed bytes.

const ARRAY_TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
};

function decodeBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const bytes = atob(text);
  return Uint8Array.from({ length: bytes.length }, (_, i) => bytes.charCodeAt(i));
}

// Returns the bytes of a text: base64 of compressed bytes.
async function inflate(text) {
  const compressed = new Blob([decodeBase64(text)]).stream();
  return new Uint8Array(await new Response(compressed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
}

// Restores numbers from planes: the first bytes of all numbers, then their second bytes, and so on. This
// order compresses better.
function joinBytePlanes(planes, bytesPerNumber) {
  if (bytesPerNumber === 1) return planes.buffer;
  const count = planes.length / bytesPerNumber;
  const bytes = new Uint8Array(planes.length);
  for (let k = 0; k < bytesPerNumber; k++) {
    for (let i = 0, position = k * count; i < count; i++) bytes[i * bytesPerNumber + k] = planes[position + i];
  }
  return bytes.buffer;
}

// Returns the content of an element, an array or JSON, and removes the element to free its memory.
export async function decodeBlock(element) {
  const { type } = element.dataset;
  const bytes = await inflate(element.textContent);
  element.remove();
  if (type === "json") return JSON.parse(new TextDecoder().decode(bytes));
  return new ARRAY_TYPES[type](joinBytePlanes(bytes, ARRAY_TYPES[type].BYTES_PER_ELEMENT));
}

// Returns all blocks of the page by name.
export async function decodeAllBlocks() {
  const blocks = {};
  for (const element of document.querySelectorAll("script[data-name]")) {
    blocks[element.dataset.name] = await decodeBlock(element);
  }
  return blocks;
}
