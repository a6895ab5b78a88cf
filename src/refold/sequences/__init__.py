"""The `Sequences` container: schemas, conversion, files, scaling, padding and batches.

Needs NumPy and Arrow only, not Keras or JAX.
"""

from refold.errors import FileAccessError as FileAccessError
from refold.errors import MissingFileError as MissingFileError
from refold.files.json import parse_jsonl as parse_jsonl
from refold.files.mapped import mapped_blocks as mapped_blocks
from refold.files.read_write import FORMATS as FORMATS
from refold.files.read_write import column_names as column_names
from refold.files.read_write import format_named as format_named
from refold.files.read_write import is_batches as is_batches
from refold.files.read_write import read as read
from refold.files.read_write import read_batches as read_batches
from refold.files.read_write import read_for as read_for
from refold.files.read_write import read_labels as read_labels
from refold.files.read_write import write as write
from refold.files.tables import TableOptions as TableOptions
from refold.files.tables import find_layout as find_layout
from refold.files.tables import from_file_table as from_file_table
from refold.files.tables import step_columns as step_columns
from refold.sequences._batches import Batches as Batches
from refold.sequences._batches import BatchPlan as BatchPlan
from refold.sequences._batches import input_and_target as input_and_target
from refold.sequences._batches import pad as pad
from refold.sequences._batches import (
    unpadded_input_and_target as unpadded_input_and_target,
)
from refold.sequences._code_tables import MODEL_KEY as MODEL_KEY
from refold.sequences._code_tables import check_code_dtype as check_code_dtype
from refold.sequences._code_tables import check_model as check_model
from refold.sequences._code_tables import codes_from_arrow as codes_from_arrow
from refold.sequences._code_tables import codes_to_arrow as codes_to_arrow
from refold.sequences._code_tables import stored_model as stored_model
from refold.sequences._code_tables import vectors_to_arrow as vectors_to_arrow
from refold.sequences._data_warnings import data_warnings as data_warnings
from refold.sequences._data_warnings import key_columns as key_columns
from refold.sequences._parts import ColumnTypes as ColumnTypes
from refold.sequences._parts import check_codes_finite as check_codes_finite
from refold.sequences._parts import check_decoded as check_decoded
from refold.sequences._parts import check_ids as check_ids
from refold.sequences._scaling import CLIP as CLIP
from refold.sequences._scaling import MIN_SHARE as MIN_SHARE
from refold.sequences._scaling import RunningMoments as RunningMoments
from refold.sequences._scaling import Scaler as Scaler
from refold.sequences._scaling import check_single as check_single
from refold.sequences._scaling import sequence_moments as sequence_moments
from refold.sequences._scaling import sums_by_sequence as sums_by_sequence
from refold.sequences._schema import Column as Column
from refold.sequences._schema import Schema as Schema
from refold.sequences._schema import default_names as default_names
from refold.sequences._schema import has_default_names as has_default_names
from refold.sequences._sequences import Sequences as Sequences
from refold.sequences._sets import Windows as Windows
from refold.sequences._sets import as_sequences as as_sequences
from refold.sequences._sets import check_missing as check_missing
from refold.sequences._sets import concatenate as concatenate
from refold.sequences._sets import cut_windows as cut_windows
from refold.sequences._sets import default_step as default_step
from refold.sequences._sets import fingerprints as fingerprints
from refold.sequences._sets import is_frame as is_frame
from refold.sequences._sets import mark_missing as mark_missing
from refold.sequences._sets import positions as positions
from refold.sequences._sets import series_from_table as series_from_table
from refold.sequences._sets import split_at as split_at
from refold.sequences._sets import table_like as table_like
from refold.sequences._sets import whole_windows as whole_windows
from refold.sequences._sets import window_ids as window_ids
from refold.sequences._sets import window_places as window_places
from refold.sequences._sets import windows as windows
from refold.sequences._tables import DUPLICATES as DUPLICATES
from refold.sequences._tables import ids_to_arrow as ids_to_arrow
from refold.sequences._tables import integers_from_text as integers_from_text
from refold.sequences._tables import is_table as is_table
from refold.sequences._times import future_times as future_times
from refold.sequences._times import parse_times as parse_times
from refold.sequences._times import times_from as times_from
from refold.sequences._times import usual_gaps as usual_gaps
