from __future__ import annotations

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout


class BuoyConan(ConanFile):
    """A compiled library, for clients of both generations."""

    name = "buoy"
    description = "Says which side to pass"
    license = "BSD-3-Clause"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}
    default_options = {"shared": False, "fPIC": True}
    exports_sources = "CMakeLists.txt", "src/*", "include/*"

    def layout(self) -> None:
        cmake_layout(self)

    def generate(self) -> None:
        CMakeToolchain(self).generate()

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        CMake(self).install()

    def package_info(self) -> None:
        self.cpp_info.libs = ["buoy"]
