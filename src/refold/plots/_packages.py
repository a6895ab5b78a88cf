"""A check that matplotlib is installed, before the other modules import it."""

from refold._support.optional_imports import optional

optional("matplotlib", extra="plots", purpose="refold.plots")
