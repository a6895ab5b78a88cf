"""Keras layers: LSTM, the linear path, masks, patches, pooling, repeated codes, column kinds."""

from refold.layers._columns import ColumnEncoding as ColumnEncoding
from refold.layers._columns import ColumnHead as ColumnHead
from refold.layers._convert import convert as convert
from refold.layers._convolutions import FixedMap as FixedMap
from refold.layers._convolutions import PooledConvolutions as PooledConvolutions
from refold.layers._engine import Runtime as Runtime
from refold.layers._engine import runtime as runtime
from refold.layers._length import LengthHead as LengthHead
from refold.layers._linear import LinearDecoding as LinearDecoding
from refold.layers._linear import LinearEncoding as LinearEncoding
from refold.layers._lstm import LSTM as LSTM
from refold.layers._padding import PaddingMask as PaddingMask
from refold.layers._padding import RealSteps as RealSteps
from refold.layers._patches import FoldSteps as FoldSteps
from refold.layers._patches import num_patches as num_patches
from refold.layers._pooling import StatePooling as StatePooling
from refold.layers._previous import PreviousSteps as PreviousSteps
from refold.layers._repeat import FitSteps as FitSteps
from refold.layers._repeat import RepeatCode as RepeatCode
