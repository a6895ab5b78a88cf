"""Keras layers for your own models: LSTM, padding mask, and columns of several types."""

from refold.network.keras.encoder import PaddingMask as PaddingMask
from refold.network.keras.heads import ColumnEncoding as ColumnEncoding
from refold.network.keras.heads import ColumnHead as ColumnHead
from refold.network.keras.lstm import LSTM as LSTM
from refold.network.keras.lstm import Runtime as Runtime
from refold.network.keras.lstm import convert as convert
from refold.network.keras.lstm import runtime as runtime
