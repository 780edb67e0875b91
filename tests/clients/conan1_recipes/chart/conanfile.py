from __future__ import annotations

from conan import ConanFile
from conan.tools.files import copy, save


class ChartConan(ConanFile):
    """One text and no compiler, for clients of both generations; its name is the command's."""

    description = "A text"
    license = "BSD-3-Clause"
    url = "https://charts.example/chart"
    settings = "os", "build_type"
    options = {"flavour": ["sweet", "sour"]}
    default_options = {"flavour": "sweet"}
    exports = "*.md"
    exports_sources = "text.txt"

    def package(self) -> None:
        copy(self, "text.txt", self.source_folder, self.package_folder)
        save(self, f"{self.package_folder}/flavour.txt", f"{self.options.flavour}\n")
        printing = self.conf.get("user.chart:printing", default="first")
        save(self, f"{self.package_folder}/printing.txt", f"{printing}\n")
