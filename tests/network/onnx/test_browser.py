"""Exported models in Chromium: onnxruntime-web computes what ONNX Runtime does in Python."""

import functools
import http.server
import json
import shutil
import subprocess
import threading

import numpy as np
import onnxruntime
import pytest

from network import kinds
from network.kinds import KINDS
from network.onnx.test_to_onnx import padded, run
from refold.export import to_onnx
from refold.sequences import as_sequences

CHOSEN = ("patches, ROCKET", "words, autoregressive", "mixed", "scaled by sequence")
TYPES = {"f4": "float32", "f8": "float64", "i8": "int64", "O": "string"}
PAGE = """<script type="module">
import * as ort from "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
const makers = {
  float32: (data) => Float32Array.from(data, Number),
  float64: (data) => Float64Array.from(data, Number),
  int64: (data) => BigInt64Array.from(data, BigInt),
  string: (data) => data,
};
const tensor = ([type, dims, data]) => new ort.Tensor(type, makers[type](data), dims);
const plain = ({ type, dims, data }) => [type, dims, Array.from(data, String)];
window.compute = async (name, feeds) => {
  const session = await ort.InferenceSession.create(`/${name}.onnx`);
  const given = Object.entries(feeds).map(([key, one]) => [key, tensor(one)]);
  const found = await session.run(Object.fromEntries(given));
  return Object.fromEntries(Object.entries(found).map(([key, one]) => [key, plain(one)]));
};
window.ready = true;
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serve a folder with onnxruntime-web, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("onnxruntime-web comes from npm, which is not installed")
    folder = tmp_path_factory.mktemp("site")
    install = ["npm", "install", "--silent", "--prefix", str(folder), "onnxruntime-web"]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    (folder / "index.html").write_text(PAGE)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()


def plain(tensor):
    """Return a tensor as JSON: its type, its shape, and its entries as text."""
    return [TYPES[tensor.dtype.str.lstrip("<|")], list(tensor.shape), [*map(str, tensor.flat)]]


@pytest.mark.slow
def test_a_browser_computes_the_same(site, browser):
    folder, url = site
    page = browser.new_page()
    page.goto(url)
    page.wait_for_function("window.ready")
    for number, kind in enumerate(CHOSEN):
        data, options = KINDS[kind]
        model = kinds.fitted(data, **options)
        # the browser keeps a file of the same name
        names = {part: f"{part}-{number}" for part in ("encoder", "decoder")}
        for part, name in names.items():
            to_onnx(model, folder / f"{name}.onnx", part, category_indices=part == "encoder")
        encoder, decoder = (
            onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in names.values()
        )
        feeds = padded(as_sequences(data).align(model.schema), encoder)
        expected = run(encoder, **feeds)
        compare(page, names["encoder"], feeds, expected)
        feeds = {"codes": expected["codes"], "wanted_lengths": np.array([-1])}
        compare(page, names["decoder"], feeds, run(decoder, **feeds))
    page.close()


def compare(page, name_of_graph, feeds, expected):
    given = json.dumps({name: plain(tensor) for name, tensor in feeds.items()})
    found = page.evaluate(f"window.compute('{name_of_graph}', {given})")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        kind, shape, entries = found[name]
        assert [kind, shape] == plain(tensor)[:2]
        if kind in ("string", "int64"):
            assert entries == [*map(str, tensor.flat)]
        else:
            numbers = np.array(entries, float)
            np.testing.assert_allclose(numbers, tensor.ravel(), rtol=1e-6, atol=1e-5)
