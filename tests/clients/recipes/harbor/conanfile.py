from __future__ import annotations

from conan import ConanFile
from conan.tools.cmake import CMakeDeps, CMakeToolchain
from conan.tools.env import VirtualBuildEnv

required_conan_version = ">=2.0"


class HarborConan(ConanFile):
    """A program on top of all the others: ranges, a tool, shared build steps."""

    name = "harbor"
    description = "Prints the marks of the tide"
    license = "BSD-3-Clause"
    package_type = "application"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "CMakeLists.txt", "src/*"
    python_requires = "shiprules/[>=1.0 <2]"
    python_requires_extend = "shiprules.Ship"

    def requirements(self) -> None:
        self.requires("tide/[>=1.0 <2]")
        self.requires("gauge/[^1]")

    def build_requirements(self) -> None:
        self.tool_requires("stamp/[*]")

    def generate(self) -> None:
        CMakeToolchain(self).generate()
        CMakeDeps(self).generate()
        VirtualBuildEnv(self).generate()
