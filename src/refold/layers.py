"""Keras layers: LSTM, the linear path, masks, patches, pooling, repeated codes, column types."""

from refold.network.keras.autoencoder import FitSteps as FitSteps
from refold.network.keras.decoder import LinearDecoding as LinearDecoding
from refold.network.keras.decoder import RepeatCode as RepeatCode
from refold.network.keras.decoder import TeacherForcing as TeacherForcing
from refold.network.keras.encoder import FixedMap as FixedMap
from refold.network.keras.encoder import FoldSteps as FoldSteps
from refold.network.keras.encoder import LinearEncoding as LinearEncoding
from refold.network.keras.encoder import PaddingMask as PaddingMask
from refold.network.keras.encoder import PooledConvolutions as PooledConvolutions
from refold.network.keras.encoder import RealSteps as RealSteps
from refold.network.keras.encoder import StatePooling as StatePooling
from refold.network.keras.heads import ColumnEncoding as ColumnEncoding
from refold.network.keras.heads import ColumnHead as ColumnHead
from refold.network.keras.layer import Constant as Constant
from refold.network.keras.layer import ForgetBias as ForgetBias
from refold.network.keras.layer import GlorotUniform as GlorotUniform
from refold.network.keras.layer import Orthogonal as Orthogonal
from refold.network.keras.lengths import LengthDecoding as LengthDecoding
from refold.network.keras.lengths import LengthEncoding as LengthEncoding
from refold.network.keras.lengths import LengthHead as LengthHead
from refold.network.keras.lstm import LSTM as LSTM
from refold.network.keras.lstm import Runtime as Runtime
from refold.network.keras.lstm import convert as convert
from refold.network.keras.lstm import runtime as runtime
