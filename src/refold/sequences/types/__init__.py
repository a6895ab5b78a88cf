"""Column types: one class for each, and the table of all.

Each type says how a raw column becomes floats, what a decoder writes for it and how that is
compared with the truth. It imports neither JAX nor Keras. Each backend implements the links.
"""

from refold.sequences.types._binary import BINARY as BINARY
from refold.sequences.types._categorical import CATEGORICAL as CATEGORICAL
from refold.sequences.types._categorical import UNKNOWN as UNKNOWN
from refold.sequences.types._column_type import MAX_EXPONENT as MAX_EXPONENT
from refold.sequences.types._column_type import ColumnType as ColumnType
from refold.sequences.types._column_type import Where as Where
from refold.sequences.types._column_type import refuse as refuse
from refold.sequences.types._numeric import NUMERIC as NUMERIC
from refold.sequences.types._registry import COLUMN_TYPES as COLUMN_TYPES
from refold.sequences.types._registry import Outputs as Outputs
from refold.sequences.types._registry import common_type as common_type
from refold.sequences.types._registry import inferred_type as inferred_type
from refold.sequences.types._registry import number_mask as number_mask
from refold.sequences.types._registry import outputs_of as outputs_of
