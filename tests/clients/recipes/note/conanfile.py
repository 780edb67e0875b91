from __future__ import annotations

from conan import ConanFile
from conan.tools.files import copy, save

required_conan_version = ">=2.0"


class NoteConan(ConanFile):
    """One text and no compiler: name and version come from the command line."""

    description = "A text"
    license = "BSD-3-Clause"
    settings = "os", "build_type"
    options = {"flavour": ["sweet", "sour"]}
    default_options = {"flavour": "sweet"}
    exports = "*.md"
    exports_sources = "text.txt"

    def package(self) -> None:
        copy(self, "text.txt", self.source_folder, self.package_folder)
        save(self, f"{self.package_folder}/flavour.txt", f"{self.options.flavour}\n")
        printing = self.conf.get("user.note:printing", default="first")
        save(self, f"{self.package_folder}/printing.txt", f"{printing}\n")
