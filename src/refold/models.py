"""Encoders, decoders and autoencoders as Keras models that share their weights."""

from refold.network.keras import classic as classic
from refold.network.keras.autoencoder import Autoencoder as Autoencoder
from refold.network.keras.autoencoder import Models as Models
from refold.network.keras.autoencoder import autoencoder as autoencoder
from refold.network.keras.build import build as build
from refold.network.keras.build import default as default
from refold.network.keras.decoder import decode_autoregressively as decode_autoregressively
from refold.network.keras.network import Network as Network
from refold.network.specification import Specification as Specification
