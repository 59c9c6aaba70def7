"""Charts of reports as images of pages."""

from typing import Literal

from starlette.responses import Response

from winpredict.report.page import Picture

Size = Literal["wide", "half", "narrow"]
#: Pixels: on a page, beside another, on a phone.
_WIDTHS: dict[str, int] = {"wide": 620, "half": 500, "narrow": 320}


def svg(picture: Picture, size: Size) -> str:
    """A chart as SVG that follows the reader's light or dark screen."""
    from winpredict.report.writing import drawn

    return drawn(picture, _WIDTHS[size])


def svg_answer(drawing: str) -> Response:
    """An image that no shared cache keeps."""
    return Response(drawing, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
