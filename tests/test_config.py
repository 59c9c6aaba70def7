import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from winpredict.config import Config, default_config_file, load_config
from winpredict.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def test_no_file_means_defaults() -> None:
    assert load_config() == Config()


def test_the_shipped_file_says_what_the_code_says() -> None:
    assert load_config(default_config_file()) == Config()


def leaves(model: BaseModel, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    names: list[tuple[str, ...]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        names += leaves(value, (*place, name)) if isinstance(value, BaseModel) else [(*place, name)]
    return names


@pytest.mark.parametrize("place", leaves(Config()), ids=".".join)
def test_every_knob_stands_in_the_shipped_file_with_a_comment(place: tuple[str, ...]) -> None:
    values = yaml.safe_load(default_config_file().read_text())
    for name in place:
        values = values[name]
    lines = default_config_file().read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{place[-1]}:"))
    assert "#" in lines[number] or lines[number - 1].startswith("#")


def test_named_knobs_change_and_others_stay(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "model:\n  bags: 2\n"))
    assert config.model.bags == 2
    assert config.model.trees == Config().model.trees


def test_an_empty_file_means_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing yet\n")) == Config()


@pytest.mark.parametrize(
    ("text", "read"),
    [("off", "off"), ("no", "off"), ("'off'", "off"), ("on", "auto"), ("auto", "auto"), ("[Plan]", ("Plan",))],
)
def test_texts_are_switched_off_with_or_without_quotes(tmp_path: Path, text: str, read: str | tuple[str, ...]) -> None:
    assert load_config(write(tmp_path, f"model: {{text: {text}}}\n")).model.text == read


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: {text: 5}", "model.text: should be 'auto' or 'off', or a list, such as [a, b] (it is 5)"),
        ("model: {text: Notes}", "model.text: should be 'auto' or 'off', or a list, such as [a, b] (it is 'Notes')"),
        ("model: {text: [Notes, 5]}", "model.text.1: should be text, so put it in quotes (it is 5)"),
        ("model: {linear_weight: x}", "model.linear_weight: should be a number (it is 'x')"),
        ("model: {threads: 1.5}", "model.threads: should be a whole number (it is 1.5)"),
        ("model: {pace: maybe}", "model.pace: should be true or false (it is 'maybe')"),
        ("model:", "model: should hold names with values (it is empty)"),
        ("builders: mine", "builders: should be a list, such as [a, b] (it is 'mine')"),
        ("attributes: {drop: [yes]}", "attributes.drop.0: should be text, so put it in quotes (it is True)"),
        ("seed: -1", "seed: should be greater than or equal to 0 (it is -1)"),
    ],
)
def test_faults_are_told_in_the_words_of_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: {sentence}. All settings and their defaults are in {default_config_file()}"


def test_no_fault_names_a_type_of_pydantic(tmp_path: Path) -> None:
    """Whatever stands in whichever knob, a fault is told by the knob's own name alone."""
    for place in leaves(Config()):
        for value in (5.5, "x", [True, {"a": 1}], {"a": 1}, None):
            wrong: object = value
            for name in reversed(place):
                wrong = {name: wrong}
            try:
                load_config(write(tmp_path, yaml.safe_dump(wrong)))
            except ConfigError as error:
                said = str(error).split(": ", 1)[1]
                assert said.startswith(".".join(place))
                assert not re.search(r"tuple|dictionary|literal|Input|instance|\[str|\[int", said)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model:\n  bagz: 2\n", ["unknown setting model.bagz", "bags", "learning_rate"]),
        ("modle: {}\n", ["unknown setting modle", "snapshots"]),
        ("model:\n  bags: 0\n", ["model.bags", "greater than or equal to 1", "it is 0"]),
        ("model:\n  bags: many\nseed: -1\n", ["model.bags", "seed"]),
        ("model:\n  monotone:\n    touches: 2\n", ["model.monotone.touches", "-1 or 1"]),
        ("- 1\n", ["and not names with values"]),
        ("model: [\n", ["cannot read the config"]),
    ],
)
def test_faults_are_named_with_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "text", ["hubspot: {sign_in: SECRET}", "zoho: {data_centre: SECRET}", "zoho: SECRET", "hubspot: {token: SECRET}"]
)
def test_a_secret_in_a_wrong_place_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"crm\.") as caught:
        load_config(write(tmp_path, f"crm: {{{text}}}".replace("SECRET", "pat-eu1-4f1c7c1e")))
    assert "4f1c7c1e" not in str(caught.value)


def test_the_knobs_of_the_win_desk_stand_in_its_document() -> None:
    """Every one, with its default, in the order of the config."""
    text = (Path(__file__).parents[1] / "docs" / "app.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.MULTILINE)
    told = {name: "" if default == "empty" else yaml.safe_load(default.strip("`")) for name, default in rows}
    assert list(told.items()) == list(Config().app.model_dump(mode="json").items())
