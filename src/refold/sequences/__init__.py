"""The `Sequences` container: schemas, conversion, files, scaling, padding and batches.

Needs NumPy and Arrow only, not Keras or JAX.
"""

from refold.errors import FileAccessError as FileAccessError
from refold.errors import MissingFileError as MissingFileError
from refold.files.json import parse_jsonl as parse_jsonl
from refold.files.mapped import map_blocks as map_blocks
from refold.files.read_write import FORMATS as FORMATS
from refold.files.read_write import column_names as column_names
from refold.files.read_write import format_of_file_name as format_of_file_name
from refold.files.read_write import is_batch_stream as is_batch_stream
from refold.files.read_write import read as read
from refold.files.read_write import read_batches as read_batches
from refold.files.read_write import read_for as read_for
from refold.files.read_write import read_labels as read_labels
from refold.files.read_write import write as write
from refold.files.tables import TableOptions as TableOptions
from refold.files.tables import resolve_table_options as resolve_table_options
from refold.files.tables import sequences_from_table as sequences_from_table
from refold.files.tables import step_columns as step_columns
from refold.sequences._batches import Batches as Batches
from refold.sequences._batches import BatchRun as BatchRun
from refold.sequences._batches import input_and_target as input_and_target
from refold.sequences._batches import pad as pad
from refold.sequences._batches import (
    unpadded_input_and_target as unpadded_input_and_target,
)
from refold.sequences._code_tables import MODEL_HASH_KEY as MODEL_HASH_KEY
from refold.sequences._code_tables import check_code_dtype as check_code_dtype
from refold.sequences._code_tables import codes_from_arrow as codes_from_arrow
from refold.sequences._code_tables import codes_to_arrow as codes_to_arrow
from refold.sequences._code_tables import describe_model_mismatch as describe_model_mismatch
from refold.sequences._code_tables import stored_model_hash as stored_model_hash
from refold.sequences._code_tables import vectors_to_arrow as vectors_to_arrow
from refold.sequences._conversions import as_sequences as as_sequences
from refold.sequences._conversions import check_missing as check_missing
from refold.sequences._conversions import concatenate as concatenate
from refold.sequences._conversions import fingerprints as fingerprints
from refold.sequences._conversions import is_frame as is_frame
from refold.sequences._conversions import mark_missing as mark_missing
from refold.sequences._conversions import positions as positions
from refold.sequences._conversions import series_from_table as series_from_table
from refold.sequences._conversions import table_like as table_like
from refold.sequences._data_warnings import data_warnings as data_warnings
from refold.sequences._data_warnings import find_key_columns as find_key_columns
from refold.sequences._encoding import ColumnTypes as ColumnTypes
from refold.sequences._encoding import check_codes_finite as check_codes_finite
from refold.sequences._encoding import check_decoded as check_decoded
from refold.sequences._encoding import check_ids as check_ids
from refold.sequences._scaling import CLIP_RULE as CLIP_RULE
from refold.sequences._scaling import MIN_STD_TO_DISTANCE as MIN_STD_TO_DISTANCE
from refold.sequences._scaling import RunningMoments as RunningMoments
from refold.sequences._scaling import Scaler as Scaler
from refold.sequences._scaling import check_float32_range as check_float32_range
from refold.sequences._scaling import sequence_moments as sequence_moments
from refold.sequences._scaling import sum_by_sequence as sum_by_sequence
from refold.sequences._schema import Column as Column
from refold.sequences._schema import Schema as Schema
from refold.sequences._schema import default_names as default_names
from refold.sequences._schema import has_default_names as has_default_names
from refold.sequences._sequences import Sequences as Sequences
from refold.sequences._tables import DUPLICATES_RULE as DUPLICATES_RULE
from refold.sequences._tables import ids_to_arrow as ids_to_arrow
from refold.sequences._tables import integers_from_text as integers_from_text
from refold.sequences._tables import is_table as is_table
from refold.sequences._times import extrapolate_times as extrapolate_times
from refold.sequences._times import future_times as future_times
from refold.sequences._times import median_gaps as median_gaps
from refold.sequences._times import parse_times as parse_times
from refold.sequences._windows import Windows as Windows
from refold.sequences._windows import cut_windows as cut_windows
from refold.sequences._windows import default_window_step as default_window_step
from refold.sequences._windows import split_at as split_at
from refold.sequences._windows import uncut_windows as uncut_windows
from refold.sequences._windows import window_ids as window_ids
from refold.sequences._windows import window_positions as window_positions
from refold.sequences._windows import windows as windows
