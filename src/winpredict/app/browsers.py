"""What a browser calls itself, in short: so that people tell their own sessions apart."""

import re

#: Names of browsers and of what they run on, by what stands in the header; of several the first counts.
_BROWSERS = {
    r"\bEdgA?/|\bEdgiOS/": "Edge",
    r"\bOPR/|\bOpera": "Opera",
    r"\bSamsungBrowser/": "Samsung Internet",
    r"\bFirefox/|\bFxiOS/": "Firefox",
    r"\bChrome/|\bCriOS/|\bChromium/": "Chrome",
    r"\bSafari/": "Safari",
}
_SYSTEMS = {
    r"\biPad\b": "iPad",
    r"\biPhone\b": "iPhone",
    r"\bAndroid\b": "Android",
    r"\bWindows\b": "Windows",
    r"\bMac OS X\b|\bMacintosh\b": "macOS",
    r"\bCrOS\b": "ChromeOS",
    r"\bLinux\b": "Linux",
}
#: So much of a header is looked at, and so much is kept of one that is not known.
_LOOKED_AT, _KEPT = 500, 60


def browser_name(user_agent: str) -> str:
    """A browser by its own words, as it is listed among a person's sessions.

    Parameters
    ----------
    user_agent : str
        The header; anybody can write anything there.

    Examples
    --------
    >>> browser_name("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    'Firefox, Linux'
    >>> browser_name("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1")
    'Safari, iPhone'
    >>> browser_name("curl/8.5"), browser_name("")
    ('curl/8.5', '')
    """
    words = user_agent[:_LOOKED_AT]
    names = [_first(words, known) for known in (_BROWSERS, _SYSTEMS)]
    found = ", ".join(name for name in names if name)
    return found or "".join(letter for letter in words if letter.isprintable())[:_KEPT]


def _first(words: str, known: dict[str, str]) -> str:
    return next((name for pattern, name in known.items() if re.search(pattern, words)), "")
