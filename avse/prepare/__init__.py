"""Turn folders of talking-face clips, or of sound, into training data: `avse prepare`.

Training reads what this makes; separating a recording needs none of it. Nothing here may be
imported by the code that separates.
"""
