"""The same from synchronous code: a Django view, a Celery task, a script."""

from pydantic import BaseModel

from tollway import BlockingJobProducer, JobFailed


class Invoice(BaseModel):
    number: str
    total: float


def main() -> None:
    with BlockingJobProducer() as producer:
        try:
            invoice = producer.ask("extract", "Invoice A-17: 42.50 EUR in all", output=Invoice)
        except JobFailed as failed:
            print(f"no answer after {failed.reply.calls} calls: {failed}")
        else:
            print(f"{invoice.number} is over {invoice.total:.2f}")


main()
