"""The default network on packed rows: the steps of all sequences, one after another."""
