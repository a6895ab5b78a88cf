import signal
import subprocess
import sys

import pytest

from refold import SequenceAutoencoder
from refold._support.file_lock import sole_training
from refold.errors import ParameterError

BUSY = r"Another training run is using the checkpoint .*model\.checkpoint'\. Wait"


def test_the_lock_refuses_other_processes_until_they_end(tmp_path):
    path = tmp_path / "model.checkpoint"
    code = (
        "import sys, time\n"
        "from refold._support.file_lock import sole_training\n"
        "with sole_training(sys.argv[1]):\n"
        "    print('in', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(ParameterError, match=BUSY):
            SequenceAutoencoder().fit([[1.0, 2.0], [2.0, 1.0]], checkpoint=path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with sole_training(path):
        pass
    assert list(tmp_path.iterdir()) == []
