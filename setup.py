"""The native kernel: one C extension, built where there is a compiler and left out where there is none (D17).

Everything else that packaging needs stands in pyproject.toml.
"""

import platform
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("cccnode/crypto/native")

BASE = ["-mavx2", "-mbmi", "-mbmi2", "-mtune=znver3"]
AVX2 = [*BASE, "-fno-tree-ter"]
IFMA = [*BASE, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512ifma", "-mprefer-vector-width=512"]
IFMA += ["-fschedule-insns", "-fsched-pressure"]  # 3 % for keys without tables
# Copies of five limbs are not worth a call of memcpy, and what is not written with vectors is slower with them.
SCALAR = ["-fno-tree-vectorize", "-fno-tree-slp-vectorize"]
OWN_FLAGS = {
    "ed25519_avx2.c": AVX2,
    "ed25519_ifma.c": IFMA,
    "ed25519_portable.c": SCALAR,
    "ed25519_tables.c": SCALAR,
}
"""Flags of single files.  Not every processor has the instructions of the first two: ed25519.c asks before it calls."""


class BuildExtension(build_ext):
    """setuptools knows one set of flags for an extension; some files have their own."""

    def build_extensions(self) -> None:
        """Compile each file with its flags.  `_compile` is what every compiler class calls for each source file."""
        compile_one = self.compiler._compile  # noqa: SLF001

        def compile_with_own(obj: str, src: str, ext: str, cc_args: Any, extra: list[str], pp_opts: Any) -> None:
            own = OWN_FLAGS.get(Path(src).name, [])
            if platform.machine() not in {"x86_64", "AMD64"}:
                own = [flag for flag in own if not flag.startswith("-m")]
            compile_one(obj, src, ext, cc_args, [*extra, *own], pp_opts)

        self.compiler._compile = compile_with_own  # noqa: SLF001
        super().build_extensions()


setup(
    cmdclass={"build_ext": BuildExtension},
    ext_modules=[
        Extension(
            "cccnode.crypto._kernel",
            sources=sorted(map(str, NATIVE.glob("*.c"))),
            depends=sorted(map(str, NATIVE.glob("*.h"))),
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=[
                *("-O3", "-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden"),
                "-fno-tree-loop-distribute-patterns",
            ],
            extra_link_args=["-pthread"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
