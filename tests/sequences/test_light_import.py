import subprocess
import sys


def test_importing_the_package_loads_nothing_heavier_than_arrow():
    code = (
        "import sys, refold.sequences; "
        "heavy = {'pandas', 'polars', 'sklearn', 'keras', 'jax'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
