from __future__ import annotations

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import apply_conandata_patches, copy, export_conandata_patches, get

required_conan_version = ">=2.0"


class TideConan(ConanFile):
    """A compiled library whose sources come from conandata.yml and are patched."""

    name = "tide"
    description = "Tells how high the water stands"
    license = "BSD-3-Clause"
    topics = ("sea", "height")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "metric": [True, False]}
    default_options = {"shared": False, "fPIC": True, "metric": True}
    implements = ["auto_shared_fpic"]

    def export_sources(self) -> None:
        export_conandata_patches(self)

    def layout(self) -> None:
        cmake_layout(self, src_folder="src")

    def source(self) -> None:
        get(self, **self.conan_data["sources"][self.version], strip_root=True)
        apply_conandata_patches(self)

    def generate(self) -> None:
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["TIDE_METRIC"] = bool(self.options.metric)
        toolchain.cache_variables["TIDE_VERSION"] = str(self.version)
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        copy(self, "LICENSE", self.source_folder, f"{self.package_folder}/licenses")
        CMake(self).install()

    def package_info(self) -> None:
        self.cpp_info.libs = ["tide"]
        self.cpp_info.set_property("cmake_file_name", "tide")
        self.cpp_info.set_property("cmake_target_name", "tide::tide")
