"""Keras layers: LSTM, the linear path, masks, patches, pooling, repeated codes, column types."""

from refold.network.keras.convert import convert as convert
from refold.network.keras.features import FixedMap as FixedMap
from refold.network.keras.features import PooledConvolutions as PooledConvolutions
from refold.network.keras.heads import ColumnEncoding as ColumnEncoding
from refold.network.keras.heads import ColumnHead as ColumnHead
from refold.network.keras.initializers import Constant as Constant
from refold.network.keras.initializers import ForgetBias as ForgetBias
from refold.network.keras.initializers import GlorotUniform as GlorotUniform
from refold.network.keras.initializers import Orthogonal as Orthogonal
from refold.network.keras.lengths import LengthDecoding as LengthDecoding
from refold.network.keras.lengths import LengthEncoding as LengthEncoding
from refold.network.keras.lengths import LengthHead as LengthHead
from refold.network.keras.linear_path import LinearDecoding as LinearDecoding
from refold.network.keras.linear_path import LinearEncoding as LinearEncoding
from refold.network.keras.lstm import LSTM as LSTM
from refold.network.keras.lstm import Runtime as Runtime
from refold.network.keras.lstm import runtime as runtime
from refold.network.keras.padding import PaddingMask as PaddingMask
from refold.network.keras.padding import RealSteps as RealSteps
from refold.network.keras.patches import FoldSteps as FoldSteps
from refold.network.keras.pooling import StatePooling as StatePooling
from refold.network.keras.repeat_code import FitSteps as FitSteps
from refold.network.keras.repeat_code import RepeatCode as RepeatCode
from refold.network.keras.teacher_forcing import TeacherForcing as TeacherForcing
