"""The one thing that setup.cfg has no word for: compiled modules. Without a compiler, installation goes on."""

from setuptools import Extension, setup

setup(
    script_name="setup.py",  # so that it is known as this script, and not shipped as a module of the package
    ext_modules=[
        Extension(f"nucleus_convert.{folder.replace('/', '.')}.{name}", [f"{folder}/{name}.c"], optional=True)
        for folder, name in (
            ("converters", "_pointtext"),
            ("converters", "_runs"),
            ("converters", "_saving"),
            ("formats", "_rings"),
            ("formats/cvat", "_scan"),
            ("formats/nucleus", "_lines"),
        )
    ],
)
