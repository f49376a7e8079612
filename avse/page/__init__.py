"""The page that `avse open` shows: a server on this computer alone, and what a browser needs of it.

It may import anything of `avse` but the command line. Starlette and uvicorn are imported here only.
"""
