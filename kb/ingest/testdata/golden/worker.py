#!/usr/bin/env python3
"""Works off the queue."""
import sys

LIMIT = 10


@retry(times=3)
def send(order):
    """Sends an order."""
    return order


class Worker:
    """Takes orders."""

    def __init__(self, queue):
        self.queue = queue
        self.done = 0

    # Runs until the queue is empty.
    async def run(self):
        while self.queue:
            await self.one()
            self.done += 1

    def one(self):
        order = self.queue.pop()
        print("sending an order to the customer who waits", order)
        return send(order)


if __name__ == "__main__":
    Worker(sys.argv[1:]).run()
