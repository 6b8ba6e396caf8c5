"""Checks before a reconstruction: near or far field, and problems in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ScanError
from ..summary import Finding

if TYPE_CHECKING:
    from ..diagnosis.scan_sample import ScanSample

Propagation = Annotated[
    Literal["auto", "farfield", "nearfield"],
    typer.Option("--propagation", help="auto: near field if the frames are holograms"),
]


def is_near_field(sample: ScanSample, propagation: str) -> bool:
    """Whether the frames are to be treated as holograms."""
    from ..diagnosis.near_field import is_near

    return propagation == "nearfield" or (propagation == "auto" and is_near(sample))


def check_data(sample: ScanSample, near: bool) -> list[Finding]:
    """Run the checks that need no reconstruction; print and return their findings.

    Raises
    ------
    ScanError
        A reconstruction would be meaningless.
    """
    from ..diagnosis.findings import doubts

    found = doubts(sample, near)
    refuse_errors(found, sample)
    show([*_near_field(sample, near), *found])
    if found:
        typer.echo("because of this, the errors below cannot be trusted", err=True)
    return found


def refuse_errors(findings: list[Finding], sample: ScanSample, anyway: str = "") -> None:
    """Stop at the first error; the remedy ends with ``anyway``.

    Raises
    ------
    ScanError
        A reconstruction would be meaningless.
    """
    for finding in findings:
        if finding.level == "error":
            what = "; ".join(filter(None, (finding.what, finding.cause)))
            raise ScanError(
                f"the reconstruction would be meaningless: {what}",
                " ".join(filter(None, (finding.remedy or "see ptypy-beamline check", anyway))),
                sample.settings.file_name,
            )


def _near_field(sample: ScanSample, near: bool) -> list[Finding]:
    """The geometry in which near-field frames are reconstructed."""
    from ..planning.scan_geometry import focus_to_sample_m

    if not near:
        return []
    geometry = sample.plan.geometry
    if focus_to_sample_m(sample.scan, sample.settings) is None:
        return [
            Finding(
                "note",
                "reconstructed as the near field of a parallel beam",
                "for a cone beam give focus_to_sample (--focus-to-sample-m)",
            )
        ]
    return [
        Finding(
            "note",
            "reconstructed as the near field of a cone beam, at the effective "
            f"distance {geometry.distance_m:.4g} m with pixels of "
            f"{min(geometry.pixel_m):.4g} m",
        )
    ]


def low_counts(sample: ScanSample) -> list[Finding]:
    """A warning where the frames hold so few counts that DM and ML may fit their noise."""
    from ..diagnosis.scale import MIN_COUNTS

    if sample.usual_counts >= MIN_COUNTS:
        return []
    return [
        Finding(
            "warning",
            f"{sample.usual_counts:.3g} counts per frame: DM and ML may fit their noise, "
            "and the error is small even then",
            "compare with --engine preview, or sum pixels (--bin)",
        )
    ]


def show(findings: list[Finding]) -> list[Finding]:
    """Print the ``findings`` on standard error, and return them."""
    for finding in findings:
        typer.echo(str(finding), err=True)
    return findings
