"""What each figure means, on one page."""

from fastapi import Request
from starlette.responses import Response

from winpredict.app.identity import Anybody
from winpredict.app.pages.rendering import render
from winpredict.app.turns import PageRouter
from winpredict.glossary import GLOSSARY

router = PageRouter()


@router.get("/glossary")
def glossary(request: Request, caller: Anybody) -> Response:
    """All figures of the win desk, the reports and the digest."""
    return render(request, caller, "glossary.html", figures=GLOSSARY)
