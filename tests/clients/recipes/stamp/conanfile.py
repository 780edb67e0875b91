from __future__ import annotations

from conan import ConanFile
from conan.tools.cmake import CMake, cmake_layout

required_conan_version = ">=2.0"


class StampConan(ConanFile):
    """A program that other recipes run while they build (tool_requires)."""

    name = "stamp"
    description = "Writes a header with a name in it"
    license = "BSD-3-Clause"
    package_type = "application"
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeToolchain"
    exports_sources = "CMakeLists.txt", "src/*"

    def layout(self) -> None:
        cmake_layout(self)

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        CMake(self).install()

    def package_id(self) -> None:
        del self.info.settings.compiler
        del self.info.settings.build_type
