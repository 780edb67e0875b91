from __future__ import annotations

from conan import ConanFile
from conan.tools.build import can_run


class HarborTestConan(ConanFile):
    """Runs the packaged program."""

    settings = "os", "arch", "compiler", "build_type"
    generators = "VirtualRunEnv"
    test_type = "explicit"

    def requirements(self) -> None:
        self.requires(self.tested_reference_str)

    def test(self) -> None:
        if can_run(self):
            self.run("harbor", env="conanrun")
