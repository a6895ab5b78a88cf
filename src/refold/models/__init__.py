"""Encoders, decoders and autoencoders as Keras models that share their weights."""

from refold.models._autoencoder import Autoencoder as Autoencoder
from refold.models._autoencoder import Models as Models
from refold.models._autoencoder import autoencoder as autoencoder
from refold.models._default import default as default
from refold.models._default import length_model as length_model
