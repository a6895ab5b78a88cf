"""Keras layers: LSTM, the linear path, masks, patches, pooling, repeated codes, column types."""

from refold.layers._column_ends import ColumnEncoding as ColumnEncoding
from refold.layers._column_ends import ColumnHead as ColumnHead
from refold.layers._convert import convert as convert
from refold.layers._initializers import Constant as Constant
from refold.layers._initializers import ForgetBias as ForgetBias
from refold.layers._initializers import GlorotUniform as GlorotUniform
from refold.layers._initializers import Orthogonal as Orthogonal
from refold.layers._initializers import dense as dense
from refold.layers._initializers import undrawn as undrawn
from refold.layers._length_head import LengthHead as LengthHead
from refold.layers._linear_path import LinearDecoding as LinearDecoding
from refold.layers._linear_path import LinearEncoding as LinearEncoding
from refold.layers._lstm import LSTM as LSTM
from refold.layers._lstm_engine import Runtime as Runtime
from refold.layers._lstm_engine import runtime as runtime
from refold.layers._padding_mask import PaddingMask as PaddingMask
from refold.layers._padding_mask import RealSteps as RealSteps
from refold.layers._patches import FoldSteps as FoldSteps
from refold.layers._patches import num_patches as num_patches
from refold.layers._repeat_code import FitSteps as FitSteps
from refold.layers._repeat_code import RepeatCode as RepeatCode
from refold.layers._rocket_convolutions import FixedMap as FixedMap
from refold.layers._rocket_convolutions import PooledConvolutions as PooledConvolutions
from refold.layers._state_pooling import StatePooling as StatePooling
from refold.layers._teacher_forcing import TeacherForcing as TeacherForcing
