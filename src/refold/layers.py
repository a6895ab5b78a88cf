"""Keras layers for your own models: LSTM, padding mask, and columns of several types."""

from refold.network.keras.encoder import PaddingMask as PaddingMask
from refold.network.keras.heads import ColumnEncoding as ColumnEncoding
from refold.network.keras.heads import ColumnHead as ColumnHead
from refold.network.keras.lstm import LSTM as LSTM
from refold.network.keras.lstm import LstmRuntimeInfo as LstmRuntimeInfo
from refold.network.keras.lstm import get_lstm_runtime_info as get_lstm_runtime_info
from refold.network.keras.lstm import replace_lstm_layers as replace_lstm_layers
