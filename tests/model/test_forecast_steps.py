"""What a forecast decoder reads beside the code."""

from refold.model._forecast_steps import recent_values
from refold.network.specification import Specification
from refold.sequences import as_sequences


def test_missing_values_and_steps_are_those_of_the_nearest_step():
    sizes = [["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0]
    specification = Specification("default", *sizes, forecast_steps=1, recent_steps=3)
    series = as_sequences([[1.0, 2.0, 4.0, 8.0], [3.0, float("nan"), 4.0], [5.0]])
    # the last step, and the differences of earlier steps from it
    expected = [[8.0, -4.0, -6.0], [4.0, -1.0, -1.0], [5.0, 0.0, 0.0]]
    assert recent_values(series, specification).tolist() == expected
