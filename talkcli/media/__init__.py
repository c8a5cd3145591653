"""Reading and writing pictures, video and sound.

``image`` reads and writes still pictures, ``read`` decodes clips, ``audio`` decodes sound, and
``write`` encodes rendered frames. Import the submodule you need: each one loads its codec
libraries on import; the package itself loads none.
"""
