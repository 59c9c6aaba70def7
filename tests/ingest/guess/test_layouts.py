"""Files as CRMs and people write them: a guessed profile reads each of their deals as it is."""

from pathlib import Path

import pytest
import yaml

LAYOUTS = yaml.safe_load((Path(__file__).parent / "layouts.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("layout", LAYOUTS, ids=[layout["named"] for layout in LAYOUTS])
def test_every_deal_is_read_as_it_is(layout, render, imported, differences):
    result = imported(render(layout))
    assert not differences(result.deals, without=tuple(layout.get("without", ())))
    if layout.get("order"):
        assert list(result.guess.profile.stage_order) == layout["stages"]
