def test_list(page_of, grave_faults, cast, screenshot):
    page = page_of("rep")
    page.goto("/deals")
    assert page.title() == "My deals · winpredict"
    assert not grave_faults(page)
    screenshot(page, "list")
