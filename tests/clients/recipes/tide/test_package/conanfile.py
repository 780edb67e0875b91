from __future__ import annotations

from pathlib import Path

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class TideTestConan(ConanFile):
    """Builds against the packaged library and runs what was built."""

    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeDeps", "CMakeToolchain", "VirtualRunEnv"
    test_type = "explicit"

    def layout(self) -> None:
        cmake_layout(self)

    def requirements(self) -> None:
        self.requires(self.tested_reference_str)

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self) -> None:
        if can_run(self):
            program = Path(self.build_folder, self.cpp.build.bindir, "test_tide")
            self.run(str(program), env="conanrun")
