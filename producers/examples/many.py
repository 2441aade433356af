"""Any number of jobs in bounded memory: replies come as they finish."""

import asyncio
from collections.abc import Iterator

from pydantic import BaseModel

from tollway import JobProducer, NewJob


class Invoice(BaseModel):
    number: str
    total: float


def jobs() -> Iterator[NewJob[Invoice]]:
    """A generator: no more than the window (1,000 by default) are ever in memory."""
    for number in range(2000):
        yield NewJob(
            route="extract",
            request=f"Invoice A-{number}: 42.50 EUR in all",
            output=Invoice,
            run="monthly",
            labels={"line": str(number)},
        )


async def main() -> None:
    answered = failed = 0
    async with JobProducer() as producer:
        async for reply in producer.map(jobs()):
            if reply.answer is not None:
                Invoice.model_validate(reply.answer.parsed)
                answered += 1
            else:
                failed += 1
    print(f"{answered} answered, {failed} failed")


asyncio.run(main())
