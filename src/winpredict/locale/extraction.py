"""Keeps the catalogues in step with the messages in the code.

``python -m winpredict.locale.extraction`` finds every message of the package and brings each catalogue up to date: what
is new waits there for its translation, what nobody says any more is dropped, and a message that was reworded keeps its
old translation, marked as fuzzy, until somebody has looked at it. ``--check`` changes nothing and names what is left to
do. A further language starts as an empty file, ``catalogues/es.po``.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from winpredict.locale.language import CATALOGUES

PACKAGE = Path(__file__).parents[1]
#: The stand-ins of CRMs, in a checkout: their words stand in the same catalogues.
SANDBOX = PACKAGE.parents[1] / "sandbox" / "src"
#: Functions of `winpredict.locale.text`, and which of their arguments are messages.
KEYWORDS = {"said": (1,), "text": (1,), "texts": (1, 2)}
#: The same in templates.
TEMPLATE_KEYWORDS = {"_": (1,), "gettext": (1,), "ngettext": (1, 2)}
# other libraries have functions of these names too, such as SQLAlchemy's text
_SAYS_SOMETHING = re.compile(r"^\s*from winpredict\.locale\.text import ", re.MULTILINE)
_NAMED_PERCENT = re.compile(r"%\((\w+)\)s")
_WIDTH = 120
# no date or version of Babel, which would change with every update; nor do entries tell the files that say them
_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural_forms}\\n"

"""


def messages(*packages: Path) -> Catalog:
    """All messages that the code and the templates of packages say.

    Parameters
    ----------
    *packages : Path
        Folders with modules, and templates in folders of that name; by default `PACKAGE` and `SANDBOX`.

    Returns
    -------
    Catalog
        With the file of each message, relative to its package; catalogues leave it out, for messages move.
    """
    catalogue = Catalog()
    for package in packages or (PACKAGE, SANDBOX):
        templates = (*package.rglob("templates/**/*.html"), *package.rglob("templates/**/*.j2"))
        for path in sorted((*package.rglob("*.py"), *templates)):
            place = path.relative_to(package).as_posix()
            for words in _messages_of(path):
                catalogue.add(words, locations=[(place, 0)])
    return catalogue


def problems(language: str, template: Catalog, folder: Path = CATALOGUES) -> list[str]:
    """What is left to do in a catalogue, a line each: missing, fuzzy, obsolete, and other placeholders than in English.

    Parameters
    ----------
    language : str
    template : Catalog
        What `messages` gave.
    folder : Path
        Where ``<language>.po`` lies.
    """
    catalogue = _read(folder, language)
    lines = []
    for wanted in _entries(template):
        entry = catalogue.get(wanted.id)
        if entry is None or not all(_forms(entry.string)) or len(_forms(entry.id)) != len(_forms(wanted.id)):
            lines.append(f"{language}: missing: {_named(wanted)}")
        elif entry.fuzzy:
            lines.append(f"{language}: fuzzy: {_named(wanted)}")
        else:
            lines += [f"{language}: {problem}: {_named(wanted)}" for problem in _misplaced(wanted, entry)]
    unused = [*(each for each in _entries(catalogue) if template.get(each.id) is None), *catalogue.obsolete.values()]
    return lines + [f"{language}: obsolete: {_named(each)}" for each in unused]


def update(language: str, template: Catalog, folder: Path = CATALOGUES) -> None:
    """Bring a catalogue up to date in place, keeping its translations.

    Parameters
    ----------
    language, template, folder
        As for `problems`.
    """
    catalogue = _read(folder, language)
    catalogue.update(template, update_creation_date=False)
    for entry in _entries(catalogue):
        entry.flags -= {"python-format", "python-brace-format"}  # a guess of Babel's, wrong of "5% of"
        entry.previous_id = []
    entries = BytesIO()
    write_po(
        entries,
        catalogue,
        width=_WIDTH,
        omit_header=True,
        sort_output=True,
        ignore_obsolete=True,
        no_location=True,
    )
    header = _HEADER.format(language=language, plural_forms=catalogue.plural_forms)
    (folder / f"{language}.po").write_text(header + entries.getvalue().decode("utf-8"), encoding="utf-8")


def placeholders(message: str) -> set[tuple[str, str]]:
    """The name and the style of each place in a message.

    Raises
    ------
    ValueError
        Where the braces do not match.

    Examples
    --------
    >>> sorted(placeholders("{n:count} touches of {name}"))
    [('n', 'count'), ('name', '')]
    """
    braces = {(name, style or "") for _, name, style, _ in Formatter().parse(message) if name is not None}
    return braces | {(name, "%") for name in _NAMED_PERCENT.findall(message)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Update the catalogues, or check them; returns the exit code, 1 where a check finds something to do."""
    parser = argparse.ArgumentParser(prog="python -m winpredict.locale.extraction", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, and exit with 1 if there is work to do")
    options = parser.parse_args(arguments)
    template = messages()
    languages = sorted(path.stem for path in CATALOGUES.glob("*.po"))
    if not options.check:
        for language in languages:
            update(language, template, CATALOGUES)
    lines = [line for language in languages for line in problems(language, template, CATALOGUES)]
    print("\n".join(lines) if lines else f"{len(template)} messages, all translated: {', '.join(languages)}")
    return 1 if lines and options.check else 0


def _messages_of(path: Path) -> Iterator[str | tuple[str, str]]:
    """The messages of one file; those with two forms as a pair."""
    if path.suffix != ".py":
        method, keywords = "jinja2", TEMPLATE_KEYWORDS
    elif _SAYS_SOMETHING.search(path.read_text(encoding="utf-8")):
        method, keywords = "python", KEYWORDS
    else:
        return
    with path.open("rb") as file:
        for _, words, _, _ in extract(method, file, keywords):
            yield words if isinstance(words, str) else (words[0], words[1])


def _read(folder: Path, language: str) -> Catalog:
    with (folder / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def _entries(catalogue: Catalog) -> Iterable[Message]:
    """The messages without the header."""
    return (message for message in catalogue if message.id)


def _forms(words: str | Sequence[str] | None) -> tuple[str, ...]:
    return (words or "",) if isinstance(words, str) or words is None else tuple(words)


def _named(message: Message) -> str:
    return " | ".join(f'"{form}"' for form in _forms(message.id))


def _misplaced(wanted: Message, entry: Message) -> Iterator[str]:
    """What is wrong with the placeholders of a translation; each of its forms has all of the English message."""
    english = set().union(*(placeholders(form) for form in _forms(wanted.id)))
    for form in _forms(entry.string):
        try:
            if placeholders(form) == english:
                continue
        except ValueError:
            pass
        yield f'other placeholders in "{form}"'


if __name__ == "__main__":
    sys.exit(main())
