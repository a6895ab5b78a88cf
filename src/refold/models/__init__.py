"""Encoders, decoders and autoencoders as Keras models that share their weights."""

from refold.inference import Specification as Specification
from refold.models._autoencoder import Autoencoder as Autoencoder
from refold.models._autoencoder import Models as Models
from refold.models._autoencoder import autoencoder as autoencoder
from refold.models._autoregressive import decode_autoregressively as decode_autoregressively
from refold.models._autoregressive import write_steps as write_steps
from refold.models._cells import CELLS as CELLS
from refold.models._default import default as default
from refold.models._default import length_model as length_model
from refold.models._forecast_decoder import forecaster as forecaster
from refold.models._keras_network import KerasNetwork as KerasNetwork
from refold.models._keras_network import inference_with as inference_with
from refold.models._keras_network import keras_models as keras_models
from refold.models._keras_network import load_network as load_network
from refold.models._keras_network import with_weights_of as with_weights_of
from refold.models._losses import are_squared as are_squared
from refold.models._losses import column_errors as column_errors
from refold.models._losses import length_loss as length_loss
from refold.models._network import ARCHITECTURES as ARCHITECTURES
from refold.models._network import Architecture as Architecture
from refold.models._network import Network as Network
from refold.models._network import build as build
from refold.models._predict import predict as predict
from refold.models._seed import seeded as seeded
from refold.models.decoders import DECODERS as DECODERS
