"""What each figure of the API means."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from winpredict.app.api.contract import WITH_DEALS, TaggedRoute, documented
from winpredict.app.identity import Caller
from winpredict.glossary import GLOSSARY

router = APIRouter(tags=["glossary"], route_class=TaggedRoute)
Reader = Annotated[Caller, Depends(WITH_DEALS)]


class Figure(BaseModel):
    """A figure, in the caller's language."""

    key: str
    name: str
    meaning: str
    population: str = Field(description="which deals it is about")
    formula: str
    horizon: str | None = Field(description="by when; null where it looks at no future")


class Glossary(BaseModel):
    """All figures."""

    figures: list[Figure]


@router.get("/glossary", summary="What each figure means", **documented(scope="read"))
def glossary(caller: Reader) -> Glossary:
    """Name, meaning, population, formula and horizon of each figure that the desk and the reports show."""
    return Glossary(
        figures=[
            Figure(
                key=key,
                name=str(figure.name),
                meaning=str(figure.meaning),
                population=str(figure.population),
                formula=str(figure.formula),
                horizon=None if figure.horizon is None else str(figure.horizon),
            )
            for key, figure in GLOSSARY.items()
        ]
    )
