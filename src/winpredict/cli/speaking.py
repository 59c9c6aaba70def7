"""The language that a command speaks: that of ``--locale``, else that of the config, else English."""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from winpredict.cli.options import LocaleOption
from winpredict.errors import WinPredictError
from winpredict.locale.formats import counting_in
from winpredict.locale.language import ENGLISH, Language, speaking
from winpredict.locale.text import said

USER_MUST_CHANGE_SOMETHING = 2
INTERRUPTED = 130


def in_language(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--locale``; it speaks that language, and counts in the config's currency.

    An error made for people is said in that language and ends it with 2; stopped by Ctrl-C, it says so, with 130.

    Parameters
    ----------
    command : callable
        What Typer is to run; its parameter ``config``, if it has one, names the config file.
    """

    @wraps(command)
    def spoken(*args: Any, locale: str | None = None, **options: Any) -> Any:
        language, currency = _wanted(locale, options.get("config"))
        with speaking(language), counting_in(currency):
            try:
                return command(*args, **options)
            except WinPredictError as error:
                print(said("error: {error}", error=error), file=sys.stderr)
                raise typer.Exit(USER_MUST_CHANGE_SOMETHING) from None
            except KeyboardInterrupt:
                print(said("Stopped. The workspace is as it was before the step under way."), file=sys.stderr)
                raise typer.Exit(INTERRUPTED) from None

    signature = inspect.signature(command)
    added = inspect.Parameter("locale", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LocaleOption)
    spoken.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])  # type: ignore[attr-defined]
    spoken.__annotations__ = command.__annotations__ | {"locale": LocaleOption}
    return spoken


def _wanted(locale: str | None, config: Path | None) -> tuple[Language, str]:
    """The language to speak, and the currency of amounts that name none."""
    name, currency = "", ""
    if config is not None:
        from winpredict.config import load_config

        settings = load_config(config)
        name, currency = settings.language, settings.currency
    name = locale.replace("-", "_") if locale else name
    return Language(name) if name else ENGLISH, currency
