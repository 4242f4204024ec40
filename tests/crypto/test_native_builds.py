"""Other builds of the kernel: single operations at their bounds, planted faults, checked bounds, sanitizers, valgrind.

All of them: `python -m pytest -m "long or not long" tests/crypto/test_native_builds.py`.
"""

import os
import platform
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

import pytest

from cccnode.crypto.native.constants import P
from tests.tidy.source import ROOT

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

NATIVE = Path("cccnode/crypto/native")
VECTORS = platform.machine() == "x86_64"


@dataclass(frozen=True, slots=True)
class Field:
    """How a back end writes elements, and the bounds of its limbs as its header states them (of even limbs)."""

    flags: tuple[str, ...]
    cpu: str
    """As /proc/cpuinfo calls what it needs."""
    widths: tuple[int, ...]
    product: int
    first: int
    second: int
    summed: int
    """What sum, difference and twice_plus return."""
    first_only: int
    """What twice_minus and twice_less return."""
    squared: int

    @property
    def entry(self) -> int:
        """Of canonical limbs, as tables hold them."""
        return 1 << self.widths[0]

    def value(self, limbs: Sequence[int]) -> int:
        return sum(limb << sum(self.widths[:at]) for at, limb in enumerate(limbs))

    def bound(self, bound: int, at: int) -> int:
        return bound >> (self.widths[0] - self.widths[at])


TIGHT = 2**51 + 2**17
FIELDS = {
    "portable": Field((), "", (51,) * 5, 2**51 + 2**13, 2**54, 2**54, 2**54, 2**54, 2**54),
    "avx2": Field(
        ("-mavx2",),
        "avx2",
        (26, 25) * 5,
        product=2**26 + 2**18,
        first=5 * 2**26 + 2**22,
        second=3 * 2**26 + 2**20,
        summed=3 * 2**26 + 2**20,
        first_only=5 * 2**26 + 2**22,
        squared=3 * 2**26 + 2**20,
    ),
    "ifma": Field(
        ("-mavx2", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512ifma"),
        "avx512ifma",
        (51,) * 5,
        product=2**60,
        first=2**52,
        second=TIGHT,
        summed=TIGHT,
        first_only=TIGHT,
        squared=TIGHT,
    ),
}

OPERATIONS: tuple[tuple[str, tuple[str, ...], str, Callable[..., int]], ...] = (
    ("multiply", ("first", "second"), "product", lambda a, b: a * b),
    ("square", ("squared",), "product", lambda a: a * a),
    ("carried", ("product",), "second", lambda a: a),
    ("tightened", ("second",), "product", lambda a: a),
    ("sum", ("product", "product"), "summed", lambda a, b: a + b),
    ("difference", ("product", "product"), "summed", lambda a, b: a - b),
    ("twice_plus", ("product", "product"), "summed", lambda a, b: 2 * a + b),
    ("twice_minus", ("product", "product"), "first_only", lambda a, b: 2 * a - b),
    ("twice_less", ("product",) * 3, "first_only", lambda a, b, c: 2 * a - b + c),
    ("canonical", ("product",), "", lambda a: a),
    ("entry: y + x", ("entry",) * 3, "entry", lambda a, b, c: a),
    ("entry: y - x", ("entry",) * 3, "entry", lambda a, b, c: b),
    ("entry: 2dxy", ("entry",) * 3, "entry", lambda a, b, c: c),
    ("entry, negated: y + x", ("entry",) * 3, "entry", lambda a, b, c: b),
    ("entry, negated: 2dxy", ("entry",) * 3, "first", lambda a, b, c: -c),
)
"""In the order of extremes.c: name, bounds of the arguments, bound of the result, what it computes."""

FAULTS: dict[str, tuple[str, str, str]] = {
    "portable: the bias of a difference is too small": (
        "field.h",
        "a->limb[i] + FOUR_P[i] - b->limb[i]",
        "a->limb[i] + FOUR_P[i] / 4 - b->limb[i]",
    ),
    "portable: twice_minus subtracts from too little": (
        "lanes_portable.h",
        "2 * a->limb[i] + (FOUR_P[i] - b->limb[i])",
        "2 * a->limb[i] + (FOUR_P[i] / 4 - b->limb[i])",
    ),
    "portable: a carry is cut": ("field.h", "19 * (uint64_t)(r4 >> 51)", "19 * (uint64_t)(uint32_t)(r4 >> 51)"),
    "portable: a limb of an entry loses a piece": ("point.h", "<< TOP_BITS * (i % 4);", "<< TOP_BITS * (i % 3);"),
    "avx2: the bias of a difference is too small": (
        "lanes_avx2.h",
        "o.limb[i] = PLUS(a->limb[i], MINUS(lane_every(AVX2_TWO_P[i]), b->limb[i]))",
        "o.limb[i] = PLUS(a->limb[i], MINUS(lane_every(AVX2_TWO_P[i] / 2), b->limb[i]))",
    ),
    "avx2: a carry fewer": ("lanes_avx2.h", "    CARRY_EVEN(0);\n#undef", "#undef"),
    "avx2: a limb of an entry is a bit short": ("lanes_avx2.h", "(uint64_t)0x1fff <<", "(uint64_t)0xfff <<"),
    "ifma: a limb of an entry is a bit short": ("lanes_ifma.h", "(uint64_t)0x1fff <<", "(uint64_t)0xfff <<"),
    "ifma: the bias is below what it must cover": (
        "lanes_ifma.h",
        "lane_every(IFMA_BIAS[i])",
        "lane_every(IFMA_BIAS[i] >> 3)",
    ),
    "ifma: a limb keeps one bit too many": (
        "lanes_ifma.h",
        "PLUS(_mm512_and_si512(r2, mask), _mm512_srli_epi64(r1, 51))",
        "PLUS(_mm512_and_si512(r2, mask), _mm512_srli_epi64(r1, 50))",
    ),
    "ifma: a factor of 52 bits is not reduced": (
        "lanes_ifma.h",
        "lane_every(LIMB_MASK)",
        "lane_every(2 * LIMB_MASK + 1)",
    ),
}
"""By name: file, what stands there, what stands there instead."""

SANITIZERS = {"address": "a", "undefined": "ub", "thread": "t"}
"""What -fsanitize calls them, and how their libraries begin."""


def _has(cpu: str) -> bool:
    return not cpu or (VECTORS and cpu in Path("/proc/cpuinfo").read_text(encoding="utf-8"))


def copied(folder: Path, fault: tuple[str, str, str] | None) -> Path:
    """The sources, perhaps with a fault."""
    native = folder / NATIVE
    shutil.copytree(ROOT / NATIVE, native, ignore=shutil.ignore_patterns("__pycache__"))
    if fault:
        text = (native / fault[0]).read_text(encoding="utf-8")
        assert fault[1] in text
        (native / fault[0]).write_text(text.replace(fault[1], fault[2]), encoding="utf-8")
    return native


def _patterns(field: Field, bound: int, rng: random.Random) -> list[list[int]]:
    """Limbs at their ends: none, all as large as allowed, each second one, the limbs of p, and at random."""
    largest = [field.bound(bound, at) - 1 for at in range(len(field.widths))]
    prime = [(P >> sum(field.widths[:at])) & (1 << width) - 1 for at, width in enumerate(field.widths)]
    return [
        [0] * len(largest),
        largest,
        [limb * (at % 2) for at, limb in enumerate(largest)],
        [limb * (1 - at % 2) for at, limb in enumerate(largest)],
        prime,
        *([rng.randrange(limb + 1) for limb in largest] for _ in range(2)),
    ]


def extremes(folder: Path, name: str, fault: tuple[str, str, str] | None = None) -> list[str]:
    """Every operation of a field with every combination of extreme arguments; what is wrong."""
    field = FIELDS[name]
    program, native = folder / "extremes", copied(folder, fault)
    command = ["gcc", "-O1", "-std=c11", "-w", *field.flags, f'-DHEADER="lanes_{name}.h"', f"-I{native}"]
    subprocess.run([*command, str(ROOT / "tests/crypto/extremes.c"), "-o", str(program)], check=True)
    rng, limbs = random.Random(1), len(field.widths)
    asked = [
        (number, arguments)
        for number, (_, bounds, _, _) in enumerate(OPERATIONS)
        for arguments in product(*(_patterns(field, getattr(field, bound), rng) for bound in bounds))
    ]
    nothing = [0] * limbs
    requests = b"".join(
        struct.pack(f"={1 + 3 * limbs}Q", number, *chain.from_iterable([*arguments, nothing, nothing][:3]))
        for number, arguments in asked
    )
    done = subprocess.run([str(program)], input=requests, capture_output=True, check=False)
    assert 8 * limbs * len(asked) == len(done.stdout)
    wrong = []
    for at, (number, arguments) in enumerate(asked):
        operation, _, bound, computes = OPERATIONS[number]
        result = struct.unpack_from(f"={limbs}Q", done.stdout, 8 * limbs * at)
        due = computes(*map(field.value, arguments)) % P
        if operation == "canonical":
            good = due == sum(limb << 51 * place for place, limb in enumerate(result[:5]))
        else:
            good = due == field.value(result) % P and all(
                limb < field.bound(getattr(field, bound), place) for place, limb in enumerate(result)
            )
        if not good:
            wrong.append(f"{name}: {operation} of {arguments} is {result}")
    return wrong


@pytest.mark.parametrize("name", FIELDS)
def test_extremes(tmp_path: Path, name: str) -> None:
    """Every operation computes what it should and keeps its bound, with limbs as large as its header allows."""
    if not _has(FIELDS[name].cpu):
        pytest.skip(f"{name}: not shown, this machine lacks it")

    assert [] == extremes(tmp_path, name)


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault(tmp_path: Path, name: str) -> None:
    """A fault in one limb bound is noticed at the extremes, however rarely a signature would show it."""
    back_end = name.partition(":")[0]
    if not _has(FIELDS[back_end].cpu):
        pytest.skip(f"{back_end}: not shown, this machine lacks it")

    assert extremes(tmp_path, back_end, FAULTS[name])


def build(folder: Path, flags: str, *, only: str = "") -> Path:
    """The extension, built from a copy of the sources with further compiler flags; `only` one back end works in it."""
    copied(folder, None)
    shutil.copy(ROOT / "setup.py", folder)
    for other in {"avx2", "ifma"} - {only} if only else ():
        stub = f"int ed25519_verify_{other}(void);\nint ed25519_verify_{other}(void) {{ return 0; }}\n"
        (folder / NATIVE / f"ed25519_{other}.c").write_text(stub, encoding="utf-8")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "built"]
    environment = {**os.environ, "CFLAGS": flags, "LDFLAGS": flags}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    made = list((folder / "built").rglob("_kernel*.so"))
    assert made, done.stderr
    return made[0]


def check(
    extension: Path, size: int, *names: str, before: tuple[str, ...] = (), settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run check_build in a process of its own; `before` is what runs it."""
    command = [*before, sys.executable, "-m", "tests.crypto.check_build", str(extension), str(size), *names]
    environment = {**os.environ, **(settings or {})}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.parametrize("back_end", ["portable", "avx2", "ifma"])
def test_bounds(tmp_path: Path, back_end: str) -> None:
    """In a build that checks every limb of every operation no bound is broken."""
    done = check(build(tmp_path, "-DCHECK_BOUNDS -g0", only=back_end), 150, back_end)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert done.stdout in {f"{back_end}: 0 differences\n", f"{back_end}: not shown, this processor lacks it\n"}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizers(tmp_path: Path, sanitizer: str) -> None:
    """The sanitizers of addresses, undefined behaviour and threads find nothing in any back end."""
    library = subprocess.run(
        ["gcc", f"-print-file-name=lib{SANITIZERS[sanitizer]}san.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    flags = f"-fsanitize={sanitizer} -fno-omit-frame-pointer -g"
    flags += " -fno-sanitize-recover=all" if sanitizer == "undefined" else ""
    settings = {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    done = check(build(tmp_path, flags), 1_500, settings=settings)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "portable: 0 differences" in done.stdout


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.parametrize("back_end", ["portable", "avx2"])
def test_valgrind(tmp_path: Path, back_end: str) -> None:
    """valgrind finds nothing in the back ends whose instructions it knows; it knows no AVX-512."""
    before = ("valgrind", "--quiet", "--num-callers=30")
    done = check(build(tmp_path, "-g"), 200, back_end, before=before, settings={"PYTHONMALLOC": "malloc"})

    assert f"{back_end}: 0 differences" in done.stdout, done.stderr
    ours = [path.name for path in (ROOT / NATIVE).iterdir() if path.suffix in {".c", ".h"}]
    assert not [line for line in done.stderr.splitlines() if any(f"({name}:" in line for name in ours)], done.stderr
