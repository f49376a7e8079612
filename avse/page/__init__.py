"""The page of `avse open`: its server, which only this computer can reach, and its browser code.

It may import every package of `avse` except the command line. Only this package imports Starlette
and uvicorn.
"""
