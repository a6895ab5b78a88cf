"""Initial weights from principal components and ridge regression.

The entry point is `InitialWeights` in `_initial_weights.py`, which sets the weights of a network at
the start of each phase. It calls `_numeric_columns.py` for numeric columns, and `_token_columns.py`
for binary and categorical columns, alone or with numeric ones. Both fit a linear encoder and its
decoding map. `_principal_components.py` finds the components of series, also of few series.
"""
