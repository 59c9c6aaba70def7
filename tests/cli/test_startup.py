"""Heavy libraries are imported only where they are used: told by the modules that are loaded, not by time."""

import json
import subprocess
import sys

import pytest

from winpredict.config import Config
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.workspace import Workspace

HEAVY = {"altair", "lightgbm", "mlflow", "numba", "numpy", "pandas", "pandera", "pyarrow", "pyspark", "scipy", "shap"}
HEAVY |= {"sklearn", "sqlalchemy", "statsmodels", "weasyprint"}
#: Stand-ins of live CRMs and what they are served with, and what clients are made with.
HEAVY |= {"fastapi", "httpx", "simple_salesforce", "tenacity", "uvicorn", "winpredict_sandbox"}
#: What scoring has no use for; the model is found without MLflow.
NOT_FOR_SCORES = {"alembic", "altair", "duckdb", "jinja2", "matplotlib", "mlflow", "optuna", "pandera", "polars"}
NOT_FOR_SCORES |= {"pyspark", "shap", "sklearn.linear_model", "sqlalchemy", "statsmodels", "torch", "vl_convert"}
NOT_FOR_SCORES |= {"weasyprint"}

_RUN = """
import json, sys
sys.argv = ["winpredict", *json.loads(sys.argv[1])]
from winpredict.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(list(sys.modules)), file=sys.stderr)
"""


def loaded(*command: str) -> set[str]:
    """Modules that a run of the command line leaves loaded."""
    done = subprocess.run([sys.executable, "-c", _RUN, json.dumps(command)], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "command",
    [["--help"], *([name, "--help"] for name in ("demo", "people", "report", "run", "score", "serve", "spark"))],
)
def test_help_loads_nothing_heavy(command):
    assert not loaded(*command) & HEAVY


def test_scoring_loads_only_what_it_uses(tmp_path, world, model):
    workspace = Workspace(tmp_path / "workspace")
    workspace.save_import(world.crm, profile="generic")
    example = model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))
    log_training(workspace.folder, model, config=Config(), fingerprint="", example=example)
    assert not loaded("score", "--workspace", str(workspace.folder), "--json") & NOT_FOR_SCORES
