"""Dead letters as a repair bench: group, edit, revalidate, redrive, discard, export."""

from tollway.dead_letters.entry import Entry
from tollway.dead_letters.filter import Filter
from tollway.dead_letters.letters import DeadLetters, Found
from tollway.dead_letters.overview import Group, Overview
from tollway.dead_letters.report import (
    Canary,
    ExportReport,
    MarkReport,
    Progress,
    RedriveReport,
    RouteEstimate,
    Skip,
    Skipped,
)
from tollway.errors import Fenced, InvalidJobs, RedriveInterrupted

__all__ = [
    "Canary",
    "DeadLetters",
    "Entry",
    "ExportReport",
    "Fenced",
    "Filter",
    "Found",
    "Group",
    "InvalidJobs",
    "MarkReport",
    "Overview",
    "Progress",
    "RedriveInterrupted",
    "RedriveReport",
    "RouteEstimate",
    "Skip",
    "Skipped",
]
