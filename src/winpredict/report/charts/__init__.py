"""Charts as Altair objects, for reports and for notebooks; each from the frame of the result that it draws."""
