"""Faces: find them (`detect`), follow them (`track`), read their lips (`lips`), show who is who.

Takes decoded pictures with their instants and never opens a file. Used by the separation pipeline
and the command line; knows neither. Importing it loads no face model.
"""
