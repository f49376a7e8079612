"""Face detection (`detect`), tracking (`track`), lip landmarks (`lips`) and identity.

The package takes decoded frames with their times and never opens a video. Importing it loads no
network.
"""
