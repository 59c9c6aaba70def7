import ast
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from winpredict.locale import extraction
from winpredict.locale.extraction import KEYWORDS, PACKAGE, messages, placeholders, problems, update
from winpredict.locale.language import CATALOGUES, languages

CODE = """
from winpredict.locale.text import said, text, texts

LABELS = {"a": text("first"), "b": text("second")}


def text_of(text, texts=("no", "message")):
    return said(
        "A long sentence that is split "
        "between two lines, with {what}.",
        what=text("a message within"),
    ) if texts else text("another")


DAYS = texts(
    "{n:count} day that is long enough "
    "to be split",
    "{n:count} days that are long enough "
    "to be split",
    n=3,
)
BOTH = texts("{k} call", "{k} calls", "k", k=2)
"""
#: Straight quotes, and punctuation without the space that does not break.
_BADLY_SET = re.compile("['\"]|(?<![\u00a0\u202f])[:;?!%»]|«(?!\u00a0)")
#: Places, markup, and what people type or read in files: commands, addresses, names with a colon inside.
_CODE = re.compile(r"\{[^{}]*\}|<[^<>]*>|`[^`]*`|pip install \S+|\S*\w:[\w/]\S*|https://|env:|Content-Type:|%\d\w")
HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'


@pytest.fixture(scope="module")
def template() -> Catalog:
    return messages()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "pages" / "templates").mkdir(parents=True)
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "database.py").write_text('from sqlalchemy import text\n\nONE = text("SELECT 1")\n')
    (tmp_path / "pages" / "templates" / "page.html").write_text(
        '<h1>{{ _("Deals of {name}", name=who) }}</h1>{% trans %}Sign in{% endtrans %}'
        '{{ ngettext("{n:count} deal", "{n:count} deals", deals) }}<p>{{ text("no message") }}</p>'
    )
    return tmp_path


def ids(catalogue: Catalog) -> set[str | tuple[str, ...]]:
    return {each.id if isinstance(each.id, str) else tuple(each.id) for each in catalogue if each.id}


@pytest.mark.parametrize("language", [each for each in languages() if each != "en"])
def test_every_message_is_translated(language: str, template: Catalog) -> None:
    """Run ``python -m winpredict.locale.extraction`` and translate what it names."""
    assert problems(language, template) == []


@pytest.mark.parametrize("language", [each for each in languages() if each != "en"])
def test_each_catalogue_is_as_an_update_leaves_it(language: str, template: Catalog, tmp_path: Path) -> None:
    kept = (CATALOGUES / f"{language}.po").read_text(encoding="utf-8")
    (tmp_path / f"{language}.po").write_text(kept, encoding="utf-8")
    update(language, template, tmp_path)
    assert (tmp_path / f"{language}.po").read_text(encoding="utf-8") == kept


def test_french_is_typeset_as_french_is() -> None:
    catalogue = extraction._read(CATALOGUES, "fr")
    wrong = [
        form
        for entry in extraction._entries(catalogue)
        for form in extraction._forms(entry.string)
        if _BADLY_SET.search(_CODE.sub("x", form))
    ]
    assert wrong == []


def test_a_translation_begins_in_the_case_of_its_english() -> None:
    # German nouns have a capital wherever they stand
    catalogue = extraction._read(CATALOGUES, "fr")
    for entry in extraction._entries(catalogue):
        english, french = extraction._forms(entry.id)[0], extraction._forms(entry.string)[0]
        if not entry.fuzzy and french and english[0].isalpha() and french[0].isalpha():
            assert french[0].isupper() == english[0].isupper(), french


def test_extraction_finds_every_message_that_the_code_names() -> None:
    """What Python's own parser finds; a message that is no literal would never be translated."""
    called = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "winpredict.locale.text"
            for alias in node.names
            if alias.name in KEYWORDS
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                arguments = node.args[: len(KEYWORDS[node.func.id])]
                forms = tuple(each.value for each in arguments if isinstance(each, ast.Constant))
                assert len(forms) == len(KEYWORDS[node.func.id]), f"{path}:{node.lineno} names no literal message"
                called.add(forms[0] if len(forms) == 1 else forms)
    extracted = {words for path in PACKAGE.rglob("*.py") for words in extraction._messages_of(path)}
    assert extracted == called


def test_messages_of_code_and_templates(package: Path) -> None:
    assert ids(messages(package)) == {
        "first",
        "second",
        "A long sentence that is split between two lines, with {what}.",
        "a message within",
        "another",
        ("{n:count} day that is long enough to be split", "{n:count} days that are long enough to be split"),
        ("{k} call", "{k} calls"),
        "Deals of {name}",
        "Sign in",
        ("{n:count} deal", "{n:count} deals"),
    }


def test_an_update_keeps_translations_drops_what_is_gone_and_marks_what_was_reworded(tmp_path: Path) -> None:
    template = Catalog()
    for words in ("no touch yet", "no call in the last thirty days", ("{n:count} day", "{n:count} days"), "new"):
        template.add(words)
    (tmp_path / "fr.po").write_text(
        HEADER
        + 'msgid "no touch yet"\nmsgstr "encore aucun échange"\n\n'
        + 'msgid "no call in the last 30 days"\nmsgstr "aucun appel"\n\n'
        + 'msgid "something else entirely"\nmsgstr "tout autre chose"\n\n'
        + 'msgid "{n:count} day"\nmsgid_plural "{n:count} days"\nmsgstr[0] "{n} jour"\nmsgstr[1] "{n:count} jours"\n'
    )
    update("fr", template, tmp_path)
    assert problems("fr", template, tmp_path) == [
        'fr: fuzzy: "no call in the last thirty days"',
        'fr: other placeholders in "{n} jour": "{n:count} day" | "{n:count} days"',
        'fr: missing: "new"',
    ]
    once = (tmp_path / "fr.po").read_text(encoding="utf-8")
    assert 'msgid "no touch yet"\nmsgstr "encore aucun échange"' in once
    assert "something else" not in once
    update("fr", template, tmp_path)
    assert (tmp_path / "fr.po").read_text(encoding="utf-8") == once


def test_a_check_names_what_is_obsolete_and_what_lacks_a_form(tmp_path: Path) -> None:
    template = Catalog()
    template.add(("{n:count} deal", "{n:count} deals"))
    template.add("{a} of {b}")
    (tmp_path / "de.po").write_text(
        HEADER
        + 'msgid "gone"\nmsgstr "weg"\n\nmsgid "{a} of {b}"\nmsgstr "{a} von {"\n\n'
        + 'msgid "{n:count} deal"\nmsgid_plural "{n:count} deals"\nmsgstr[0] "{n:count} Deal"\nmsgstr[1] ""\n'
    )
    assert problems("de", template, tmp_path) == [
        'de: missing: "{n:count} deal" | "{n:count} deals"',
        'de: other placeholders in "{a} von {": "{a} of {b}"',
        'de: obsolete: "gone"',
    ]


def test_a_further_language_starts_as_an_empty_file(tmp_path: Path) -> None:
    template = Catalog()
    template.add(("{n:count} deal", "{n:count} deals"))
    (tmp_path / "pl.po").touch()
    update("pl", template, tmp_path)
    written = (tmp_path / "pl.po").read_text(encoding="utf-8")
    assert '"Language: pl\\n"' in written
    assert "nplurals=3" in written
    assert 'msgstr[2] ""' in written


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("no touch yet", set()),
        ("{n:count} of {name}", {("n", "count"), ("name", "")}),
        ("{n:count} and {n:percent}", {("n", "count"), ("n", "percent")}),
        ("%(name)s has 5% off", {("name", "%")}),
        ("{{kept}}", set()),
    ],
)
def test_placeholders(message: str, names: set[tuple[str, str]]) -> None:
    assert placeholders(message) == names


def test_the_command_checks_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: Path
) -> None:
    folder = tmp_path / "catalogues"
    folder.mkdir()
    (folder / "fr.po").touch()
    monkeypatch.setattr(extraction, "CATALOGUES", folder)
    found = messages(package)
    monkeypatch.setattr(extraction, "messages", lambda: found)
    assert extraction.main(["--check"]) == 1
    assert 'fr: missing: "first"' in capsys.readouterr().out
    assert (folder / "fr.po").read_text() == ""
