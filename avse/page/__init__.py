"""The page of `avse open`: its server, which only this computer can reach, and its browser code.

It may import anything of `avse` but the command line. Starlette and uvicorn are imported here only.
"""
