"""A provider on this machine: providers' protocols, limits and failures, and exact books."""

from tollway_workers.local.simulator.answers import load_answers
from tollway_workers.local.simulator.bill import ListPrice, load_prices
from tollway_workers.local.simulator.books import Call
from tollway_workers.local.simulator.faults import Fault, FaultKind
from tollway_workers.local.simulator.latency import PROFILES, LatencyProfile, latency_profile
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.overload import Overload
from tollway_workers.local.simulator.script import Script, load_script
from tollway_workers.local.simulator.server import Simulator
from tollway_workers.local.simulator.summary import Summary

__all__ = [
    "PROFILES",
    "Call",
    "Fault",
    "FaultKind",
    "LatencyProfile",
    "ListPrice",
    "Overload",
    "Script",
    "Simulator",
    "SimulatorOptions",
    "Summary",
    "latency_profile",
    "load_answers",
    "load_prices",
    "load_script",
]
