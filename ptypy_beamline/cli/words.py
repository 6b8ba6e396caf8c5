"""Other words for the flags of every command, and the words of its help."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from .. import settings

OUTPUTS = ("--output", "--out", "-o")
GROUPS = ("--path", "--unit")
"""Flags of the groups of parameters ``paths`` and ``units``."""
TYPES = {"bool": "", "int": "N", "float": "N", "str": "TEXT", "path": "FILE"}
"""What typer calls the values of a flag → what its help says; choices are as they are."""


def other_words(flag: str) -> set[str]:
    """What else a flag may be called."""
    if flag in OUTPUTS:
        return set(OUTPUTS)
    return {f"{flag}s"} if flag in GROUPS else settings.other_words(flag)


class Root(TyperGroup):
    """The command of all commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help in the words of :data:`TYPES`."""
        _name_values(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


class Command(TyperCommand):
    """A command whose flags have other words that its help does not show."""

    def make_parser(self, ctx: Any) -> Any:
        """A parser that takes the other words, too."""
        parser = super().make_parser(ctx)
        for option, others in self._others():
            twin = copy.copy(option)
            twin.opts, twin.secondary_opts = sorted(others), []
            twin.add_to_parser(parser, ctx)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse two words for one flag, of which the last would win; say how patterns are given.

        Raises
        ------
        typer.BadParameter
            Two words for one flag are given.
        """
        typed = {word.partition("=")[0] for word in args}
        for option, others in self._others():
            both = sorted(typed & {*option.opts, *others})
            if len(both) > 1 and not option.multiple:
                raise typer.BadParameter(f"{' and '.join(both)} are one flag: give one of them")
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            message = getattr(error, "message", "")
            if "unexpected extra argument" in message:
                quoted = "a pattern of several files is given in quotes: 'scan_*.tif'"
                vars(error)["message"] = f"{message}; {quoted}"
            raise

    def _others(self) -> Iterator[tuple[Any, set[str]]]:
        """Options, and what else each may be called that is not another's name."""
        options = [one for one in self.params if one.param_type_name == "option"]
        taken = {word for one in options for word in (*one.opts, *one.secondary_opts)}
        for option in options:
            others = {word for flag in option.opts for word in other_words(flag)} - taken
            if others:
                yield option, others

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help in the words of :data:`TYPES`."""
        _name_values(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


def _name_values(params: Sequence[Any], ctx: Any) -> None:
    """Show N and FILE for typer's ``<int>`` and ``<path>``, and nothing for switches."""
    for param in params:
        shown = getattr(param, "display_type_rich", lambda ctx: None)(ctx)
        if shown is None:
            continue  # an older typer
        kind = shown.removeprefix("<").removesuffix(">").removesuffix(" range")
        argument = param.param_type_name == "argument"  # its name is shown already
        vars(param)["display_type_rich"] = _always("" if argument else TYPES.get(kind, kind))


def _always(text: str) -> Any:
    return lambda ctx: text
