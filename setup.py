"""The one thing that setup.cfg has no word for: a compiled module. Without a compiler, installation goes on."""

from setuptools import Extension, setup

setup(
    script_name="setup.py",  # so that it is known as this script, and not shipped as a module of the package
    ext_modules=[Extension("nucleus_convert.formats._rings", ["formats/_rings.c"], optional=True)],
)
