"""Encoders, decoders and autoencoders as Keras models that share their weights."""

from refold.network.keras import classic as classic
from refold.network.keras.autoencoder import Autoencoder as Autoencoder
from refold.network.keras.autoencoder import Models as Models
from refold.network.keras.autoencoder import autoencoder as autoencoder
from refold.network.keras.autoregressive import decode_autoregressively as decode_autoregressively
from refold.network.keras.build import Network as Network
from refold.network.keras.build import build as build
from refold.network.keras.default import default as default
from refold.network.keras.predict import predict as predict
from refold.network.keras.seed import seeded as seeded
from refold.network.specification import Specification as Specification
