"""What makes two nodes disagree, found by reading the syntax tree: floats, memory addresses, order of sets.

Sets are recognised by how a name is written down: a set display, set(...), a set method, or an annotation.  A line that
iterates a set on purpose, because order cannot show, says so: `# order-free: reason`.
"""

import ast
from collections.abc import Iterator

Finding = tuple[ast.AST, str]

_SET_TYPES = {"set", "frozenset", "Set", "AbstractSet", "MutableSet"}
_SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
_ORDER_FREE = {"sorted", "set", "frozenset", "sum", "len", "any", "all", "min", "max"}
"""Consumers whose result does not show the order in which they were fed."""
_ORDERED = {"list", "tuple", "enumerate", "zip", "iter", "map", "filter", "reversed", "dict"}
"""Consumers whose result does."""


def findings(module: ast.Module, source: str) -> Iterator[Finding]:
    """Every place in a pure file that could differ between two machines or two runs."""
    lines = source.splitlines()
    for node, what in (*_numbers(module), *_addresses(module), *_unsorted(module)):
        if "# order-free:" not in lines[node.lineno - 1]:
            yield node, what


def _numbers(module: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node, f"float literal {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node, "true division; use //"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield node, "float"


def _addresses(module: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"hash", "id"}:
            yield node, f"{node.func.id}() differs between processes"


def _unsorted(module: ast.Module) -> Iterator[Finding]:
    known = _set_names(module)
    excused = {
        id(argument)
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ORDER_FREE
        for argument in node.args
    }
    for node in ast.walk(module):
        for fed in _fed_in_order(node, excused):
            if _is_set(fed, known):
                yield fed, "order of a set; use sorted()"
        match node:
            case ast.Call(func=ast.Attribute(attr="pop", value=owner), args=[]) if _is_set(owner, known):
                yield node, "pop() takes an arbitrary element of a set"
            case _:
                pass


def _fed_in_order(node: ast.AST, excused: set[int]) -> list[ast.expr]:
    """The expressions that `node` iterates in a way that lets the order show."""
    match node:
        case ast.For(iter=fed) | ast.Starred(value=fed):
            return [fed]
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() if id(node) not in excused:
            return [generator.iter for generator in node.generators]
        case ast.Call(func=ast.Name(id=name), args=args) if name in _ORDERED and id(node) not in excused:
            return args
        case ast.Call(func=ast.Attribute(attr="join" | "extend"), args=args):
            return args
        case _:
            return []


def _set_names(module: ast.Module) -> set[str]:
    """Names and attributes that are written down as sets anywhere in the file."""
    known: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation) if _is_set_type(annotation):
                known.add(_name(target))
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if _is_set_type(annotation):
                known.add(name)
            case ast.Assign(targets=[target], value=value) if _is_set(value, set()):
                known.add(_name(target))
            case _:
                pass
    return known - {""}


def _is_set_type(annotation: ast.expr) -> bool:
    kind = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return _name(kind) in _SET_TYPES


def _is_set(value: ast.expr, known: set[str]) -> bool:
    match value:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Name() | ast.Attribute():
            return _name(value) in known
        case ast.Call(func=ast.Name(id=name)):
            return name in {"set", "frozenset"}
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in _SET_METHODS
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left, known) or _is_set(right, known)
        case _:
            return False


def _name(value: ast.expr) -> str:
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
