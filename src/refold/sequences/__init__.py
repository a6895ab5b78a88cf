"""Sequences of any length: what they are, how they come in and go out, scaling and padding.

Knows NumPy and Arrow, and nothing of Keras or JAX.
"""

from refold.sequences._access import FileAccessError as FileAccessError
from refold.sequences._access import MissingFileError as MissingFileError
from refold.sequences._atomic import atomic_writer as atomic_writer
from refold.sequences._atomic import remove_leftovers as remove_leftovers
from refold.sequences._batches import Batches as Batches
from refold.sequences._batches import Bucket as Bucket
from refold.sequences._batches import Run as Run
from refold.sequences._codes import codes_from_arrow as codes_from_arrow
from refold.sequences._codes import codes_to_arrow as codes_to_arrow
from refold.sequences._column_names import column_names as column_names
from refold.sequences._cut import split_at as split_at
from refold.sequences._files import read as read
from refold.sequences._files import write as write
from refold.sequences._fingerprints import fingerprints as fingerprints
from refold.sequences._inputs import as_sequences as as_sequences
from refold.sequences._inputs import concatenate as concatenate
from refold.sequences._integers import integers_from_text as integers_from_text
from refold.sequences._labels import read_labels as read_labels
from refold.sequences._missing import check_missing as check_missing
from refold.sequences._missing import mark_missing as mark_missing
from refold.sequences._moments import sequence_moments as sequence_moments
from refold.sequences._moments import sums_by_sequence as sums_by_sequence
from refold.sequences._numbered import step_columns as step_columns
from refold.sequences._padding import pad as pad
from refold.sequences._padding import positions as positions
from refold.sequences._padding import unpad as unpad
from refold.sequences._read_or_scan import read_or_scan as read_or_scan
from refold.sequences._remarks import training_remarks as training_remarks
from refold.sequences._scaling import Scaler as Scaler
from refold.sequences._scan import Scan as Scan
from refold.sequences._scan import scan as scan
from refold.sequences._schema import Column as Column
from refold.sequences._schema import Schema as Schema
from refold.sequences._sequences import Sequences as Sequences
from refold.sequences._windows import Windows as Windows
from refold.sequences._windows import windows as windows
