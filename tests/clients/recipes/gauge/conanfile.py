from __future__ import annotations

from conan import ConanFile
from conan.tools.files import copy
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class GaugeConan(ConanFile):
    """A header-only library: one package id, an empty conaninfo.txt."""

    name = "gauge"
    description = "Turns a height into a line of marks"
    license = "BSD-3-Clause"
    package_type = "header-library"
    exports_sources = "include/*"
    no_copy_source = True

    def layout(self) -> None:
        basic_layout(self)

    def package(self) -> None:
        copy(self, "*.h", f"{self.source_folder}/include", f"{self.package_folder}/include")

    def package_id(self) -> None:
        self.info.clear()

    def package_info(self) -> None:
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
