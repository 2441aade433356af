"""One job, one typed answer. Needs TOLLWAY_BOOTSTRAP_SERVERS and a fleet with that route."""

import asyncio

from pydantic import BaseModel

from tollway import JobProducer, NewJob


class Invoice(BaseModel):
    number: str
    total: float


async def main() -> None:
    async with JobProducer() as producer:
        job = NewJob(route="extract", request="Invoice A-17: 42.50 EUR in all", output=Invoice)
        handle = await producer.enqueue(job)
        print(await handle.result(timeout=60))


asyncio.run(main())
