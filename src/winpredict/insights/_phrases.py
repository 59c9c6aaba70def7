"""Numbers as people say them."""

from collections.abc import Iterable


def percent(value: float) -> str:
    """A share as people write it.

    Examples
    --------
    >>> percent(0.617), percent(0.003)
    ('62%', '0.3%')
    """
    digits = 1 if 0 < abs(value) < 0.01 else 0
    return f"{100 * value:.{digits}f}%"


def points(change: float) -> str:
    """A difference of shares in percentage points, without its sign.

    Examples
    --------
    >>> points(-0.083), points(0.0101)
    ('8 points', '1 point')
    """
    rounded = round(100 * abs(change))
    return "less than a point" if rounded == 0 else "1 point" if rounded == 1 else f"{rounded} points"


def counted(number: float, what: str, many: str = "") -> str:
    """A count with its noun.

    Examples
    --------
    >>> counted(1, "deal"), counted(2350, "deal")
    ('1 deal', '2,350 deals')
    """
    return f"{number:,.0f} {what if number == 1 else many or what + 's'}"


def money(amount: float) -> str:
    """An amount in three digits, as people say it.

    Examples
    --------
    >>> money(12_345_678), money(845_300), money(950)
    ('12.3 million', '845,000', '950')
    """
    if abs(amount) >= 999_500:
        million = float(f"{amount / 1e6:.3g}")
        return f"{million:,g} million" if abs(million) < 1000 else f"{million / 1000:,.3g} billion"
    return f"{float(f'{amount:.3g}'):,.0f}"


def as_they_stand(currencies: Iterable[str]) -> str:
    """What must be known of a sum of amounts; empty where all are in one currency.

    Examples
    --------
    >>> as_they_stand(["USD", "EUR"]), as_they_stand(["EUR"])
    ('Amounts in EUR, USD are added as they stand, without conversion.', '')
    """
    names = sorted(name for name in set(currencies) if name)
    return f"Amounts in {', '.join(names)} are added as they stand, without conversion." if len(names) > 1 else ""


def duration(days: float) -> str:
    """A number of days as people say it.

    Examples
    --------
    >>> duration(12.4), duration(0.2)
    ('12 days', 'a day')
    """
    return "a day" if days < 1.5 else counted(round(days), "day")
