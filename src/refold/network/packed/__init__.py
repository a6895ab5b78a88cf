"""The default network on packed rows, with the compiled kernel and without compilation."""
