"""Parts of ``benchmarks.lstm``: implementations of the LSTM, and the processes that time them."""
