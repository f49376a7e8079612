"""Read a stage's log, draw its curves, and write it for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from avse.errors import MissingExtraError
from avse.media.atomic_files import appearing
from avse.training.loop import LOG
from avse.utils.schema import RecordError, load_json

if TYPE_CHECKING:
    from typing import Self

CURVES = "curves.png"
EXTRA = 'pip install "avse[train]"'
_NOT_DRAWN = {"step", "seconds_per_step", "rate"}


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of a stage's log; none if there is no log. An incomplete line is left out."""
    path = folder / LOG
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            row = load_json(line, finite=False)
        except RecordError:
            continue
        row = row if isinstance(row, dict) else {}
        numbers = {k: v for k, v in row.items() if isinstance(v, int | float) and not abs(v) > 1e15}
        if "step" in numbers:
            rows.append(numbers)
    return rows


def check_curves() -> None:
    """Check that curves can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "curves are drawn by matplotlib, which is missing", EXTRA
        ) from error


def draw_curves(folder: Path) -> Path | None:
    """Draw a stage's log into `curves.png`: a panel for each metric, with training and validation
    apart.

    Returns:
        The picture; None if there is nothing to draw yet.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_curves()
    from matplotlib.figure import Figure

    rows = read_log(folder)
    names = sorted({name for row in rows for name in row} - _NOT_DRAWN)
    if not names:
        return None
    across = min(3, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(4 * across, 2.6 * down), layout="constrained")
    for axes, name in zip(figure.subplots(down, across, squeeze=False).flat, names, strict=False):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), marker="." if len(points) < 60 else None, lw=1)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(names) :]:
        axes.remove()
    path = folder / CURVES
    with appearing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path


class Board:
    """Writes metrics for TensorBoard.

    Args:
        folder: of the event files.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        check_board()
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder))

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Write metrics; those of validation go under "valid/"."""
        for name, value in figures.items():
            known = name.removeprefix("valid_")
            self.writer.add_scalar(name if known == name else f"valid/{known}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.close()


def check_board() -> None:
    """Check that TensorBoard logs can be written.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """
    try:
        import tensorboard  # noqa: F401
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the package tensorboard is not installed, or does not fit: {error}", EXTRA
        ) from error
