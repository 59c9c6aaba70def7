"""Close-win probability: baselines, the classifier, calibration, timing, and the evidence that any of it helps."""
