"""The documentation's Python runs, and says true things."""

import subprocess
import sys

from conftest import ROOT, program


def test_the_walkthrough_runs(tmp_path):
    script = ROOT / "python" / "walkthrough.py"
    command = [sys.executable, str(script), program(), "--pictures", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "blocks ran" in ran.stdout
    for picture in tmp_path.glob("*.png"):
        assert (ROOT / "docs" / picture.name).is_file(), f"docs/{picture.name} is missing: --pictures docs makes it"
        assert 2_000 < picture.stat().st_size < 200_000
    assert list(tmp_path.glob("*.png"))
