from __future__ import annotations

from conan import ConanFile
from conan.tools.cmake import CMake, cmake_layout

required_conan_version = ">=2.0"


class Ship:
    """What every recipe that extends this one builds and installs in the same way."""

    def layout(self) -> None:
        cmake_layout(self)

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        CMake(self).install()


class ShiprulesConan(ConanFile):
    """A python_requires package: a recipe without binaries."""

    name = "shiprules"
    description = "Build steps shared by recipes"
    license = "BSD-3-Clause"
    package_type = "python-require"
