"""Values from files of others: what fits is taken, all else is a clear no."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avse.utils.schema import RecordError, build, fit, load_json, load_toml


@dataclass(frozen=True)
class Inner:
    size: int
    name: str = "x"


@dataclass(frozen=True)
class Outer:
    inner: Inner
    kind: Literal["a", "b"] = "a"
    share: float = 0.5
    flag: bool = False
    maybe: Inner | None = None
    names: tuple[str, ...] = ()
    pair: tuple[float, str] = (0.0, "x")
    listed: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    inners: dict[str, Inner] = field(default_factory=dict)
    several: Annotated[tuple[Inner, ...], msgspec.Meta(max_length=2)] = ()


def test_what_fits_is_taken() -> None:
    value = {
        "inner": {"size": 3},
        "kind": "b",
        "share": 1,
        "maybe": {"size": 4, "name": "y"},
        "names": ["p", "q"],
        "pair": [1, "y"],
        "listed": [1],
        "table": {"k": 2},
        "inners": {"k": {"size": 5}},
        "several": [{"size": 6}],
    }
    assert build(Outer, value, "it") == Outer(
        Inner(3), "b", 1.0, False, Inner(4, "y"), ("p", "q"), (1.0, "y"), [1], {"k": 2.0},
        {"k": Inner(5)}, (Inner(6),),
    )  # fmt: skip
    assert build(Outer, {"share": 0.25}, "it", Outer(Inner(1))) == Outer(Inner(1), share=0.25)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"inner": None}, "it inner must be a table"),
        ({"inner": {}}, "it inner has no size"),
        ({"inner": {"size": True}}, "it inner.size must be a whole number"),
        ({"inner": {"size": 2.0}}, "it inner.size must be a whole number"),
        ({"inner": {"size": 10**5000}}, "it inner.size is out of range"),
        ({"kind": "c"}, "it kind cannot be 'c'"),
        ({"kind": ["a"]}, "it kind must be text"),
        ({"share": float("nan")}, "it share is out of range"),
        ({"share": 10**400}, "it share is out of range"),
        ({"share": "0.5"}, "it share must be a number"),
        ({"flag": 1}, "it flag must be true or false"),
        ({"maybe": 0}, "it maybe must be a table"),
        ({"names": "pq"}, "it names must be a list"),
        ({"names": [1]}, "it names[0] must be text"),
        ({"pair": [1]}, "it pair must be a list of length 2"),
        ({"pair": ["x", 1]}, "it pair[0] must be a number"),
        ({"listed": {}}, "it listed must be a list"),
        ({"table": []}, "it table must be a table"),
        ({"table": {"k": "v"}}, "it table[...] must be a number"),
        ({"shar": 1}, "it has an unknown key 'shar'"),
        ({"inner": {"size": 1, "more": 2}}, "it inner has an unknown key 'more'"),
        ({"inners": {"k": {"size": 1, "more": 2}}}, "it inners.k has an unknown key 'more'"),
        ({"inners": {"k": 1}}, "it inners[...] must be a table"),
        ({"several": [{"size": 1, "more": 2}]}, "it several[0] has an unknown key 'more'"),
        ({"several": [{"size": 1}] * 3}, "it several must be a list of length <= 2"),
        ({"maybe": {"size": 1, "more": 2}}, "it maybe has an unknown key 'more'"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(RecordError) as caught:
        build(Outer, {"inner": {"size": 1}, **change}, "it")
    assert caught.value.message.startswith(says)
    assert len(caught.value.message + caught.value.hint) < 300


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[" * 100_000, "9" * 10_000, b"\xff\xfe\x00", '{"a":' * 100_000, "1e5x"],
    ids=lambda text: str(text)[:9],
)
def test_what_is_no_json_or_toml_is_told_alike(text: str | bytes) -> None:
    with pytest.raises(RecordError):
        load_json(text)
    if text and isinstance(text, str):
        with pytest.raises(RecordError):
            load_toml(f"a = {text}")


def test_numbers_that_are_none_can_be_let_in() -> None:
    assert load_json("[Infinity]", finite=False) == [float("inf")]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab.~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner),
    max_leaves=6,
)
_KEYS = st.sampled_from([*Outer.__dataclass_fields__, "size", "name", "other"])


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_KEYS, _VALUES | st.fixed_dictionaries({"size": _VALUES})))
def test_nothing_but_a_record_error_comes_of_anything(value: dict[str, Any]) -> None:
    try:
        made = build(Outer, load_json(json.dumps(value), finite=False), "it")
    except RecordError:
        return
    assert type(made.share) is float
    assert all(type(name) is str for name in made.names)
    assert fit({"inner": {"size": made.inner.size}}, Outer, "it").inner.size == made.inner.size
