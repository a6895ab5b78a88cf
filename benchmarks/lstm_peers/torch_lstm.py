"""PyTorch's ``nn.LSTM`` without Keras; time is the first axis, which is fastest."""

from functools import partial

import numpy as np
import torch

from benchmarks.lstm_peers.cases import Case, Data, matmul_matrix
from benchmarks.lstm_peers.jobs import Job

__all__ = ["make", "matmul", "use"]


def use(*, threads: int, onednn: bool) -> None:
    """Set the number of threads, and whether oneDNN may be used."""
    torch.set_num_threads(threads)
    torch.backends.mkldnn.set_flags(onednn)


def make(mode: str, case: Case, *, threads: int, onednn: bool) -> Job:
    """Make the job of a mode: ``both``, ``forward`` or ``ragged``."""
    data = Data.draw(case)
    module = torch.nn.LSTM(case.features, case.units)
    with torch.no_grad():
        for parameter, value in zip(
            module.parameters(),
            (data.kernel.T, data.recurrent_kernel.T, data.bias, np.zeros_like(data.bias)),
            strict=True,
        ):
            parameter.copy_(torch.from_numpy(value.copy()))
    x = _time_first(data.x)
    cotangent = _time_first(data.cotangent)
    before = partial(use, threads=threads, onednn=onednn)

    if mode == "forward":
        module.eval()

        def forward() -> torch.Tensor:
            with torch.inference_mode():
                return module(x)[0]

        return Job(forward, lambda: {"outputs": _batch_first(forward())}, before)

    x.requires_grad_()
    if mode == "ragged":
        lengths = torch.from_numpy(data.lengths)
        cotangent = _pack(_time_first(data.ragged_cotangent), lengths).data

    def both() -> tuple[torch.Tensor, ...]:
        packed = mode == "ragged"
        outputs = module(_pack(x, lengths))[0].data if packed else module(x)[0]
        return outputs, *torch.autograd.grad(outputs, [x, *module.parameters()], cotangent)

    def results() -> dict[str, np.ndarray]:
        outputs, by_x, by_kernel, by_recurrent, by_bias, _ = both()
        arrays = {
            "x": _batch_first(by_x),
            "kernel": by_kernel.numpy().T,
            "recurrent_kernel": by_recurrent.numpy().T,
            "bias": by_bias.numpy(),
        }
        # Packed outputs have another order. Comparing the gradients is enough.
        return arrays if mode == "ragged" else {"outputs": _batch_first(outputs), **arrays}

    return Job(both, results, before)


def matmul() -> Job:
    """Make the job of the large matrix product."""
    matrix = torch.from_numpy(matmul_matrix())
    threads = torch.get_num_threads()  # the default, because no job has changed it yet
    return Job(lambda: matrix @ matrix, before=partial(use, threads=threads, onednn=True))


def _pack(x: torch.Tensor, lengths: torch.Tensor) -> torch.nn.utils.rnn.PackedSequence:
    return torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)


def _time_first(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.swapaxes(0, 1)))


def _batch_first(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().swapaxes(0, 1)


def about() -> str:
    """Return no remark."""
    return ""
