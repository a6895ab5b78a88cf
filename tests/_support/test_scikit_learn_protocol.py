import subprocess
import sys

import numpy as np
import pytest
from sklearn.utils import check_random_state

from refold import SequenceAutoencoder
from refold._support.argument_checks import draw_seed
from refold.errors import ParameterError

# An estimator like ours, in an interpreter without scikit-learn.
WITHOUT = """
import pickle, sys
import numpy as np
import pandas as pd
from refold._support.estimator_html import NotebookMixin
from refold._support.scikit_learn_protocol import ScikitLearnProtocol, as_output, check_fitted

class Mean(NotebookMixin, ScikitLearnProtocol):
    def __init__(self, width=2, *, scale=None):
        self.width, self.scale = width, scale
    def fit(self, X, y=None):
        self._n_features_out = self.width
        return self
    def transform(self, X):
        check_fitted(self)
        return as_output(self, np.zeros((len(X), self.width), np.float32), X)
    def __sklearn_is_fitted__(self):
        return hasattr(self, "_n_features_out")

mean = Mean(scale="a<b")
print(mean, mean.get_params(), mean._repr_mimebundle_())
try:
    mean.transform([[1.0]])
except (ValueError, AttributeError) as error:
    print(type(error), error)
frame = mean.set_params(width=3).set_output(transform="pandas").fit_transform([[1.0], [2.0]])
print(type(frame), list(frame.columns))
print(mean.set_output(transform="polars").transform(frame).columns)
print("sklearn" in sys.modules)
"""


def test_works_without_scikit_learn():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    shown, error, frame, names, loaded = run.stdout.splitlines()
    assert shown.startswith("Mean(scale='a<b') {'scale': 'a<b', 'width': 2} {'text/plain': ")
    assert "<pre>Mean(scale=&#x27;a&lt;b&#x27;)</pre>" in shown
    assert error.startswith("<class 'refold.errors.NotFittedError'> This Mean is not fitted yet.")
    assert frame.endswith("['mean0', 'mean1', 'mean2']")
    assert names == "['mean0', 'mean1', 'mean2']"
    assert loaded == "False"


def test_a_long_repr_is_wrapped():
    ae = SequenceAutoencoder(latent_dim=4, units=8, depth=2, missing_values=[-1.0, -2.0, -99999.0])
    lines = repr(ae).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(" " * len("SequenceAutoencoder("))
    copy = eval(repr(ae), {"SequenceAutoencoder": SequenceAutoencoder})  # noqa: S307
    assert copy.get_params() == ae.get_params()


def test_unknown_arguments_are_named():
    with pytest.raises(ParameterError, match=r"no argument 'unit'. It has .*, units, "):
        SequenceAutoencoder().set_params(unit=3)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, np.int64(7)])
def test_seeds_are_those_of_scikit_learn(seed):
    assert draw_seed(seed) == check_random_state(seed).randint(2**31)


def test_generators_are_seeds():
    drawn = [draw_seed(make(5)) for make in (np.random.default_rng, np.random.RandomState) * 2]
    assert drawn[:2] == drawn[2:]
    with pytest.raises(ParameterError, match="Got -1"):
        draw_seed(-1)
