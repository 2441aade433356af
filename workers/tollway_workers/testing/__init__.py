"""For who writes a protocol of their own: the suite that it has to pass. Needs pytest.

class TestMine(ProtocolContract):
    protocol = "mine"
    fixtures = Path(__file__).parent / "fixtures"

And `OverHttpx`, which puts one of httpx's transports in place of a provider's server.
"""

from tollway_workers.testing.case import ProtocolCase, load_cases
from tollway_workers.testing.over_httpx import OverHttpx
from tollway_workers.testing.protocol_contract import ProtocolContract

__all__ = ["OverHttpx", "ProtocolCase", "ProtocolContract", "load_cases"]
