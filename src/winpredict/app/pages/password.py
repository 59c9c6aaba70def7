"""Another password for those who have forgotten theirs: a link is asked for, and leads to a form."""

from typing import Annotated

from fastapi import Depends, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from winpredict.app.identity import DeskOfRequest
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.pages.sign_in import STATUS, form_token, is_from_form, source_of
from winpredict.app.password_reset import NEW_PASSWORD, Resets, WorthlessLinkError, person_of_reset, use_reset
from winpredict.app.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from winpredict.app.records import Person
from winpredict.app.sign_in_throttle import CrowdedError
from winpredict.app.turns import PageRouter
from winpredict.errors import WinPredictError
from winpredict.locale.text import said

router = PageRouter()
_KEY = "reset"
#: No later request tells where it came from: the address of the link holds its key.
_SILENT = {"Referrer-Policy": "no-referrer"}
_FORGOT = "/password/forgot"


async def _resets(request: Request) -> Resets:
    resets: Resets | None = request.app.state.resets
    if resets is None:
        raise HTTPException(404, said("this desk sends no e-mail; ask your administrator for a new password"))
    return resets


ResetsOfRequest = Annotated[Resets, Depends(_resets)]


@router.get(_FORGOT)
def forgot(request: Request, resets: ResetsOfRequest, done: bool = False) -> Response:
    """Ask for a link."""
    return _forgot(request, done=done)


@router.post(_FORGOT)
async def ask(
    request: Request,
    resets: ResetsOfRequest,
    email: Annotated[str, Form(max_length=320)],
    csrf_token: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Send a link to whom the address belongs; the answer is the same if it is nobody's."""
    if not is_from_form(request, csrf_token):
        return _forgot(request, email, said("This form was open for too long. Please try again."), 403)
    try:
        resets.ask(email)
    except CrowdedError as error:
        return _forgot(request, email, sentence(error), STATUS[CrowdedError])
    return RedirectResponse(f"{_FORGOT}?done=1", 303)


@router.get(NEW_PASSWORD)
def form(
    request: Request, desk: DeskOfRequest, resets: ResetsOfRequest, key: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Where the link leads. Its key goes into the cookie at once, and out of the address, which may be seen."""
    if key:
        request.session[_KEY] = key
        return RedirectResponse(NEW_PASSWORD, 303, _SILENT)
    try:
        with desk.database.reading() as session:
            person = person_of_reset(session, _key_of(request))
    except WorthlessLinkError as error:
        return _worthless(request, error)
    return _form(request, person)


@router.post(NEW_PASSWORD)
def take(
    request: Request,
    desk: DeskOfRequest,
    resets: ResetsOfRequest,
    new: Annotated[str, Form(max_length=1000)] = "",
    again: Annotated[str, Form(max_length=1000)] = "",
    csrf_token: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Set the password; one signs in with it then."""
    key = _key_of(request)
    try:
        with desk.database.reading() as session:
            person = person_of_reset(session, key)
        if not is_from_form(request, csrf_token):
            return _form(request, person, said("This form was open for too long. Please try again."), 403)
        if new != again:
            raise WinPredictError(said("the new passwords do not match; type them again"))
        with desk.database.writing() as session:
            use_reset(session, key, new, lambda email: source_of(request, desk, email))
    except WorthlessLinkError as error:
        return _worthless(request, error)
    except WinPredictError as error:
        return _form(request, person, sentence(error), 409)
    request.session.clear()
    return RedirectResponse("/sign-in?done=reset", 303)


def _key_of(request: Request) -> str:
    return str(request.session.get(_KEY, ""))


def _worthless(request: Request, error: WorthlessLinkError) -> Response:
    request.session.pop(_KEY, None)
    return _forgot(request, problem=sentence(error), status=410)


def _forgot(request: Request, email: str = "", problem: str = "", status: int = 200, *, done: bool = False) -> Response:
    values = {"form_token": form_token(request), "email": email, "problem": problem, "done": done}
    return render(request, None, "forgot_password.html", status, **values)


def _form(request: Request, person: Person, problem: str = "", status: int = 200) -> Response:
    return render(
        request,
        None,
        "reset_password.html",
        status,
        form_token=form_token(request),
        email=person.email,
        problem=problem,
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
    )
