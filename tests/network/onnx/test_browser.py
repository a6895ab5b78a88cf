"""Exported encoders in Chromium: onnxruntime-web computes what ONNX Runtime does in Python."""

import functools
import http.server
import json
import shutil
import subprocess
import threading

import numpy as np
import onnxruntime
import pytest

from network import model_cases
from network.model_cases import MODEL_CASES
from network.onnx.test_to_onnx import make_feeds
from refold.export import to_onnx
from refold.sequences import as_sequences

CASES = ("patches, ROCKET", "mixed")
PAGE = """<script type="module">
import * as ort from "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
const entries = (type, data) =>
  type === "int64" ? BigInt64Array.from(data, BigInt) : data.map((x) => x ?? NaN);
const tensor = ([type, data, dims]) => new ort.Tensor(type, entries(type, data), dims);
window.compute = async (name, feeds) => {
  const session = await ort.InferenceSession.create(`/${name}.onnx`);
  const given = feeds.map(([key, ...rest]) => [key, tensor(rest)]);
  const { codes } = await session.run(Object.fromEntries(given));
  return Array.from(codes.data);
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


@pytest.mark.slow
def test_a_browser_computes_the_same(site, browser):
    folder, url = site
    page = browser.new_page()
    page.goto(url)
    page.wait_for_function("window.ready")
    for index, case in enumerate(CASES):
        data, options = MODEL_CASES[case]
        model = model_cases.fitted(data, **options)
        # the browser keeps a file of the same name
        name = f"encoder-{index}"
        to_onnx(model, folder / f"{name}.onnx", category_indices=True)
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        feeds = make_feeds(as_sequences(data).convert_to_schema(model.schema), session)
        (expected,) = session.run(None, feeds)
        tensors = [[key, str(x.dtype), x.ravel().tolist(), x.shape] for key, x in feeds.items()]
        text = json.dumps(tensors).replace("NaN", "null")
        codes = np.array(page.evaluate(f"window.compute('{name}', {text})"))
        np.testing.assert_allclose(codes, expected.ravel(), rtol=1e-6, atol=1e-5)
    page.close()
