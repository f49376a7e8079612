"""Prepare training data from folders of talking-face clips or of sound: `avse prepare`.

Training reads the packs that this package writes. The code that separates recordings must not
import it.
"""
