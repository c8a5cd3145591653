"""Pictures, films and sound in and out of talkcli.

``image`` reads and writes still pictures, ``read`` decodes films, ``audio`` decodes sound,
``write`` encodes what is rendered. Import the submodule that is needed: each loads its codec
libraries when it is imported, this package loads none.
"""
