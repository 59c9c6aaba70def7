"""Files that are shipped with the package: the default config and the mapping profiles."""

from pathlib import Path


def configs_folder() -> Path:
    """The folder ``configs``: inside an installed package, at the top of the repository in a checkout.

    Examples
    --------
    >>> (configs_folder() / "default.yaml").is_file()
    True
    """
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if (installed / "default.yaml").is_file() else package.parents[1] / "configs"
