"""Inference with a fitted network: sequences to codes and back, and checks of the inputs.

The default model runs on NumPy and the compiled kernel, without Keras and JAX. All other models
run as Keras models; see `refold.models.KerasNetwork`.
"""

from refold.inference._column_head import ColumnHead as ColumnHead
from refold.inference._column_head import Draw as Draw
from refold.inference._decoded_features import DecodedFeatures as DecodedFeatures
from refold.inference._encode_decode import FittedNetwork as FittedNetwork
from refold.inference._encode_decode import decode as decode
from refold.inference._encode_decode import encode as encode
from refold.inference._encode_decode import predict_lengths as predict_lengths
from refold.inference._encode_decode import rocket_features as rocket_features
from refold.inference._far_values import count_far as count_far
from refold.inference._far_values import describe_far as describe_far
from refold.inference._far_values import far_limits as far_limits
from refold.inference._far_values import warn_of_far as warn_of_far
from refold.inference._forecast_steps import continued as continued
from refold.inference._forecast_steps import last_steps as last_steps
from refold.inference._forecast_steps import recent_values as recent_values
from refold.inference._forecast_steps import split_last as split_last
from refold.inference._input_checks import check_codes as check_codes
from refold.inference._input_checks import check_fits as check_fits
from refold.inference._input_checks import check_lengths as check_lengths
from refold.inference._input_checks import describe_far_codes as describe_far_codes
from refold.inference._lbfgs import minimize_rows as minimize_rows
from refold.inference._longer_sequences import HEAD as HEAD
from refold.inference._longer_sequences import Meaning as Meaning
from refold.inference._longer_sequences import describe_longer as describe_longer
from refold.inference._longer_sequences import lengths_to_write as lengths_to_write
from refold.inference._longer_sequences import warn_of_longer as warn_of_longer
from refold.inference._open_source import open_source as open_source
from refold.inference._packed_network import PackedNetwork as PackedNetwork
from refold.inference._packed_rows import encoded_blocks as encoded_blocks
from refold.inference._reconstruction_error import ErrorTotals as ErrorTotals
from refold.inference._reconstruction_error import reconstruction_error as reconstruction_error
from refold.inference._rocket_features import RocketFeatures as RocketFeatures
from refold.inference._rocket_features import pooled as pooled
from refold.inference._specification import Specification as Specification
from refold.inference._variational_codes import MOST_SEQUENCES as MOST_SEQUENCES
from refold.inference._variational_codes import check_can_sample as check_can_sample
from refold.inference._variational_codes import count_active as count_active
from refold.inference._variational_codes import report_active as report_active
from refold.inference._weights import DECODERS as DECODERS
from refold.inference._weights import MOST_STRIDE as MOST_STRIDE
from refold.inference._weights import are_default as are_default
from refold.inference._weights import has_linear_path as has_linear_path
from refold.inference._weights import linear_map as linear_map
from refold.inference._weights import most_linear_steps as most_linear_steps
from refold.inference._weights import num_periods as num_periods
from refold.inference._weights import weight_names as weight_names
from refold.inference._weights import weight_shapes as weight_shapes
