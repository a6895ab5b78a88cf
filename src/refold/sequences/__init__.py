"""The `Sequences` container: schemas, conversion, files, scaling, padding and batches.

The package needs only NumPy and Arrow, and neither Keras nor JAX.
"""

from refold.files.json import parse_jsonl_entries as parse_jsonl_entries
from refold.files.json import table_to_jsonl as table_to_jsonl
from refold.files.mapped import apply_to_mapped_blocks as apply_to_mapped_blocks
from refold.files.read_write import FORMATS as FORMATS
from refold.files.read_write import column_names as column_names
from refold.files.read_write import find_format_or_none as find_format_or_none
from refold.files.read_write import is_batch_stream as is_batch_stream
from refold.files.read_write import read as read
from refold.files.read_write import read_for as read_for
from refold.files.read_write import read_from_batches as read_from_batches
from refold.files.read_write import read_labels as read_labels
from refold.files.read_write import read_rows as read_rows
from refold.files.read_write import write as write
from refold.files.tables import TableOptions as TableOptions
from refold.files.tables import resolve_table_options as resolve_table_options
from refold.files.tables import sequences_from_table as sequences_from_table
from refold.sequences._batches import BatchRun as BatchRun
from refold.sequences._batches import BucketedBatches as BucketedBatches
from refold.sequences._batches import pad as pad
from refold.sequences._batches import padded_input_and_target as padded_input_and_target
from refold.sequences._batches import unpadded_input_and_target as unpadded_input_and_target
from refold.sequences._code_tables import MODEL_HASH_KEY as MODEL_HASH_KEY
from refold.sequences._code_tables import check_model_hash as check_model_hash
from refold.sequences._code_tables import check_stored_code_dtype as check_stored_code_dtype
from refold.sequences._code_tables import codes_from_arrow as codes_from_arrow
from refold.sequences._code_tables import codes_to_arrow as codes_to_arrow
from refold.sequences._code_tables import stored_model_hash as stored_model_hash
from refold.sequences._code_tables import vectors_to_arrow as vectors_to_arrow
from refold.sequences._conversions import array_like as array_like
from refold.sequences._conversions import as_sequences as as_sequences
from refold.sequences._conversions import check_marker_numbers as check_marker_numbers
from refold.sequences._conversions import concatenate as concatenate
from refold.sequences._conversions import fingerprints as fingerprints
from refold.sequences._conversions import is_table as is_table
from refold.sequences._conversions import mark_missing as mark_missing
from refold.sequences._conversions import sequence_and_step_indices as sequence_and_step_indices
from refold.sequences._conversions import subtract_sequences as subtract_sequences
from refold.sequences._conversions import table_like as table_like
from refold.sequences._conversions import table_to_single_series as table_to_single_series
from refold.sequences._data_warnings import data_warnings as data_warnings
from refold.sequences._data_warnings import find_id_or_time_features as find_id_or_time_features
from refold.sequences._encoding import ColumnTypes as ColumnTypes
from refold.sequences._encoding import check_codes_finite as check_codes_finite
from refold.sequences._encoding import check_decoded_finite as check_decoded_finite
from refold.sequences._encoding import to_id_array as to_id_array
from refold.sequences._lists import (
    describe_array_like_single_series as describe_array_like_single_series,
)
from refold.sequences._scaling import CLIP_RULE as CLIP_RULE
from refold.sequences._scaling import MIN_STD_PER_TRAINING_DISTANCE as MIN_STD_PER_TRAINING_DISTANCE
from refold.sequences._scaling import RunningMoments as RunningMoments
from refold.sequences._scaling import Scaler as Scaler
from refold.sequences._scaling import check_float32_range as check_float32_range
from refold.sequences._scaling import sequence_mean_std as sequence_mean_std
from refold.sequences._scaling import sum_by_sequence as sum_by_sequence
from refold.sequences._schema import Column as Column
from refold.sequences._schema import Schema as Schema
from refold.sequences._schema import default_names as default_names
from refold.sequences._schema import has_default_names as has_default_names
from refold.sequences._sequences import Sequences as Sequences
from refold.sequences._tables import DUPLICATES_RULE as DUPLICATES_RULE
from refold.sequences._tables import has_arrow_interface as has_arrow_interface
from refold.sequences._tables import has_lists as has_lists
from refold.sequences._tables import ids_to_arrow as ids_to_arrow
from refold.sequences._tables import integers_from_text_if_exact as integers_from_text_if_exact
from refold.sequences._tables import to_arrow_table as to_arrow_table
from refold.sequences._times import compute_median_gaps as compute_median_gaps
from refold.sequences._times import future_times as future_times
from refold.sequences._times import parse_times as parse_times
from refold.sequences._times import times_from_gaps as times_from_gaps
from refold.sequences._windows import Windows as Windows
from refold.sequences._windows import compute_window_positions as compute_window_positions
from refold.sequences._windows import cut_windows as cut_windows
from refold.sequences._windows import default_window_step as default_window_step
from refold.sequences._windows import make_window_ids as make_window_ids
from refold.sequences._windows import split_at as split_at
from refold.sequences._windows import uncut_windows as uncut_windows
from refold.sequences._windows import windows as windows
