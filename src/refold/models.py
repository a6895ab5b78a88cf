"""Encoders, decoders and autoencoders as Keras models that share their weights."""

from refold.network.keras import classic as classic
from refold.network.keras.autoencoder import Autoencoder as Autoencoder
from refold.network.keras.autoencoder import Models as Models
from refold.network.keras.autoencoder import join_encoder_and_decoder as join_encoder_and_decoder
from refold.network.keras.build import build as build
from refold.network.keras.build import make_default_models as make_default_models
from refold.network.keras.decoder import decode_autoregressively as decode_autoregressively
from refold.network.keras.network import Network as Network
from refold.network.specification import Specification as Specification
