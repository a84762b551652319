"""The one thing that setup.cfg has no word for: compiled modules. Without a compiler, installation goes on."""

from setuptools import Extension, setup

setup(
    script_name="setup.py",  # so that it is known as this script, and not shipped as a module of the package
    ext_modules=[
        Extension("nucleus_convert.formats._rings", ["formats/_rings.c"], optional=True),
        Extension("nucleus_convert.formats.cvat._scan", ["formats/cvat/_scan.c"], optional=True),
    ],
)
