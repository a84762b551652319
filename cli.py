"""The command line: options, progress, printing the report, exit status. It knows no format and no geometry.

Nothing heavy is imported before a command is chosen: ``convert --help`` is to be quick.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from nucleus_convert import __version__
from nucleus_convert.converters import commandline, registry, signals
from nucleus_convert.converters.commandline import Argument, Between, Described, Look

if TYPE_CHECKING:
    from nucleus_convert.converters.layout import Layout
    from nucleus_convert.converters.opening import DataSet
    from nucleus_convert.converters.report import Report

INTERRUPTED, TERMINATED, BUG, REFUSED = 130, 143, 70, 3
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
AUTO = "auto"


class Option(click.Option):
    """An option that knows under which heading of the help it belongs."""

    def __init__(self, *names: Any, heading: str = "Common", **settings: Any) -> None:
        super().__init__(names, **settings)
        self.heading = heading


def common_options() -> list[click.Parameter]:
    """What every pair command takes."""
    return made(commandline.SRC, *commandline.CONVERT)


def made(*described: Argument | Described) -> list[click.Parameter]:
    """Click's arguments and options of what is described."""
    return [made_option(one) if isinstance(one, Described) else made_argument(one) for one in described]


def made_argument(one: Argument) -> click.Argument:
    """An argument of a command."""
    return click.Argument([one.name], type=click.Path(path_type=Path), metavar=one.metavar, required=one.required)


def made_option(one: Described) -> Option:
    """An option of a command, or of a format, for the command line."""
    settings = dict(one.settings)
    kind = settings.get("type")
    if isinstance(kind, list):
        settings["type"] = click.Choice(kind)
    elif kind is Path:
        settings["type"] = click.Path(path_type=Path)
    elif isinstance(kind, Between):
        bounded: Any = click.IntRange if kind.kind is int else click.FloatRange
        settings["type"] = bounded(kind.low, kind.high)
    flags = [f"--{one.flag}"] if one.short is None else [f"-{one.short}", f"--{one.flag}"]
    return Option(*flags, one.name, heading=one.side, **settings)


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter, names: Mapping[str, str]
) -> None:
    """Write the options under their headings, in the order of ``names``, which says more of each."""
    headings: dict[str, list[tuple[str, str]]] = {heading: [] for heading in names}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
        if record is not None:
            headings[getattr(param, "heading", "Common")].append(record)
    for heading, records in headings.items():
        if records:
            with formatter.section(names[heading]):
                formatter.write_dl(records)


class PairCommand(click.Command):
    """``<source>2<target>``. Its options come from the two formats, imported when they are needed."""

    def __init__(self, name: str, source: str, target: str) -> None:
        title = "a data set of any format (found out)" if source == AUTO else registry.FORMATS[source][1]
        super().__init__(
            name,
            callback=self.run,
            context_settings=SETTINGS,
            short_help=f"{source} to {target}",
            options_metavar="-o OUT [OPTIONS]",
            help=f"Convert {title} to {registry.FORMATS[target][1]}.\n\nSRC is a file, a folder or a .zip.",
        )
        self.source = source
        self.target = target

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All parameters, made the first time they are asked for."""
        if not self.params:
            from nucleus_convert.converters.options import described

            reader = None if self.source == AUTO else registry.get(self.source).ReadOptions
            self.params = [*common_options(), *made(*described(reader, registry.get(self.target).WriteOptions))]
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options under their headings."""
        names = {"Source": f"Source ({self.source})", "Target": f"Target ({self.target})", "Common": "Common"}
        write_options(self, ctx, formatter, names)

    def run(
        self, src: Path, output: Path | None, *, quiet: bool, verbose: bool, dry_run: bool, **settings: Any
    ) -> None:
        """Convert, and print the report."""
        from nucleus_convert.converters import layout, pipeline
        from nucleus_convert.converters.errors import LossRefusedError

        if output is None and not dry_run:
            raise click.UsageError("Missing option '-o' / '--output' (or give --dry-run).")
        given = chosen(settings)
        try:
            with progress_bar(show=not quiet) as progress:
                report = pipeline.convert(
                    src,
                    output,
                    source=None if self.source == AUTO else self.source,
                    target=self.target,
                    dry_run=dry_run,
                    progress=progress,
                    **given,
                )
        except LossRefusedError as error:
            if error.report is not None and not quiet:
                print_report(error.report, None, None, verbose=verbose)
            raise
        if not quiet:
            if output is None or dry_run:
                print_report(report, None, None, verbose=verbose)
            else:
                place = layout.of(output, registry.get(self.target).SPEC)
                print_report(report, str(output), place, verbose=verbose)


class MaskCommand(PairCommand):
    """``rle2png`` and ``png2rle``: the pair is known when SRC and OUT are, by whether they are JSON Lines."""

    def __init__(self, name: str) -> None:
        self.to_png = name == "rle2png"
        super().__init__(name, "coco" if self.to_png else "maskpng", "maskpng" if self.to_png else "coco")
        self.short_help, self.help = MASKS[name]

    def run(self, src: Path, output: Path | None, **settings: Any) -> None:
        """Convert, and print the report."""
        from nucleus_convert.converters.maskfiles import rle_format

        if self.to_png:
            self.source = rle_format(src)
        elif output is not None:
            self.target = rle_format(output)
        super().run(src, output, **settings)


MASKS = {
    "rle2png": (
        "run-length masks to PNG files",
        "Write run-length masks and polygons as PNG files.\n\n"
        "SRC is COCO JSON (a data set or results), a folder or .zip of it, or JSON Lines of masks. "
        "OUT becomes a folder with masks/ and manifest.jsonl.",
    ),
    "png2rle": (
        "PNG masks to COCO RLE",
        "Write PNG masks as COCO RLE.\n\n"
        "SRC is a folder of PNGs (with the manifest of rle2png or without), a PNG or a .zip. "
        "OUT is a COCO data set (.json), or JSON Lines of masks (.jsonl).",
    ),
}


class Commands(click.Group):
    """Pair commands made from the registry, and the few others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, for completion."""
        sources = [*registry.FORMATS, AUTO]
        pairs = [f"{source}2{target}" for source in sources for target in registry.FORMATS if source != target]
        return [*pairs, *MASKS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name; pairs go by aliases too."""
        made = super().get_command(ctx, cmd_name)
        if made is not None or "2" not in cmd_name:
            return made
        if cmd_name in MASKS:
            return MaskCommand(cmd_name)
        source, _, target = cmd_name.partition("2")
        source = AUTO if source == AUTO else registry.resolve(source)
        target = registry.resolve(target)
        if source == target:
            raise click.UsageError(f"'{cmd_name}' would convert {source} to itself.", ctx)
        return PairCommand(cmd_name, source, target)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named, or an error with the nearest name."""
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"See '{ctx.command_path} --help'."
            raise click.UsageError(f"No such command '{name}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Pairs by their pattern, not one by one."""
        others = [(name, self.commands[name].get_short_help_str(80)) for name in super().list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    ("A2B SRC -o OUT", "convert format A to format B"),
                    ("auto2B SRC -o OUT", "the same, finding out what SRC is"),
                    *((name, short) for name, (short, _) in MASKS.items()),
                    *others,
                ]
            )
        with formatter.section("Formats"):
            formatter.write_dl([(name, title) for name, (_, title) in registry.FORMATS.items()])
        with formatter.section("Examples"):
            formatter.write_text(f"{ctx.command_path} coco2nucleus instances.json -o nucleus")
            formatter.write_text(f"{ctx.command_path} nucleus2coco nucleus -o instances.json")
            formatter.write_text(f"{ctx.command_path} auto2nucleus export.zip --dry-run")
            formatter.write_text(f"{ctx.command_path} coco2nucleus --help")


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="nucleus-convert")
def cli() -> None:
    """Convert label formats to and from Scale Nucleus payloads, losing nothing silently."""


@cli.command(context_settings=SETTINGS)
@click.argument("src", type=click.Path(path_type=Path))
@click.option("-v", "--verbose", is_flag=True, help="say why it is not one of the others")
def detect(src: Path, verbose: bool) -> None:
    """Say which format SRC is."""
    from nucleus_convert.converters.source import opened

    with opened(src) as source:
        if verbose:
            for name, reason in registry.reasons(source.path).items():
                if reason is not None:
                    click.echo(f"not {name}: {reason}", err=True)
        click.echo(registry.detect(source.path))


@cli.command(context_settings=SETTINGS)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="for programs")
def formats(name: str | None, as_json: bool) -> None:
    """Show what each format can hold, or all about NAME."""
    from nucleus_convert.converters import features

    names = list(registry.FORMATS) if name is None else [registry.resolve(name)]
    specs = [registry.get(one).SPEC for one in names]
    if as_json:
        click.echo(features.as_json(specs))
    else:
        click.echo(features.table(specs) if name is None else features.details(specs[0]))


class LookCommand(click.Command):
    """A command that looks at data sets of any format: it takes the options of every reader."""

    def __init__(self, name: str, run: Callable[..., Any], look: Look) -> None:
        super().__init__(name, callback=run, context_settings=SETTINGS, help=run.__doc__)
        self.look = look

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All parameters, made the first time they are asked for."""
        if not self.params:
            from nucleus_convert.converters.options import described_all

            readers = {name: registry.get(name).ReadOptions for name in registry.FORMATS}
            writer = None if self.look.target is None else registry.get(self.look.target).WriteOptions
            own = made(*self.look.arguments, *self.look.options)
            taken = {name for one in own for name in one.opts}
            theirs = made(*described_all(readers, writer))
            self.params = [*own, *(one for one in theirs if taken.isdisjoint(one.opts))]
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options under their headings."""
        write_options(
            self,
            ctx,
            formatter,
            {
                "Common": "Options",
                "Source": "Reading (options of the formats named)",
                "Target": f"Upload (with --as {self.look.target})",
            },
        )


def chosen(given: dict[str, Any]) -> dict[str, Any]:
    """What was given; the rest is left to the formats' own defaults, and the workers to the size of the data set."""
    return {"workers": None, **{name: value for name, value in given.items() if value is not None and value != ()}}


def inspect_data(
    src: Path, *, html: Path | None, as_json: bool, limit: int, overwrite: bool, quiet: bool, **given: Any
) -> None:
    """Show what is in SRC, in numbers.

    Items, objects, labels, shapes, sizes, attributes, tracks, scores, oddities.
    """
    from nucleus_convert.converters import looks, showing

    with progress_bar(show=not quiet) as progress:
        looked = looks.inspect(src, progress=progress, **chosen(given))
    if html is not None:
        showing.save_page(looked, html, limit=limit, overwrite=overwrite)
    if as_json:
        click.echo(showing.inspected_json(looked), nl=False)
    elif html is None:
        showing.show(looked, limit=limit)
    if looked.error is not None:
        raise looked.error


def check_data(
    src: Path,
    *,
    as_json: bool,
    limit: int,
    fail_on: Literal["never", "warning", "error"],
    quiet: bool,
    verbose: bool,
    **given: Any,
) -> int:
    """Say everything that is wrong with SRC.

    With its files, its geometry, its values, and as an upload to Nucleus.
    """
    from nucleus_convert.converters import looks, showing
    from nucleus_convert.converters.checking.catalogue import Level

    with progress_bar(show=not quiet) as progress:
        looked = looks.check(src, progress=progress, **chosen(given))
    colours = {Level.ERROR: "red", Level.WARNING: "yellow"}
    if as_json:
        click.echo(showing.checked_json(looked), nl=False)
    elif not quiet:
        for line, level in showing.checked_lines(looked, verbose=verbose, limit=limit):
            say(line, err=False, fg=colours.get(level) if level is not None else None)
    if looked.error is not None:
        raise looked.error
    return REFUSED if looked.fails(fail_on) else 0


def diff_data(
    a: Path,
    b: Path,
    *,
    limit: int,
    as_json: bool,
    quiet: bool,
    ignore: tuple[str, ...],
    on_error: Literal["fail", "skip"],
    **given: Any,
) -> int:
    """Compare two data sets of any formats.

    Exits with 1 if they differ.
    """
    from nucleus_convert.converters import diff, difftext, opening

    unknown = [name for name in ignore if name not in diff.FIELDS]
    if unknown:
        raise click.BadParameter(f"'{unknown[0]}' is none of {', '.join(diff.FIELDS)}.", param_hint="--ignore")
    fields = {name: given.pop(name) for name in ("pixels", "iou", "number", "overlap")}
    with opening.both((a, "a"), (b, "b"), given, on_error=on_error) as (one, other):
        before, after = (diff.Side(looked.labels, looked.spec, looked.report) for looked in (one, other))
        found = diff.Diff(before, after, diff.Tolerance(ignore=frozenset(ignore), **fields))
        if as_json:
            for text in difftext.as_json(found, one.name, other.name):
                click.echo(text, nl=False)
        else:
            colours = {"added": "green", "removed": "red", "changed": "yellow", None: None}
            for line, kind in difftext.lines(found, limit):
                if not quiet:
                    say(line, err=False, fg=colours[kind])
        if not quiet:
            tell_losses(one, other)
    return 0 if found.summary.same else 1


def preview_data(src: Path, other: Path | None, **given: Any) -> None:
    """Make a page to look at: pictures with their labels.

    With OTHER: SRC before and OTHER after, or labels and predictions.
    """
    from nucleus_convert.converters import opening, preview

    plan = preview.Plan(**{name: given.pop(name) for name in preview.Plan.__struct_fields__})
    if plan.html is None and plan.png is None:
        raise click.UsageError("Missing option '-o' / '--output' (or give --png).")
    with opening.both((src, ""), (other, "other"), given, on_error="skip") as (one, *two):
        shown = preview.make(one, two[0] if two else None, plan)
        tell_losses(one, *two)
    for path in (plan.html, plan.png):
        if path is not None:
            say(f"{shown} items shown in {path}")


for _name, _run, _look in (
    ("inspect", inspect_data, commandline.INSPECT),
    ("check", check_data, commandline.CHECK),
    ("diff", diff_data, commandline.DIFF),
    ("preview", preview_data, commandline.PREVIEW),
):
    cli.add_command(LookCommand(_name, _run, _look))


def say(text: str, *, err: bool = True, **style: Any) -> None:
    """Print lines to stderr; in colour only on a terminal that wants it, and folded on any."""
    from nucleus_convert.converters.wording import folded, printable

    coloured = not os.environ.get("NO_COLOR") and any(style.values())
    width = columns(sys.stderr if err else sys.stdout)
    for line in map(printable, text.split("\n")):
        for part in [line] if width is None else folded(line, width):
            click.echo(click.style(part, **style) if coloured else part, err=err)


def columns(stream: Any) -> int | None:
    """The width of a terminal; None of anything else."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None
    except (OSError, ValueError):  # a stream of no file
        return None


def tell_losses(*looked: DataSet) -> None:
    """Print to stderr what of data sets could not be read."""
    from nucleus_convert.converters.codes import Severity

    for finding in (finding for one in looked for finding in one.report.sorted()):
        if finding.severity is Severity.LOSS:
            times = f" [{finding.count:,} times]" if finding.count > 1 else ""
            say(f"{finding.text}{times}: {finding.examples[0] if finding.examples else ''}", fg="red")


def print_report(report: Report, target: str | None, place: Layout | None, *, verbose: bool) -> None:
    """Print the report to stderr."""
    from nucleus_convert.converters.codes import Severity
    from nucleus_convert.converters.summary import lines

    colours = {Severity.LOSS: "red", Severity.WARNING: "yellow"}
    path = None if place is None else str(place.report)
    rejected = str(place.rejected) if place is not None and place.rejected.exists() else None
    for line in lines(report, target, verbose=verbose, where=path, rejected=rejected):
        say(line.text, fg=colours.get(line.severity) if line.severity is not None else None)


@contextmanager
def progress_bar(*, show: bool) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A progress bar with the time left, on a terminal."""
    if not show or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        stages: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in stages:
                stages.clear()
                for task in bar.task_ids:
                    bar.remove_task(task)
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done)

        yield progress


def _crashed(error: Exception, args: Sequence[str]) -> None:
    """Two lines about a bug, and the traceback where it does not frighten."""
    import tempfile
    import traceback

    trace = "".join(traceback.format_exception(error))
    say(f"error: a bug in nucleus-convert ({type(error).__name__}: {error}); nothing was written", fg="red")
    if "-v" in args or "--verbose" in args:
        say(trace)
        return
    with tempfile.NamedTemporaryFile(
        "w", prefix="nucleus-convert-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"nucleus-convert {__version__}, Python {sys.version}\n{' '.join(args)}\n\n{trace}")
    say(f"  please report it, with the file {file.name}")


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        code = cli.main(list(args), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (signals.Stopped, click.Abort, KeyboardInterrupt) as stopped:
        code = stopped.code if isinstance(stopped, signals.Stopped) else INTERRUPTED
        say(f"{'terminated' if code == TERMINATED else 'interrupted'}; nothing was written")
        return code
    except Exception as error:
        from nucleus_convert.converters.errors import ConvertError

        if not isinstance(error, ConvertError):
            _crashed(error, args)
            return BUG
        say(f"error: {error}", fg="red")
        return error.exit_code
    return code if isinstance(code, int) else 0


def main() -> None:
    """The entry point."""
    signal.signal(signal.SIGTERM, signals.Stop())
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not if we were told to ignore it
        signal.signal(signal.SIGINT, signals.Stop())
    sys.exit(run(sys.argv[1:]))
