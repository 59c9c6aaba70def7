import os
import subprocess
import sys
from pathlib import Path

_LOOP = """
from numba import prange
from winpredict._internal.compiling import njit

@njit(cache=True, parallel=True)
def total(count):
    found = 0
    for number in prange(count):
        found += number
    return found
"""


def run(folder: Path, cache: Path) -> str:
    """Import a compiled loop and call it; whether it was found compiled."""
    asked = "import loop; print(loop.total(4), sum(loop.total.stats.cache_hits.values()))"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "HOME": os.devnull}
    found = subprocess.run([sys.executable, "-c", asked], cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_loops_are_kept_compiled_where_there_is_a_place_and_run_where_there_is_none(tmp_path):
    (tmp_path / "loop.py").write_text(_LOOP)
    assert [run(tmp_path, tmp_path / "cache") for _ in range(2)] == ["6 0", "6 1"]
    (tmp_path / "full").touch()  # a file, in which nobody makes a folder
    (tmp_path / "__pycache__").rename(tmp_path / "former")
    (tmp_path / "__pycache__").touch()
    assert run(tmp_path, tmp_path / "full" / "cache") == "6 0"
