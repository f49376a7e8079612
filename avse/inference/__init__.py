"""From lips and sound to stems: everything that `separate`, `who` and the evaluator share."""
